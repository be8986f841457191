"""
Invariants in coverage: whether a case tries what each forbids.

What lives here: the points of invariants, and what covers them.  Not here: whether an invariant
holds (`regauth.policytests.execution.invariants`).

A proof says nothing about a typing mistake: nobody pushes to `prodution/**`, so that nobody may is
proved.  Therefore a case must ask for what an invariant forbids, and each part of its condition
must have been true and false.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.scope import Access
from regauth.engine.cel import Program
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import supposed
from regauth.policytests.execution.evaluation import Session
from regauth.policytests.suites.invariants import Invariant

from .parts import FALSE, TRUE, Parts, Point
from .variations import variations

if TYPE_CHECKING:
    from collections.abc import Sequence

Situation = Mapping[str, object]


@dataclass(slots=True)
class _Tried:
    """An invariant with the accesses that cases have asked for and that it is about."""

    invariant: Invariant
    point: Point
    situations: list[tuple[Situation, str]] = field(default_factory=list)
    """The variables, and the name of the token."""


class InvariantPoints:
    """Collects what the cases of a run try of some invariants."""

    def __init__(self, policy: Policy, invariants: Iterable[Invariant]) -> None:
        self._policy = policy
        self._tried = [
            _Tried(one, Point("invariant", one.name, one.name, one.location, (TRUE,)))
            for one in invariants
        ]

    def see(self, session: Session, access: Access) -> None:
        """Note an access that a case asks for, even if the login was refused."""
        request = (session.request or self._supposed(session)) if self._tried else None
        if request is None:
            return
        for tried in self._tried:
            denial = tried.invariant.denial
            if request.mismatch(denial, access) or not request.named(denial, access):
                continue
            if request.match(denial, access) is True:
                tried.point.seen.add(TRUE)
            request.see(access)
            tried.situations.append((dict(request.variables), session.sample.spec.name))

    def _supposed(self, session: Session) -> Request | None:
        """Return the request of a token that its issuer made and that a login refused."""
        sample = session.sample
        if sample.provider is None or sample.spec.forge is not None:
            return None
        identity = Identity(sample.provider.name)
        claims = supposed(dict(sample.claims))
        return Request(self._policy, identity, claims, session.service, sample.now)

    def points(self) -> Iterator[Point]:
        """Yield the points: first the invariants, then the parts of their conditions."""
        yield from (tried.point for tried in self._tried)
        for tried in self._tried:
            if tried.invariant.condition is not None:
                yield from _parts(tried, tried.invariant.condition)


def _parts(tried: _Tried, program: Program) -> Iterator[Point]:
    invariant = tried.invariant
    parts = Parts(program)
    points: Sequence[Point] = [
        Point(
            "part",
            invariant.name,
            part.text,
            invariant.node.locate(part.start, part.end) if invariant.node else invariant.location,
            (TRUE, FALSE),
        )
        for part in parts.parts
    ]
    for variables, _ in tried.situations:
        for point, value in zip(points, parts.values(variables), strict=True):
            point.seen.add(value)
    for number, point in enumerate(points):
        for missing in point.missing:
            suggestion = _suggestion(tried, parts, number, missing)
            if suggestion:
                point.suggestions[missing] = suggestion
    yield from points


def _suggestion(tried: _Tried, parts: Parts, number: int, missing: str) -> str:
    """Return a token of the run with one other claim that shows an outcome, as a suite has it."""
    for variables, token in tried.situations:
        claims = variables["claims"]
        if not isinstance(claims, Mapping):
            continue
        for variation in variations(parts.program.node, parts.program.definitions):
            varied = {**variables, "claims": variation.apply(claims)}
            if parts.values(varied)[number] == missing:
                return f"{{from: {token.partition('~')[0]}, {variation}}}"
    return ""
