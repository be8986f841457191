"""
Languages as automata without empty moves, and what two of them have in common.

What lives here: the automaton, the simple languages (texts, beginnings, endings, parts), what
two languages share or make together, and the two questions.  Not here: patterns (`patterns`).

Both questions walk the product of two automata, breadth first, so that the text found is a
shortest one.  The walk is bounded: beyond `MAX_STEPS` the question is undecided, and the caller
must say nothing.  A caller with many questions bounds them together with `allowed`.
"""

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from . import characters
from .characters import Characters

MAX_STEPS: Final = 50_000
"""How many moves of the texts one question follows, at most."""

MAX_WORK: Final = 2_000_000
"""How many moves one question looks at for these, at most: a state can have very many."""

MAX_BEGINNINGS: Final = 32
"""How many different beginnings of a language are told apart."""

Moves: TypeAlias = tuple[tuple[Characters, int], ...]
States: TypeAlias = frozenset[int]
_At = TypeVar("_At", bound=Hashable)


_PAIR: Final = 4
"""How much more work it is to read a pair of moves than to look at a move."""


class UncomparableError(Exception):
    """Two languages are too large to be compared."""


class Work:
    """Work that questions may take together, counted in moves that are looked at."""

    def __init__(self, most: int, within: "Work | None" = None) -> None:
        self._left = most
        self._within = within

    @property
    def is_used_up(self) -> bool:
        """Whether a question was left undecided because others took the work."""
        return self._left < 0 or (self._within is not None and self._within.is_used_up)

    def take(self, moves: int, weight: int = 1) -> None:
        """
        Count moves that are looked at; for the work that this is within, each has a weight.

        Raises:
            UncomparableError: They are more than are left.
        """
        self._left -= moves
        if self._within is not None:
            self._within.take(moves * weight)
        if self._left < 0:
            raise UncomparableError


_ALLOWED: Final[ContextVar[Work | None]] = ContextVar("_ALLOWED", default=None)
"""The work that all questions of the running thread or task take from; None: no such bound."""


@contextmanager
def allowed(work: Work) -> Iterator[None]:
    """Let all questions inside take from the same work; beyond it each is undecided."""
    before = _ALLOWED.set(work)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


@dataclass(frozen=True, slots=True)
class Nfa:
    """
    A set of texts, as a nondeterministic automaton.

    `moves` has for each state the characters it reads and the state that follows.
    """

    starts: States
    ends: States
    moves: tuple[Moves, ...]

    def __contains__(self, text: object) -> bool:
        states: Collection[int] = self.starts
        for character in str(text):
            point = ord(character)
            reached = set()
            for state in states:
                for found, to in self.moves[state]:
                    for low, high in found:
                        if low <= point <= high:
                            reached.add(to)
            if not reached:
                return False
            states = reached
        return not self.ends.isdisjoint(states)

    def beginnings(self) -> list[str]:
        """Return how the texts begin, each as far as one character follows another for certain."""
        found: list[str] = []
        waiting = [("", self.starts)]
        while waiting and len(found) + len(waiting) <= MAX_BEGINNINGS:
            text, states = waiting.pop()
            moves = [move for state in states for move in self.moves[state]]
            if not moves or any(read[0][0] != read[-1][1] for read, _ in moves):
                found.append(text)
                continue
            for sign in sorted({read[0][0] for read, _ in moves}, reverse=True):
                after = frozenset(to for read, to in moves if read[0][0] == sign)
                waiting.append((text + chr(sign), after))
        return [] if waiting else found

    def before_lowering(self) -> "Nfa":
        """Return the texts of which `lowerAscii()` is in this language."""
        return self._read(lambda found: _before(found, "AZ", "az"))

    def before_raising(self) -> "Nfa":
        """Return the texts of which `upperAscii()` is in this language."""
        return self._read(lambda found: _before(found, "az", "AZ"))

    def _read(self, change: Callable[[Characters], Characters]) -> "Nfa":
        moves = (
            tuple((before, to) for found, to in state if (before := change(found)))
            for state in self.moves
        )
        return Nfa(self.starts, self.ends, tuple(moves))


def _before(found: Characters, given: str, made: str) -> Characters:
    """Return the characters that become those found when the range `given` becomes `made`."""
    offset = ord(given[0]) - ord(made[0])
    kept = characters.meet(found, characters.others(characters.between(given)))
    changed = characters.meet(found, characters.between(made))
    return characters.union(kept, characters.shifted(changed, offset))


ANYTHING: Final = Nfa(frozenset({0}), frozenset({0}), (((characters.ALL, 0),),))
"""Every text."""


def literals(texts: Iterable[str]) -> Nfa:
    """Return the language of just these texts."""
    return _chains(texts, before=False, after=False)


def prefixed(text: str) -> Nfa:
    """Return the texts that begin with a text."""
    return _chains([text], before=False, after=True)


def suffixed(text: str) -> Nfa:
    """Return the texts that end with a text."""
    return _chains([text], before=True, after=False)


def containing(text: str) -> Nfa:
    """Return the texts that a text is a part of."""
    return _chains([text], before=True, after=True)


def _chains(texts: Iterable[str], *, before: bool, after: bool) -> Nfa:
    moves: list[Moves] = []
    starts: set[int] = set()
    ends: set[int] = set()
    for text in texts:
        begin = len(moves)
        starts.add(begin)
        moves.extend(((characters.of(sign), at + 1),) for at, sign in enumerate(text, start=begin))
        end = len(moves)
        ends.add(end)
        moves.append(((characters.ALL, end),) if after else ())
        if before:
            # An empty text has one state, which reads everything already when `after` is set.
            moves[begin] = (*moves[begin], (characters.ALL, begin))
    return Nfa(frozenset(starts), frozenset(ends), tuple(moves))


def either(languages: Iterable[Nfa]) -> Nfa:
    """Return the texts that are in one of some languages."""
    moves: list[Moves] = []
    starts: set[int] = set()
    ends: set[int] = set()
    for one in languages:
        first = len(moves)
        starts.update(first + at for at in one.starts)
        ends.update(first + at for at in one.ends)
        moves.extend(tuple((read, first + to) for read, to in state) for state in one.moves)
    return Nfa(frozenset(starts), frozenset(ends), tuple(moves))


def both(left: Nfa, right: Nfa) -> Nfa:
    """
    Return the texts that are in two languages.

    Raises:
        UncomparableError: The languages are too large.
    """
    if left is ANYTHING or right is ANYTHING:
        return right if left is ANYTHING else left
    waiting = [(one, other) for one in sorted(left.starts) for other in sorted(right.starts)]
    numbers = {pair: number for number, pair in enumerate(waiting)}
    starts = frozenset(numbers.values())
    moves: list[Moves] = []
    work = Work(MAX_STEPS, _ALLOWED.get())
    for first, second in waiting:  # it grows
        work.take(len(left.moves[first]) * len(right.moves[second]), _PAIR)
        found: list[tuple[Characters, int]] = []
        for read, to in left.moves[first]:
            for other, beside in right.moves[second]:
                if common := characters.meet(read, other):
                    if (to, beside) not in numbers:
                        numbers[to, beside] = len(waiting)
                        waiting.append((to, beside))
                    found.append((common, numbers[to, beside]))
        moves.append(tuple(found))
    ends = [at for (one, other), at in numbers.items() if one in left.ends and other in right.ends]
    return Nfa(starts, frozenset(ends), tuple(moves))


def find_common(left: Nfa, right: Nfa) -> str | None:
    """
    Return a shortest text that is in both languages, or None where there is none.

    Raises:
        UncomparableError: The languages are too large.
    """
    work = Work(MAX_WORK, _ALLOWED.get())

    def moves(at: tuple[int, int]) -> Iterator[tuple[Characters, tuple[int, int]]]:
        work.take(len(left.moves[at[0]]) * len(right.moves[at[1]]), _PAIR)
        for first, to in left.moves[at[0]]:
            for second, beside in right.moves[at[1]]:
                if both := characters.meet(first, second):
                    yield both, (to, beside)

    return _shortest(
        [(one, other) for one in sorted(left.starts) for other in sorted(right.starts)],
        moves,
        lambda at: at[0] in left.ends and at[1] in right.ends,
    )


def find_outside(language: Nfa, other: Nfa) -> str | None:
    """
    Return a shortest text of a language that is not in the other, or None where there is none.

    Raises:
        UncomparableError: The languages are too large.
    """
    work = Work(MAX_WORK, _ALLOWED.get())

    def moves(at: tuple[int, States]) -> Iterator[tuple[Characters, tuple[int, States]]]:
        for found, to in language.moves[at[0]]:
            for part, states in _followers(found, other, at[1], work):
                yield part, (to, states)

    return _shortest(
        [(start, other.starts) for start in sorted(language.starts)],
        moves,
        lambda at: at[0] in language.ends and not at[1] & other.ends,
    )


def _followers(
    found: Characters, language: Nfa, states: States, work: Work
) -> Iterator[tuple[Characters, States]]:
    """Split characters by the states they lead to from a set of states."""
    targets: dict[Characters, set[int]] = {}
    for state in states:
        work.take(len(language.moves[state]))
        for read, to in language.moves[state]:
            targets.setdefault(read, set()).add(to)
    parts: list[tuple[Characters, States]] = [(found, frozenset())]
    for read, reached in targets.items():
        work.take(len(parts) * (len(read) + len(reached)))
        apart = characters.others(read)
        split: list[tuple[Characters, States]] = []
        for part, known in parts:
            if inner := characters.meet(part, read):
                split.append((inner, known | reached))
            if outer := characters.meet(part, apart):
                split.append((outer, known))
        parts = split
    yield from parts


def _shortest(
    starts: Iterable[_At],
    moves: Callable[[_At], Iterator[tuple[Characters, _At]]],
    is_end: Callable[[_At], bool],
) -> str | None:
    waiting = deque(starts)
    reached: dict[_At, tuple[_At, str] | None] = dict.fromkeys(waiting)
    steps = Work(MAX_STEPS, _ALLOWED.get())
    while waiting:
        at = waiting.popleft()
        if is_end(at):
            return _text(reached, at)
        for found, to in moves(at):
            steps.take(1)
            if to not in reached:
                reached[to] = (at, characters.sample(found))
                waiting.append(to)
    return None


def _text(reached: dict[_At, tuple[_At, str] | None], end: _At) -> str:
    signs: list[str] = []
    step = reached[end]
    while step is not None:
        before, sign = step
        signs.append(sign)
        step = reached[before]
    return "".join(reversed(signs))
