"""
Patterns with texts in them that are not known: whether a name or a tag fits.

What lives here: fitting a text to literals, wildcards and other texts, and finding which of many
patterns a text may fit.  Not here: where a statement's patterns come from (`statements`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from regauth.policytests.proofs.budget import spend
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.language import Language

from . import atoms, formulas
from .atoms import Fits, Joined, Literal_, Part, Text, Wild
from .formulas import FALSE, Formula

_COST: Final = 8
"""Steps of fitting a text to one pattern."""

Way = tuple[Formula, tuple[Part, ...]]
"""When a pattern is made of some parts, and these."""


class Ways:
    """
    The patterns that one pattern can become: its expressions may have several values each.

    A table in a pattern makes a pattern of each of its entries.  So they are found by the literals
    that they begin with: a text that begins otherwise certainly fits none of the others.
    """

    def __init__(self, ways: Iterable[tuple[Formula, Iterable[Part]]]) -> None:
        self._ways: list[Way] = [(when, tuple(_flat(parts))) for when, parts in ways]
        self._shared = _shared([parts for _, parts in self._ways])
        """What all of them begin with, of texts that are not known."""
        self._begun: dict[str, list[int]] = {}
        """By the literal that follows, the patterns."""
        self._open: list[int] = []
        """Those in which no literal follows."""
        for number, (_, parts) in enumerate(self._ways):
            start = _start(parts[self._shared :])
            if start is None:
                self._open.append(number)
            else:
                self._begun.setdefault(start, []).append(number)
        self._starts = sorted(self._begun)

    def fit(self, text: Text) -> Formula:
        """Return when a text fits one of the patterns, and it is made so."""
        near = self._near(text)
        spend(_COST * (1 + len(near)))
        return formulas.some(
            formulas.both(when, fits(text, parts))
            for when, parts in map(self._ways.__getitem__, near)
        )

    def _near(self, text: Text) -> Sequence[int]:
        """Return the patterns that do not certainly begin otherwise than a text."""
        own = text.parts if isinstance(text, Joined) else (text,)
        size = self._shared
        start = _start(own[size:])
        if start is None or not self._ways or own[:size] != self._ways[0][1][:size]:
            return range(len(self._ways))
        return sorted((*self._open, *self._begun_like(start)))

    def _begun_like(self, start: str) -> Iterator[int]:
        """Yield the patterns of which one literal begins with the other."""
        for size in range(len(start)):
            yield from self._begun.get(start[:size], ())
        longer = self._starts[bisect_left(self._starts, start) :]
        for one in takewhile(lambda one: one.startswith(start), longer):
            yield from self._begun[one]


def _shared(patterns: Sequence[Sequence[Part]]) -> int:
    """Return with how many parts that are not known all patterns begin."""
    first = patterns[0] if patterns else ()
    known = (Wild, Literal_)
    for size, part in enumerate(first):
        if isinstance(part, known) or any(one[size : size + 1] != (part,) for one in patterns):
            return size
    return len(first)


def _start(parts: Sequence[Part]) -> str | None:
    """Return the literal that a text or a pattern begins with, or None."""
    first = parts[0] if parts else None
    return first.text if isinstance(first, Literal_) else None


def fits(text: Text, parts: Iterable[Part]) -> Formula:
    """Return whether a text fits the parts of a pattern, one after another."""
    ahead, behind = _stripped(text, _flat(parts))
    if ahead is None:
        return FALSE
    if not any(isinstance(part, Wild) for part in behind):
        known = [part for part in behind if not isinstance(part, Wild)]
        return atoms.same_text(ahead, atoms.joined(known))
    unknown = [number for number, part in enumerate(behind) if not _is_known(part)]
    if not unknown:
        return atoms.is_in(ahead, shape(behind))
    if isinstance(ahead, Literal_) and len(unknown) == 1:
        return _between(ahead.text, behind, unknown[0])
    return formulas.atom(Fits(ahead, tuple(behind)))


def shape(parts: Sequence[Part]) -> Language:
    """Return the language of a pattern in which every text is known."""
    return languages.pattern(
        tuple(
            ("wildcard", part.written) if isinstance(part, Wild) else ("literal", part.text)
            for part in parts
            if isinstance(part, (Wild, Literal_))
        )
    )


def _is_text(part: Part) -> bool:
    return not isinstance(part, Wild)


def _is_known(part: Part) -> bool:
    return isinstance(part, (Wild, Literal_))


def _flat(parts: Iterable[Part]) -> list[Part]:
    """Return the parts with joined texts apart, and literals side by side as one."""
    found: list[Part] = []
    for part in parts:
        for one in part.parts if isinstance(part, Joined) else (part,):
            last = found[-1] if found else None
            if isinstance(one, Literal_) and isinstance(last, Literal_):
                found[-1] = Literal_(last.text + one.text)
            elif one != atoms.EMPTY_TEXT:
                found.append(one)
    return found


def _stripped(text: Text, parts: list[Part]) -> tuple[Text | None, list[Part]]:
    """Take off both what both certainly begin and end with; None where they certainly differ."""
    own: list[Part] = list(text.parts) if isinstance(text, Joined) else [text]
    if not _strip(own, parts, 0):
        return None, parts
    if not _strip(own, parts, -1):
        return None, parts
    return atoms.joined(part for part in own if not isinstance(part, Wild)), parts


def _strip(own: list[Part], parts: list[Part], end: int) -> bool:
    """Take off at one end; tell whether the two may still be equal there."""
    while own and parts:
        first, second = own[end], parts[end]
        if isinstance(first, Literal_) and isinstance(second, Literal_):
            size = min(len(first.text), len(second.text))
            if end == 0:
                same = first.text[:size] == second.text[:size]
                rest = first.text[size:], second.text[size:]
            else:
                same = (
                    first.text[len(first.text) - size :] == second.text[len(second.text) - size :]
                )
                rest = first.text[: len(first.text) - size], second.text[: len(second.text) - size]
            if not same:
                return False
            for listed, text in zip((own, parts), rest, strict=True):
                if text:
                    listed[end] = Literal_(text)
                else:
                    del listed[end]
            if not size:
                return True
        elif first == second and not isinstance(first, Wild):
            del own[end], parts[end]
        else:
            return True
    return True


def _between(text: str, parts: list[Part], at: int) -> Formula:
    """Return whether the one text that is not known is what a known text has in its place."""
    before, after = shape(parts[:at]).automaton, shape(parts[at + 1 :]).automaton
    starts = [size for size in range(len(text) + 1) if before.accepts(text[:size])]
    ends = [size for size in range(len(text) + 1) if after.accepts(text[size:])]
    wanted = {text[start:end] for start in starts for end in ends if start <= end}
    unknown = parts[at]
    assert not isinstance(unknown, Wild)  # noqa: S101 - for the type checker
    return atoms.is_text(unknown, *wanted)
