"""
From patterns to languages.

What lives here: the language of the texts in which RE2 finds a pattern, and of those it matches as
a whole.  Not here: reading patterns (`syntax`).

The edges of the text (`^`, `$`) are followed exactly: a state knows whether something has been
read, and whether the end was promised.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from . import characters
from .automaton import Moves, Nfa, UncomparableError
from .characters import Characters
from .reduction import reduced
from .syntax import parse
from .tree import (
    Alternation,
    Anchor,
    CharacterClass,
    Repeat,
    Sequence,
    Tree,
    UnsupportedPatternError,
    WordBoundary,
)

MAX_STATES: Final = 20_000
"""How many states a pattern may have, its repetitions written out."""

MAX_WORK: Final = 400_000
"""How many states are looked at for its moves, those that read nothing between them included."""

_Mode: TypeAlias = tuple[bool, bool]
"""Whether something was read, and whether nothing may be read any more."""
_State: TypeAlias = tuple[int, _Mode]


@lru_cache(maxsize=1024)
def searched(pattern: str) -> Nfa:
    """
    Return the texts in which RE2 finds a pattern anywhere, as `matches()` does.

    Raises:
        UnsupportedPatternError: The pattern has a construct that is not followed here.
        UncomparableError: It is too large.
    """
    around: Tree = Repeat(CharacterClass(characters.ALL), 0, None)
    return _language(Sequence((around, parse(pattern), around)))


@lru_cache(maxsize=1024)
def fully_matched(pattern: str) -> Nfa:
    """
    Return the texts that a pattern matches from their beginning to their end.

    Raises:
        UnsupportedPatternError: The pattern has a construct that is not followed here.
        UncomparableError: It is too large.
    """
    return _language(parse(pattern))


@dataclass(slots=True)
class _Graph:
    """Thompson's construction: states with empty moves, edges of the text, and readings."""

    empty: list[list[int]] = field(default_factory=list)
    edges: list[list[tuple[bool, int]]] = field(default_factory=list)
    reads: list[list[tuple[Characters, int]]] = field(default_factory=list)

    def state(self) -> int:
        if len(self.empty) >= MAX_STATES:
            raise UncomparableError
        self.empty.append([])
        self.edges.append([])
        self.reads.append([])
        return len(self.empty) - 1

    def add(self, tree: Tree, begin: int) -> int:
        """Add a tree after a state; return the state after it."""
        match tree:
            case CharacterClass(found):
                end = self.state()
                self.reads[begin].append((found, end))
                return end
            case Anchor(end=is_end):
                end = self.state()
                self.edges[begin].append((is_end, end))
                return end
            case Sequence(parts):
                for part in parts:
                    begin = self.add(part, begin)
                return begin
            case Alternation(parts):
                ends = [self.add(part, begin) for part in parts]
                end = self.state()
                for one in ends:
                    self.empty[one].append(end)
                return end
            case Repeat():
                return self._repeat(tree, begin)
            case WordBoundary():
                raise UnsupportedPatternError(r"the edge of a word (`\b`)")

    def _repeat(self, tree: Repeat, begin: int) -> int:
        for _ in range(tree.least):
            begin = self.add(tree.part, begin)
        if tree.most is None:
            loop = self.state()
            self.empty[begin].append(loop)
            self.empty[self.add(tree.part, loop)].append(loop)
            return loop
        end = self.state()
        for _ in range(tree.most - tree.least):
            self.empty[begin].append(end)
            begin = self.add(tree.part, begin)
        self.empty[begin].append(end)
        return end


def _language(tree: Tree) -> Nfa:
    graph = _Graph()
    begin = graph.state()
    end = graph.add(tree, begin)
    numbers: dict[_State, int] = {}
    moves: list[Moves] = []
    waiting = [(begin, (False, False))]
    numbers[waiting[0]] = 0
    ends: set[int] = set()
    work = 0
    while waiting:
        here = waiting.pop(0)
        reads: list[tuple[Characters, int]] = []
        reached = _without_reading(graph, here)
        work += len(reached)
        if work > MAX_WORK:
            raise UncomparableError
        for state, (_, closed) in reached:
            if state == end:
                ends.add(numbers[here])
            for found, to in () if closed else graph.reads[state]:
                after = (to, (True, False))
                if after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                reads.append((found, numbers[after]))
        moves.append(tuple(reads))
    return reduced(Nfa(frozenset({0}), frozenset(ends), tuple(moves)))


def _without_reading(graph: _Graph, start: _State) -> set[_State]:
    """Return the states that a state leads to without reading a character."""
    seen = {start}
    waiting = [start]
    while waiting:
        state, (begun, closed) = waiting.pop()
        following = [(to, (begun, closed)) for to in graph.empty[state]]
        for is_end, to in graph.edges[state]:
            if is_end:
                following.append((to, (begun, True)))
            elif not begun:
                following.append((to, (begun, closed)))
        fresh = [one for one in following if one not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return seen
