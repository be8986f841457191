"""
Deterministic automata over intervals of characters.

What lives here: building one from a regular expression, minimising, following a text.  Not here:
what a language means (`language`).

An automaton is partial: a character without a transition leads nowhere, and no text that goes
there is accepted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from regauth.engine.languages.classes import WORD
from regauth.policytests.proofs.budget import spend

from .expressions import Chain, Edge, Either, Expression, Nothing, OneOf, Star, Times, WordEdge

MAX_STATES: Final = 4_000
"""States of an automaton; an expression that needs more is not decided."""

_SMALL: Final = 100
"""States up to which minimising pays."""

MAX_PREFIXES: Final = 200
"""Beginnings of texts that are looked at to list a language."""

DEAD: Final = -1
"""The state of a text that cannot be continued to an accepted one."""

Transition = tuple[int, int, int]
"""First and last code point, both included, and the state they lead to."""


class UndecidedError(ValueError):
    """A language is outside of what can be decided, or needs an automaton that is too large."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """Transitions by state, in ascending order; the first state is where a text begins."""

    transitions: tuple[tuple[Transition, ...], ...]
    finals: frozenset[int]

    def step(self, state: int, code: int) -> int:
        """Return the state after one more character, or `DEAD`."""
        if state >= 0:
            for low, high, target in self.transitions[state]:
                if low <= code <= high:
                    return target
        return DEAD

    def run(self, state: int, text: str) -> int:
        """Return the state after a text, or `DEAD`."""
        for character in text:
            state = self.step(state, ord(character))
            if state < 0:
                return DEAD
        return state

    def accepts(self, text: str) -> bool:
        """Tell whether a text is in the language."""
        return self.run(0, text) in self.finals

    def listed(self, most: int) -> list[str] | None:
        """Return all texts of the language, or None where there are more than `most`."""
        useful = _useful(self)
        found: list[str] = []
        pending = [(0, "")] if 0 in useful else []
        for state, text in pending:
            if state in self.finals:
                found.append(text)
            for low, high, target in self.transitions[state]:
                if target not in useful:
                    continue
                if high - low >= most:
                    return None
                pending += [(target, text + chr(code)) for code in range(low, high + 1)]
            # Where the language has no end, this has none either.
            if len(found) > most or len(pending) > MAX_PREFIXES:
                return None
        return found


@dataclass(slots=True)
class _Fragments:
    """A nondeterministic automaton, as it is built."""

    reads: list[list[tuple[OneOf, int]]] = field(default_factory=list)
    moves: list[list[tuple[str, int]]] = field(default_factory=list)
    """
    Moves without a character: `""` anywhere, `^` and `$` where the text begins and ends, `b` where
    a word begins or ends.
    """
    words: bool = False
    """Whether it asks where words begin and end."""

    def place(self) -> int:
        self.reads.append([])
        self.moves.append([])
        return len(self.reads) - 1

    def add(self, expression: Expression, begin: int, end: int) -> None:
        """Make `expression` lead from one place to another."""
        spend(1)
        match expression:
            case OneOf():
                self.reads[begin].append((expression, end))
            case Edge() | WordEdge():
                self.moves[begin].append((_kind(expression), end))
                self.words |= isinstance(expression, WordEdge)
            case Chain(parts=parts):
                at = begin
                for part in parts:
                    after = self.place()
                    self.add(part, at, after)
                    at = after
                self.moves[at].append(("", end))
            case Either(options=options):
                for option in options:
                    inside = self.place()
                    self.moves[begin].append(("", inside))
                    self.add(option, inside, end)
            case Star() | Times():
                self._repeat(expression, begin, end)
            case Nothing():
                pass
        if len(self.reads) > 10 * MAX_STATES:
            raise UndecidedError("the expression is too large")

    def _repeat(self, repeated: Star | Times, begin: int, end: int) -> None:
        """Make repetitions lead from one place to another."""
        of, at = repeated.of, begin
        least, most = (0, None) if isinstance(repeated, Star) else (repeated.least, repeated.most)
        for number in range(least if most is None else most):
            if number >= least:
                self.moves[at].append(("", end))
            after = self.place()
            self.add(of, at, after)
            at = after
        if most is not None:
            self.moves[at].append(("", end))
            return
        loop, inside, after = self.place(), self.place(), self.place()
        self.moves[at].append(("", loop))
        self.moves[loop] += [("", end), ("", inside)]
        self.add(of, inside, after)
        self.moves[after].append(("", loop))

    def reach(self, places: Iterable[int], kinds: tuple[str, ...]) -> frozenset[int]:
        """Return the places that moves of some kinds lead to."""
        found = set(places)
        pending = list(found)
        while pending:
            for kind, target in self.moves[pending.pop()]:
                if kind in kinds and target not in found:
                    found.add(target)
                    pending.append(target)
        return frozenset(found)


def _kind(edge: Edge | WordEdge) -> str:
    """Return the kind of the move that an edge allows."""
    if isinstance(edge, WordEdge):
        return "b"
    return "^" if edge.start else "$"


def build(expression: Expression) -> Automaton:
    """
    Return the smallest automaton of an expression.

    Raises:
        UndecidedError: It has more than `MAX_STATES` states.
    """
    parts = _Fragments()
    begin, end = parts.place(), parts.place()
    parts.add(expression, begin, end)
    # The first state is one of its own: only there `^` holds, wherever the same places come again.
    order: list[_Places] = [(parts.reach([begin], ("", "^")), False)]
    known: dict[_Places, int] = {}
    rows: list[tuple[Transition, ...]] = []
    finals: set[int] = set()
    for state, (places, after_word) in enumerate(order):
        start = ("^",) if state == 0 else ()
        edge = "b" if after_word else ""
        if end in parts.reach(places, ("", "$", edge, *start)):
            finals.add(state)
        rows.append(_row(parts, (places, after_word), start, order, known))
    return minimised(Automaton(tuple(rows), frozenset(finals)))


def trie(texts: Sequence[str]) -> tuple[Automaton, dict[int, str]]:
    """Return the automaton of some texts, and the text that each final state ends."""
    rows: list[dict[int, int]] = [{}]
    ends: dict[int, str] = {}
    for text in texts:
        spend(1 + len(text) // 8)
        state = 0
        for character in text:
            code = ord(character)
            if code not in rows[state]:
                rows[state][code] = len(rows)
                rows.append({})
            state = rows[state][code]
        ends[state] = text
    transitions = tuple(
        tuple((code, code, target) for code, target in sorted(row.items())) for row in rows
    )
    return Automaton(transitions, frozenset(ends)), ends


def listing(texts: Sequence[str]) -> Automaton:
    """
    Return the automaton of some texts.

    Raises:
        UndecidedError: It has more than `MAX_STATES` states.
    """
    made, _ = trie(texts)
    if len(made.transitions) > MAX_STATES:
        raise UndecidedError("a list needs too many states")
    return minimised(made)


_Places: TypeAlias = tuple[frozenset[int], bool]
"""The places a text may have led to, and whether a character of a word was the last; if asked."""


def _row(
    parts: _Fragments,
    state: _Places,
    start: tuple[str, ...],
    order: list[_Places],
    known: dict[_Places, int],
) -> tuple[Transition, ...]:
    """Return the transitions of a state; states that are new are added to `order`."""
    places, after_word = state
    before = {
        is_word: parts.reach(places, ("", "" if is_word == after_word else "b", *start))
        for is_word in ((False, True) if parts.words else (False,))
    }
    reads = {
        word: [read for place in found for read in parts.reads[place]]
        for word, found in before.items()
    }
    read = [stretch for found in reads.values() for one, _ in found for stretch in one.characters]
    if parts.words and read:
        read += WORD
    cuts = {cut for low, high in read for cut in (low, high + 1)}
    row: list[Transition] = []
    spend(1 + len(cuts) * (1 + sum(map(len, reads.values())) // 8))
    for low, after in pairwise(sorted(cuts)):
        is_word = parts.words and any(first <= low <= last for first, last in WORD)
        targets = frozenset(
            target
            for one, target in reads[is_word]
            if any(first <= low <= last for first, last in one.characters)
        )
        if not targets:
            continue
        reached = (parts.reach(targets, ("",)), is_word)
        if reached not in known:
            if len(order) > MAX_STATES:
                raise UndecidedError("the expression needs too many states")
            known[reached] = len(order)
            order.append(reached)
        _append(row, (low, after - 1, known[reached]))
    return tuple(row)


def _append(row: list[Transition], new: Transition) -> None:
    """Add a transition, joined with the one before where they touch and lead to one state."""
    low, high, target = new
    if row and row[-1][2] == target and row[-1][1] + 1 == low:
        row[-1] = (row[-1][0], high, target)
    else:
        row.append(new)


def minimised(automaton: Automaton) -> Automaton:
    """Return an automaton of the same language, without states that no text needs."""
    useful = _useful(automaton)
    rows = [
        tuple(one for one in row if one[2] in useful) if state in useful else ()
        for state, row in enumerate(automaton.transitions)
    ]
    if len(rows) > _SMALL:
        return Automaton(tuple(rows), automaton.finals)
    blocks = [int(state in automaton.finals) for state in range(len(rows))]
    count = len(set(blocks))
    while True:
        spend(len(rows))
        signatures: dict[tuple[object, ...], int] = {}
        after = []
        for state, row in enumerate(rows):
            merged: list[Transition] = []
            for low, high, target in row:
                _append(merged, (low, high, blocks[target]))
            key = (blocks[state], tuple(merged))
            after.append(signatures.setdefault(key, len(signatures)))
        blocks = after
        if len(signatures) == count:
            break
        count = len(signatures)
    return _joined(rows, blocks, automaton.finals)


def _useful(automaton: Automaton) -> set[int]:
    """Return the states from which a final one is reached."""
    before: dict[int, set[int]] = {}
    for state, row in enumerate(automaton.transitions):
        for _, _, target in row:
            before.setdefault(target, set()).add(state)
    useful, pending = set(automaton.finals), list(automaton.finals)
    while pending:
        for state in before.get(pending.pop(), ()):
            if state not in useful:
                useful.add(state)
                pending.append(state)
    return useful


def _joined(
    rows: list[tuple[Transition, ...]], blocks: list[int], finals: frozenset[int]
) -> Automaton:
    """Return the automaton of blocks of states, those that the first one reaches."""
    of_block: dict[int, int] = {}
    for state, block in enumerate(blocks):
        of_block.setdefault(block, state)
    order, known = [blocks[0]], {blocks[0]: 0}
    made: list[tuple[Transition, ...]] = []
    for block in order:
        row: list[Transition] = []
        for low, high, target in rows[of_block[block]]:
            if blocks[target] not in known:
                known[blocks[target]] = len(order)
                order.append(blocks[target])
            _append(row, (low, high, known[blocks[target]]))
        made.append(tuple(row))
    return Automaton(
        tuple(made), frozenset(known[blocks[state]] for state in finals if blocks[state] in known)
    )
