"""
Fewer states for the same language.

What lives here: merging the states of an automaton from which the same texts are read.  Not here:
making automata (`automaton`, `patterns`).

An automaton that is made from a pattern has a state for each sign of the pattern.  All questions
look at its states and moves, so each of them is faster with fewer.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from . import characters
from .automaton import Moves, Nfa

MAX_LOOKS: Final = 60_000
"""How many moves are looked at to tell states apart; a pattern that needs more stays as it is."""

_Moves: TypeAlias = tuple[tuple[int, characters.Characters], ...]


def reduced(language: Nfa) -> Nfa:
    """Return the same texts with no more states; two that read alike become one."""
    names = _distances(language)
    known = set(names)
    for _ in range(MAX_LOOKS // max(1, sum(map(len, language.moves)))):
        told: dict[tuple[int, _Moves], int] = {}
        following = [
            told.setdefault((names[at], _joined(moves, names)), len(told)) if names[at] >= 0 else -1
            for at, moves in enumerate(language.moves)
        ]
        if len(told) == len(known - {-1}):
            return _merged(language, told, following, names)
        names, known = following, set(following)
    return language


def _merged(
    language: Nfa,
    told: Mapping[tuple[int, _Moves], int],
    following: Sequence[int],
    names: Sequence[int],
) -> Nfa:
    """Return the automaton whose states are the classes of states, named in `following`."""
    kept = {name: moves for (_, moves), name in told.items()}
    old = {name: new for name, new in zip(names, following, strict=True) if name >= 0}
    return Nfa(
        frozenset(following[at] for at in language.starts if following[at] >= 0),
        frozenset(following[at] for at in language.ends),
        tuple(tuple((read, old[to]) for to, read in kept[name]) for name in range(len(kept))),
    )


def _joined(moves: Moves, names: list[int]) -> _Moves:
    """Return the moves of a state by the names of those that follow; none to a dead end."""
    found: dict[int, characters.Characters] = {}
    for read, to in moves:
        name = names[to]
        if name >= 0:
            found[name] = characters.union(found[name], read) if name in found else read
    return tuple(sorted(found.items()))


def _distances(language: Nfa) -> list[int]:
    """Return how many characters each state reads before an end at least; -1 where never."""
    before: list[list[int]] = [[] for _ in language.moves]
    for at, moves in enumerate(language.moves):
        for _, to in moves:
            before[to].append(at)
    found = [-1] * len(language.moves)
    waiting = list(language.ends)
    for at in waiting:
        found[at] = 0
    for at in waiting:  # it grows
        for one in before[at]:
            if found[one] < 0:
                found[one] = found[at] + 1
                waiting.append(one)
    return found
