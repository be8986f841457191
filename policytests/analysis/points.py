"""
Points: the single things that coverage counts.

What lives here: the value.  Not here: what covers a point (`coverage`, `invariant_points`).
"""

from dataclasses import dataclass, field

from regauth.engine.source.problems import Location


@dataclass(slots=True)
class Point:
    """
    One point to cover, with its possible outcomes.

    `wanted` are the possible outcomes: true, false, error for a condition or a part.  `seen` are
    those that occurred.
    """

    kind: str
    name: str
    text: str
    location: Location
    wanted: tuple[str, ...]
    seen: set[str] = field(default_factory=set)
    suggestions: dict[str, str] = field(default_factory=dict)
    """For each outcome that was not seen, a token that would show it."""
    impossible: tuple[str, ...] = ()
    """Outcomes that it is proved no possible token shows; they are not wanted."""

    def give_up(self, outcome: str) -> None:
        """Record that no possible token shows an outcome."""
        self.wanted = tuple(one for one in self.wanted if one != outcome)
        self.impossible += (outcome,)

    @property
    def missing(self) -> tuple[str, ...]:
        """The outcomes that were not seen."""
        return tuple(one for one in self.wanted if one not in self.seen)
