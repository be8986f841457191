"""
A proof retold: what was compared with what, and what the engine says of every cell.

What lives here: the notes of a question, and a second path to its answer for readers.  Not here:
the proof itself (`question`, `refinement`).

The second path does not use the solver.  The claims that the statements read are divided into
cells, a value of each cell is put together with those of the others in every way, and the engine
decides each of these requests by both policies.  Two requests with values of the same cells get the
same answers, so if the new policy allows none that the bound refuses, none is left.  Numbers and
times have no cells: a request has usual ones.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from math import prod
from typing import Final

from regauth.engine.access.scope import is_repository_name
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Grant, Policy, Statement
from regauth.engine.source.problems import Location

from .answers import About, Question
from .budget import Steps
from .confirmation import Asked, ask, token_of
from .evaluation.quantifiers import Lists
from .instants import moment
from .languages import addresses
from .languages.automata import UndecidedError
from .logic import formulas
from .logic.atoms import CLIENT, Opaque, Variable
from .logic.formulas import Formula
from .logic.universe import Kind
from .question import more_access
from .refinement import Refuted, targets_of
from .solving.expansion import Expansion
from .solving.search import Model
from .solving.solver import Solver
from .solving.theory import Choice, Holder, Theory
from .statements import Side, Target, retargeted
from .tokens import TokenMaker, access, client

MAX_REQUESTS: Final = 1_000
"""Requests of one comparison that the engine decides."""

MAX_SHOWN: Final = 12
"""Values of one claim that are shown."""

MAX_ALIKE: Final = 4
"""Values that no statement tells apart that are shown together."""

MAX_TEXT: Final = 40
"""Characters of a text that are shown."""


@dataclass(slots=True)
class Notes:
    """What a question notes of its way to an answer (`answers.NoteTaker`)."""

    same: dict[tuple[str, str], str] = field(default_factory=dict)
    """For a provider and a grant, why it was not to be compared."""
    refuted: list[Refuted] = field(default_factory=list)
    longer: dict[timedelta, "Notes"] = field(default_factory=dict)
    """By a lifetime of the bound, the notes of the question whose tokens are longer."""

    def clear(self) -> None:
        """Forget everything: the question is asked again about other tokens."""
        self.same.clear()
        self.refuted.clear()

    def note_same(self, provider: str, grant: Grant, *, by_text: bool) -> None:
        """Note that the bound has a grant that means the same."""
        how = "the same text" if by_text else "the same meaning by its formula"
        self.same[provider, grant.name] = how

    def note_refuted(self, one: object) -> None:
        """Note a comparison in which the solver found nothing."""
        if isinstance(one, Refuted):
            self.refuted.append(one)

    def of_longer(self, limit: timedelta) -> "Notes":
        """Return the notes of the same question about tokens longer than a limit."""
        return self.longer.setdefault(limit, Notes())


@dataclass(frozen=True, slots=True)
class Retold:
    """
    One comparison, decided again by the engine.

    Attributes:
        values: For each claim or text that was divided, what stands for its cells, in words.
        requests: How many requests there are.
        decided: How many of them the engine decided; 0 if there are too many.
        refused: Of these, those that the new policy refuses.
        allowed: Those that both policies allow.
        against: Those that the new policy alone allows: with one, the proof is wrong.

    Where tokens are compared, a token counts as allowed that is no longer than before.
    """

    values: Mapping[str, tuple[str, ...]]
    requests: int
    decided: int = 0
    refused: int = 0
    allowed: int = 0
    against: int = 0


def retell(one: Refuted, login: Mapping[str, object]) -> Retold | None:
    """
    Decide a comparison again, request by request.

    Args:
        one: The comparison.
        login: The claims of a token that logs in; those that are not divided stay.

    Returns:
        What the engine says, or None where the values cannot be divided.
    """
    try:
        target, theory = _divided(one)
    except UndecidedError:
        return None
    if theory is None:
        return Retold({}, 0)
    options = {holder: _options(theory, holder) for holder in theory.choices}
    values = {
        _name(holder): tuple(dict.fromkeys(option.said for option in listed))
        for holder, listed in options.items()
    }
    requests = prod(map(len, options.values()))
    if requests > MAX_REQUESTS:
        return Retold(values, requests)
    counts = [0, 0, 0]
    for chosen in product(*options.values()):
        asked = _asked(one, target, dict(zip(options, chosen, strict=True)), login)
        counts[0 if asked is None else _decided(one, asked)] += 1
    return Retold(values, requests, requests, *counts)


@dataclass(frozen=True, slots=True)
class _Option:
    """A value that stands for all that no statement tells from it."""

    choice: Choice
    text: str | None
    said: str


def _options(theory: Theory, holder: Holder) -> list[_Option]:
    """Return a value of each cell of a claim; where texts are compared, several of each."""
    compared = any(holder in (pair.left, pair.right) for pair in theory.pairs)
    found = []
    for alike in theory.alike(holder):
        said = ", ".join(_shown(holder, one) for one in alike[:MAX_ALIKE])
        said = f"({said})" if len(alike) > 1 else said
        cell = alike[0].cell
        samples = cell.samples if cell is not None else ()
        texts: Sequence[str | None] = samples if compared else samples[:1]
        found += [_Option(alike[0], text, said) for text in texts or (None,)]
    return found


def login_of(policy: Policy, provider: str, at: datetime | None) -> Mapping[str, object]:
    """Return the claims of a token that a provider lets in; none if there is none."""
    if provider not in policy.providers:
        return {}
    everything = Grant(
        "everything",
        frozenset({provider}),
        policy.services,
        None,
        (Pattern("**", (Wildcard.REST,)),),
        frozenset({"pull"}),
        catalog=False,
        class_="",
        expires=None,
        location=Location(""),
    )
    nothing = replace(policy, grants=(), denials=(), anonymous=None)
    probe = replace(nothing, grants=(everything,))
    answer = more_access(Question(probe, nothing, (About.SCHEMA,), at=at, first=True))
    return dict(answer.witnesses[0].claims) if answer.witnesses else {}


def _decided(one: Refuted, asked: Asked) -> int:
    pair = one.pair
    if one.limit is not None:
        return _longer(one, asked, one.limit)
    if not ask(pair.new, asked, (pair.name,)).allowed:
        return 0
    return 1 if ask(pair.bound, asked, (*pair.olds, *pair.others)).allowed else 2


def _longer(one: Refuted, asked: Asked, limit: timedelta) -> int:
    """Decide how long a token is valid by both policies, while its tag is not known."""
    pair = one.pair
    new = token_of(pair.new, asked, (pair.name,))
    if not new.given:
        return 0
    old = token_of(pair.bound, asked, (*pair.olds, *pair.others))
    return 2 if old.given and old.most <= limit < new.most else 1


def _divided(one: Refuted) -> tuple[Target, Theory | None]:
    """Return what is asked for, and the cells of everything that the statements read."""
    pair, lists = one.pair, Lists()
    probe = Side(pair.new, pair.name, pair.universe, one.target, lists)
    name, tag, constraint = targets_of(probe, one.grant)[one.number]
    target = retargeted(one.target, name, tag)
    new = Side(pair.new, pair.name, pair.universe, target, lists)
    read = [constraint, new.statement(one.grant), *map(new.statement, one.new)]
    for provider in pair.olds if pair.provider is not None else ("",):
        old = Side(pair.bound, provider, pair.universe, target, lists)
        read += map(old.statement, one.old)
    expansion = Expansion()
    # Each part stays whole beside an atom of its own: together they may be trivial.
    parts: list[Formula] = [
        formulas.some((expansion.expand(part), formulas.atom(Opaque(("account", number)))))
        for number, part in enumerate(read)
    ]
    theory = Theory(pair.universe, formulas.every(parts), Solver(Steps()), pair.examples)
    return target, theory if theory.choices else None


def _asked(
    one: Refuted,
    target: Target,
    chosen: Mapping[Holder, _Option],
    login: Mapping[str, object],
) -> Asked | None:
    pair = one.pair
    texts = {holder: one.text for holder, one in chosen.items() if one.text is not None}
    model = Model({holder: one.choice for holder, one in chosen.items()}, texts, {})
    claims = dict(login)
    if pair.provider is not None:
        made = TokenMaker(pair.universe, pair.provider, pair.examples, pair.now).claims(model)
        for holder in chosen:
            if isinstance(holder, Variable) and holder.is_claim:
                top = str(holder.path[0])
                claims.pop(top, None)
                claims.update({top: made[top]} if top in made else {})
    wanted = access(target, model, claims)
    if wanted is None or not (target.catalog or is_repository_name(wanted.resource.name)):
        return None
    now = moment(pair.now)
    given = None if pair.provider is None else claims
    return Asked(given, target.service, wanted, now, now, client=client(model))


def _name(holder: Holder) -> str:
    if isinstance(holder, Variable):
        path = ".".join(str(one) for one in holder.path)
        if holder.is_claim:
            return f"claims.{path}"
        if holder == CLIENT:
            return "the client's address"
        return "the name" if "name" in path else "the tag" if "tag" in path else "the rest of it"
    return "a text"


def _shown(holder: Holder, choice: Choice) -> str:
    if choice.kind is Kind.BOOL:
        return "true" if choice.true else "false"
    if choice.cell is None:
        return str(choice.kind.value)
    samples = choice.cell.samples
    if not samples:
        return "no text"
    if holder == CLIENT:
        address = addresses.read(samples[0])
        return "unknown" if address is None else f"like {address}"
    sample = samples[0] if len(samples[0]) <= MAX_TEXT else f"{samples[0][:MAX_TEXT]}..."
    only = choice.cell.complete and len(samples) == 1
    return json.dumps(sample) if only else f"like {json.dumps(sample)}"


def described(retold: Retold, *, longer: bool = False) -> Iterator[str]:
    """Yield what was divided, and what came of it; `longer` where tokens were compared."""
    for name, values in retold.values.items():
        more = [f"and {len(values) - MAX_SHOWN} more"] if len(values) > MAX_SHOWN else []
        yield f"{name}: {', '.join([*values[:MAX_SHOWN], *more])}"
    if not retold.values:
        yield "nothing to divide: the statements read no claim"
    elif not retold.decided:
        yield f"{retold.requests} requests, too many to decide one by one: the solver has none left"
    else:
        yield (
            f"{retold.requests} requests, each decided by the engine: {retold.refused} refused, "
            f"{retold.allowed} {'no longer than before' if longer else 'allowed by both'}, "
            f"{retold.against} left"
        )


def names_of(statements: Sequence[Statement]) -> str:
    """Return the names of statements."""
    return ", ".join(one.name for one in statements) or "nothing"
