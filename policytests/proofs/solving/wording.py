"""
Wording: a text for each choice of a cell, so that compounds are what their parts make.

What lives here: the value of a compound for known parts, and choosing samples that go together.
Not here: which cells go together (`theory`), tokens (`proofs.tokens`).

Nothing here decides a proof: where no texts are found, another model is sought or the question
stays undecided.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from regauth.policytests.proofs.budget import spend
from regauth.policytests.proofs.logic.atoms import (
    Applied,
    Fits,
    Joined,
    Literal_,
    OpaqueText,
    Text,
    Variable,
    Wild,
)

from .equalities import samples_of
from .theory import Choice, Holder, Theory

MAX_TRIED: Final = 64
"""Texts that are tried for one model."""

_WILDCARDS: Final = {"*": "[^/]*", "**/": "(?:.*/)?", "**": ".+", "tag*": ".*"}


def written(text: Text, known: Mapping[Holder, str]) -> str | None:
    """Return a text for known parts; None where a part is not known, or where it has no value."""
    match text:
        case Literal_(text=literal):
            return literal
        case Variable() | OpaqueText():
            return known.get(text)
        case Applied(function=function, to=to):
            inner = written(to, known)
            return None if inner is None else function.apply(inner)
        case Joined(parts=parts):
            found = [written(part, known) for part in parts]
            return None if None in found else "".join(one for one in found if one is not None)


def is_fitting(fits: Fits, known: Mapping[Holder, str]) -> bool | None:
    """Tell whether a text fits a pattern, for known parts; None where one is not known."""
    text = written(fits.text, known)
    pattern = []
    for part in fits.parts:
        if isinstance(part, Wild):
            pattern.append(_WILDCARDS[part.written])
            continue
        value = written(part, known)
        if value is None:
            return None
        pattern.append(re.escape(value))
    return None if text is None else re.fullmatch("".join(pattern), text, re.DOTALL) is not None


@dataclass(slots=True)
class Wording:
    """The choice of texts for one model; `holds` says which comparisons hold in it."""

    theory: Theory
    chosen: Mapping[Holder, Choice]
    same: Sequence[tuple[Holder, Holder, bool]]
    """Two holders of texts, and whether their texts are equal."""
    fitting: Sequence[tuple[Fits, bool]]
    variant: int
    _left: int = MAX_TRIED
    _above: dict[Holder, Holder] = field(default_factory=dict)
    _found: dict[Holder, str] = field(default_factory=dict)
    _inside: dict[tuple[Holder, str], bool] = field(default_factory=dict)
    """Which values are in the cells that were chosen for them, as far as that was asked."""

    def find(self) -> dict[Holder, str] | None:
        """Return a text for each holder that has one, or None where none are found that fit."""
        for left, right, equal in self.same:
            if equal:
                self._above[self._root(left)] = self._root(right)
        roots: dict[Holder, list[Holder]] = {}
        for holder, choice in self.chosen.items():
            if choice.cell is not None:
                roots.setdefault(self._root(holder), []).append(holder)
        if not self._assign(list(roots.items())):
            return None
        return {
            holder: self._found[self._root(holder)]
            for holders in roots.values()
            for holder in holders
        }

    def _root(self, holder: Holder) -> Holder:
        while (above := self._above.get(holder, holder)) != holder:
            holder = above
        return holder

    def _known(self) -> dict[Holder, str]:
        """Return what is known of each holder so far."""
        return {
            holder: self._found[root]
            for holder in self.chosen
            if (root := self._root(holder)) in self._found
        }

    def _assign(self, waiting: list[tuple[Holder, list[Holder]]]) -> bool:
        if not waiting:
            return self._is_good(last=True)
        known = self._known()
        at, values = self._next(waiting, known)
        root, _ = waiting[at]
        rest = [*waiting[:at], *waiting[at + 1 :]]
        for value in values:
            self._left -= 1
            if self._left < 0:
                return False
            spend(1 + len(self.chosen) // 4)
            self._found[root] = value
            if self._is_good(last=False) and self._assign(rest):
                return True
            del self._found[root]
        return False

    def _next(
        self, waiting: list[tuple[Holder, list[Holder]]], known: Mapping[Holder, str]
    ) -> tuple[int, list[str]]:
        """Return whose text is chosen next, and which it may be: first what is made of others."""
        free = None
        for number, (_, holders) in enumerate(waiting):
            terms = [term for one, term in self.theory.terms.items() if one in holders]
            made = [value for term in terms if (value := written(term, known)) is not None]
            if made:
                return number, made[:1]
            if free is None and not terms:
                free = number
        free = 0 if free is None else free
        return free, samples_of(self.chosen[waiting[free][1][0]], self.variant)

    def _is_good(self, *, last: bool) -> bool:
        """Tell whether what is known so far can stay."""
        known = self._known()
        for left, right, equal in self.same:
            if not equal and left in known and right in known and known[left] == known[right]:
                return False
        for name, term in self.theory.terms.items():
            if name not in known:
                continue
            value = written(term, known)
            if value is not None and (value != known[name] or not self._is_inside(name, value)):
                return False
        if not last:
            return True
        return all(is_fitting(fits, known) in (None, holds) for fits, holds in self.fitting)

    def _is_inside(self, name: Holder, value: str) -> bool:
        """Tell whether a value is in the cell that was chosen for it."""
        cell = self.chosen[name].cell
        if cell is None or value in cell.samples:
            return True
        found = self._inside.get((name, value))
        if found is None:
            asked = self.theory.asked(name)
            found = self._inside[name, value] = all(
                language.holds(value) == (language in cell.languages) for language in asked
            )
        return found
