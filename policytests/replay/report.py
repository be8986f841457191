"""
The report of a replay: what differs, how often, and what could not be decided again.

What lives here: counting and grouping, in bounded memory.  Not here: deciding (`deciding`), and any
format (`formats`).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from regauth.policytests.exit_codes import LOST_ACCESS, NEW_ACCESS, NOT_EXCLUDED, NOTHING_RUN

from .deciding import Change, Difference, UndecidedReason
from .records import Record

MAX_GROUPS: Final = 10_000
"""Differences of one kind that are kept; of further ones only the requests are counted."""

MAX_KEPT: Final = 16 * 1024
"""Bytes of the longest line that is kept, to explain a difference."""

MAX_POLICIES: Final = 20
"""Hashes of deciding policies that are kept."""


@dataclass(slots=True)
class Seen:
    """How often something was seen, and when."""

    count: int
    first: datetime
    last: datetime
    request_id: str
    """The place of the last request."""
    line: bytes = field(default=b"", repr=False)
    """One of the records, to explain the difference; empty when it is too long to be kept."""


@dataclass(frozen=True, slots=True)
class Group:
    """Equal differences of many requests."""

    difference: Difference
    seen: Seen


@dataclass(frozen=True, slots=True)
class AcceptedFailures:
    """The reasons for which failures are accepted; empty where they are not."""

    widening: str = ""
    undecided: str = ""


@dataclass(slots=True)
class ReplayReport:
    """The result of a replay."""

    policy: str
    """How messages call the policy's folder."""
    hash: str
    at: datetime | None
    """As of when grants and denials were asked; None: each as of its recorded time."""
    decided: int = 0
    """Requests that were decided again."""
    first: datetime | None = None
    last: datetime | None = None
    recorded: Counter[str] = field(default_factory=Counter)
    """Requests by the hash of the policy that had decided them."""
    undecided: Counter[UndecidedReason] = field(default_factory=Counter)
    examples: dict[UndecidedReason, str] = field(default_factory=dict)
    """The place of the first line that was not decided again, and why it was not."""
    requests: Counter[Change] = field(default_factory=Counter)
    """Requests with such a change."""
    unkept: Counter[Change] = field(default_factory=Counter)
    """Differences beyond `MAX_GROUPS`, by occurrence."""
    _groups: dict[Change, dict[Difference, Seen]] = field(
        default_factory=lambda: {change: {} for change in Change}
    )

    def add(self, record: Record, line: bytes, differences: list[Difference]) -> None:
        """Count a request that was decided again."""
        self.decided += 1
        moment = record.time
        if self.first is None or moment < self.first:
            self.first = moment
        if self.last is None or moment > self.last:
            self.last = moment
        if record.policy in self.recorded or len(self.recorded) < MAX_POLICIES:
            self.recorded[record.policy] += 1
        if not differences:
            return
        self.requests.update({difference.change for difference in differences})
        for difference in differences:
            self._count(difference, record, line)

    def _count(self, difference: Difference, record: Record, line: bytes) -> None:
        groups = self._groups[difference.change]
        seen = groups.get(difference)
        if seen is None:
            if len(groups) >= MAX_GROUPS:
                self.unkept[difference.change] += 1
                return
            kept = line if len(line) <= MAX_KEPT else b""
            seen = Seen(0, record.time, record.time, record.request_id, kept)
            groups[difference] = seen
        seen.count += 1
        seen.first = min(seen.first, record.time)
        if record.time >= seen.last:
            seen.last, seen.request_id = record.time, record.request_id

    def skip(self, why: UndecidedReason, place: str, detail: str = "") -> None:
        """Count a line that was not decided again."""
        self.undecided[why] += 1
        self.examples.setdefault(why, f"{place}: {detail}" if detail else place)

    def groups(self, change: Change) -> list[Group]:
        """Return the differences of a kind, the most frequent first."""
        found = [Group(difference, seen) for difference, seen in self._groups[change].items()]
        return sorted(found, key=_order)

    def different(self, change: Change) -> int:
        """Return how many different differences there are, as far as they were kept."""
        return len(self._groups[change])

    def causes(self, change: Change) -> Iterator[tuple[str, str, int, int, int]]:
        """
        Yield what the differences of a kind come from, the most frequent first.

        Each is what it was before, what it is now, and how many requests' accesses, different
        accesses and identities it is about.
        """
        causes: dict[tuple[str, str], list[Group]] = {}
        for group in self.groups(change):
            key = str(group.difference.before), str(group.difference.after)
            causes.setdefault(key, []).append(group)
        counted = [
            (
                *cause,
                sum(group.seen.count for group in groups),
                len({group.difference.access for group in groups}),
                len({group.difference.identity for group in groups}),
            )
            for cause, groups in causes.items()
        ]
        yield from sorted(counted, key=lambda one: (-one[2], one[:2]))

    @property
    def lines(self) -> int:
        """How many lines there were."""
        return self.decided + self.undecided.total()

    def exit_code(self, accepted: AcceptedFailures, *, fail_on_narrowing: bool) -> int:
        """
        Return what the command ends with.

        Known new access outweighs new access that cannot be excluded.  Accepting one does not
        accept the other.
        """
        if not self.lines:
            return NOTHING_RUN
        if self.requests[Change.WIDER] and not accepted.widening:
            return NEW_ACCESS
        if self.undecided and not accepted.undecided:
            return NOT_EXCLUDED
        return LOST_ACCESS if fail_on_narrowing and self.requests[Change.NARROWER] else 0


def _order(group: Group) -> tuple[object, ...]:
    one = group.difference
    return (-group.seen.count, one.identity, one.access, one.service, one.before, one.after)
