"""
Lints of providers, grants and denials.

What lives here: one small function for each code.  Not here: lints of CEL (`conditions`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement

from .addresses import audience_hint
from .subject import LintFinding

LONG_SESSION: Final = timedelta(hours=24)


def default_audience(provider: Provider, _: Policy) -> Iterator[LintFinding]:
    """An audience that tokens for other services have too."""
    for audience in sorted(provider.audiences):
        if audience == provider.issuer:
            yield LintFinding(
                f"the audience {audience!r} is the issuer itself, which every service there shares",
                audience_hint(provider.claims),
            )
        elif provider.claims.name == "github-actions" and re.fullmatch(
            r"https://github\.com/[^/]+/?", audience
        ):
            yield LintFinding(
                f"{audience!r} is what GitHub puts into every token that asks for no audience",
                "ask for tokens with an audience of your own, such as the registry's address",
            )


def unused_provider(provider: Provider, policy: Policy) -> Iterator[LintFinding]:
    """A provider whose tokens no grant gives anything."""
    if not any(
        grant.providers is None or provider.name in grant.providers for grant in policy.grants
    ):
        yield LintFinding(
            f"no grant is for `{provider.name}`: its logins succeed and get nothing",
            "add a grant, or remove the provider",
        )


def long_session(provider: Provider, _: Policy) -> Iterator[LintFinding]:
    """A refresh token that outlives any job that could have asked for it."""
    if provider.max_session is not None and provider.max_session > LONG_SESSION:
        yield LintFinding(
            f"refresh tokens of `{provider.name}` are good for more than 24 hours",
            "a job needs one while it runs; say how long that is",
        )


def push_anywhere(statement: Statement, _: datetime | None) -> Iterator[LintFinding]:
    """A grant that lets its tokens replace every image."""
    everywhere = any(pattern.parts == (Wildcard.REST,) for pattern in statement.patterns)
    if statement.when is not None and ("scope", "name") in statement.when.paths:
        return  # the condition names the repositories
    if isinstance(statement, Grant) and "push" in statement.actions and everywhere:
        yield LintFinding(
            "this grant pushes to every repository",
            "name a part of the registry, such as `team/**`",
        )


def expired(statement: Statement, now: datetime | None) -> Iterator[LintFinding]:
    """A statement that has ended."""
    if now is not None and statement.expires is not None and statement.expires <= now:
        yield LintFinding(
            f"it ended at {statement.expires.isoformat()} and does nothing any more",
            "remove it, or give it a new end",
        )


def tags_of_content(statement: Statement, _: datetime | None) -> Iterator[LintFinding]:
    """A statement that hides tags: a client that knows a digest can still read the content."""
    if not statement.tags or "pull" not in statement.actions:
        return
    if statement.when is not None and ("scope", "reference") in statement.when.paths:
        return  # a grant's condition may decide about digests
    if isinstance(statement, Denial) or "push" not in statement.actions:
        yield LintFinding(
            "tags limit which names can be read, and not the content: it is read by digest too",
            "keep what must not be read in a repository of its own",
        )


def new_tags_without_push(statement: Statement, _: datetime | None) -> Iterator[LintFinding]:
    """A grant of new tags that allows no push."""
    if statement.new_tags_only and "push" not in statement.actions:
        yield LintFinding(
            "`newTagsOnly` is about pushing, and this grant does not allow `push`",
            "add `push`, or remove `newTagsOnly`",
        )


def push_without_pull(policy: Policy) -> Iterator[tuple[Grant, LintFinding]]:
    """Registries ask for both when something is pushed (distribution, registry/handlers/app.go)."""
    pulls = _Pulls(policy)
    for grant in policy.grants:
        if "push" in grant.actions and "pull" not in grant.actions and not pulls.meet(grant):
            yield (
                grant,
                LintFinding(
                    "push alone does not push: registries ask for `pull` and `push` together",
                    "write `actions: [pull, push]`",
                ),
            )


class _Pulls:
    """Where each provider's tokens may get `pull`, by the beginnings of the patterns."""

    def __init__(self, policy: Policy) -> None:
        self._providers = frozenset(policy.providers)
        self._beginnings: dict[str, set[str]] = {}
        self._leading: dict[str, set[str]] = {}
        for grant in policy.grants:
            if "pull" not in grant.actions or grant.tags:  # about some tags only
                continue
            prefixes = {pattern.prefix for pattern in grant.patterns}
            leading = {above for prefix in prefixes for above in _above(prefix)}
            for name in grant.providers or self._providers:
                self._beginnings.setdefault(name, set()).update(prefixes)
                self._leading.setdefault(name, set()).update(leading)

    def meet(self, grant: Grant) -> bool:
        """Whether somewhere a grant of `pull` could be about the same repository."""
        return any(
            pattern.prefix in self._leading.get(name, ())
            or not self._beginnings.get(name, set()).isdisjoint(_above(pattern.prefix))
            for name in grant.providers or self._providers
            for pattern in grant.patterns
        )


def _above(prefix: str) -> list[str]:
    """Return the beginnings of a path in whole segments, itself and nothing included."""
    slashes = [at for at, character in enumerate(prefix) if character == "/"]
    return ["", *(prefix[:at] for at in slashes), prefix]


def shadowed_grants(policy: Policy) -> Iterator[tuple[Grant, LintFinding]]:
    """A grant that gives nothing which an earlier one does not give already."""
    # Grants are found by pattern and condition, because few of ten thousand can cover a given one.
    earlier: dict[tuple[str, str | None], list[Grant]] = {}
    for grant in policy.grants:
        texts = [_condition(grant), None] if grant.when else [None]
        wide = (
            one
            for pattern in grant.patterns[:1]
            for text in _covering(pattern)
            for condition in texts
            for one in earlier.get((text, condition), ())
        )
        cover = next((one for one in wide if _covers(one, grant)), None)
        if cover is not None:
            yield (
                grant,
                LintFinding(
                    f"`{cover.name}` ({cover.location.file}, line {cover.location.line}) "
                    "already grants all of this",
                    "remove one of the two",
                ),
            )
        for pattern in grant.patterns:
            earlier.setdefault((pattern.text, _condition(grant)), []).append(grant)


def _condition(grant: Grant) -> str | None:
    return grant.when.text if grant.when else None


def _covering(pattern: Pattern) -> Iterator[str]:
    """Return the texts of the patterns that match whatever this one matches."""
    yield pattern.text
    yield "**"
    first = pattern.parts[0]
    if isinstance(first, str):
        for at, character in enumerate(first):
            if character == "/":
                yield f"{first[:at]}/**"


def _covers(wide: Grant, narrow: Grant) -> bool:
    if wide.expires is not None or wide.catalog or wide.class_ != narrow.class_:
        return False
    if wide.providers is not None and (
        narrow.providers is None or not narrow.providers <= wide.providers
    ):
        return False
    if wide.when is not None and (narrow.when is None or wide.when.text != narrow.when.text):
        return False
    if wide.tags and not _covers_tags(wide, narrow):
        return False
    if not _covers_lifetime(wide, narrow):
        return False
    if wide.new_tags_only and not narrow.new_tags_only and "push" in narrow.actions:
        return False
    return (
        narrow.actions <= wide.actions
        and narrow.services <= wide.services
        and all(
            any(_covers_pattern(one, pattern) for one in wide.patterns)
            for pattern in narrow.patterns
        )
    )


def _covers_lifetime(wide: Grant, narrow: Grant) -> bool:
    """
    Whether a token is valid as long without the narrow grant.

    The longest grant that matches counts.  While the tag is not known, it is the shortest.
    """
    longer, shorter = wide.token_lifetime, narrow.token_lifetime
    if longer == shorter:
        return True
    if wide.tags:
        return False
    return longer is None or (shorter is not None and shorter < longer)


def _covers_tags(wide: Grant, narrow: Grant) -> bool:
    """Whether a grant with tags covers those of another; without any it is about more."""
    if not narrow.tags:
        return False
    known = {one.text for one in wide.tags}
    return any(one.everything for one in wide.tags) or all(one.text in known for one in narrow.tags)


def _covers_pattern(wide: Pattern, narrow: Pattern) -> bool:
    if wide.text == narrow.text or wide.parts == (Wildcard.REST,):
        return True
    if len(wide.parts) == 2 and wide.parts[1] is Wildcard.REST:  # noqa: PLR2004 - `prefix/` and `**`
        first = narrow.parts[0]
        return (
            isinstance(wide.parts[0], str)
            and isinstance(first, str)
            and first.startswith(wide.parts[0])
            and first != wide.parts[0]
        )
    return False


PROVIDER_LINTS: Final[Mapping[str, Callable[[Provider, Policy], Iterator[LintFinding]]]] = {
    "default-audience": default_audience,
    "unused-provider": unused_provider,
    "long-session": long_session,
}
STATEMENT_LINTS: Final[
    Mapping[str, Callable[[Statement, datetime | None], Iterator[LintFinding]]]
] = {
    "push-anywhere": push_anywhere,
    "expired": expired,
    "tags-of-content": tags_of_content,
    "new-tags-without-push": new_tags_without_push,
}
GRANTS_LINTS: Final[Mapping[str, Callable[[Policy], Iterator[tuple[Grant, LintFinding]]]]] = {
    "push-without-pull": push_without_pull,
    "shadowed-grant": shadowed_grants,
}
