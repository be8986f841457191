"""
Logins that are not known: when a provider of a policy lets a token in.

What lives here: the checks of the engine's `authentication`, and of sessions, as formulas.
Not here: signatures.  Which keys a provider believes is compared as text (`comparison`).
"""

from datetime import timedelta
from typing import Final

from regauth.engine.policy.policy import Provider

from .evaluation import quantifiers
from .evaluation.evaluator import Context, Evaluator, number_at
from .evaluation.quantifiers import Lists
from .evaluation.values import Bool, Outcome, Str, Unclear
from .instants import LATEST, length
from .languages import language as languages
from .logic import atoms, formulas
from .logic.atoms import AT, NOW, Linear, Path, Quantity
from .logic.formulas import TRUE, Formula, both
from .logic.universe import Kind, Universe

_TIMES: Final = ("exp", "nbf", "iat")
_MARGIN: Final = 86_400
"""Seconds before the year 10000 in which no time is asked about: a skew would lead beyond it."""

_HALF_A_MICROSECOND: Final = length(timedelta(microseconds=1))
"""More than what a time loses that is rounded to microseconds."""


def time_facts() -> Formula:
    """Return what holds of every time: it is in the years 1970 to 9999."""
    return formulas.every(
        both(
            atoms.compares(atoms.constant(0), "<=", atoms.quantity(one)),
            atoms.compares(atoms.quantity(one), "<", atoms.constant(LATEST - _MARGIN)),
        )
        for one in (NOW, AT)
    )


class Login:
    """
    The login of one provider's tokens, for one service.

    With `sessions` the token's own times are checked as of `at`, which differs from `now` in a
    session; the provider's own go on only with `lasting`.
    """

    def __init__(
        self,
        provider: Provider,
        universe: Universe,
        service: str,
        lists: Lists,
        *,
        sessions: bool = False,
        lasting: bool = True,
    ) -> None:
        self.provider = provider
        self.evaluator = Evaluator(universe, Context(provider.name, service), lists)
        self._at = atoms.quantity(AT if sessions else NOW)
        self._sessions = sessions
        self._lasting = lasting

    def succeeds(self) -> Formula:
        """Return when the login succeeds: every check, the subject, every rule."""
        key = ("login", id(self.provider), self._sessions, self._lasting)
        return self.evaluator.once(key, self.provider, self._succeeds)

    def _succeeds(self) -> Formula:
        rules = [
            self.evaluator.condition(self.evaluator.program(rule.check)).true
            for rule in self.provider.rules
        ]
        parts = [self._issuer(), self._audience(), *map(self._time, _TIMES), self._age()]
        return formulas.every([*parts, self._moment(), self._subject(), *rules])

    def _moment(self) -> Formula:
        """Return when a login of `at` counts now: it is one of now, or a session goes on."""
        if not self._sessions:
            return TRUE
        now = atoms.quantity(NOW)
        same = atoms.compares(self._at, "==", now)
        longest = self.provider.max_session
        if longest is None or not self._lasting:
            return same
        age = atoms.added(now, self._at, -1)
        skew = length(self.provider.clock_skew)
        lasting = both(
            atoms.compares(atoms.constant(-skew), "<=", age),
            atoms.compares(age, "<", atoms.constant(length(longest))),
        )
        return formulas.some((same, lasting))

    def _issuer(self) -> Formula:
        return formulas.some(
            both(when, atoms.is_text(value.text, self.provider.issuer))
            for when, value in self.evaluator.read(("iss",)).cases
            if isinstance(value, Str)
        )

    def _audience(self) -> Formula:
        wanted = self.provider.audiences
        # A mutant's audiences may be a set that meets any other.
        if type(wanted) is not frozenset and wanted.intersection((_NOBODY,)):
            language = languages.EVERY_TEXT
        else:
            language = languages.one_of(frozenset(map(str, wanted)))

        def fits(element: Outcome) -> Outcome:
            return Outcome(
                tuple(
                    (when, Bool(atoms.is_in(value.text, language)))
                    for when, value in element.cases
                    if isinstance(value, Str)
                )
            )

        return quantifiers.exists(self.evaluator, ("aud",), ("audience", language), fits).true

    def _cases(self, name: str) -> list[tuple[Formula, Linear, Formula]]:
        """Return when a time is a number, the number of seconds, and what holds of both then."""
        path: Path = (name,)
        whole, broken = number_at(path, "int"), number_at(path, "double")
        rounded = atoms.quantity(Quantity("rounded", path))
        near = both(
            atoms.compares(atoms.added(rounded, broken, -1), "<=", _about()),
            atoms.compares(atoms.added(broken, rounded, -1), "<=", _about()),
        )
        return [
            (self.evaluator.is_kind(path, Kind.INT), whole, _in_years(whole)),
            (self.evaluator.is_kind(path, Kind.DOUBLE), rounded, both(near, _in_years(broken))),
        ]

    def _time(self, name: str) -> Formula:
        """Return when a time is well-formed, and neither over nor to come."""
        skew = atoms.constant(length(self.provider.clock_skew))
        found = []
        for kind, time, sound in self._cases(name):
            if name == "exp":
                good = atoms.compares(atoms.added(self._at, skew, -1), "<", time)
            else:
                good = atoms.compares(time, "<=", atoms.added(self._at, skew))
            found.append(formulas.every((kind, sound, good)))
        if name != "exp":
            found.append(self.evaluator.is_kind((name,), Kind.ABSENT))
        return formulas.some(found)

    def _age(self) -> Formula:
        oldest = self.provider.max_token_age
        if oldest is None:
            return TRUE
        before = atoms.constant(length(oldest + self.provider.clock_skew))
        return formulas.some(
            both(kind, atoms.compares(atoms.added(self._at, before, -1), "<=", time))
            for kind, time, _ in self._cases("iat")
        )

    def _subject(self) -> Formula:
        found = []
        for when, value in self.evaluator.program(self.provider.subject).cases:
            if isinstance(value, Str):
                found.append(both(when, atoms.is_text(value.text, "").negation))
            elif isinstance(value, Unclear):
                opaque = self.evaluator.opaque(("subject", value.key), Kind.BOOL)
                found.append(both(when, opaque.true))
        return formulas.some(found)


_NOBODY: Final = "https://nobody.invalid"


def _about() -> Linear:
    return atoms.constant(_HALF_A_MICROSECOND)


def _in_years(time: Linear) -> Formula:
    return both(
        atoms.compares(atoms.constant(0), "<=", time),
        atoms.compares(time, "<", atoms.constant(LATEST)),
    )
