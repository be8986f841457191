"""
Atoms made simple: questions about texts made of others become questions about single texts.

What lives here: the rewriting of formulas before they are solved.  Not here: solving (`search`).

Every step is exact or opaque: what cannot be said about single texts may hold or not.
"""

from collections.abc import Hashable, Iterable
from typing import Final

from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.language import Language
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import (
    Applied,
    Compares,
    Fits,
    In,
    Joined,
    Literal_,
    Opaque,
    OpaqueText,
    Part,
    SameText,
    Text,
    Unclaimed,
    Variable,
    Wild,
)
from regauth.policytests.proofs.logic.formulas import FALSE, Formula, both
from regauth.policytests.proofs.logic.patterns import fits

from .arithmetic import is_followed

MAX_PINNED: Final = 30
"""Texts that a claim is compared with, for each of which a pattern is written out."""

MAX_LISTED: Final = 16
"""Texts of a language that is rewritten as a list of them."""

MAX_DEPTH: Final = 3
"""Texts in one pattern that are written out so."""


class Expansion:
    """Rewrites formulas; `blamed` collects what became opaque, in words."""

    def __init__(self) -> None:
        self.blamed: dict[str, None] = {}
        self._split: dict[tuple[Text, Language], Formula] = {}

    def expand(self, formula: Formula) -> Formula:
        """Return a formula whose atoms are about single texts, or opaque."""
        single = formulas.rewritten(formula, self._of_single_texts)
        literals = _literals(single)
        pinned = formulas.rewritten(
            single, lambda about, one: self._pinned(about, one, literals, MAX_DEPTH)
        )
        return formulas.rewritten(pinned, self._atom)

    def _of_single_texts(self, about: Hashable, one: Formula) -> Formula:
        return self._in(about.text, about.language) if isinstance(about, In) else one

    def _atom(self, about: Hashable, one: Formula) -> Formula:
        match about:
            case In(text=text, language=language):
                return self._in(text, language)
            case SameText(left=left, right=right):
                single = (Variable, OpaqueText)
                if isinstance(left, single) and isinstance(right, single):
                    return one
                return self._opaque(about, f"whether {_shown(left)} is {_shown(right)}")
            case Fits(text=text, parts=parts):
                pattern = "".join(map(_shown, parts))
                return self._opaque(about, f"whether {_shown(text)} fits {pattern}")
            case Compares():
                if is_followed(about):
                    return one
                return self._opaque(about, "a sum of several numbers")
            case Opaque(key=In()):
                pass  # the language is blamed already
            case Opaque(key=key):
                self.blamed.setdefault(_blame(key))
            case _:
                pass
        return one

    def _opaque(self, key: Hashable, what: str) -> Formula:
        self.blamed.setdefault(what)
        return formulas.atom(Opaque(key))

    # -- languages

    def inside(self, text: Text, language: Language) -> Formula:
        """
        Return that a text is in a language, as questions about single texts.

        Raises:
            UndecidedError: An automaton that is needed is too large.
        """
        return self._split_in(text, language)

    def _in(self, text: Text, language: Language) -> Formula:
        try:
            return self._split_in(text, language)
        except UndecidedError as error:
            return self._opaque(In(text, language), str(error))

    def _split_in(self, text: Text, language: Language) -> Formula:
        key = (text, language)
        found = self._split.get(key)
        if found is None:
            found = self._split[key] = self._splitting(text, language)
        return found

    def _splitting(self, text: Text, language: Language) -> Formula:
        match text:
            case Literal_(text=known):
                return formulas.of(language.holds(known))
            case Applied(function=function, to=to):
                return self._split_in(to, languages.image(language, function))
            case Joined(parts=parts):
                return self._joined(parts, language, 0)
            case _:
                pass
        if language.texts is None:
            # A language of few texts lists them: a claim in it is compared with literals.
            listed = language.automaton.listed(MAX_LISTED)
            if listed is not None:
                return atoms.is_text(text, *listed)
        return formulas.atom(In(text, language))

    def _joined(self, parts: tuple[Text, ...], language: Language, state: int) -> Formula:
        """Return whether joined texts lead a language's automaton from a state to an end."""
        automaton = language.automaton
        while parts and isinstance(parts[0], Literal_):
            state = automaton.run(state, parts[0].text)
            if state < 0:
                return FALSE
            parts = parts[1:]
        if not parts:
            return formulas.of(state in automaton.finals)
        first, rest = parts[0], parts[1:]
        if not rest:
            return self._split_in(first, languages.inside(language, state, automaton.finals))
        # By what must hold of the rest, the states that the first part may lead to.
        after: dict[Formula, set[int]] = {}
        for target in range(len(automaton.transitions)):
            holds = self._joined(rest, language, target)
            if holds is not FALSE:
                after.setdefault(holds, set()).add(target)
        return formulas.some(
            both(
                holds,
                self._split_in(first, languages.inside(language, state, frozenset(targets))),
            )
            for holds, targets in after.items()
        )

    # -- texts compared with literals

    def _pinned(
        self,
        about: Hashable,
        one: Formula,
        literals: dict[Text, tuple[str, ...]],
        depth: int,
    ) -> Formula:
        """Write an atom about several texts out for each literal one of them is compared with."""
        if not isinstance(about, (Fits, SameText)) or not depth:
            return one
        known = next(
            (text for text in _unknown(about) if 0 < len(literals.get(text, ())) <= MAX_PINNED),
            None,
        )
        if known is None or _is_single(about):
            return one
        options, others = [], []
        for literal in literals[known]:
            here = atoms.is_text(known, literal)
            others.append(here.negation)
            try:
                decided = _substituted(about, known, literal)
            except UndecidedError:
                decided = one
            if decided is not one:
                decided = formulas.rewritten(
                    decided,
                    lambda inner, formula: self._pinned(inner, formula, literals, depth - 1),
                )
            options.append(both(here, decided))
        return formulas.some([*options, formulas.every([*others, one])])


def _is_single(about: Fits | SameText) -> bool:
    single = (Variable, OpaqueText)
    return (
        isinstance(about, SameText)
        and isinstance(about.left, single)
        and isinstance(about.right, single)
    )


def _literals(formula: Formula) -> dict[Text, tuple[str, ...]]:
    """Return, for single texts, the literals that they are compared with."""
    found: dict[Text, set[str]] = {}
    for about in formula.atoms:
        if (
            isinstance(about, In)
            and about.language.texts is not None
            and isinstance(about.text, (Variable, OpaqueText))
        ):
            found.setdefault(about.text, set()).update(about.language.texts)
    return {text: tuple(sorted(literals)) for text, literals in found.items()}


def _unknown(about: Fits | SameText) -> list[Text]:
    texts: Iterable[Part] = (
        (about.left, about.right) if isinstance(about, SameText) else (about.text, *about.parts)
    )
    return [one for text in texts if not isinstance(text, Wild) for one in atoms.variables_of(text)]


def _substituted(about: Fits | SameText, known: Text, literal: str) -> Formula:
    if isinstance(about, SameText):
        return atoms.same_text(
            _with(about.left, known, literal), _with(about.right, known, literal)
        )
    parts = [
        part if isinstance(part, Wild) else _with(part, known, literal) for part in about.parts
    ]
    return fits(_with(about.text, known, literal), parts)


def _with(text: Text, known: Text, literal: str) -> Text:
    """Return a text in which one that was not known is."""
    if text == known:
        return Literal_(literal)
    match text:
        case Applied(function=function, to=to):
            inner = _with(to, known, literal)
            return text if inner == to else atoms.applied(function, inner)
        case Joined(parts=parts):
            return atoms.joined(_with(part, known, literal) for part in parts)
        case _:
            pass
    return text


# -- words for what is not decided


def _shown(text: Part) -> str:
    """Return a text as a person would write it."""
    match text:
        case Literal_(text=known):
            return known
        case Wild(written=written):
            return written.removeprefix("tag")
        case Variable(path=(Unclaimed(name=name),)):
            return name
        case Variable(path=path):
            return "claims." + ".".join(map(str, path))
        case Applied(function=function, to=to):
            return f"{_shown(to)}.{function.name}({', '.join(map(repr, function.arguments))})"
        case Joined(parts=parts):
            return " + ".join(map(_shown, parts))
        case OpaqueText(key=key):
            return _blame(key)


def _blame(key: Hashable) -> str:
    """Return what an opaque atom is about."""
    while isinstance(key, tuple) and key and key[0] in ("defined", "true", "text", "bool"):
        key = key[1]
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return {
            "steps": "the engine's bound on steps",
            "short": "the engine's bound on the length of a string",
            "==": "equality of lists or maps",
            "numbers": "an int compared with a double, both unknown or large",
        }.get(key[0], f"`{key[0]}`")
    return str(key)[:80]
