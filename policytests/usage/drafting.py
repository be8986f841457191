"""
Drafting: a first policy from what a log's requests got.

What lives here: providers, grants and their patterns as text, and what of it is wider than the log.
Not here: what was gathered (`gathering`), and the check of the draft (`suggesting`).

No condition reads a claim whose value a person chooses (`identities`).  Every value of a log is
written by the writers of YAML and CEL.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from regauth.engine.source.foreign_text import visible
from regauth.policytests.suites.writing import yaml_value

from .gathering import Gathered, IssuerUse
from .identities import Value, Who, equals, written

MANY: Final = 3
"""Workloads of one form that a pattern with the workload's own name takes the place of."""

MAX_NAMES: Final = 10
"""Names below one path that are listed; more become a pattern with a wildcard."""

MAX_LISTED: Final = 50
"""Workloads in one condition."""

MAX_OWNERS: Final = 50
MAX_SKEW: Final = 300
MAX_SESSION: Final = 30 * 24 * 3600
MARK: Final = "# policytest: draft"
HEAD: Final = f"""\
{MARK} - read every grant, mend it, and remove this line; until then `check` warns.
#
# Written by `policytest suggest` from what was allowed.  It is not what should be allowed.
version: 1
"""
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_MAX_NAME: Final = 60
_DEFAULT_SKEW: Final = 30


@dataclass(slots=True)
class Draft:
    """A policy as text, and what of it is wider than the log."""

    text: str = ""
    wider: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Grant:
    """A grant: for whom, which places, and what may be done there."""

    whos: frozenset[Who] | None
    """None: every workload of the provider."""
    places: tuple[str, ...]
    actions: tuple[str, ...]
    class_: str = ""
    catalog: bool = False
    because: str = ""


def draft(gathered: Gathered) -> Draft:
    """Write a policy that allows what was gathered."""
    made = Draft()
    lines = [HEAD, f"services: {yaml_value(sorted(gathered.services))}\n"]
    providers = _named(gathered)
    if providers:
        lines += ["\nproviders:\n", *(_provider(*one) for one in providers.items())]
    taken: set[str] = {"anonymous"}
    grants = [
        text
        for name, use in providers.items()
        for one in _grants(use, name, made.wider)
        for text in _written(one, name, use, taken)
    ]
    if grants:
        lines += ["\ngrants:\n", "\n".join(grants)]
    if gathered.anonymous:
        places = _compressed(gathered.anonymous, "without credentials", made.wider)
        lines.append(f"\nanonymous:\n  repositories: {yaml_value(places)}\n")
    made.text = "".join(lines)
    return made


# --- providers -----------------------------------------------------------------------------------


def _named(gathered: Gathered) -> dict[str, IssuerUse]:
    """Return the issuers that got something by the names of their providers."""
    uses = [one for one in gathered.issuers.values() if one.labels]
    called = Counter(name for use in uses for name in use.names)
    found: dict[str, IssuerUse] = {}
    for use in uses:
        # A log's user name chooses the provider, so a name of two issuers would refuse one of them.
        own = [name for name, _ in use.names.most_common() if called[name] == 1 and _is_name(name)]
        base = own[0] if own else use.schema.name
        name, number = base, 1
        while name in found or (not own and name in called):
            number += 1
            name = f"{base}-{number}"
        found[name] = use
    return found


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", text) is not None and len(text) <= 100  # noqa: PLR2004 - the language's


def _provider(name: str, use: IssuerUse) -> str:
    lines = [
        f"  {yaml_value(name)}:",
        f"    issuer: {yaml_value(use.issuer)}",
        f"    audience: {yaml_value(_audiences(use))}",
        f"    claims: {yaml_value(use.schema.name)}",
    ]
    if not use.issuer.startswith("https://"):
        file = yaml_value(f"/etc/regauth/{name}.json")
        lines.append(f"    keys: {{jwksFile: {file}}}  # write where they are")
    if use.skew >= _DEFAULT_SKEW:  # a token that expired so long ago is refused
        lines.append(f"    clockSkew: {min(int(use.skew) + 1, MAX_SKEW)}s")
    if use.session is not None:
        hours = min(max(ceil(use.session / 3600), 1), MAX_SESSION // 3600)
        lines.append(f"    refreshTokens: {{maxSession: {hours}h}}")
    if _has_rule(use) and use.identity is not None:
        check = equals(use.identity.owner, sorted(use.owners, key=str), use.schema)
        lines += [
            "    rules:",
            "      - name: known-owners",
            f"        check: {yaml_value(check)}",
            "        message: only workloads of known owners may log in",
        ]
    return "\n".join(lines) + "\n"


def _has_rule(use: IssuerUse) -> bool:
    return bool(use.owners) and not use.ownerless and len(use.owners) <= MAX_OWNERS


def _audiences(use: IssuerUse) -> list[str]:
    """Return few audiences of which every token has one, the most usual first."""
    left, chosen = Counter(use.audiences), []
    while left:
        seen: Counter[str] = Counter()
        for listed, count in left.items():
            for one in listed:
                seen[one] += count
        if not seen:
            break
        best = min(seen, key=lambda one: (-seen[one], one))
        chosen.append(best)
        left = Counter({one: count for one, count in left.items() if best not in one})
    return chosen


# --- grants --------------------------------------------------------------------------------------


def _grants(use: IssuerUse, provider: str, wider: list[str]) -> Iterator[_Grant]:
    rest: dict[tuple[bool, str, str, str], set[Who]] = defaultdict(set)
    own = _own_actions(use)
    for got, users in use.got.items():
        if got.own and got.action in own.get(got.own, ()):
            continue
        rest[got.catalog, got.class_, got.name, got.action].update(users)
    yield from _own_grants(use, own, provider, wider)
    everybody = frozenset(use.labels)
    # Alone a rule, or an issuer of one owner, makes "every workload" a bounded word.
    open_ = len(everybody) >= MANY and (_has_rule(use) or not _serves_everybody(use))
    grouped: dict[tuple[frozenset[Who], bool, str], dict[str, set[str]]] = {}
    for (catalog, class_, name, action), found in rest.items():
        key = (frozenset(found), catalog, class_)
        grouped.setdefault(key, defaultdict(set))[name].add(action)
    for (whos, catalog, class_), names in grouped.items():
        by_actions: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, actions in names.items():
            by_actions[tuple(sorted(actions))].append(name)
        for given, listed in by_actions.items():
            anyone = open_ and whos == everybody
            if anyone:
                what = "the catalog" if catalog else ", ".join(listed[:3])
                wider.append(f"every workload of {provider} may {', '.join(given)}: {what}")
            places = () if catalog else tuple(_compressed(listed, provider, wider))
            yield _Grant(None if anyone else whos, places, given, class_, catalog)


def _serves_everybody(use: IssuerUse) -> bool:
    return use.schema.serves_everybody(use.issuer)


def _own_actions(use: IssuerUse) -> dict[str, set[str]]:
    """Return the actions that many workloads take on repositories of their own name."""
    if not _has_rule(use):
        return {}
    seen: dict[tuple[str, str], set[Who]] = defaultdict(set)
    for got, whos in use.got.items():
        if got.own:
            seen[got.own, got.action].update(whos)
    found: dict[str, set[str]] = defaultdict(set)
    for (own, action), users in seen.items():
        if len(users) >= MANY:
            found[own].add(action)
    return found


def _own_grants(
    use: IssuerUse, own: dict[str, set[str]], provider: str, wider: list[str]
) -> Iterator[_Grant]:
    if use.identity is None:
        return
    name = f"${{{written((use.identity.name,))}.lowerAscii()}}"
    by_actions: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for form, actions in sorted(own.items()):
        by_actions[tuple(sorted(actions))].append(name + form.removesuffix("/"))
    for given, places in by_actions.items():
        what = f"{', '.join(given)}: {', '.join(places)}"
        wider.append(f"every workload of the owners of {provider} may {what}")
        yield _Grant(None, tuple(places), given, because="own-repository")


def _compressed(names: Sequence[str] | dict[str, None], who: str, wider: list[str]) -> list[str]:
    """Return names, those below one path as a wildcard where they are many."""
    below: dict[str, list[str]] = defaultdict(list)
    for name in names:
        below[name.rpartition("/")[0]].append(name)
    found: list[str] = []
    for path, listed in below.items():
        if path and len(listed) > MAX_NAMES:
            found.append(f"{path}/*")
            wider.append(f"{path}/* stands for {len(listed)} names ({who})")
        else:
            found += listed
    return sorted(found)


def _written(grant: _Grant, provider: str, use: IssuerUse, taken: set[str]) -> Iterator[str]:
    whos = [None] if grant.whos is None else list(_chunks(sorted(grant.whos, key=str)))
    for chunk in whos:
        lines = [] if chunk is None else [_comment(chunk, use)]
        lines += [f"  - name: {yaml_value(_name(grant, provider, taken))}"]
        lines.append(f"    providers: [{yaml_value(provider)}]")
        if chunk is not None and use.identity is not None:
            lines.append(f"    when: {yaml_value(_condition(chunk, use))}")
        if grant.catalog:
            lines.append("    catalog: true")
        else:
            lines += [f"    class: {yaml_value(grant.class_)}"] if grant.class_ else []
            lines.append("    repositories:")
            lines += [f"      - {yaml_value(one)}" for one in grant.places]
            lines.append(f"    actions: [{', '.join(grant.actions)}]")
        yield "\n".join(lines) + "\n"


def _chunks(whos: list[Who]) -> Iterator[list[Who]]:
    for at in range(0, len(whos), MAX_LISTED):
        yield whos[at : at + MAX_LISTED]


def _condition(whos: Sequence[Who], use: IssuerUse) -> str:
    assert use.identity is not None  # noqa: S101 - for the type checker
    paths = use.identity.who
    if len(paths) == 1:
        values: list[Value] = [one for (one,) in whos]
        return equals(paths[0], values, use.schema)
    both = [
        " && ".join(equals(path, [one], use.schema) for path, one in zip(paths, who, strict=True))
        for who in whos
    ]
    return " || ".join(f"({one})" for one in both) if len(both) > 1 else both[0]


def _comment(whos: Sequence[Who], use: IssuerUse) -> str:
    """Name some of the workloads; a log's text stays within its comment."""
    names = [visible(use.labels[one])[:60] for one in whos[:MANY]]
    more = f" and {len(whos) - MANY} more" if len(whos) > MANY else ""
    text = yaml_value(", ".join(names))[1:-1] or "workloads"
    # Never at the start of a comment: a label could read as a comment that silences a warning.
    return f"  # For: {text}{more}"


def _name(grant: _Grant, provider: str, taken: set[str]) -> str:
    first = grant.because or (grant.places[0] if grant.places else "catalog")
    verb = "list" if grant.catalog else "-".join(grant.actions)
    base = _SLUG.sub("-", f"{provider}-{verb}-{first}".lower())[:_MAX_NAME].strip("-")
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name
