"""
Plans: which grants and parts of grants go.

What lives here: what becomes of each grant, by what was used of it.  Not here: counting uses
(`regauth.policytests.usage.counting`), and the text of the change (`rewriting`).
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace

from regauth.engine.access.scope import is_repository_name
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Statement
from regauth.policytests.usage.uses import GrantUse, UnusedParts, Usage

from .claimed import NarrowedClaim, narrowing


@dataclass(frozen=True, slots=True)
class Kept:
    """A grant that stays though nobody used it, and why."""

    grant: str
    reason: str


@dataclass(frozen=True, slots=True)
class TighteningBounds:
    """How far a policy is tightened."""

    names: int = 5
    """The most names that take the place of a pattern; 0 keeps the patterns."""
    values: int = 3
    """The most values of a claim that become a condition; 0 adds none."""


@dataclass(slots=True)
class TighteningPlan:
    """What becomes of the grants."""

    removed: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    parts: dict[str, UnusedParts] = field(default_factory=dict)
    """Parts that go, by grant."""
    names: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    """Names that take the place of patterns, by grant and number of the pattern."""
    providers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The only providers of grants that named none."""
    claims: dict[str, list[NarrowedClaim]] = field(default_factory=dict)
    """What is asked of the users of grants too."""

    def __bool__(self) -> bool:
        return bool(self.removed or self.parts or self.names or self.providers or self.claims)

    def with_claims_of(self, grants: Container[str]) -> "TighteningPlan":
        """Return the plan that asks for claims only in some grants."""
        return replace(self, claims={one: two for one, two in self.claims.items() if one in grants})


def plan(
    usage: Usage, bounds: TighteningBounds, reason_to_keep: Callable[[Statement], str]
) -> TighteningPlan:
    """
    Plan what goes.

    Args:
        usage: What the log used.
        bounds: How far the policy is tightened.
        reason_to_keep: Says why an unused part of a grant stays; empty when it does not.
    """
    made = TighteningPlan()
    for grant in usage.policy.grants:
        use = usage.grants.get(grant.name)
        reason = "it ends by itself" if grant.expires is not None else reason_to_keep(grant)
        trial = made if not reason else TighteningPlan()
        if use is None:
            trial.removed.append(grant.name)
        else:
            _narrow(trial, grant, use, usage, bounds)
        if reason and trial:
            made.kept.append(Kept(grant.name, reason))
    return made


def _narrow(
    made: TighteningPlan, grant: Statement, use: GrantUse, usage: Usage, bounds: TighteningBounds
) -> None:
    parts = usage.unused_of(grant, use)
    if any(parts):
        made.parts[grant.name] = parts
    names = {
        number: found
        for number, pattern in enumerate(grant.patterns)
        if use.patterns[number] and (found := _names(pattern, use.names[number], bounds.names))
    }
    if names:
        made.names[grant.name] = names
    used = tuple(one for one in usage.policy.providers if use.providers[one])
    if grant.providers is None and len(used) < len(usage.policy.providers):
        made.providers[grant.name] = used
    seen = usage.values.get(grant.name, {}).values()
    claims = narrowing(grant, seen, bounds.values)
    if claims:
        made.claims[grant.name] = claims


def _names(pattern: Pattern, seen: Iterable[str], most: int) -> tuple[str, ...]:
    """Return the names that take a pattern's place; none when it stays."""
    found = tuple(sorted(seen))
    wild = any(isinstance(part, Wildcard) for part in pattern.parts)
    if not wild or pattern.programs or len(found) > most:
        return ()
    return found if all(map(is_repository_name, found)) else ()
