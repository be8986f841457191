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
from datetime import timedelta
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
    new: tuple[Statement, ...]
    limit: timedelta | None = None
    """Where it is about tokens that are valid for longer, for how long others are at most."""

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
        self.pair = pair
        self.grant = grant
        self.target = target
        self._gone = [one for one in gone if not are_apart(one, grant)]
        self._count = count
        self._old = pair.old_statements
        self._new = pair.new_denials

    @property
    def _old_grants(self) -> Sequence[Grant]:
        bound = self.pair.bound
        if self.pair.provider is None:
            return () if bound.anonymous is None else (bound.anonymous,)
        return bound.grants

    def answer(self) -> Witness | Unknown | None:
        """
        Return a witness, what is not decided, or None: the grant gives nothing new.

        Raises:
            OutOfStepsError: The steps are spent.
        """
        probe = Side(self.pair.new, self.pair.name, self.pair.universe, self.target, Lists())
        if not probe.applies(self.grant):
            return None
        unknown = None
        for number in range(len(targets_of(probe, self.grant))):
            try:
                found = self.answer_one(number)
            except UnprovedError as error:
                unknown = self.unknown(str(error))
                continue
            if found is not None:
                return found
        return unknown

    def unknown(self, construct: str) -> Unknown:
        """Return what is not decided, and what it hangs on."""
        return Unknown(self.pair.name, self.grant.name, self.target.action, construct)

    def answer_one(self, number: int) -> Witness | None:
        """Return a witness among one of the grant's patterns, or None: there is none."""
        used = self.slice()
        used.old.update((one.name, one) for one in self._gone)
        likely = self._old.get(self.grant.name)
        if isinstance(likely, Grant) and self.bounds(likely):
            used.old[likely.name] = likely
        for round_ in range(MAX_ROUNDS):
            if round_ == MANY_ROUNDS and not used.whole:
                self.take_all_near(used)
            try:
                found = self._round(number, used)
            except UnprovedError:
                if used.whole:
                    raise
                self.take_all_near(used)
                continue
            if not isinstance(found, bool):
                return found
        raise UnprovedError("too many statements that touch each other")

    def take_all_near(self, used: Slice) -> None:
        """Put everything into a slice that may matter."""
        used.whole = True
        grant = self.grant
        spend(len(self._old) + len(self._new))
        for one in (*self._old_grants, *self.pair.bound.denials):
            if are_apart(one, grant):
                continue
            if not isinstance(one, Grant) or (self.bounds(one) and share_a_value(one, grant)):
                used.old[one.name] = one
        for denial in self.pair.new.denials:
            if not are_apart(denial, grant):
                used.new[denial.name] = denial

    def also(self, _target: Target, _lists: Lists) -> Formula:
        """Return what else must hold, where the question is narrowed."""
        return TRUE

    def slice(self) -> Slice:
        """Return an empty slice."""
        return Slice()

    def bounds(self, _: Grant) -> bool:
        """Tell whether a grant of the bound that matches keeps anything from being gained."""
        return True

    def _round(self, number: int, used: Slice) -> Witness | bool | None:
        """Return a witness, None when there is none, or True when the slice has grown."""
        target, formula = self._formula(number, used)
        verdict = self.verdict(target, used)
        search = Search(
            self.pair.universe,
            self.pair.examples,
            wishes(self.pair.now),
        )
        self._count.queries += 1
        if formula is FALSE or search.find(formula, verdict.accepts) is None:
            self._note(number, used)
            return None
        return verdict.witness or True

    def verdict(self, target: Target, used: Slice) -> "ModelVerdict":
        """Return what judges the models of a formula, by the engine."""
        return _AccessVerdict(self.pair, target, used)

    def _note(self, number: int, used: Slice) -> None:
        account = self._count.account
        if account is not None:
            account.note_refuted(self.refuted(number, used))

    def refuted(self, number: int, used: Slice) -> Refuted:
        """Return what was compared where nothing was found."""
        old, new = tuple(used.old.values()), tuple(used.new.values())
        return Refuted(self.pair, self.grant, self.target, number, old, new)

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
        pair = self.pair
        probe = Side(pair.new, pair.name, pair.universe, self.target, lists)
        name, tag, constraint = targets_of(probe, self.grant)[number]
        target = retargeted(self.target, name, tag)
        side = Side(pair.new, pair.name, pair.universe, target, lists)
        parts = [constraint, side.gives(self.grant), self.also(target, lists)]
        if FALSE in parts:
            return target, FALSE
        parts += [side.statement(denial).negation for denial in used.new.values()]
        sessions = pair.provider is not None and pair.provider.max_session is not None
        if pair.provider is not None:
            login = Login(pair.provider, pair.universe, target.service, lists, sessions=sessions)
            parts += [login.succeeds(), self._assumed(login.evaluator)]
        olds = [
            self._old_login(old, target, lists, sessions=sessions)
            for old in (pair.olds if pair.provider is not None else ("",))
        ]
        parts += self.bounded(olds, used)
        parts += [time_facts(), lists.facts(pair.universe)]
        formula = formulas.every(parts)
        schema = pair.universe.schema
        if pair.about is About.SCHEMA and schema is not None and formula is not FALSE:
            known = guaranteed(schema, side.evaluator, paths_of(formula))
            formula = formulas.both(formula, known)
        return target, formula

    def _assumed(self, evaluator: Evaluator) -> Formula:
        if self.pair.about is About.ANY_JSON:
            return TRUE
        return formulas.every(
            assumed(evaluator, one)
            for one in self.pair.assumptions
            if one.providers is None or self.pair.name in one.providers
        )

    def _old_login(
        self, old: str, target: Target, lists: Lists, *, sessions: bool
    ) -> tuple[Side, Formula]:
        """Return the bound's side for one of its providers, and when that one's login fails."""
        pair = self.pair
        side = Side(pair.bound, old, pair.universe, target, lists)
        if pair.provider is None or (pair.same_login and old == pair.name):
            return side, FALSE
        login = Login(
            pair.bound.providers[old],
            pair.universe,
            target.service,
            lists,
            sessions=sessions,
            lasting=old == pair.name,
        )
        return side, login.succeeds().negation

    def bounded(self, olds: Sequence[tuple[Side, Formula]], used: Slice) -> list[Formula]:
        """Return when the bound refuses what is asked for, by each login that it may be."""
        return [self.refused(side, failed, used) for side, failed in olds]

    def refused(self, side: Side, failed: Formula, used: Slice) -> Formula:
        """Return when the bound refuses a login by one of its providers, or what is asked for."""
        denied = {name: one for name, one in used.old.items() if isinstance(one, Denial)}
        if side.provider != self.pair.name:
            # What both policies deny may be denied to another provider's tokens only.
            denied |= {one.name: one for one in self.pair.bound.denials if reads_provider(one)}
        granted = formulas.some(
            side.statement(one) for one in used.old.values() if isinstance(one, Grant)
        )
        return formulas.some([granted.negation, *map(side.statement, denied.values()), failed])


def assumed(evaluator: Evaluator, assumption: Assumption) -> Formula:
    """Return that an assumption holds."""
    then = evaluator.condition(evaluator.program(assumption.then)).true
    if assumption.when is None:
        return then
    when = evaluator.condition(evaluator.program(assumption.when)).true
    return formulas.some((when.negation, then))


def targets_of(side: Side, grant: Grant) -> Sequence[tuple[atoms.Text, atoms.Text, Formula]]:
    """Return the names and tags that a grant can be about."""
    # What the scope holds is part of the evaluator: so a tag, a digest and nothing are told apart.
    key = ("targets", id(grant))
    return side.evaluator.once(key, grant, lambda: _targets_of(side, grant))


def _targets_of(side: Side, grant: Grant) -> list[tuple[atoms.Text, atoms.Text, Formula]]:
    tags = list(side.tags(grant))
    return [
        (name, tag, formulas.both(named, tagged))
        for name, named in side.names(grant)
        for tag, tagged in tags
    ]


def said_of(address: IpAddress | None) -> str:
    """Return how a suite writes the address of a client."""
    return "unknown" if address is None else str(address)


class ModelVerdict:
    """What the engine says of models; `witness` is what it confirms."""

    def __init__(self, pair: Pair, target: Target, used: Slice) -> None:
        self.pair = pair
        self.used = used
        self.witness: Witness | None = None
        self.target = target

    def accepts(self, model: Model) -> bool:
        """Tell whether a model is a witness, or names a statement that was left out."""
        asked = self.asked(model)
        if asked is None:
            return False
        # The engine looks at every statement of both policies.
        spend(len(self.pair.new_denials) + len(self.pair.old_statements))
        return self.judge(asked)

    def judge(self, asked: Asked) -> bool:
        """Tell the same of a request."""
        raise NotImplementedError

    @property
    def believers(self) -> tuple[str, ...]:
        """The providers of the bound whose tokens these are, or may be."""
        return (*self.pair.olds, *self.pair.others)

    def found(self, asked: Asked, source: str, obstacle: str) -> bool:
        """Take a request as the witness."""
        pair = self.pair
        self.witness = Witness(
            pair.name,
            asked.claims or {},
            asked.service,
            asked.access,
            asked.now,
            asked.at,
            source,
            obstacle,
            pair.about,
            said_of(asked.client) if pair.new.reads_client or pair.bound.reads_client else "",
        )
        return True

    @staticmethod
    def left_out(found: Iterable[Statement | None], used: dict[str, Statement]) -> bool:
        """Put the first statement that the formula does not hold into it, if there is one."""
        for one in found:
            if one is not None and one.name not in used:
                used[one.name] = one
                return True
        return False

    def asked(self, model: Model) -> Asked | None:
        """Return the request that a model is about, if there is one."""
        pair = self.pair
        claims: dict[str, object] = {}
        provider = pair.provider
        now = at = moment(model.numbers.get(atoms.NOW, pair.now))
        if provider is not None:
            maker = TokenMaker(pair.universe, provider, pair.examples, pair.now)
            claims = maker.claims(model)
            if provider.max_session is not None:
                at = moment(maker.moment(model, atoms.AT))
        wanted = access(self.target, model, claims)
        if wanted is None or not (self.target.catalog or is_repository_name(wanted.resource.name)):
            return None
        if pair.about is About.SCHEMA and not self._conforms(claims):
            return None
        session = pair.name if at != now else ""
        given = None if provider is None else claims
        return Asked(given, self.target.service, wanted, now, at, session, client(model))

    def _conforms(self, claims: dict[str, object]) -> bool:
        """Tell whether a token is one that the assumptions allow, by the engine."""
        return holds_of(claims, self.pair.assumptions, self.pair.name)


class _AccessVerdict(ModelVerdict):
    """Confirms access that the new policy gives and the bound does not."""

    def judge(self, asked: Asked) -> bool:
        """Tell whether a request is a witness, or names a statement that was left out."""
        new = ask(self.pair.new, asked, (self.pair.name,))
        if not new.allowed:
            return self.left_out([self.pair.new_denials.get(new.source)], self.used.new)
        old = ask(self.pair.bound, asked, self.believers)
        if old.allowed:
            return self.left_out([self.pair.old_statements.get(old.source)], self.used.old)
        return self.found(asked, new.source, old.source)


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
