"""
Findings that need a proof: parts of a policy that change nothing.

What lives here: the questions of `policytest check --prove` and what their answers come to.
Not here: the proofs (`regauth.policytests.proofs`), and findings that need none, which are the
compiler's lints (`regauth.engine.compiler.lints`).

Each question is about one statement and those near it, whatever the size of the policy.  What is
left out of a question can only make it harder to find something: a finding is always proved.  A
question without an answer is no finding; it is counted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from regauth.engine.cel import Node
from regauth.engine.cel.syntax.nodes import Binary, Constant, Has, path_of
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
from regauth.engine.source.problems import Location, Problem, Severity
from regauth.policytests.execution.examples import claims_of
from regauth.policytests.proofs import (
    About,
    Answer,
    Assumption,
    Question,
    Status,
    Unknown,
    Witness,
    more_access,
)
from regauth.policytests.proofs.comparison import are_apart
from regauth.policytests.proofs.confirmation import Asked, ask
from regauth.policytests.proofs.lifetimes import limited
from regauth.policytests.proofs.question import OUT_OF_STEPS
from regauth.policytests.suites.writing import yaml_value

from .places import Places
from .strangers import as_issued, stranger_of
from .weakening import conditions

AnyStatement = TypeVar("AnyStatement", bound=Statement)

DEFAULT_STEPS: Final = 60_000_000
"""Steps of the solver for all questions about a policy."""

STEPS_OF_A_QUESTION: Final = 3_000_000

MAX_SHOWN: Final = 4
"""How many claims of a stranger's token a finding shows."""

_EVERY: Final = (About.ANY_JSON, About.SCHEMA)
_ANY: Final = (About.ANY_JSON,)
_DROPS: Final = frozenset({"drop-part", "always-true"})


@dataclass(slots=True)
class Findings:
    """What came of all questions about a policy."""

    problems: list[Problem] = field(default_factory=list)
    questions: int = 0
    unanswered: dict[str, list[str]] = field(default_factory=dict)
    """For each reason, the statements of which something is not known."""

    def warn(self, location: Location, code: str, message: str, hint: str) -> None:
        """Add a finding."""
        self.problems.append(Problem(location, code, message, hint, Severity.WARNING))


def find(policy: Policy, places: Places, steps: int = DEFAULT_STEPS) -> Findings:
    """
    Ask everything about a policy.

    Args:
        policy: The policy.
        places: Where its parts stand.
        steps: The steps of the solver for all questions; the answers do not depend on the machine.
    """
    finder = _FindingCollector(policy, places, steps)
    finder.grants()
    finder.denials()
    finder.rules()
    finder.strangers()
    return finder.found


class _FindingCollector:
    def __init__(self, policy: Policy, places: Places, steps: int) -> None:
        self.found = Findings()
        self._policy = policy
        self._places = places
        self._left = steps
        self._nothing = replace(policy, grants=(), denials=(), anonymous=None)
        self._limited = limited(policy)
        self._near_grants: _Near[Grant] = _Near(policy.grants)
        self._near_denials: _Near[Denial] = _Near(policy.denials)

    # -- grants

    def grants(self) -> None:
        """Look for grants that give nothing, and for parts of them that change nothing."""
        removed: set[str] = set()
        for grant in reversed(self._policy.grants):
            others = [one for one in self._near_grants.of(grant) if one.name not in removed]
            limited = self._limited_by(grant, others)
            if self._is_dead(grant, limited):
                removed |= set() if limited else {grant.name}
            elif not limited and self._is_swallowed(grant, others):
                removed.add(grant.name)
            else:
                self._parts("grant", grant, grant, others if limited else ())

    def _limited_by(self, grant: Grant, others: Sequence[Grant]) -> str:
        """Return the name of a grant whose tokens another one may keep short, or ""."""
        name = self._limited.get(grant.name, "")
        if not name:
            return ""
        denials = self._near_denials.of(grant)
        without, whole = self._only(others, denials), self._only([grant, *others], denials)
        return "" if self._is_none(grant.name, without, whole) else name

    def _is_dead(self, grant: Grant, limited: str) -> bool:
        denials = self._near_denials.of(grant)
        if not self._is_none(grant.name, self._only([grant], denials), self._nothing):
            return False
        if not self._is_none(grant.name, self._only([grant]), self._nothing):
            names = ", ".join(f"`{one.name}`" for one in denials)
            message = f"`{grant.name}` gives nothing: denials refuse all of it"
            hint = f"remove it, or narrow the denials: {names}"
        else:
            message = f"`{grant.name}` gives nothing: no token meets its condition"
            hint = "compare the condition with the rules of its providers and with its patterns"
        if limited:
            message += f", but it shortens tokens by `{limited}`, because the tag is not known then"
            hint = "correct it; without it, those tokens are valid for longer"
        self.found.warn(grant.location, "grant-never-matches", message, hint)
        return True

    def _is_swallowed(self, grant: Grant, others: Sequence[Grant]) -> bool:
        if not others:
            return False
        new = self._only([grant])
        if not self._is_none(grant.name, new, self._only(others)):
            return False
        alone = next(
            (one for one in others if self._is_none(grant.name, new, self._only([one]))), None
        )
        by = f"`{alone.name}` gives" if alone is not None else "other grants together give"
        message = f"`{grant.name}` changes nothing: {by} all of it"
        self.found.warn(grant.location, "swallowed-grant", message, "remove it, or correct it")
        return True

    # -- denials

    def denials(self) -> None:
        """Look for denials that refuse nothing, and for parts of them that change nothing."""
        for denial in self._policy.denials:
            grants = self._near_grants.of(denial)
            rest = [one for one in self._near_denials.of(denial) if one.name != denial.name]
            anonymous = self._policy.anonymous
            new, bound = (
                replace(self._only(grants, denials), anonymous=anonymous)
                for denials in (rest, [*rest, denial])
            )
            if self._is_none(denial.name, new, bound):
                message = f"`{denial.name}` refuses nothing that a grant allows"
                hint = "remove it, or silence this if it guards against grants to come"
                self.found.warn(denial.location, "useless-denial", message, hint)
            elif denial.when is None or ("scope", "class") not in denial.when.paths:
                everything = Grant(
                    "everything",
                    denial.providers,
                    denial.services,
                    None,
                    denial.patterns,
                    denial.actions,
                    denial.catalog,
                    denial.class_,
                    None,
                    denial.location,
                )
                self._parts("denial", denial, everything)

    # -- rules

    def rules(self) -> None:
        """Look for rules that refuse nobody, and for parts of them that change nothing."""
        for provider in self._policy.providers.values():
            for number, rule in enumerate(provider.rules):
                others = (*provider.rules[:number], *provider.rules[number + 1 :])
                without = replace(provider, rules=others)
                if self._is_none(rule.name, self._login(without), self._login(provider), _ANY):
                    message = f"the rule `{rule.name}` refuses nobody whom the others let in"
                    self.found.warn(rule.location, "useless-rule", message, "remove it")
                    continue
                for operator, program, part, _ in conditions(rule.check, lambda _: False):
                    if operator not in _DROPS or _is_guard(part):
                        continue
                    changed = replace(rule, check=program)
                    rules = (*provider.rules[:number], changed, *provider.rules[number + 1 :])
                    new = self._login(replace(provider, rules=rules))
                    if self._is_same(rule.name, new, self._login(provider)):
                        text = rule.check.source(part)
                        self._useless("rule", rule.name, rule.location, part, text)

    def _login(self, provider: Provider) -> Policy:
        """Return a policy that gives a login everything."""
        probe = Grant(
            "everything",
            frozenset({provider.name}),
            self._policy.services,
            None,
            (Pattern("**", (Wildcard.REST,)),),
            frozenset({"pull"}),
            catalog=False,
            class_="",
            expires=None,
            location=provider.location,
        )
        return replace(self._nothing, grants=(probe,), providers={provider.name: provider})

    # -- strangers

    def strangers(self) -> None:
        """Look for grants that give something to every customer of a public issuer."""
        for provider in self._policy.providers.values():
            stranger = stranger_of(provider)
            if stranger is None:
                continue
            question = Question(self._login(provider), self._nothing, assumptions=(stranger,))
            if self._ask(provider.name, question).proved:
                continue  # its rules turn strangers away
            for grant in self._policy.grants:
                if grant.providers is None or provider.name in grant.providers:
                    self._stranger(provider, stranger, grant)

    def _stranger(self, provider: Provider, stranger: Assumption, grant: Grant) -> None:
        new = self._only([grant], self._near_denials.of(grant))
        new = replace(new, providers={provider.name: provider})
        answer = self._ask(grant.name, Question(new, self._nothing, assumptions=(stranger,)))
        possible = [
            (witness.access.action, claims)
            for witness in answer.witnesses
            for claims in self._possible(provider, witness)
        ]
        actions = dict.fromkeys(action for action, _ in possible)
        if actions:
            done = " and ".join(actions).replace("*", "list")
            message = (
                f"strangers can {done} by this: it asks for nothing that only some customers of "
                f"{provider.issuer} have"
            )
            example = _example(provider, grant, possible[0][1])
            hint = (
                f"say who may, in a rule of `{provider.name}` or in a condition here. "
                f"Such a token has {example}"
            )
            self.found.warn(grant.location, "open-to-everybody", message, hint)

    def _possible(self, provider: Provider, witness: Witness) -> list[Mapping[str, object]]:
        """Return a token like a witness's that a stranger can have, by the engine, if any."""
        for claims in as_issued(provider, witness.claims):
            asked = Asked(
                claims,
                witness.service,
                witness.access,
                witness.now,
                witness.at,
                client=witness.address,
            )
            if ask(self._policy, asked, (provider.name,)).allowed:
                return [claims]
        return []

    # -- parts

    def _parts(
        self,
        kind: str,
        statement: Grant | Denial,
        grant: Grant,
        limited: Sequence[Grant] = (),
    ) -> None:
        """
        Look for parts of a condition without which a statement means the same.

        Args:
            kind: What the statement is called.
            statement: The statement.
            grant: What a denial is asked about; the statement itself if it is a grant.
            limited: Grants whose tokens may depend on the condition while the tag is not known.
        """
        if statement.when is None:
            return
        for operator, program, part, _ in conditions(statement.when, lambda _: False):
            if operator not in _DROPS or _is_guard(part):
                continue
            changed = replace(statement, when=program)
            new, old = (
                self._only([grant], [one]) if isinstance(one, Denial) else self._only([one])
                for one in (changed, statement)
            )
            same = self._is_same(statement.name, new, old)
            if same and limited:
                new, old = (replace(one, grants=(*one.grants, *limited)) for one in (new, old))
                same = self._is_same(statement.name, new, old)
            if same:
                text = statement.when.source(part)
                self._useless(kind, statement.name, statement.location, part, text)

    def _useless(self, kind: str, name: str, location: Location, part: Node, text: str) -> None:
        place = self._places.part(kind, name, part.start, part.end) or location
        message = f"`{text}` changes nothing in `{name}`: the rest decides the same for every token"
        self.found.warn(place, "useless-part", message, "remove it, or correct it")

    # -- asking

    def _only(self, grants: Sequence[Grant], denials: Sequence[Denial] = ()) -> Policy:
        return replace(self._nothing, grants=tuple(grants), denials=tuple(denials))

    def _is_same(self, name: str, one: Policy, other: Policy) -> bool:
        return self._is_none(name, one, other, _ANY) and self._is_none(name, other, one, _ANY)

    def _is_none(
        self, name: str, new: Policy, bound: Policy, universes: tuple[About, ...] = _EVERY
    ) -> bool:
        """Tell whether it is proved that a policy gives nothing that another does not."""
        return self._ask(name, Question(new, bound, universes, first=True)).proved

    def _ask(self, name: str, question: Question) -> Answer:
        """Ask a question as long as there are steps left; what has no answer is noted."""
        self.found.questions += 1
        if self._left <= 0:
            answer = Answer(unknown=(Unknown("", name, "", OUT_OF_STEPS),))
        else:
            steps = min(self._left, STEPS_OF_A_QUESTION)
            answer = more_access(replace(question, steps=steps))
            self._left -= answer.steps
        for unknown in answer.unknown if answer.status is Status.UNKNOWN else ():
            self._unanswered(name, unknown.construct)
        return answer

    def _unanswered(self, name: str, reason: str) -> None:
        names = self.found.unanswered.setdefault(reason, [])
        if name not in names:
            names.append(name)


def _example(provider: Provider, grant: Grant, claims: Mapping[str, object]) -> str:
    """Say which token a stranger has: whose it is, and what the policy reads of it."""
    read = claims_of([*grant.programs, *(rule.check for rule in provider.rules)])
    whose = {one.path[0] for one in provider.claims.claims.values() if one.narrows}
    shown = [name for name in claims if name in read] or [one for one in claims if one in whose]
    listed = [f"`{name}: {yaml_value(claims[name])}`" for name in shown[:MAX_SHOWN]]
    return ", ".join(listed)


def _is_guard(part: Node) -> bool:
    """
    Tell whether a part only asks whether a claim is there, or is null.

    Without it the condition fails instead of being false.  A grant gives nothing either way, but
    what fails is logged as an error.
    """
    match part:
        case Has() | Binary(operator="!=", right=Constant(value=None)):
            return True
        case Binary(operator="in", left=Constant(), right=right):
            return (path_of(right) or ("",))[0] == "claims"
        case _:
            return False


class _Near(Generic[AnyStatement]):
    """Finds the statements that may be about the same repositories, by how their names begin."""

    def __init__(self, statements: Iterable[AnyStatement]) -> None:
        self._anywhere: list[AnyStatement] = []
        self._beginning: dict[str, list[AnyStatement]] = {}
        for one in statements:
            firsts = _firsts(one)
            if "" in firsts:
                self._anywhere.append(one)
                continue
            for first in firsts:
                self._beginning.setdefault(first, []).append(one)

    def of(self, statement: Statement) -> list[AnyStatement]:
        """Return the statements near one, but itself, that share an action with it."""
        firsts = _firsts(statement)
        chosen = self._beginning if "" in firsts else firsts
        listed: list[AnyStatement] = []
        for first in chosen:
            listed += self._beginning.get(first, ())
        found: dict[str, AnyStatement] = {one.name: one for one in (*self._anywhere, *listed)}
        return [each for each in found.values() if _meet(each, statement)]


def _meet(one: Statement, other: Statement) -> bool:
    actions = one.actions & other.actions or (one.catalog and other.catalog)
    return one.name != other.name and bool(actions) and not are_apart(one, other)


def _firsts(statement: Statement) -> set[str]:
    """Return the first segments of a statement's names; an empty one is any."""
    if statement.catalog:
        return {"registry:catalog"}
    return {pattern.prefix.partition("/")[0] for pattern in statement.patterns}


def unanswered(found: Findings) -> Iterator[str]:
    """Yield a line for each reason that questions have no answer."""
    for reason, names in found.unanswered.items():
        listed = ", ".join(f"`{name}`" for name in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""  # noqa: PLR2004 - as listed
        yield f"no answer about {listed}{more} because of {reason}"
