"""
Cells: the parts into which some languages cut all texts.

What lives here: finding every part that has a text, with samples.  Not here: which texts a token
holds (`solving.theory`).

Two texts of one cell answer every question alike, so a cell stands for all its texts.  The cells
are the sets of final states that the product of the automata can reach; texts come out shortest
first.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from regauth.engine.languages import characters
from regauth.policytests.proofs.budget import Cost, measured, pay, spend

from .automata import DEAD, Automaton, Transition, UndecidedError
from .language import Language

MAX_VISITED: Final = 60_000
"""States of the product that are visited, counted as often as they are."""

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
        self._trie, self._ends = _trie(sorted(self._listing))
        self._machines = [*machines, self._trie]
        self._stretches = _stretches(self._machines, wanted)
        self._tables = [_table(machine, self._stretches) for machine in self._machines]
        self._after: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        self._states: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._found: dict[frozenset[Language], list[str]] = {}
        self._single: dict[tuple[int, ...], list[tuple[tuple[int, ...], str]]] = {}

    def _next(self, state: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the state after a character of each stretch."""
        after = self._after.get(state)
        if after is None:
            rows = [table[one] for table, one in zip(self._tables, state, strict=True)]
            # Many characters lead to one state: it is kept once.
            known = self._states
            after = [known.setdefault(one, one) for one in zip(*rows, strict=True)]
            self._after[state] = after
        return after

    def _steps(self, state: tuple[int, ...]) -> list[tuple[tuple[int, ...], str]]:
        """Return each state after one character, once, with a character that leads to it."""
        found = self._single.get(state)
        if found is None:
            after: dict[tuple[int, ...], str] = {}
            for (_, picks), target in zip(self._stretches, self._next(state), strict=True):
                after.setdefault(target, picks[0])
            found = self._single[state] = list(after.items())
        return found

    def _languages(self, state: tuple[int, ...]) -> frozenset[Language]:
        """Return the languages of the texts that lead to a state."""
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
        return frozenset(found)

    def visit(self) -> None:
        """Collect texts, shortest first, until each state was reached often enough."""
        start = (0,) * len(self._machines)
        pending = deque([(start, "")])
        # What waits beyond this would find its state reached often enough.
        queued: dict[tuple[int, ...], int] = {start: 1}
        visits: dict[tuple[int, ...], int] = {}
        of_state: dict[tuple[int, ...], frozenset[Language]] = {}
        total = 0
        while pending:
            state, text = pending.popleft()
            count = visits.get(state, 0)
            visits[state] = count + 1
            total += 1
            spend(1 + len(self._stretches) // 2)
            # A state has a row for each stretch, with an entry for each machine.
            entries = len(visits) * len(self._stretches) * len(self._machines)
            if total > MAX_VISITED or entries > MAX_ENTRIES:
                raise UndecidedError(f"{len(self._machines)} languages of one text")
            if count == 0:
                of_state[state] = self._languages(state)
            samples = self._found.setdefault(of_state[state], [])
            if len(samples) < self._wanted:
                samples.append(text)
            for (_, picks), after in zip(self._stretches, self._next(state), strict=True):
                waiting = queued.get(after, 0)
                if waiting < self._wanted:
                    more = picks[: self._wanted - waiting]
                    queued[after] = waiting + len(more)
                    pending.extend([(after, text + pick) for pick in more])
            if len(pending) > MAX_WAITING:
                raise UndecidedError(f"{len(self._machines)} languages of one text")

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
            visited += len(layer)
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


def _trie(texts: Sequence[str]) -> tuple[Automaton, dict[int, str]]:
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
