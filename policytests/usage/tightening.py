"""
Tightening: the narrowest change of a policy's grants that keeps what a log's requests got.

What lives here: which grants, actions and patterns go, and the check that nothing is lost.
Not here: counting uses (`counting`), and the text of the change (`edits`).

Only grants change: never rules, denials or the anonymous grant.  Names from a log replace patterns
only where the pattern had let them through; no value of a log becomes a condition.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from regauth.engine.access.outcomes import Refusal, Why
from regauth.engine.access.scope import is_repository_name
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.decide import decide
from regauth.engine.decisions.workload import choose
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.source.nodes import MappingNode, SequenceNode

from .cases import Case
from .counting import GrantUse, Usage
from .edits import EditError, ListEdit, apply, document

ACTIONS: Final = "actions"
REPOSITORIES: Final = "repositories"
_POLICY_FILES: Final = (".yaml", ".yml")


class TighteningError(Exception):
    """The policy cannot be tightened; the message says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A grant that stays though nobody used it, and why."""

    grant: str
    reason: str


@dataclass(slots=True)
class Plan:
    """What becomes of the grants."""

    removed: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    actions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Actions that go, by grant."""
    patterns: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    """Patterns that go, or that names take the place of, by grant and number."""

    def __bool__(self) -> bool:
        return bool(self.removed or self.actions or self.patterns)


def plan(usage: Usage, *, names: int, reason_to_keep: Callable[[Statement], str]) -> Plan:
    """
    Plan what goes.

    Args:
        usage: What the log used.
        names: The most names that take the place of a pattern; 0 keeps the patterns.
        reason_to_keep: Says why an unused part of a grant stays; empty when it does not.
    """
    made = Plan()
    for grant in usage.policy.grants:
        use = usage.grants.get(grant.name)
        reason = "it ends by itself" if grant.expires is not None else reason_to_keep(grant)
        if reason:
            unused = use is None or _unused_parts(grant, use, names)
            if unused:
                made.kept.append(Kept(grant.name, reason))
        elif use is None:
            made.removed.append(grant.name)
        else:
            _narrow(made, grant, use, names)
    return made


def _unused_parts(grant: Statement, use: GrantUse, names: int) -> bool:
    trial = Plan()
    _narrow(trial, grant, use, names)
    return bool(trial)


def _narrow(made: Plan, grant: Statement, use: GrantUse, names: int) -> None:
    if grant.catalog:
        return
    actions = tuple(one for one in sorted(grant.actions) if not use.actions[one])
    if actions:
        made.actions[grant.name] = actions
    patterns: dict[int, tuple[str, ...]] = {}
    for number, pattern in enumerate(grant.patterns):
        if not use.patterns[number]:
            patterns[number] = ()
        elif found := _names(pattern, use.names[number], names):
            patterns[number] = found
    if patterns:
        made.patterns[grant.name] = patterns


def _names(pattern: Pattern, seen: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the names that take a pattern's place; none when it stays."""
    found = tuple(sorted(seen))
    wild = any(isinstance(part, Wildcard) for part in pattern.parts)
    if not wild or pattern.programs or len(found) > most:
        return ()
    return found if all(map(is_repository_name, found)) else ()


def edited(files: Mapping[str, str], planned: Plan) -> dict[str, str]:
    """
    Return the files of a policy after a plan.

    Raises:
        EditError: A file cannot be edited so.
    """
    changed = dict(files)
    for name, text in files.items():
        if not name.endswith(_POLICY_FILES):
            continue
        edits = list(_edits(document(text, name), planned))
        if edits:
            changed[name] = apply(text, name, edits)
    return changed


def _edits(root: MappingNode, planned: Plan) -> Iterable[ListEdit]:
    grants = root.get("grants")
    if not isinstance(grants, SequenceNode):
        return
    gone: list[tuple[str, ...] | None] = []
    for grant in grants.items:
        name = _name(grant)
        gone.append(() if name in planned.removed else None)
        if isinstance(grant, MappingNode) and gone[-1] is None:
            yield from _edits_of(grant, name, planned)
    if any(one is not None for one in gone):
        yield ListEdit(grants, tuple(gone), root.entries["grants"].key)


def _edits_of(grant: MappingNode, name: str, planned: Plan) -> Iterable[ListEdit]:
    actions, patterns = grant.get(ACTIONS), grant.get(REPOSITORIES)
    if (unused := planned.actions.get(name)) and isinstance(actions, SequenceNode):
        items = tuple(() if one.plain() in unused else None for one in actions.items)
        yield ListEdit(actions, items)
    if (changes := planned.patterns.get(name)) and isinstance(patterns, SequenceNode):
        # A name that two patterns narrow to, or that stands there already, is written once.
        numbered = list(enumerate(patterns.items))
        written = {str(one.plain()) for number, one in numbered if number not in changes}
        found: list[tuple[str, ...] | None] = []
        for number in range(len(patterns.items)):
            new = changes.get(number)
            fresh = None if new is None else tuple(one for one in new if one not in written)
            written |= set(fresh or ())
            found.append(fresh)
        yield ListEdit(patterns, tuple(found))


def _name(grant: object) -> str:
    name = grant.get("name") if isinstance(grant, MappingNode) else None
    return "" if name is None else str(name.plain())


def lines_of(files: Mapping[str, str]) -> dict[str, tuple[str, int, int]]:
    """Return the file and the first and last line of each grant, by name."""
    found: dict[str, tuple[str, int, int]] = {}
    for name, text in files.items():
        grants = document(text, name).get("grants") if name.endswith(_POLICY_FILES) else None
        for grant in grants.items if isinstance(grants, SequenceNode) else ():
            place = grant.location
            found[_name(grant)] = (name, place.line, max(place.line, place.end_line))
    return found


@dataclass(frozen=True, slots=True)
class Tightened:
    """A tightened policy, and its files."""

    policy: Policy
    files: Mapping[str, str]
    plan: Plan


def tighten(
    files: Mapping[str, str],
    cases: Iterable[Case],
    planned: Plan,
    now: datetime | None = None,
) -> Tightened:
    """
    Tighten a policy by a plan, and check that every kind of request gets what it got.

    Raises:
        TighteningError: It cannot be edited, does not compile, or would lose an access.
    """
    try:
        new = edited(files, planned)
    except EditError as error:
        raise TighteningError(str(error)) from error
    compilation = compile_policy(new, now=now)
    if compilation.policy is None:
        told = "; ".join(map(str, compilation.problems))
        raise TighteningError(f"the tightened policy does not compile: {told}")
    for case in cases:
        lost = _lost(compilation.policy, case)
        if lost:
            raise TighteningError(f"the tightened policy would lose {lost}; this is a defect")
    return Tightened(compilation.policy, new, planned)


def _lost(policy: Policy, case: Case) -> str:
    """Return an access that a request does not get as it got it, if there is one."""
    asked = case.asked
    decided = decide(policy, case.identity, case.claims, case.service, asked.accesses, case.now)
    if isinstance(decided, Refusal):
        return f"a request of {case.identity}"
    verdicts = choose(decided.verdicts, asked.choices)
    for verdict, given in zip(verdicts, case.given, strict=True):
        if (verdict.allowed, _without_grant(str(verdict.why))) != (
            given[0],
            _without_grant(given[1]),
        ):
            return f"{verdict.access} of {case.identity}"
    return ""


def _without_grant(why: str) -> str:
    """Return the reason that stays when the grant goes which a refusal names."""
    return str(Why.NO_GRANT) if why == Why.TAG_EXISTS else why
