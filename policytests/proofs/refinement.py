"""
One question about one grant: what it gives that the bound does not.

What lives here: the formula of a grant's access, and its refinement by what the engine says of
each model.  Not here: which grants are asked about (`question`).

Why a proof is one.  A token gains access by the grant when the new login succeeds, the grant
allows, no new denial refuses, and every old login that could be made of it fails, is granted
nothing or is denied.  The formula says all of that, but for three parts that are left out until
the engine asks for them: old grants and new denials, without which more tokens seem to gain, and
old denials that the new policy has too, which refuse nobody that the new policy does not.  So
where the formula has no model, no token gains access.  Where it has one, the engine is asked: it
confirms the token, or names the statement that was left out, or the question stays undecided.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from regauth.engine.access.scope import is_repository_name
from regauth.engine.cel import CelError
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
from regauth.engine.source.addresses import IpAddress

from .answers import About, Assumption, NoteTaker, Unknown, Witness
from .budget import spend
from .comparison import are_apart, reads_provider, share_a_value
from .confirmation import Asked, ask
from .evaluation.evaluator import Evaluator
from .evaluation.quantifiers import Lists
from .guarantees import guaranteed, paths_of
from .instants import moment
from .logic import atoms, formulas
from .logic.formulas import FALSE, TRUE, Formula
from .logic.universe import Universe
from .logins import Login, time_facts
from .solving.equalities import UnprovedError
from .solving.search import Model, Search
from .solving.theory import Examples
from .statements import Side, Target, retargeted
from .tokens import TokenMaker, access, client, wishes

MAX_ROUNDS: Final = 400
"""Models of one question that the engine is asked about."""

MANY_ROUNDS: Final = 24
"""Rounds after which everything near is put into the formula at once."""

MAX_SLOT_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """The two policies, seen by the tokens of one provider ("": without credentials)."""

    new: Policy
    bound: Policy
    provider: Provider | None
    olds: tuple[str, ...]
    """The providers of the bound whose tokens these are."""
    others: tuple[str, ...]
    """Those whose tokens these may be: their keys cannot be compared."""
    same_login: bool
    """Whether every login of the provider is one of the bound's provider of that name."""
    universe: Universe
    about: About
    assumptions: tuple[Assumption, ...]
    examples: Examples
    now: int
    old_statements: dict[str, Statement]
    """The grants and denials of the bound that the provider's tokens can meet, by name."""
    new_denials: dict[str, Statement]

    @property
    def name(self) -> str:
        """The provider's name."""
        return "" if self.provider is None else self.provider.name


@dataclass(frozen=True, slots=True)
class Refuted:
    """A grant of which the solver found nothing that the bound refuses, for one kind of request."""

    pair: Pair
    grant: Grant
    target: Target
    number: int
    """Which of the names and tags that the grant can be about."""
    old: tuple[Statement, ...]
    """The statements of the bound that the formula held."""
    new: tuple[Denial, ...]

    @property
    def pattern(self) -> int:
        """Which of the grant's patterns of repositories it is about, as far as that is known."""
        return min(self.number, len(self.grant.patterns) - 1)


@dataclass(slots=True)
class Count:
    """How many formulas an answer took, and who takes notes of them."""

    account: NoteTaker | None = None
    queries: int = 0


@dataclass(slots=True)
class Slice:
    """The statements that the formula holds; others are left out."""

    old: dict[str, Statement] = field(default_factory=dict)
    new: dict[str, Statement] = field(default_factory=dict)
    whole: bool = False


class GrantQuestion:
    """What one grant gives to one provider's tokens, for one action, service and reference."""

    def __init__(
        self, pair: Pair, grant: Grant, target: Target, gone: Sequence[Denial], count: Count
    ) -> None:
        self._pair = pair
        self._grant = grant
        self._target = target
        self._gone = [one for one in gone if not are_apart(one, grant)]
        self._count = count
        self._old = pair.old_statements
        self._new = pair.new_denials

    @property
    def _old_grants(self) -> Sequence[Grant]:
        bound = self._pair.bound
        if self._pair.provider is None:
            return () if bound.anonymous is None else (bound.anonymous,)
        return bound.grants

    def answer(self) -> Witness | Unknown | None:
        """
        Return a witness, what is not decided, or None: the grant gives nothing new.

        Raises:
            OutOfStepsError: The steps are spent.
        """
        probe = Side(self._pair.new, self._pair.name, self._pair.universe, self._target, Lists())
        if not probe.applies(self._grant):
            return None
        unknown = None
        for number in range(len(targets_of(probe, self._grant))):
            try:
                found = self._answer(number)
            except UnprovedError as error:
                unknown = self._unknown(str(error))
                continue
            if found is not None:
                return found
        return unknown

    def _unknown(self, construct: str) -> Unknown:
        return Unknown(self._pair.name, self._grant.name, self._target.action, construct)

    def _answer(self, number: int) -> Witness | None:
        """Return a witness among one of the grant's patterns, or None: there is none."""
        used = Slice(old={one.name: one for one in self._gone})
        likely = self._old.get(self._grant.name)
        if isinstance(likely, Grant):
            used.old[likely.name] = likely
        for round_ in range(MAX_ROUNDS):
            if round_ == MANY_ROUNDS and not used.whole:
                self._take_all_near(used)
            try:
                found = self._round(number, used)
            except UnprovedError:
                if used.whole:
                    raise
                self._take_all_near(used)
                continue
            if not isinstance(found, bool):
                return found
        raise UnprovedError("too many statements that touch each other")

    def _take_all_near(self, used: Slice) -> None:
        used.whole = True
        grant = self._grant
        spend(len(self._old) + len(self._new))
        for one in (*self._old_grants, *self._pair.bound.denials):
            if not are_apart(one, grant) and (isinstance(one, Denial) or share_a_value(one, grant)):
                used.old[one.name] = one
        for denial in self._pair.new.denials:
            if not are_apart(denial, grant):
                used.new[denial.name] = denial

    def _round(self, number: int, used: Slice) -> Witness | bool | None:
        """Return a witness, None when there is none, or True when the slice has grown."""
        target, formula = self._formula(number, used)
        verdict = _Verdict(self, target, used)
        search = Search(
            self._pair.universe,
            self._pair.examples,
            wishes(self._pair.now),
        )
        self._count.queries += 1
        if formula is FALSE or search.find(formula, verdict.accepts) is None:
            self._note(number, used)
            return None
        return verdict.witness or True

    def _note(self, number: int, used: Slice) -> None:
        account = self._count.account
        if account is not None:
            old = tuple(used.old.values())
            new = tuple(one for one in used.new.values() if isinstance(one, Denial))
            account.note_refuted(Refuted(self._pair, self._grant, self._target, number, old, new))

    # -- the formula

    def _formula(self, number: int, used: Slice) -> tuple[Target, Formula]:
        """Return the formula of what the grant gives, with as many slots of lists as it needs."""
        lists: Lists | None = Lists()
        for _ in range(MAX_SLOT_ROUNDS):
            assert lists is not None  # noqa: S101 - for the type checker
            target, formula = self._with_lists(number, used, lists)
            lists = lists.grown()
            if lists is None:
                return target, formula
        raise UnprovedError("a list that is walked within a walk of itself")

    def _with_lists(self, number: int, used: Slice, lists: Lists) -> tuple[Target, Formula]:
        pair = self._pair
        probe = Side(pair.new, pair.name, pair.universe, self._target, lists)
        name, tag, constraint = targets_of(probe, self._grant)[number]
        target = retargeted(self._target, name, tag)
        side = Side(pair.new, pair.name, pair.universe, target, lists)
        parts = [constraint, side.gives(self._grant)]
        if FALSE in parts:
            return target, FALSE
        parts += [side.statement(denial).negation for denial in used.new.values()]
        sessions = pair.provider is not None and pair.provider.max_session is not None
        if pair.provider is not None:
            login = Login(pair.provider, pair.universe, target.service, lists, sessions=sessions)
            parts += [login.succeeds(), self._assumed(login.evaluator)]
        for old in pair.olds if pair.provider is not None else ("",):
            parts.append(self._refused(old, target, used, lists, sessions=sessions))
        parts += [time_facts(), lists.facts(pair.universe)]
        formula = formulas.every(parts)
        schema = pair.universe.schema
        if pair.about is About.SCHEMA and schema is not None and formula is not FALSE:
            known = guaranteed(schema, side.evaluator, paths_of(formula))
            formula = formulas.both(formula, known)
        return target, formula

    def _assumed(self, evaluator: Evaluator) -> Formula:
        if self._pair.about is About.ANY_JSON:
            return TRUE
        return formulas.every(
            assumed(evaluator, one)
            for one in self._pair.assumptions
            if one.providers is None or self._pair.name in one.providers
        )

    def _refused(
        self, old: str, target: Target, used: Slice, lists: Lists, *, sessions: bool
    ) -> Formula:
        """Return when the bound refuses a login by one of its providers, or what is asked for."""
        pair = self._pair
        side = Side(pair.bound, old, pair.universe, target, lists)
        denied = {name: one for name, one in used.old.items() if isinstance(one, Denial)}
        if old != pair.name:
            # What both policies deny may be denied to another provider's tokens only.
            denied |= {one.name: one for one in pair.bound.denials if reads_provider(one)}
        granted = formulas.some(
            side.statement(one) for one in used.old.values() if isinstance(one, Grant)
        )
        parts = [granted.negation, *map(side.statement, denied.values())]
        if pair.provider is not None and not (pair.same_login and old == pair.name):
            login = Login(
                pair.bound.providers[old],
                pair.universe,
                target.service,
                lists,
                sessions=sessions,
                lasting=old == pair.name,
            )
            parts.append(login.succeeds().negation)
        return formulas.some(parts)


def assumed(evaluator: Evaluator, assumption: Assumption) -> Formula:
    """Return that an assumption holds."""
    then = evaluator.condition(evaluator.program(assumption.then)).true
    if assumption.when is None:
        return then
    when = evaluator.condition(evaluator.program(assumption.when)).true
    return formulas.some((when.negation, then))


def targets_of(side: Side, grant: Grant) -> list[tuple[atoms.Text, atoms.Text, Formula]]:
    """Return the names and tags that a grant can be about."""
    return [
        (name, tag, formulas.both(named, tagged))
        for name, named in side.names(grant)
        for tag, tagged in side.tags(grant)
    ]


def said_of(address: IpAddress | None) -> str:
    """Return how a suite writes the address of a client."""
    return "unknown" if address is None else str(address)


class _Verdict:
    """What the engine says of models; `witness` is what it confirms."""

    def __init__(self, question: GrantQuestion, target: Target, used: Slice) -> None:
        self._question = question
        self._target = target
        self._used = used
        self.witness: Witness | None = None

    def accepts(self, model: Model) -> bool:
        """Tell whether a model is a witness, or names a statement that was left out."""
        asked = self._asked(model)
        if asked is None:
            return False
        pair = self._question._pair  # noqa: SLF001 - its own
        # The engine looks at every statement of both policies.
        spend(len(self._question._new) + len(self._question._old))  # noqa: SLF001 - its own
        new = ask(pair.new, asked, (pair.name,))
        if not new.allowed:
            return self._left_out(new.source, self._question._new, self._used.new)  # noqa: SLF001 - its own
        old = ask(pair.bound, asked, (*pair.olds, *pair.others))
        if old.allowed:
            return self._left_out(old.source, self._question._old, self._used.old)  # noqa: SLF001 - its own
        self.witness = Witness(
            pair.name,
            asked.claims or {},
            asked.service,
            asked.access,
            asked.now,
            asked.at,
            new.source,
            old.source,
            pair.about,
            said_of(asked.client) if pair.new.reads_client or pair.bound.reads_client else "",
        )
        return True

    @staticmethod
    def _left_out(name: str, known: dict[str, Statement], used: dict[str, Statement]) -> bool:
        if name in known and name not in used:
            used[name] = known[name]
            return True
        return False

    def _asked(self, model: Model) -> Asked | None:
        pair = self._question._pair  # noqa: SLF001 - its own
        claims: dict[str, object] = {}
        provider = pair.provider
        now = at = moment(model.numbers.get(atoms.NOW, pair.now))
        if provider is not None:
            maker = TokenMaker(pair.universe, provider, pair.examples, pair.now)
            claims = maker.claims(model)
            if provider.max_session is not None:
                at = moment(maker.moment(model, atoms.AT))
        wanted = access(self._target, model, claims)
        if wanted is None or not (self._target.catalog or is_repository_name(wanted.resource.name)):
            return None
        if pair.about is About.SCHEMA and not self._conforms(claims):
            return None
        session = pair.name if at != now else ""
        given = None if provider is None else claims
        return Asked(given, self._target.service, wanted, now, at, session, client(model))

    def _conforms(self, claims: dict[str, object]) -> bool:
        """Tell whether a token is one that the assumptions allow, by the engine."""
        pair = self._question._pair  # noqa: SLF001 - its own
        return holds_of(claims, pair.assumptions, pair.name)


def holds_of(claims: dict[str, object], assumptions: Iterable[Assumption], provider: str) -> bool:
    """Tell whether assumptions hold of a token, as the engine evaluates them."""
    audience = claims.get("aud")
    normal = {**claims, "aud": audience if isinstance(audience, list) else [audience]}
    for one in assumptions:
        if one.providers is not None and provider not in one.providers:
            continue
        try:
            if one.when is not None and not one.when.holds({"claims": normal}):
                continue
        except CelError:
            continue
        try:
            if not one.then.holds({"claims": normal}):
                return False
        except CelError:
            return False
    return True
