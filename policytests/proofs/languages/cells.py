"""
Cells: the parts into which some languages cut all texts.

What lives here: finding every part that has a text, with samples.  Not here: which texts a token
holds (`solving.theory`).

Two texts of one cell answer every question alike, so a cell stands for all its texts.  The cells
are the sets of final states that the product of the automata can reach; texts come out shortest
first.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from regauth.engine.languages import characters
from regauth.policytests.proofs.budget import Cost, measured, pay, spend

from .automata import DEAD, Automaton, Transition, UndecidedError, trie
from .language import Language

MAX_VISITED: Final = 60_000
"""States of the product that are visited, counted as often as they are, without listed texts."""

MAX_ENTRIES: Final = 10_000_000
"""Entries of the product's tables, which take eight bytes each."""

MAX_WAITING: Final = 300_000
"""States and texts that wait to be visited."""

MAX_TABLE: Final = 1_000_000
"""States of an automaton, times the stretches of characters that automata tell apart."""

MAX_REMEMBERED: Final = 2_000
"""Divisions that are kept to be found again."""

_PREFERRED: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class Cell(Struct, frozen=True, cache_hash=True):
    """
    One part: which of the languages it is in, whether its texts are too long, and some texts.

    `complete` says that it has no other texts than `samples`.
    """

    languages: frozenset[Language]
    samples: tuple[str, ...]
    complete: bool
    long: bool = False


def cut(
    languages: Iterable[Language],
    wanted: int,
    bound: int | None = None,
    examples: Sequence[str] = (),
) -> list[Cell]:
    """
    Return the cells of some languages.

    Args:
        languages: The languages.
        wanted: How many samples each cell should have; one with fewer has no more texts.
        bound: A number of characters; texts of more are cells of their own.
        examples: Texts that are preferred as samples.

    Raises:
        UndecidedError: A language is not decided, or there are too many states.
    """
    found, cost = _cut(tuple(languages), wanted, bound, tuple(examples))
    pay(cost)
    if isinstance(found, UndecidedError):
        raise found
    return list(found)


# The claims of one issuer are asked the same again and again, in one policy and its changes.
@lru_cache(maxsize=MAX_REMEMBERED)
def _cut(
    listed: tuple[Language, ...], wanted: int, bound: int | None, examples: tuple[str, ...]
) -> tuple[tuple[Cell, ...] | UndecidedError, Cost]:
    """Return the cells, or why they are not known, and what it took."""
    with measured() as cost:
        try:
            return tuple(_divided(listed, wanted, bound, examples)), cost
        except UndecidedError as error:
            # What is too large costs the most: it is not sought again.
            return error.with_traceback(None), cost


def _divided(
    listed: tuple[Language, ...], wanted: int, bound: int | None, examples: tuple[str, ...]
) -> list[Cell]:
    product = _Product(listed, wanted)
    product.visit()
    cells = product.cells(bound)
    for example in reversed(examples):
        where = frozenset(language for language in listed if language.holds(example))
        long = bound is not None and len(example) > bound
        for number, cell in enumerate(cells):
            if cell.languages == where and cell.long == long:
                others = tuple(sample for sample in cell.samples if sample != example)
                cells[number] = replace(cell, samples=(example, *others))
    return cells


class _Product:
    """
    The automata side by side, reading one text.

    Languages that list their texts are read together, by one automaton for all of the texts.
    """

    def __init__(self, languages: Sequence[Language], wanted: int) -> None:
        self._wanted = wanted
        self._listing: dict[str, list[Language]] = {}
        for one in languages:
            for text in one.texts or ():
                self._listing.setdefault(text, []).append(one)
        self._others = [one for one in languages if one.texts is None]
        machines = [one.automaton for one in self._others]
        self._trie, self._ends = trie(sorted(self._listing))
        self._machines = [*machines, self._trie]
        self._stretches = _stretches(self._machines, wanted)
        self._tables = [_table(machine, self._stretches) for machine in machines]
        self._picks = [picks for _, picks in self._stretches]
        self._number = {low: number for number, (low, _) in enumerate(self._stretches)}
        self._dead = [DEAD] * len(self._stretches)
        self._after: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        self._states: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._of_state: dict[tuple[int, ...], frozenset[Language]] = {}
        self._found: dict[frozenset[Language], list[str]] = {}
        self._leaving: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
        """By the state of the others, where a text leads that stops to be like a listed one."""
        self._single: dict[tuple[int, ...], list[tuple[tuple[int, ...], str]]] = {}

    def _next(self, state: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the state after a character of each stretch."""
        after = self._after.get(state)
        if after is None:
            rows = [table[one] for table, one in zip(self._tables, state[:-1], strict=True)]
            found = zip(*rows, self._listed_after(state[-1]), strict=True)
            if state[-1] != DEAD:
                return list(found)  # one text leads here, so it is not asked for often
            # Many characters lead to one state: it is kept once.
            known = self._states
            after = self._after[state] = [known.setdefault(one, one) for one in found]
        return after

    def _listed_after(self, state: int) -> list[int]:
        """Return the state of the listed texts after each stretch."""
        if state == DEAD:
            return self._dead
        row = list(self._dead)
        for code, _, target in self._trie.transitions[state]:
            # Each of their characters is a stretch of its own; no text holds a surrogate.
            if code in self._number:
                row[self._number[code]] = target
        return row

    def _steps(self, state: tuple[int, ...]) -> list[tuple[tuple[int, ...], str]]:
        """Return each state after one character, once, with a character that leads to it."""
        found = self._single.get(state)
        if found is None:
            after: dict[tuple[int, ...], str] = {}
            for (_, picks), target in zip(self._stretches, self._next(state), strict=True):
                after.setdefault(target, picks[0])
            found = list(after.items())
            if state[-1] == DEAD:
                self._single[state] = found
        return found

    def _languages(self, state: tuple[int, ...]) -> frozenset[Language]:
        """Return the languages of the texts that lead to a state."""
        known = self._of_state.get(state)
        if known is not None:
            return known
        found = [
            language
            for language, machine, one in zip(
                self._others, self._machines[:-1], state[:-1], strict=True
            )
            if one in machine.finals
        ]
        text = self._ends.get(state[-1])
        if text is not None:
            found += self._listing[text]
        languages = frozenset(found)
        if state[-1] == DEAD:
            self._of_state[state] = languages
        return languages

    def visit(self) -> None:
        """Collect texts, shortest first, until each state was reached often enough."""
        start = (0,) * len(self._machines)
        pending = deque([(start, "")])
        # What waits beyond this would find its state reached often enough.
        queued: dict[tuple[int, ...], int] = {start: 1}
        visited: set[tuple[int, ...]] = set()
        total = 0
        while pending:
            state, text = pending.popleft()
            if state[-1] == DEAD:
                # Any other state is that of one beginning of a listed text.
                visited.add(state)
                total += 1
            # A state has a row for each stretch, with an entry for each machine.
            entries = len(visited) * len(self._stretches) * len(self._machines)
            if total > MAX_VISITED or entries > MAX_ENTRIES:
                raise UndecidedError(f"{len(self._machines)} patterns and comparisons of one text")
            samples = self._found.setdefault(self._languages(state), [])
            if len(samples) < self._wanted:
                samples.append(text)
            onward = self._onward(state, queued)
            spend(1 + len(onward) // 2)
            for picks, after in onward:
                waiting = queued.get(after, 0)
                if waiting < self._wanted:
                    more = picks[: self._wanted - waiting]
                    if after[-1] == DEAD:
                        queued[after] = waiting + len(more)
                    pending.extend([(after, text + pick) for pick in more])
            if len(pending) > MAX_WAITING:
                raise UndecidedError(f"{len(self._machines)} patterns and comparisons of one text")

    def _onward(
        self, state: tuple[int, ...], queued: Mapping[tuple[int, ...], int]
    ) -> list[tuple[list[str], tuple[int, ...]]]:
        """Return characters and the state after each, without states that wait often enough."""
        picks = self._picks
        if state[-1] == DEAD:
            return list(zip(picks, self._next(state), strict=True))
        others = state[:-1]
        leaving = self._leaving.get(others)
        if leaving is None:
            leaving = list(enumerate(self._next((*others, DEAD))))
        leaving = [one for one in leaving if queued.get(one[1], 0) < self._wanted]
        self._leaving[others] = leaving
        after = dict(leaving)
        for code, _, target in self._trie.transitions[state[-1]]:
            number = self._number.get(code)
            if number is not None:
                rest = (table[one][number] for table, one in zip(self._tables, others, strict=True))
                after[number] = (*rest, target)
        return [(picks[number], after[number]) for number in sorted(after)]

    def cells(self, bound: int | None) -> list[Cell]:
        """Return the cells, those of texts longer than a bound by themselves."""
        if bound is None:
            return [
                Cell(languages, tuple(samples), len(samples) < self._wanted)
                for languages, samples in self._found.items()
            ]
        found = []
        for languages, samples in self._found.items():
            short = tuple(sample for sample in samples if len(sample) <= bound)
            if short:
                found.append(Cell(languages, short, len(short) < self._wanted))
        for languages, sample in self._long(bound).items():
            found.append(Cell(languages, (sample,), complete=False, long=True))
        return found

    def _long(self, bound: int) -> dict[frozenset[Language], str]:
        """
        Return a text of more characters than `bound` for each cell that has one.

        A layer is the states that texts of one length lead to, each with the state before it.
        From the first layer that repeats the one before, all layers are the same.
        """
        layers: list[_Layer] = [{(0,) * len(self._machines): None}]
        visited, repeats = 0, False
        while not repeats and len(layers) <= bound + 1:
            layer: _Layer = {}
            for state in layers[-1]:
                for after, character in self._steps(state):
                    layer.setdefault(after, (state, character))
            visited += sum(state[-1] == DEAD for state in layer)
            spend(1 + len(layers[-1]) * len(self._stretches) // 8)
            if visited > MAX_VISITED:
                raise UndecidedError("long texts")
            repeats = layer.keys() == layers[-1].keys()
            layers.append(layer)
        texts = {state: _text(layers, state, bound + 1) for state in layers[-1]}
        pending = deque(texts)
        found: dict[frozenset[Language], str] = {}
        while pending:
            state = pending.popleft()
            found.setdefault(self._languages(state), texts[state])
            for after, character in self._steps(state):
                if after not in texts:
                    texts[after] = texts[state] + character
                    pending.append(after)
        return found


_Layer: TypeAlias = dict[tuple[int, ...], tuple[tuple[int, ...], str] | None]
"""States, each with the state before it and the character between the two."""


def _text(layers: Sequence[_Layer], state: tuple[int, ...], size: int) -> str:
    """Return a text of a length that leads to a state of the last layer, which repeats."""
    found: list[str] = []
    while len(found) < size:
        step = layers[min(size - len(found), len(layers) - 1)][state]
        assert step is not None  # noqa: S101 - only the first layer has no state before
        state, character = step
        found.append(character)
    return "".join(reversed(found))


Stretch = tuple[int, list[str]]
"""The first character of a stretch in which no automaton tells characters apart, and some of it."""


def _stretches(machines: Sequence[Automaton], wanted: int) -> list[Stretch]:
    cuts = {0, characters.FIRST_SURROGATE, characters.AFTER_SURROGATES, characters.LAST + 1}
    for machine in machines:
        for row in machine.transitions:
            for low, high, _ in row:
                cuts.add(low)
                cuts.add(high + 1)
    ordered = sorted(cuts)
    found = [
        (low, _some(low, after - 1, wanted))
        for low, after in pairwise(ordered)
        if low != characters.FIRST_SURROGATE
    ]
    return sorted(found, key=lambda stretch: (stretch[1][0] not in _PREFERRED, stretch[0]))


@lru_cache(maxsize=MAX_REMEMBERED)
def _some(low: int, high: int, wanted: int) -> list[str]:
    """Return so many characters of a stretch, or all; readable ones first."""
    readable = [one for one in _PREFERRED if low <= ord(one) <= high][:wanted]
    at = low
    while len(readable) < wanted and at <= high:
        if chr(at) not in readable:
            readable.append(chr(at))
        at += 1
    return readable


def _table(machine: Automaton, stretches: Sequence[Stretch]) -> list[list[int]]:
    """Return the state after each stretch, by state; the last row is that of the dead state."""
    if len(machine.transitions) * len(stretches) > MAX_TABLE:
        raise UndecidedError("languages that tell many characters apart")
    spend(len(machine.transitions) * (1 + len(stretches) // 16))
    table = []
    for row in machine.transitions:
        ordered = [DEAD] * len(stretches)
        for number, (code, _) in enumerate(stretches):
            ordered[number] = _target(row, code)
        table.append(ordered)
    table.append([DEAD] * len(stretches))
    return table


def _target(row: tuple[Transition, ...], code: int) -> int:
    for low, high, target in row:
        if low <= code <= high:
            return target
    return DEAD
