"""
Coverage: the parts of a policy that the cases of a run have exercised.

What lives here: the points to cover, what covers each, and a token that would cover an uncovered
point.  Not here: whether the cases pass (`execution.judging`), and the reports' formats
(`reports`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from msgspec import structs

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.references import TagState, is_tag
from regauth.engine.access.scope import Access
from regauth.engine.cel import BOOL, Node, Part, Program, unparse
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Constant,
    Has,
    Index,
    definition_of,
    path_of,
    walk,
)
from regauth.engine.decisions.authentication import Authenticated, rule_variables
from regauth.engine.decisions.decide import Request, creates_tag
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import Policy, Provider, Statement
from regauth.engine.source.problems import Location
from regauth.engine.tokens.jwt import MalformedTokenError, parse, supposed
from regauth.policytests.execution.evaluation import Session
from regauth.policytests.suites.invariants import Invariant

from .impossible import Impossible
from .invariant_points import InvariantPoints
from .parts import ERROR, FALSE, TRUE, Parts, Point
from .places import Places
from .possible import Maker
from .variations import variations

Situation = Mapping[str, object]
"""The variables that a condition was evaluated with."""


@dataclass(slots=True)
class Coverage:
    """The coverage of one policy."""

    folder: str
    points: list[Point] = field(default_factory=list)

    def count(self, kind: str) -> tuple[int, int]:
        """Return how many points of a kind are covered, of how many."""
        points = [point for point in self.points if point.kind == kind]
        return sum(not point.missing for point in points), len(points)

    @property
    def percent(self) -> float:
        """The share of all outcomes of all points that were seen; 100 when there is none."""
        wanted = sum(len(point.wanted) for point in self.points)
        missing = sum(len(point.missing) for point in self.points)
        return 100.0 * (wanted - missing) / wanted if wanted else 100.0

    @property
    def uncovered(self) -> Iterator[Point]:
        """The points with an outcome that was not seen."""
        return (point for point in self.points if point.missing)


@dataclass(frozen=True, slots=True)
class _Condition:
    """A program with the situations it was evaluated in."""

    kind: str
    name: str
    location: Location
    program: Program
    provider: Provider | None
    situations: list[tuple[Situation, Session]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _PartSearch:
    """
    A condition's parts, and the tokens that were made for them.

    The tokens live as long as the search of one condition: those of all would be too many.
    """

    condition: _Condition
    parts: Parts
    maker: Maker = field(default_factory=Maker)


def cover(
    policy: Policy,
    folder: str,
    places: Places,
    questions: Iterable[tuple[Session, Access]],
    invariants: Iterable[Invariant] = (),
) -> Coverage:
    """
    Measure what some accesses exercise of a policy.

    Args:
        policy: The policy.
        folder: What reports call it.
        places: Where its parts stand.
        questions: Every access that a case has asked for, with its login.
        invariants: What the suites say that no token may do: a case must ask for it, so that a
            wrong name or value in one is noticed.
    """
    return _Collector(policy, folder, places, invariants).collect(questions)


class _Collector:
    def __init__(
        self, policy: Policy, folder: str, places: Places, invariants: Iterable[Invariant]
    ) -> None:
        self._policy = policy
        self._invariants = InvariantPoints(policy, invariants)
        self._places = places
        self._coverage = Coverage(folder)
        self._impossible = Impossible(policy)
        self._conditions: dict[tuple[str, str, str], _Condition] = {}
        self._statements = {
            one.name: Point(kind, one.name, one.name, one.location, (TRUE,))
            for kind, listed in (("denial", policy.denials), ("grant", policy.grants))
            for one in listed
        }
        self._patterns: dict[tuple[str, str, str], Point] = {}
        for statement in (*policy.denials, *policy.grants):
            texts = [("repositories", pattern.text) for pattern in statement.patterns]
            texts += [("tags", pattern.text) for pattern in statement.tags]
            for key, text in texts:
                place = places.item(statement.name, key, text) or statement.location
                point = Point("pattern", statement.name, text, place, (TRUE,))
                self._patterns[statement.name, key, text] = point
        self._new_tags: dict[str, Point] = {}
        for grant in policy.by_new_tag:
            name, key = grant.name, "newTagsOnly"
            place = places.key(name, key) or grant.location
            self._new_tags[name] = Point("new tags", name, f"{key}: true", place, (TRUE, FALSE))

    def collect(self, questions: Iterable[tuple[Session, Access]]) -> Coverage:
        sessions: dict[int, Session] = {}
        asked: set[tuple[int, Access]] = set()
        for session, access in questions:
            sessions[id(session)] = session
            if (id(session), access) in asked:
                continue
            asked.add((id(session), access))
            self._invariants.see(session, access)
            if session.request is not None:
                self._access(session, access)
        for session in sessions.values():
            self._login(session)
        points = self._coverage.points
        points += self._rules()
        points += self._statements.values()
        points += self._patterns.values()
        points += self._new_tags.values()
        for condition in list(self._conditions.values()):
            points += self._parts(condition)
        points += self._invariants.points()
        return self._coverage

    # -- situations

    def _login(self, session: Session) -> None:
        """Record the rules that a login has reached."""
        outcome = session.outcome
        provider = session.sample.provider
        if isinstance(outcome, Authenticated):
            provider, claims = outcome.provider, outcome.claims
        elif provider is None or not outcome.reason.startswith("rule:"):
            return
        else:
            try:
                claims = supposed(parse(session.sample.text).claims)
            except MalformedTokenError:
                return
        variables = rule_variables(provider, claims, session.service, session.sample.now)
        for rule in provider.rules:
            where = ("rule", rule.name, rule.location)
            self._note(where, rule.check, provider, variables, session)
            if isinstance(outcome, Refusal) and outcome.reason == rule.reason:
                break

    def _access(self, session: Session, access: Access) -> None:
        """Record the statements that an access has reached, in the order of deciding."""
        request = session.request
        if request is None:
            return
        request.count_anew()  # a login's accesses together may take more than one request has
        for statement in (*request.denials(access), *request.grants(access)):
            match = request.match(statement, access)
            point = self._statements[statement.name]
            point.seen.add(TRUE if match is True else FALSE)
            self._tag_state(statement, access, request)
            if request.mismatch(statement, access):
                continue
            if not self._named(statement, access, request):
                continue
            if statement.when is None or request.is_open(statement, statement.when, access):
                continue
            if isinstance(session.outcome, Authenticated):
                where = (point.kind, statement.name, statement.location)
                provider = session.outcome.provider
                self._note(where, statement.when, provider, dict(request.variables), session)

    def _tag_state(self, statement: Statement, access: Access, request: Request) -> None:
        """Record that a grant of new tags allowed one, or kept one that exists, for this alone."""
        if not access.tag_state or not creates_tag(statement, access):
            return
        new = structs.replace(access, tag_state=TagState.NEW)
        if request.match(statement, new) is True:
            seen = TRUE if access.tag_state is TagState.NEW else FALSE
            self._new_tags[statement.name].seen.add(seen)

    def _named(self, statement: Statement, access: Access, request: Request) -> bool:
        """Record the patterns that match; tell whether the condition is evaluated after them."""

        def see(key: str, patterns: Sequence[Pattern | TagPattern], text: str) -> bool:
            found = False
            for pattern in patterns:
                match = request.pattern_matches(pattern, statement, text)
                if match is True:
                    self._patterns[statement.name, key, pattern.text].seen.add(TRUE)
                # After a pattern that fails, the condition still decides.
                found |= match is not False
            return found

        named = see("repositories", statement.patterns, access.resource.name) or statement.catalog
        if not named or not statement.tags:
            return named
        if is_tag(access.reference):
            see("tags", statement.tags, access.reference)
        return request.tagged(statement, access) is not False

    def _note(
        self,
        where: tuple[str, str, Location],
        program: Program,
        provider: Provider,
        variables: Situation,
        session: Session,
    ) -> None:
        key = (where[0], where[1], program.text)
        condition = self._conditions.get(key)
        if condition is None:
            condition = self._conditions[key] = _Condition(*where, program, provider)
        condition.situations.append((variables, session))
        for name, definition in program.definitions.items():
            self._note(("definition", name, where[2]), definition, provider, variables, session)

    # -- points

    def _rules(self) -> Iterator[Point]:
        for provider in self._policy.providers.values():
            for rule in provider.rules:
                point = Point("rule", rule.name, rule.check.text, rule.location, (TRUE, FALSE))
                condition = self._conditions.get(("rule", rule.name, rule.check.text))
                for variables, _ in condition.situations if condition else ():
                    point.seen.add(_outcome(rule.check, variables))
                if ERROR in point.seen:
                    point.seen.add(FALSE)
                yield point

    def _parts(self, condition: _Condition) -> Iterator[Point]:
        if condition.program.type != BOOL:
            return
        search = _PartSearch(condition, parts := Parts(condition.program))
        points, pairs = [], []
        for part in parts.parts:
            place = self._places.part(condition.kind, condition.name, part.start, part.end)
            about = (condition.name, part.text, place or condition.location)
            fails = _can_fail(part.node, condition.provider)
            every = (TRUE, FALSE, ERROR) if fails else (TRUE, FALSE)
            points.append(Point("part", *about, every))
            # Where a claim is absent, the part behind its guard fails, so that part being false
            # decides nothing.
            guards = _is_guard(part.node, parts.parts)
            pairs.append(Point("mcdc", *about, (TRUE,) if guards else (TRUE, FALSE)))
        known: dict[tuple[str, ...], None] = {}
        for variables, _ in condition.situations:
            values = parts.values(variables)
            if values in known:
                continue
            known[values] = None
            for point, value in zip(points, values, strict=True):
                point.seen.add(value)
            for number in parts.effects(values):
                pairs[number].seen.add(values[number])
        for number in range(len(points)):
            self._complete(search, number, points[number], pairs[number])
        yield from points
        yield from pairs

    def _complete(self, search: _PartSearch, number: int, point: Point, pair: Point) -> None:
        """Find a token for each missing outcome of a part, or that no possible token shows it."""
        condition, parts = search.condition, search.parts
        where = (condition.kind, condition.name, condition.program, parts.parts[number].node)
        for missing in point.missing:
            found = _find(search, missing, itemgetter(number))
            if found:
                point.suggestions[missing] = found
            elif self._impossible.part(*where, missing):
                point.give_up(missing)
        for missing in pair.missing:
            found = _find(search, missing, _decided(parts, number))
            if found:
                pair.suggestions[missing] = found
            elif missing in point.impossible or self._impossible.decides(*where, missing):
                pair.give_up(missing)


_Outcome = Callable[[tuple[str, ...]], str]
"""What the values of all parts come to."""


def _decided(parts: Parts, number: int) -> _Outcome:
    """Return what says how a part decides the whole alone, empty where it does not."""

    def outcome(values: tuple[str, ...]) -> str:
        return values[number] if number in parts.effects(values) else ""

    return outcome


def _find(search: _PartSearch, missing: str, outcome: _Outcome) -> str:
    """Return a token of the run with one other claim that shows an outcome, as a suite has it."""
    condition, parts = search.condition, search.parts
    program = condition.program
    tried: set[tuple[str, str]] = set()
    for variables, session in condition.situations:
        claims, provider = variables["claims"], session.sample.provider
        if not isinstance(claims, Mapping):
            continue
        schemas = () if provider is None else (provider.claims,)
        for variation in variations(program.node, program.definitions, schemas):
            key = (session.sample.spec.name, str(variation))
            varied = {**variables, "claims": variation.apply(claims)}
            if key in tried or outcome(parts.values(varied)) != missing:
                continue
            tried.add(key)
            made = search.maker.make(session.sample, variation)
            if made is None:
                continue
            # The audience is a list to a condition, whichever way the token has it.
            varied["claims"] = {**made.claims, "aud": claims.get("aud")}
            if outcome(parts.values(varied)) == missing:
                return f"{{from: {session.sample.spec.name}, {made}}}"
    return ""


def _outcome(program: Program, variables: Situation) -> str:
    return Parts(program).whole(variables)


def _can_fail(node: Node, provider: Provider | None) -> bool:
    """Tell whether a token of the provider can make a condition fail by lacking a claim."""
    if provider is None or _guarded(node):
        return False
    for path in references(node):
        claim = provider.claims.claims.get(path[1:])
        if path[0] == "claims" and claim is not None and not claim.always:
            return True
    return False


def _guarded(node: Node) -> tuple[str, ...]:
    """Return the claim whose presence a condition asks for, by `has` or by `in`; empty for none."""
    match node:
        case Has():
            return next(references(node), ())
        case Binary(operator="in", left=Constant(value=str(name)), right=right):
            path = path_of(right)
            return (*path, name) if path is not None and path[0] == "claims" else ()
        case _:
            return ()


def _is_guard(node: Node, parts: tuple[Part, ...]) -> bool:
    """Tell whether another part of the condition reads what is tested, a claim or an entry."""
    guarded = _guarded(node) or _asked_entry(node)
    return bool(guarded) and any(
        path[: len(guarded)] == guarded
        for part in parts
        if not _guarded(part.node)
        for path in (*references(part.node), *_read_entries(part.node))
    )


def _asked_entry(node: Node) -> tuple[str, ...]:
    """Return the definition that a condition asks for a key, and the key; empty for none."""
    if isinstance(node, Binary) and node.operator == "in":
        name = definition_of(node.right)
        return ("", name, unparse(node.left)) if name else ()
    return ()


def _read_entries(node: Node) -> Iterator[tuple[str, ...]]:
    """Yield the entries of tables that a condition reads, as `_asked_entry` names them."""
    for part in walk(node):
        if isinstance(part, Index) and (name := definition_of(part.operand)):
            yield ("", name, unparse(part.index))
