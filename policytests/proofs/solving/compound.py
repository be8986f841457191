"""
Compound texts: texts made of others that are compared as wholes.

What lives here: naming compounds, and what a question about the whole says of the parts.  Not here:
questions that need no name (`expansion`), choosing texts (`wording`).

`claims.a.lowerAscii() == claims.d` asks about two claims at once, which no cell of one claim can
answer.  So the compound gets a name, like a claim of its own, and the comparison is one of two
texts.  For each language that is asked of it, or of what it is compared with, a link says what that
means for the parts: `whole in L` holds exactly where the parts lead into `L`.  A link that would be
too large is left out.  Then more models are possible, never fewer.
"""

from collections.abc import Hashable, Iterable, Iterator
from itertools import product
from math import prod
from typing import Final, cast

from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.language import Language
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.atoms import (
    Applied,
    Fits,
    In,
    Joined,
    Literal_,
    Opaque,
    OpaqueText,
    SameText,
    Text,
    TooLong,
    Unclaimed,
    Variable,
    Wild,
)
from regauth.policytests.proofs.logic.formulas import Formula

from .expansion import Expansion
from .theory import Holder
from .wording import written

MAX_ROUNDS: Final = 3
"""How often what follows for the parts of one compound is followed into others."""

MAX_LINKS: Final = 64
"""Links of one formula."""

MAX_IMAGES: Final = 16
"""Values of a compound that are asked about because its parts are compared with literals."""

_REST: Final = Unclaimed("$rest")


_WHOLE: Final = "whole"


def compound_of(name: Variable | OpaqueText) -> Text | None:
    """Return the compound that a text is the name of, or None."""
    key = name.key if isinstance(name, OpaqueText) else None
    if isinstance(key, tuple) and len(key) == 2 and key[0] == _WHOLE:  # noqa: PLR2004 - a pair
        return cast("Text", key[1])
    return None


class Compounds:
    """
    Names the compounds of one formula.

    `terms` says what each is made of, `fits` what each opaque fit to a pattern means.
    """

    def __init__(self, expansion: Expansion) -> None:
        self.terms: dict[OpaqueText, Text] = {}
        self.fits: dict[Opaque, Fits] = {}
        self._expansion = expansion
        self._facts: list[Formula] = []
        self._groups: dict[Holder, Holder] = {}
        self._asked: dict[Holder, dict[Language, None]] = {}

    def resolve(self, formula: Formula) -> Formula:
        """Return a formula in which compounds are compared by their names, with all links."""
        named = formulas.rewritten(formula, self._atom)
        if not self.terms:
            return named
        whole = formulas.every([named, *self._facts])
        self._note(whole)
        self._note_images()
        return formulas.every([whole, *self._links()])

    def within(self, formula: Formula) -> "Compounds":
        """Return the compounds that a part of the resolved formula is about."""
        found = Compounds(self._expansion)
        for about in formula.atoms:
            texts: tuple[Text, ...] = ()
            if isinstance(about, SameText):
                texts = (about.left, about.right)
            elif isinstance(about, (In, TooLong)):
                texts = (about.text,)
            found.terms |= {one: self.terms[one] for one in texts if one in self.terms}
            if about in self.fits:
                found.fits[about] = self.fits[about]
        return found

    # -- names

    def _atom(self, about: Hashable, one: Formula) -> Formula:
        match about:
            case Opaque(key=SameText(left=left, right=right)):
                return self._same(left, right)
            case Opaque(key=("too long", (Applied() | Joined()) as text, int(bound))):
                return self._too_long(text, bound)
            case Opaque(key=Fits() as fits):
                self._fitting(about, one, fits)
            case _:
                pass
        return one

    def _same(self, left: Text, right: Text) -> Formula:
        return atoms.same_text(self._named(left), self._named(right))

    def _named(self, text: Text) -> Text:
        if isinstance(text, (Variable, OpaqueText, Literal_)):
            return text
        name = OpaqueText((_WHOLE, text))
        self.terms[name] = text
        return name

    def _too_long(self, text: Applied | Joined, bound: int) -> Formula:
        """Return whether a compound is too long: it is where a part of it is."""
        name = self._named(text)
        assert isinstance(name, OpaqueText)  # noqa: S101 - it is a compound
        whole = formulas.atom(TooLong(name, bound))
        for part in text.parts if isinstance(text, Joined) else ():
            single = _of_the_same_length(part)
            if single is not None:
                long = formulas.atom(TooLong(single, bound))
                self._facts.append(formulas.some((long.negation, whole)))
        return whole

    def _fitting(self, about: Opaque, one: Formula, fits: Fits) -> None:
        """Say what follows where a text fits a pattern: it is one text that the pattern makes."""
        if about in self.fits:
            return
        self.fits[about] = fits
        parts: list[Text] = []
        shapes = []
        for number, part in enumerate(fits.parts):
            if isinstance(part, Wild):
                rest = Variable((_REST, Unclaimed(f"{len(self.fits)}.{number}")))
                shapes.append(atoms.is_in(rest, languages.wildcard(part.written)))
                parts.append(rest)
            else:
                parts.append(part)
        made = self._same(fits.text, atoms.joined(parts))
        self._facts.append(formulas.some((one.negation, formulas.every([made, *shapes]))))
        self._with_nothing(one, fits)

    def _with_nothing(self, one: Formula, fits: Fits) -> None:
        """Say that a text fits where it is the pattern's parts with nothing for each wildcard."""
        wilds = {part.written for part in fits.parts if isinstance(part, Wild)}
        if all(languages.wildcard(written).holds("") for written in wilds):
            made = atoms.joined(part for part in fits.parts if not isinstance(part, Wild))
            self._facts.append(formulas.some((self._same(fits.text, made).negation, one)))

    # -- links

    def _note(self, formula: Formula) -> None:
        """Note which languages are asked of texts, and which texts are compared."""
        for about in formula.atoms:
            match about:
                case In(text=Variable() | OpaqueText() as text, language=language):
                    self._asked.setdefault(text, {})[language] = None
                case SameText(left=Variable() | OpaqueText() as left, right=right):
                    assert isinstance(right, (Variable, OpaqueText))  # noqa: S101 - by `expansion`
                    self._groups[self._group(left)] = self._group(right)
                case _:
                    pass

    def _group(self, holder: Holder) -> Holder:
        while (above := self._groups.get(holder, holder)) != holder:
            holder = above
        return holder

    def _note_images(self) -> None:
        """
        Ask of each compound what is known of it.

        That is what its parts make of the literals that they are compared with, and the literals
        that it begins and ends with.
        """
        for name, text in self.terms.items():
            for language in _ends(text):
                self._asked.setdefault(name, {})[language] = None
            parts = list(dict.fromkeys(atoms.variables_of(text)))
            known = [self._literals(part) for part in parts]
            if not prod(map(len, known)) or prod(map(len, known)) > MAX_IMAGES:
                continue
            for chosen in product(*known):
                value = written(text, dict(zip(parts, chosen, strict=True)))
                if value is not None:
                    language = languages.one_of((value,))
                    self._asked.setdefault(name, {})[language] = None

    def _literals(self, holder: Holder) -> list[str]:
        asked = self._asked.get(holder, {})
        return sorted({text for one in asked for text in one.texts or ()})

    def _links(self) -> list[Formula]:
        links: dict[tuple[OpaqueText, Language], Formula] = {}
        for _ in range(MAX_ROUNDS):
            wanted = [one for one in self._wanted() if one not in links]
            if not wanted:
                break
            for name, language in wanted:
                if len(links) >= MAX_LINKS:
                    return list(links.values())
                link = links[name, language] = self._link(name, language)
                self._note(link)
        return list(links.values())

    def _wanted(self) -> Iterable[tuple[OpaqueText, Language]]:
        """Return each compound with each language that is asked of it or of what it is like."""
        asked: dict[Holder, dict[Language, None]] = {}
        for holder, known in self._asked.items():
            asked.setdefault(self._group(holder), {}).update(known)
        return [
            (name, language) for name in self.terms for language in asked.get(self._group(name), ())
        ]

    def _link(self, name: OpaqueText, language: Language) -> Formula:
        """
        Return that a compound is in a language exactly where its parts lead into it.

        It has a value only where all of its parts are texts, and its functions have values.
        """
        text = self.terms[name]
        try:
            inside = self._expansion.inside(text, language)
            there = self._expansion.inside(text, languages.EVERY_TEXT)
        except UndecidedError:
            return formulas.TRUE
        return formulas.some(
            (there.negation, formulas.same(formulas.atom(In(name, language)), inside))
        )


def _ends(text: Text) -> Iterator[Language]:
    """Yield what a text begins and ends with for certain."""
    parts = text.parts if isinstance(text, Joined) else ()
    if parts and isinstance(parts[0], Literal_):
        yield languages.starts_with(parts[0].text)
    if parts and isinstance(parts[-1], Literal_):
        yield languages.ends_with(parts[-1].text)


def is_rest(holder: Holder) -> bool:
    """Tell whether a text is what a wildcard of a pattern stands for, or is made of one."""
    if isinstance(holder, Variable):
        return holder.path[:1] == (_REST,)
    key = holder.key
    if not (isinstance(key, tuple) and key and key[0] == "whole"):
        return False
    return any(is_rest(one) for one in atoms.variables_of(key[1]))


def _of_the_same_length(text: Text) -> Variable | OpaqueText | None:
    """Return a single text that is as long as another for certain, or None."""
    while isinstance(text, Applied) and text.function.name in ("lowerAscii", "upperAscii"):
        text = text.to
    return text if isinstance(text, (Variable, OpaqueText)) else None
