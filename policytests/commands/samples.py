"""
`policytest profiles` and `policytest token`: what sample tokens hold, and where that comes from.

What lives here: the two commands' output.  Not here: finding a suite's token (`questions`), and
making one (`tokens.issuing`).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regauth.engine.issuers import ClaimSchema, Derived, ValueOrigin, check_token
from regauth.engine.source.nearest import did_you_mean
from regauth.policytests.execution.policies import FOLDER, compile_folder
from regauth.policytests.suites.linking import Linked
from regauth.policytests.tokens.coherence import impossible_claims
from regauth.policytests.tokens.forgeries.known import FORGERIES
from regauth.policytests.tokens.issuing import Sample, derived_of, profile_of
from regauth.policytests.tokens.profiles import known
from regauth.policytests.tokens.profiles.profile import TIMES, Issuance, Profile

from .questions import Options, QuestionError

_AUDIENCE: Final = "https://registry.example.com"
_AT: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
_WIDTH: Final = 60
"""Columns over which a value stands in a line of its own."""


def list_profiles(policy: Path | None) -> Iterator[str]:
    """
    Yield the profiles there are, those of a policy's own claim schemas first.

    Raises:
        QuestionError: The policy that was named does not compile.
    """
    found = [
        (f"{profile.name}/{name}" if name else profile.name, sample.about or profile.about)
        for profile in known.every(_own(policy))
        for name, sample in profile.variants.items()
    ]
    width = max(len(name) for name, _ in found)
    yield from (f"{name:{width}}  {about}" for name, about in found)
    yield ""
    yield "policytest token NAME shows a token of a profile."


def _own(policy: Path | None) -> list[ClaimSchema]:
    folder = policy or Path(FOLDER)
    if policy is None and not folder.is_dir():
        return []
    compiled = compile_folder(folder, folder.as_posix()).compilation.policy
    if compiled is None:
        if policy is None:
            return []
        raise QuestionError(f"{folder} does not compile; `policytest check {folder}` says why")
    return list({id(one.claims): one.claims for one in compiled.providers.values()}.values())


def show_token(options: Options, name: str) -> Iterator[str]:
    """
    Yield what a suite's token or a profile's token holds, and where each value comes from.

    Raises:
        QuestionError: There is no such token and no such profile.
    """
    if options.suite is None and known.find(name, own := _own(options.policy)) is not None:
        yield from _of_profile(name, own)
        return
    suites = options.suites()
    found = [one for one in suites if name in one.evaluation.linked.samples]
    if not found:
        names = {one for suite in suites for one in suite.evaluation.linked.samples}
        hint = did_you_mean(name, [*names, *known.names()])
        raise QuestionError(f"no suite has a token {name!r}, and no profile has this name; {hint}")
    if len(found) > 1:
        files = ", ".join(one.suite.file for one in found)
        raise QuestionError(f"{files} each have a token {name!r}; choose with --suite")
    yield from _of_suite(found[0].evaluation.linked, name)


# --- a profile's token ---------------------------------------------------------------------------


def _of_profile(name: str, own: list[ClaimSchema]) -> Iterator[str]:
    profile, variant = known.find(name, own) or (known.PLAIN, "")
    sample = profile.variants[variant]
    issuers = [] if profile.schema is None else _issuers(profile.schema, sample.claims)
    issue = Issuance(issuers[0] if issuers else "https://issuer.example.com", _AUDIENCE, _AT)
    yield f"profile {name}: {sample.about or profile.about}"
    yield f"signed with {profile.algorithm}; a suite's token has the issuer of its policy"
    yield ""
    made = profile.derived(sample.claims, issue, variant)
    yield from _claims(made, {}, profile, name)


def _issuers(schema: ClaimSchema, claims: Mapping[str, object]) -> list[str]:
    """Return the examples of issuers, those first whose tokens can have the claims."""
    known_claim = schema.claims.get(("iss",))
    examples = [] if known_claim is None else [str(one) for one in known_claim.examples]
    return sorted(
        examples, key=lambda one: any(True for _ in check_token(schema, {**claims, "iss": one}))
    )


# --- a suite's token -----------------------------------------------------------------------------


def _of_suite(linked: Linked, name: str) -> Iterator[str]:
    sample = linked.samples[name]
    spec = sample.spec
    profile = profile_of(spec, sample.provider)
    yield f"token {name}: {spec.location.file}, line {spec.location.line}"
    if sample.captured is not None or sample.provider is None:
        yield f"a captured token: {spec.jwt}"
        yield from _signed(sample)
        yield ""
        made = Derived(dict(sample.claims), {})
        yield from _lines([(path, value, "the issuer") for path, value in _leaves(made.claims)])
        return
    yield f"profile {spec.profile or profile.name}: {_about(profile, spec.profile)}"
    if spec.forge is not None:
        yield f"forged, {spec.forge}: a verifier that accepts it {FORGERIES[spec.forge].about}"
    yield f"sent as user {sample.username!r} to the provider {sample.provider.name!r}"
    yield f"used at {sample.now:%Y-%m-%dT%H:%M:%SZ}"
    yield from _signed(sample)
    yield ""
    made = derived_of(spec, sample.provider, spec.at or linked.suite.at)
    yield from _claims(made, spec.claims, profile, spec.profile or profile.name)
    yield from _remarks(sample)


def _about(profile: Profile, name: str | None) -> str:
    variant = (name or "").partition("/")[2]
    return profile.variants[variant].about or profile.about


def _signed(sample: Sample) -> Iterator[str]:
    """Yield the header that the signature covers, as the token's text has it."""
    part = sample.text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        yield "header: no JSON"
        return
    yield f"header: {json.dumps(header)}"


def _remarks(sample: Sample) -> Iterator[str]:
    spec = sample.spec
    if spec.without:
        yield f"left out: {', '.join(spec.without)}"
    if spec.impossible is not None:
        yield f"may contradict its issuer: {spec.impossible}"
    for found in impossible_claims(sample):
        yield f"{found.message}; {found.fix}"


# --- claims --------------------------------------------------------------------------------------

_Leaf = tuple[tuple[str, ...], object]


def _leaves(claims: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    for name, value in claims.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _claims(
    made: Derived, written: Mapping[str, object], profile: Profile, name: str
) -> Iterator[str]:
    suite = {path for path, _ in _leaves(written)}
    sample = profile.variants[name.partition("/")[2]]
    usual = {path for path, _ in _leaves(sample.claims)}

    def origin(path: tuple[str, ...]) -> str:
        if path in suite:
            return "the suite"
        if path in usual:
            return f"the profile {name}"
        if path in {("iss",), ("aud",)}:
            return "the policy"
        if path[0] in TIMES:
            return "the time of its issue"
        return _told(made.origins.get(path))

    yield from _lines([(path, value, origin(path)) for path, value in _leaves(made.claims)])


def _told(origin: ValueOrigin | None) -> str:
    if origin is None or origin.kind in ("given", "usual"):
        return "the usual value"
    if origin.kind == "name":
        return f"an id made up for {json.dumps(origin.about)}"
    return f"follows: {origin.about}"


def _lines(found: list[tuple[tuple[str, ...], object, str]]) -> Iterator[str]:
    found.sort(key=lambda one: one[0])
    rows = [("/".join(path), json.dumps(value), origin) for path, value, origin in found]
    names = max((len(name) for name, _, _ in rows), default=0)
    values = max((len(value) for _, value, _ in rows if len(value) <= _WIDTH), default=0)
    for name, value, origin in rows:
        yield f"{name:{names}}  {value:{values}}  {origin}"
