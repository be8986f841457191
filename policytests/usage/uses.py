"""
Uses: what the requests of a log used of a policy, as values.

What lives here: how each grant was used, and the parts that nobody used.  Not here: finding it out
(`counting`), and any format (`formats`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from regauth.engine.cel import Node
from regauth.engine.policy.policy import Policy, Statement
from regauth.policytests.replay.deciding import UndecidedReason
from regauth.policytests.usage.tightening.claimed import SeenValues
from regauth.policytests.usage.tightening.conditions import Alternatives, Span

MAX_NAMES: Final = 20
"""Names that are remembered of one pattern."""


class Used(NamedTuple):
    """One access that a part of the policy gave, or leaves to the tag."""

    grant: str
    action: str
    pattern: int
    """The number of the pattern that matched; -1 for the catalog."""
    name: str
    tag: int = -1
    """The number of the tag pattern that matched; -1 where no tag was named."""


@dataclass(slots=True)
class GrantUse:
    """How a grant was used."""

    count: int = 0
    last: datetime | None = None
    actions: Counter[str] = field(default_factory=Counter)
    patterns: Counter[int] = field(default_factory=Counter)
    tags: Counter[int] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    names: dict[int, set[str]] = field(default_factory=dict)
    """The names by pattern; more than `MAX_NAMES` stand for any."""

    def add(self, use: Used, provider: str, count: int, last: datetime | None) -> None:
        """Count a use that happened so often."""
        self.count += count
        self.actions[use.action] += count
        self.patterns[use.pattern] += count
        if use.tag >= 0:
            self.tags[use.tag] += count
        self.providers[provider] += count
        if last is not None and (self.last is None or last > self.last):
            self.last = last
        seen = self.names.setdefault(use.pattern, set())
        if len(seen) <= MAX_NAMES:
            seen.add(use.name)


@dataclass(slots=True)
class Usage:
    """What a log's requests used of a policy."""

    policy: Policy
    requests: int = 0
    first: datetime | None = None
    last: datetime | None = None
    logins: Counter[str] = field(default_factory=Counter)
    """Accepted logins by provider; "" for requests without credentials."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests whose login is refused, by the reason."""
    undecided: Counter[UndecidedReason] = field(default_factory=Counter)
    grants: dict[str, GrantUse] = field(default_factory=dict)
    alternatives: dict[str, Alternatives] = field(default_factory=dict)
    """Of the conditions of grants, by grant."""
    values: dict[str, dict[str, SeenValues]] = field(default_factory=dict)
    """What the users of grants had, by grant and provider; only where it is asked for."""
    near: dict[tuple[str, str], int] = field(default_factory=dict)
    """Identities near a refusal, each with the reason, and how often."""

    def __post_init__(self) -> None:
        for grant in self.policy.grants:
            if grant.when is not None:
                self.alternatives[grant.name] = Alternatives(grant.when)

    def unused_grants(self) -> list[Statement]:
        """Return the grants that nobody used."""
        return [one for one in self.policy.grants if one.name not in self.grants]

    def unused_providers(self) -> list[str]:
        """Return the providers of whom nobody logged in."""
        return [name for name in self.policy.providers if not self.logins[name]]

    def unused_definitions(self) -> list[str]:
        """Return the definitions that no denial, rule or used grant reads."""
        programs = [one for denial in self.policy.denials for one in denial.programs]
        programs += [one for each in self.policy.providers.values() for one in each.programs]
        for grant in self.policy.grants:
            programs += grant.programs if grant.name in self.grants else ()
        read: set[str] = set()
        waiting = [name for one in programs for name in one.definitions]
        while waiting:
            name = waiting.pop()
            if name not in read:
                read.add(name)
                waiting += self.policy.definitions[name].definitions
        return [name for name in self.policy.definitions if name not in read]

    def unused_parts(self) -> Iterator[tuple[Statement, "UnusedParts"]]:
        """Yield the used grants of which nobody used a part."""
        for grant in self.policy.grants:
            use = self.grants.get(grant.name)
            if use is not None and any(parts := self.unused_of(grant, use)):
                yield grant, parts

    def unused_of(self, grant: Statement, use: GrantUse) -> "UnusedParts":
        """Return the parts of a used grant that nobody used."""
        listed = grant.providers or ()
        alternatives = self.alternatives.get(grant.name)
        patterns = range(len(grant.patterns))
        # Where no request named a tag, which a proxy alone sees, nothing is known of the tags.
        tags = range(len(grant.tags) if use.tags else 0)
        return UnusedParts(
            tuple(one for one in sorted(grant.actions) if not use.actions[one]),
            tuple(number for number in patterns if not use.patterns[number]),
            tuple(number for number in tags if not use.tags[number]),
            tuple(one for one in sorted(listed) if not use.providers[one]),
            {} if alternatives is None else alternatives.unused,
        )


class UnusedParts(NamedTuple):
    """The parts of a grant that nobody used."""

    actions: tuple[str, ...]
    patterns: tuple[int, ...]
    """By their numbers, as the tags."""
    tags: tuple[int, ...]
    providers: tuple[str, ...]
    """Of those that the grant names."""
    alternatives: Mapping[Span, Node]
    """Of its condition."""


NOTHING: Final = UnusedParts((), (), (), (), {})
"""The parts of a grant that was used as a whole."""
