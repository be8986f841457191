"""
More access: whether a policy gives anybody what another does not.

What lives here: the one question that everything else is made of, taken apart into questions about
one grant each, and what needs no solving.  Not here: one grant's question (`refinement`).
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from regauth.engine.access.references import TagState
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement

from .answers import About, Answer, Longer, Question, Unknown, Witness
from .budget import OutOfStepsError, Steps, counted, spend
from .comparison import are_apart, believes, is_about, login_key, statement_key
from .evaluation import evaluator
from .evaluation.quantifiers import Lists
from .guarantees import guaranteed, paths_of
from .instants import seconds
from .lifetimes import no_longer, with_lifetimes
from .logic import atoms, formulas
from .logic import universe as universes
from .logic.universe import universe_of
from .logins import Login, time_facts
from .longer import LongerQuestion, lasts, may_meet
from .refinement import Count, GrantQuestion, Pair, assumed
from .solving import search
from .solving.equalities import UnprovedError
from .solving.search import Search
from .statements import NAMED, Reference, Side, Target
from .tokens import examples_of, wishes

DEFAULT_NOW: Final = 1_793_534_400
"""The time of witnesses where none is wished for: 2026-11-01T12:00:00Z."""

OUT_OF_STEPS: Final = "the bound on the solver's steps"
OTHER_KEYS: Final = "a changed source of keys, or other algorithms"


def more_access(question: Question) -> Answer:
    """
    Return whether `new` gives anybody access that `bound` does not.

    A proof is for every token, every repository and reference, every time.  A witness was
    confirmed by the engine.  What is neither is unknown, and says what it hangs on.  Access for
    longer is more access, too: by sessions, and by registry tokens that are valid for longer.
    """
    # Two questions share no formula: so no answer depends on what was asked before it.
    for kept in (universes, evaluator, search, atoms):
        kept.forget()
    return with_lifetimes(question, _more_access(question), _more_access)


def _more_access(question: Question, limit: timedelta | None = None) -> Answer:
    """
    Return whether `new` gives more access, whatever the lifetimes of its tokens.

    With a limit, return whether it gives tokens that are valid for longer than that, where the
    bound gives some that are not.
    """
    steps = Steps(question.steps)
    answers: list[Answer] = []
    for about in question.universes:
        if question.account is not None:
            question.account.clear()
        with counted(steps):
            answer = _Prover(question, about, limit).answer()
        answers.append(answer)
        if answer.proved or answer.longer:
            break
    # The last universe is the narrowest: what it says of its tokens is what is known.
    final = answers[-1]
    queries = sum(one.queries for one in answers)
    return replace(final, queries=queries, steps=steps.taken)


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    witnesses: list[Witness] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    compared: int = 0
    identical: int = 0


class _Prover:
    """Answers a question for one universe."""

    def __init__(self, question: Question, about: About, limit: timedelta | None) -> None:
        self._question = question
        self._new = question.new
        self._bound = question.bound
        self._about = about
        self._limit = limit
        self._gone = [] if limit is None else list(no_longer(self._new, self._bound, limit))
        self._count = Count(question.account)
        self._found = _Found()
        statements = [
            one
            for policy in (self._new, self._bound)
            for one in (*policy.grants, *policy.denials, *filter(None, [policy.anonymous]))
        ]
        self._keys = {id(one): statement_key(one) for one in statements}
        self._forms: dict[Hashable, set[int]] = {}
        self._answered: set[tuple[str, str, str]] = set()
        """The grants that are answered, each with a provider and a service."""
        self._granted_keys = {self._keys[id(one)] for one in self._new.grants}

    def answer(self) -> Answer:
        """Return the answer."""
        try:
            spend(len(self._keys))
            for provider in (*self._new.providers.values(), None):
                if self._is_done:
                    break
                self._provider(provider)
        except OutOfStepsError:
            self._found.unknown += self._left()
        found = self._found
        return Answer(
            tuple(found.witnesses),
            tuple(dict.fromkeys(found.unknown)),
            tuple(_longer(self._new, self._bound) if self._limit is None else ()),
            self._about,
            found.compared,
            found.identical,
            self._count.queries,
        )

    def _left(self) -> Iterator[Unknown]:
        """Yield what is not answered: each grant that may give something new, by provider."""
        for provider in (*self._new.providers.values(), None):
            pair = self._pair(provider, *self._olds(provider))
            for service in sorted(self._new.services):
                known = pair.same_login and service in self._bound.services
                gone, granted = self._old_statements(pair.name, service)
                for grant in self._asked(pair.name, service):
                    same = known and not gone and self._keys[id(grant)] in granted
                    if not same and (pair.name, service, grant.name) not in self._answered:
                        yield Unknown(pair.name, grant.name, "", OUT_OF_STEPS)

    @property
    def _is_done(self) -> bool:
        return self._question.first and bool(self._found.witnesses)

    # -- providers

    def _provider(self, provider: Provider | None) -> None:
        # Anonymous access has no lifetime of its own.
        if provider is None and (self._new.anonymous is None or self._limit is not None):
            return
        olds, others = self._olds(provider)
        if provider is not None and not olds and others:
            self._found.unknown.append(Unknown(provider.name, "", "", OTHER_KEYS))
            olds, others = others, ()
        pair = self._pair(provider, olds, others)
        self._found.compared += 1
        for service in sorted(self._new.services):
            if provider is not None and not pair.same_login and provider.name in olds:
                implied = self._login_implied(pair, service)
                self._service(replace(pair, same_login=implied), service)
            else:
                self._found.identical += 1
                self._service(pair, service)
            if self._is_done:
                return

    def _olds(self, provider: Provider | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """
        Return the bound's providers whose tokens may be those of a provider, its own first.

        First those that believe every signature that it believes, then the others.
        """
        if provider is None:
            return (), ()
        found = [one for one in self._bound.providers.values() if one.issuer == provider.issuer]
        found.sort(key=lambda one: one.name != provider.name)
        good = tuple(one.name for one in found if believes(provider, one))
        return good, tuple(one.name for one in found if one.name not in good)

    def _pair(
        self, provider: Provider | None, olds: tuple[str, ...], others: tuple[str, ...]
    ) -> Pair:
        schema = None if provider is None else provider.claims
        universe = universe_of(schema, anything=self._about is About.ANY_JSON)
        at = self._question.at
        same = provider is None or (
            provider.name in olds
            and login_key(provider) == login_key(self._bound.providers[provider.name])
        )
        return Pair(
            self._new,
            self._bound,
            provider,
            olds,
            others,
            same,
            universe,
            self._about,
            self._question.assumptions,
            examples_of(provider),
            DEFAULT_NOW if at is None else int(seconds(at)),
            {
                one.name: one
                for one in (
                    *_grants(self._bound, "" if provider is None else provider.name),
                    *self._bound.denials,
                )
            },
            {one.name: one for one in self._new.denials},
        )

    def _login_implied(self, pair: Pair, service: str) -> bool:
        """Tell whether every login by the new policy is one by the bound's own provider."""
        provider = pair.provider
        if provider is None or provider.name not in pair.olds:
            return False
        sessions = provider.max_session is not None
        lists = Lists()
        for _ in range(3):
            new, old = (
                Login(one, pair.universe, service, lists, sessions=sessions)
                for one in (provider, self._bound.providers[provider.name])
            )
            formula = formulas.every(
                (
                    new.succeeds(),
                    old.succeeds().negation,
                    time_facts(),
                    lists.facts(pair.universe),
                )
            )
            if self._about is About.SCHEMA:
                known = guaranteed(provider.claims, new.evaluator, paths_of(formula))
                assumptions = (
                    assumed(new.evaluator, one)
                    for one in pair.assumptions
                    if one.providers is None or provider.name in one.providers
                )
                formula = formulas.every((formula, known, *assumptions))
            grown = lists.grown()
            if grown is None:
                break
            lists = grown
        else:
            return False
        one = Search(pair.universe, pair.examples, wishes(pair.now))
        self._count.queries += 1
        try:
            return one.find(formula, lambda _: True) is None
        except UnprovedError:
            return False

    # -- grants

    def _service(self, pair: Pair, service: str) -> None:
        gone, granted = self._old_statements(pair.name, service)
        for grant in self._asked(pair.name, service):
            spend(1 + len(gone))
            self._found.compared += 1
            known = pair.same_login and service in self._bound.services
            if known and self._is_same(pair, grant, service, gone, granted):
                self._found.identical += 1
                if self._question.account is not None:
                    by_text = self._keys[id(grant)] in granted
                    self._question.account.note_same(pair.name, grant, by_text=by_text)
            else:
                self._grant(pair, grant, service, gone)
            self._answered.add((pair.name, service, grant.name))
            if self._is_done:
                return

    def _asked(self, provider: str, service: str) -> Iterator[Grant]:
        """Yield the grants in question that are about a provider's tokens and a service."""
        names = self._question.grants
        for grant in _grants(self._new, provider):
            asked = names is None or grant.name in names
            if asked and is_about(grant, provider, service) and self._lasts(grant):
                yield grant

    def _lasts(self, grant: Grant) -> bool:
        """Tell whether a grant's tokens are valid for longer than what is asked about."""
        return self._limit is None or lasts(grant, self._limit)

    def _old_statements(
        self, provider: str, service: str
    ) -> tuple[list[Denial], frozenset[Hashable]]:
        """Return the bound's denials that the new policy has not, and the keys of its grants."""
        kept = self._kept(self._new.denials, provider, service)
        gone = [
            one
            for one in self._bound.denials
            if is_about(one, provider, service) and self._keys[id(one)] not in kept
        ]
        granted = [one for one in _grants(self._bound, provider) if self._lasts(one)]
        return gone, self._kept(granted, provider, service)

    def _kept(
        self, statements: Sequence[Statement], provider: str, service: str
    ) -> frozenset[Hashable]:
        return frozenset(
            self._keys[id(one)] for one in statements if is_about(one, provider, service)
        )

    def _is_same(
        self,
        pair: Pair,
        grant: Grant,
        service: str,
        gone: Sequence[Denial],
        granted: frozenset[Hashable],
    ) -> bool:
        """Tell whether the bound has a grant that means the same, and nothing that denies more."""
        if any(not are_apart(one, grant) and _share_action(one, grant) for one in gone):
            return False
        if grant.tags and any(may_meet(one, grant) for one in self._gone):
            return False
        return self._keys[id(grant)] in granted or self._has_form(pair, grant, service)

    def _has_form(self, pair: Pair, grant: Grant, service: str) -> bool:
        """Tell whether the bound has a grant of the same formula, for every action."""
        if grant.tags or pair.name not in ("", *pair.olds):
            return False
        universe = universe_of(pair.universe.schema, anything=True)
        for action in sorted(grant.actions) or ["*"]:
            target = Target(service, action, grant.class_, grant.catalog)
            key = (pair.name, service, action, grant.class_, grant.catalog)
            if key not in self._forms:
                side = Side(self._bound, pair.name, universe, target, Lists())
                listed = [
                    _form(side, one)
                    for one in _grants(self._bound, pair.name)
                    if not one.tags
                    and self._lasts(one)
                    and self._keys[id(one)] not in self._granted_keys
                ]
                self._forms[key] = {one for one in listed if one is not None}
            side = Side(self._new, pair.name, universe, target, Lists())
            if _form(side, grant) not in self._forms[key]:
                return False
        return True

    def _grant(self, pair: Pair, grant: Grant, service: str, gone: Sequence[Denial]) -> None:
        for target in self._targets(grant, service):
            found = self._grant_question(pair, grant, target, gone).answer()
            if isinstance(found, Witness):
                self._found.witnesses.append(found)
                if self._is_done:
                    return
            elif found is not None:
                self._found.unknown.append(found)

    def _grant_question(
        self, pair: Pair, grant: Grant, target: Target, gone: Sequence[Denial]
    ) -> GrantQuestion:
        if self._limit is None:
            return GrantQuestion(pair, grant, target, gone, self._count)
        return LongerQuestion(pair, grant, target, gone, self._count, self._limit)

    def _targets(self, grant: Grant, service: str) -> Iterator[Target]:
        if self._limit is None:
            yield from self._accesses(grant, service)
        elif grant.catalog:
            yield Target(service, "*", "", catalog=True, reference=Reference.PENDING)
        else:
            for action in sorted(grant.actions):
                yield Target(service, action, grant.class_, reference=Reference.PENDING)

    def _accesses(self, grant: Grant, service: str) -> Iterator[Target]:
        if grant.catalog:
            yield Target(service, "*", "", catalog=True)
            return
        tagged = any(
            one.tags
            for policy in (self._new, self._bound)
            for one in (*policy.grants, *policy.denials)
        )
        # A tag whose state is not known is pushed by whoever may push one that exists.
        states = (TagState.EXISTING, TagState.NEW)
        creates = bool(self._new.by_new_tag or self._bound.by_new_tag)
        for action in sorted(grant.actions):
            for reference in NAMED if tagged else (Reference.NONE,):
                stated = creates and action == "push" and reference is Reference.TAG
                for state in states if stated else (TagState.UNKNOWN,):
                    yield Target(
                        service, action, grant.class_, reference=reference, tag_state=state
                    )


def _form(side: Side, grant: Grant) -> int | None:
    """Return the number of a grant's formula; None where formulas alone do not tell."""
    quantified = side.evaluator.lists
    formula = side.statement(grant)
    if quantified.quantified or quantified.sized:
        quantified.quantified.clear()
        quantified.sized.clear()
        return None
    return formula.number


def _share_action(left: Statement, right: Statement) -> bool:
    return bool(left.actions & right.actions) or (left.catalog and right.catalog)


def _grants(policy: Policy, provider: str) -> Sequence[Grant]:
    if provider:
        return policy.grants
    return () if policy.anonymous is None else (policy.anonymous,)


def _longer(new: Policy, bound: Policy) -> Iterator[Longer]:
    """Yield the lifetimes that the new policy makes longer."""
    for name, provider in new.providers.items():
        old = bound.providers.get(name)
        if old is None or provider.max_session is None:
            continue
        before = old.max_session or timedelta(0)
        if provider.max_session > before:
            yield Longer(name, "the sessions", str(before), str(provider.max_session))
