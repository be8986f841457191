"""
The index: finds the statements that could match a request, without looking at the others.

What lives here: which statements a name and a token's claims rule out for certain.
Not here: whether one of the rest matches (`regauth.engine.decisions.decide`).

A statement is filed under one literal equality of its condition, if it has one, and under the
literal beginnings of its patterns.  Leaving a statement out must never change a decision: a
condition is false, whatever else is in it, when a claim it compares with a literal is another
string.  Where a claim is absent or no string the comparison is an error instead.  An error makes
a grant not match, so grants are left out then too; it makes a denial match, so denials are not.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from regauth.engine.cel import Program
from regauth.engine.policy.patterns.names import Pattern

Path = tuple[str, ...]


class Indexable(Protocol):
    """What the index looks at in a grant or a denial."""

    @property
    def when(self) -> Program | None: ...  # noqa: D102 - a protocol's member
    @property
    def patterns(self) -> tuple[Pattern, ...]: ...  # noqa: D102 - a protocol's member


class ByName:
    """Positions of statements by the literal beginning of their patterns."""

    __slots__ = ("anywhere", "below", "exact")

    def __init__(self) -> None:
        self.exact: dict[str, list[int]] = {}
        self.below: dict[str, list[int]] = {}
        self.anywhere: list[int] = []

    def add(self, position: int, patterns: Sequence[Pattern]) -> None:
        """File a statement under its patterns."""
        for pattern in patterns:
            if not pattern.prefix:
                self.anywhere.append(position)
            elif pattern.literal:
                self.exact.setdefault(pattern.prefix, []).append(position)
            else:
                self.below.setdefault(pattern.prefix, []).append(position)

    def find(self, name: str, found: set[int]) -> None:
        """Add the positions of the statements whose patterns can match a name."""
        found.update(self.anywhere)
        if self.exact and (listed := self.exact.get(name)):
            found.update(listed)
        if self.below:
            at = name.find("/")
            while at >= 0:
                if listed := self.below.get(name[:at]):
                    found.update(listed)
                at = name.find("/", at + 1)


@dataclass(slots=True)
class StatementLookup:
    """The statements of one kind that can concern one provider."""

    errors_match: bool
    """Whether a condition that fails makes the statement match: true for denials."""
    _by_claim: dict[Path, dict[str, ByName]] = field(default_factory=dict)
    _unread: dict[Path, ByName] = field(default_factory=dict)
    _rest: ByName = field(default_factory=ByName)

    def candidates(self, claims: Mapping[str, object], name: str) -> list[int]:
        """Return the positions of the statements that could match, in their order."""
        found: set[int] = set()
        self._rest.find(name, found)
        for path, by_value in self._by_claim.items():
            value = _read(claims, path)
            if value.__class__ is str:
                if by_name := by_value.get(value):
                    by_name.find(name, found)
            elif self.errors_match:
                self._unread[path].find(name, found)
        return sorted(found)

    def any_for(self, claims: Mapping[str, object]) -> bool:
        """Tell whether a statement could match for some name; one look-up for each claim."""
        rest = self._rest
        if rest.anywhere or rest.exact or rest.below:
            return True
        for path, by_value in self._by_claim.items():
            value = _read(claims, path)
            if value in by_value if value.__class__ is str else self.errors_match:
                return True
        return False


def _read(claims: Mapping[str, object], path: Path) -> object:
    value: object = claims
    for name in path:
        if value.__class__ is not dict:
            return None
        value = value.get(name)
    return value


@dataclass(frozen=True, slots=True)
class ProviderIndex:
    """What one provider's tokens can match."""

    grants: StatementLookup
    denials: StatementLookup
    catalog_grants: tuple[int, ...] = ()
    catalog_denials: tuple[int, ...] = ()


def build(
    statements: Sequence[Indexable], positions: Sequence[int], *, errors_match: bool
) -> StatementLookup:
    """
    File the statements at `positions`, those that concern one provider, for `candidates`.

    Each is filed under the equality that the fewest statements share.  So neither ten thousand
    grants of one owner nor ten thousand of one branch share one entry.
    """
    equalities = {position: _equalities(statements[position]) for position in positions}
    shared = Counter(
        (path, value)
        for found in equalities.values()
        for path, values in found.items()
        for value in values
    )
    lookup = StatementLookup(errors_match)
    for position in positions:
        patterns = statements[position].patterns
        found = equalities[position]
        if not found:
            lookup._rest.add(position, patterns)  # noqa: SLF001 - built here, read there
            continue
        path = min(found, key=lambda path: sum(shared[path, value] for value in found[path]))
        # Without a value, too: `a == "x" && a == "y"` is still an error where there is no `a`.
        drawers = lookup._by_claim.setdefault(path, {})  # noqa: SLF001 - its maker
        for value in found[path]:
            drawers.setdefault(value, ByName()).add(position, patterns)
        lookup._unread.setdefault(path, ByName()).add(position, patterns)  # noqa: SLF001 - its maker
    return lookup


def ruled_out(grant: Indexable, claims: Mapping[str, object]) -> bool:
    """Tell whether a claim keeps a grant's condition from being true, whatever else it says."""
    for path, values in _equalities(grant).items():
        value = _read(claims, path)
        if value.__class__ is not str or value not in values:
            return True
    return False


def _equalities(statement: Indexable) -> dict[Path, frozenset[str]]:
    """Return the literal equalities on claims, without the leading `claims`."""
    if statement.when is None:
        return {}
    return {
        path[1:]: values
        for path, values in statement.when.equalities.items()
        if path[0] == "claims" and len(path) > 1
    }
