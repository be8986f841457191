"""
Images: which texts a string function takes into a language.

What lives here: CEL's string functions with literal arguments, applied to one text and, backwards,
to an automaton.  Not here: functions of several texts (`evaluation.calls`, `solving.compound`).

Each function is a machine that reads its argument once, from left to right, and writes its value:
so the texts that it takes into a regular language are a regular language, found by running the
language's automaton on what is written.
"""

from collections.abc import Callable, Hashable
from itertools import pairwise
from typing import Final, Generic, TypeVar

from msgspec import Struct

from regauth.engine.cel.library.strings import SPACE, trim
from regauth.engine.languages import characters
from regauth.engine.languages.characters import Characters
from regauth.policytests.proofs.budget import spend

from .automata import DEAD, MAX_STATES, Automaton, Transition, UndecidedError

State = TypeVar("State", bound=Hashable)
Pair = tuple[int, int]
Triple = tuple[int, int, int]

_UPPER: Final = characters.between("AZ")
_LOWER: Final = characters.between("az")
_TO_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_TO_UPPER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


class TextFunction(Struct, frozen=True, cache_hash=True):
    """
    A string function with literal arguments.

    `lowerAscii`, `upperAscii`, `replace` (old, new), `piece` (separator, position: one of what
    `split` gives), `part` (start, end: `substring`; end -1 for the rest), `pieces` (separator: a
    text with one character for each piece that `split` gives), `trim`.
    """

    name: str
    arguments: tuple[str | int, ...] = ()

    def apply(self, text: str) -> str | None:
        """Return the value for a text, or None where the engine has an error."""
        match self.name, self.arguments:
            case "lowerAscii", ():
                return text.translate(_TO_LOWER)
            case "upperAscii", ():
                return text.translate(_TO_UPPER)
            case "replace", (str(old), str(new)):
                return text.replace(old, new)
            case "piece", (str(separator), int(position)):
                found = text.split(separator)
                return found[position] if position < len(found) else None
            case "part", (int(start), int(end)):
                stop = len(text) if end < 0 else end
                return text[start:stop] if start <= stop <= len(text) else None
            case "pieces", (str(separator),):
                return "x" * len(text.split(separator))
            case "trim", ():
                return trim(text)
            case _:
                pass
        raise UndecidedError(f"the function {self.name}")


def preimage(base: Automaton, function: TextFunction) -> Automaton:
    """
    Return the automaton of the texts whose value is accepted; a text without a value is not.

    Raises:
        UndecidedError: The function is not decided, or the automaton would be too large.
    """
    match function.name, function.arguments:
        case "lowerAscii", ():
            return _by_character(base, lambda among: _unfolded(among, _UPPER, _LOWER, -32))
        case "upperAscii", ():
            return _by_character(base, lambda among: _unfolded(among, _LOWER, _UPPER, 32))
        case "replace", (str(old), str(new)) if old:
            return _explore(base, _Replacing(base, old, new))
        case "piece", (str(separator), int(position)) if separator:
            return _explore(base, _Splitting(base, separator, position))
        case "pieces", (str(separator),) if separator:
            return _explore(base, _Counting(base, separator))
        case "trim", ():
            return _explore(base, _Trimming(base))
        case "part", (int(start), int(end)):
            return _explore(base, _Cutting(base, start, end))
        case _:
            pass
    raise UndecidedError(f"the function {function.name}")


def _by_character(base: Automaton, before: Callable[[Characters], Characters]) -> Automaton:
    """Return the automaton that reads, for each character, what becomes it."""
    rows = []
    for row in base.transitions:
        moved = [
            (first, last, target)
            for low, high, target in row
            for first, last in before(((low, high),))
        ]
        rows.append(tuple(sorted(moved)))
    return Automaton(tuple(rows), base.finals)


def _unfolded(
    among: Characters, gone: Characters, letters: Characters, distance: int
) -> Characters:
    """Return what a change of case makes into some characters; letters that are `gone` are not."""
    kept = characters.meet(among, characters.others(gone))
    changed = characters.meet(among, letters)
    return characters.union(kept, characters.shifted(changed, distance))


class _Machine(Generic[State]):
    """
    A function, reading one character after another; a state is the reader's and the automaton's.

    `special` are the characters that it tells apart by themselves.
    """

    special: Characters = ()
    start: State

    def step(self, state: State, code: int) -> State | None:
        """Return the state after a character, or None when nothing can be accepted any more."""
        raise NotImplementedError

    def ends(self, state: State) -> bool:
        """Tell whether the value is accepted when the text ends here."""
        raise NotImplementedError


class _Searching(_Machine[State]):
    """
    Finds the places of a text, leftmost first and none overlapping, as `str.replace` does.

    What was read and may still become one is the text's first `held` characters.
    """

    def __init__(self, base: Automaton, text: str) -> None:
        self._base = base
        self._text = text
        self.special = characters.of(text)

    def _read(self, held: int, code: int) -> tuple[str, int, bool]:
        """Return what is certain to be no part of a place now, what is held, and if one ended."""
        seen = self._text[:held] + chr(code)
        if seen == self._text:
            return "", 0, True
        size = min(len(self._text) - 1, len(seen))
        while size and not seen.endswith(self._text[:size]):
            size -= 1
        return seen[: len(seen) - size], size, False


class _Replacing(_Searching[Pair]):
    def __init__(self, base: Automaton, old: str, new: str) -> None:
        super().__init__(base, old)
        self._new = new
        self.start = (0, 0)

    def step(self, state: Pair, code: int) -> Pair | None:
        at, held = state
        written, held, found = self._read(held, code)
        after = self._base.run(at, self._new if found else written)
        return None if after < 0 else (after, held)

    def ends(self, state: Pair) -> bool:
        at, held = state
        return self._base.run(at, self._text[:held]) in self._base.finals


class _Splitting(_Searching[Triple]):
    def __init__(self, base: Automaton, separator: str, position: int) -> None:
        super().__init__(base, separator)
        self._position = position
        self.start = (0, 0, 0)

    def step(self, state: Triple, code: int) -> Triple | None:
        at, held, piece = state
        if piece > self._position:
            return (at, 0, piece)
        written, held, found = self._read(held, code)
        if piece == self._position:
            at = self._base.run(at, written)
            if at < 0 or (found and at not in self._base.finals):
                return None
        if found:
            piece += 1
        return (0 if piece > self._position else at, held, piece)

    def ends(self, state: Triple) -> bool:
        at, held, piece = state
        if piece == self._position:
            return self._base.run(at, self._text[:held]) in self._base.finals
        return bool(piece > self._position)


class _Counting(_Searching[Pair]):
    """Writes a character for each piece: one at the start, one for each separator."""

    def __init__(self, base: Automaton, separator: str) -> None:
        super().__init__(base, separator)
        self.start = (base.run(0, "x"), 0)

    def step(self, state: Pair, code: int) -> Pair | None:
        at, held = state
        _, held, found = self._read(held, code)
        after = self._base.run(at, "x") if found else at
        return None if after < 0 else (after, held)

    def ends(self, state: Pair) -> bool:
        at, _ = state
        return at in self._base.finals


class _Cutting(_Machine[Pair]):
    def __init__(self, base: Automaton, start: int, end: int) -> None:
        self._base = base
        self._first = start
        self._end = end
        self.start = (0, 0)

    def step(self, state: Pair, code: int) -> Pair | None:
        at, read = state
        most = self._first if self._end < 0 else self._end
        if read >= self._first and (self._end < 0 or read < self._end):
            at = self._base.step(at, code)
            if at == DEAD:
                return None
        return (at, min(read + 1, most))

    def ends(self, state: Pair) -> bool:
        at, read = state
        if 0 <= self._end < self._first:
            return False
        return read >= max(self._first, self._end) and at in self._base.finals


class _Trimming(_Machine[Triple]):
    """Keeps where the automaton was before the white space that may turn out to be the last."""

    special = characters.of(SPACE)

    def __init__(self, base: Automaton) -> None:
        self._base = base
        self.start = (0, 0, 0)

    def step(self, state: Triple, code: int) -> Triple | None:
        before, at, begun = state
        if chr(code) in SPACE:
            return (before, self._base.step(at, code), 1) if begun else state
        at = self._base.step(at, code)
        return None if at == DEAD else (at, at, 1)

    def ends(self, state: Triple) -> bool:
        return state[0] in self._base.finals


def _explore(base: Automaton, machine: _Machine[State]) -> Automaton:
    """Return the automaton of a machine's states."""
    cuts = {0, characters.FIRST_SURROGATE, characters.AFTER_SURROGATES, characters.LAST + 1}
    for row in (*base.transitions, tuple((low, high, 0) for low, high in machine.special)):
        cuts |= {cut for low, high, _ in row for cut in (low, high + 1)}
    # Characters next to each other in `special` are told apart too.
    cuts |= {code for low, high in machine.special for code in range(low, high + 2)}
    ordered = sorted(cuts)
    stretches = [
        (low, after - 1) for low, after in pairwise(ordered) if low != characters.FIRST_SURROGATE
    ]
    order: list[State] = [machine.start]
    known: dict[State, int] = {machine.start: 0}
    rows: list[tuple[Transition, ...]] = []
    for state in order:
        reads: list[Transition] = []
        spend(len(stretches))
        for low, high in stretches:
            after = machine.step(state, low)
            if after is None:
                continue
            if after not in known:
                if len(order) > MAX_STATES:
                    raise UndecidedError("a function of a text needs too many states")
                known[after] = len(order)
                order.append(after)
            reads.append((low, high, known[after]))
        rows.append(tuple(reads))
    finals = frozenset(number for number, state in enumerate(order) if machine.ends(state))
    return Automaton(tuple(rows), finals)
