"""
A solver of clauses: conflict-driven clause learning, and nothing else.

What lives here: which variables can be true together so that every clause has a true literal.
Not here: what they mean (`theory`).

Literals are numbers: `n` is the variable `n`, `-n` its opposite.  Steps are counted, not time, so
that the answer to a question does not depend on the machine.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Final

from regauth.policytests.proofs.budget import Steps

_DECAY: Final = 0.95
_LARGE: Final = 1e100
_FIRST_RESTART: Final = 100
_LONG: Final = 64
"""Literals of a clause that is searched on from where it was left, and not from its beginning."""
_SEARCHED: Final = 16
"""Literals of long clauses that are searched in a step."""


class Solver:
    """Clauses over variables from 1 on; more can be added between two calls of `solve`."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._watches: list[list[list[int]]] = [[], []]
        self._values: list[int] = [0]
        self._levels: list[int] = [0]
        self._reasons: list[list[int] | None] = [None]
        self._activity: list[float] = [0.0]
        self._open: list[tuple[float, int]] = []
        """Every variable that is open, and others, by activity; the most active one first."""
        self._waiting: list[float] = [-1.0]
        """By variable, the highest activity with which it stands in `_open`, or -1: it does not."""
        self._phase: list[int] = [-1]
        self._trail: list[int] = []
        self._limits: list[int] = []
        self._left_at: dict[int, int] = {}
        """By the identity of a long clause, which is never freed, where its search was left."""
        self._head = 0
        self._bump = 1.0
        self._contradiction = False

    def variable(self, *, likely: bool = False) -> int:
        """Return a new variable; `likely` is the value that is tried first."""
        self._watches += ([], [])
        self._values.append(0)
        self._levels.append(0)
        self._reasons.append(None)
        self._activity.append(0.0)
        self._phase.append(1 if likely else -1)
        number = len(self._values) - 1
        self._waiting.append(0.0)
        heappush(self._open, (0.0, number))
        return number

    def value(self, literal: int) -> int:
        """Return 1 where a literal is true, -1 where it is false, 0 where it is open."""
        value = self._values[abs(literal)]
        return value if literal > 0 else -value

    def _index(self, literal: int) -> int:
        return 2 * literal if literal > 0 else -2 * literal + 1

    def add(self, literals: Iterable[int]) -> None:
        """
        Add a clause: one of some literals is true.

        Where all of them are false just now, no more choices are taken back than it needs.
        """
        unique = dict.fromkeys(literals)
        self._steps.take(1 + len(unique) // 16)
        clause: list[int] = []
        values, levels = self._values, self._levels
        refuted = bool(self._limits)
        for literal in unique:
            variable = abs(literal)
            value = values[variable] if literal > 0 else -values[variable]
            if value and not levels[variable]:
                if value == 1:
                    return
                continue
            if -literal in unique:
                return
            refuted = refuted and value == -1
            clause.append(literal)
        if not clause:
            self._contradiction = True
            return
        if len(clause) == 1:
            self._backtrack(0)
            self._assign(clause[0], None)
            return
        if not refuted:
            self._backtrack(0)
            self._watch(clause)
            return
        clause.sort(key=lambda one: -levels[abs(one)])
        first, second = levels[abs(clause[0])], levels[abs(clause[1])]
        self._backtrack(second if second < first else first - 1)
        self._watch(clause)
        if second < first:
            self._assign(clause[0], clause)

    def _watch(self, clause: list[int]) -> None:
        self._watches[self._index(-clause[0])].append(clause)
        self._watches[self._index(-clause[1])].append(clause)

    def _assign(self, literal: int, reason: list[int] | None) -> None:
        variable = abs(literal)
        self._values[variable] = self._phase[variable] = 1 if literal > 0 else -1
        self._levels[variable] = len(self._limits)
        self._reasons[variable] = reason
        self._trail.append(literal)

    def _propagate(self) -> list[int] | None:
        """Follow clauses that have one literal left; return a clause that has none, or None."""
        # A question spends most of its time in these two loops: they call nothing they need not.
        values, trail, watches = self._values, self._trail, self._watches
        before = self._head
        while self._head < len(trail):
            literal = -trail[self._head]
            self._head += 1
            index = self._index(-literal)
            watching = watches[index]
            kept: list[list[int]] = []
            watches[index] = kept
            for number, clause in enumerate(watching):
                if clause[0] == literal:
                    clause[0], clause[1] = clause[1], literal
                first = clause[0]
                value = values[first] if first > 0 else -values[-first]
                if value == 1:
                    kept.append(clause)
                    continue
                for at in range(2, len(clause)) if len(clause) <= _LONG else self._onward(clause):
                    other = clause[at]
                    if (values[other] if other > 0 else -values[-other]) != -1:
                        # It is not false: the clause watches it from here on.
                        clause[1], clause[at] = other, literal
                        watches[2 * other + 1 if other > 0 else -2 * other].append(clause)
                        break
                else:
                    kept.append(clause)
                    if value == -1:
                        kept.extend(watching[number + 1 :])
                        return clause
                    self._assign(first, clause)
        self._steps.take(self._head - before)
        return None

    def _onward(self, clause: list[int]) -> Iterator[int]:
        """
        Yield the places of a long clause from where its search was left, each once.

        Of thousands of values of a claim, most are ruled out one after another: a search from the
        beginning would pass all of these each time.
        """
        start = self._left_at.get(id(clause), 2)
        for passed, at in enumerate(chain(range(start, len(clause)), range(2, start)), 1):
            self._left_at[id(clause)] = at
            if passed % _SEARCHED == 0:
                self._steps.take(1)
            yield at

    def _backtrack(self, level: int) -> None:
        if len(self._limits) <= level:
            return
        start = self._limits[level]
        for literal in self._trail[start:]:
            variable = abs(literal)
            self._values[variable] = 0
            # What stands there already is not added: most of what is taken back was never chosen.
            if self._waiting[variable] < self._activity[variable]:
                self._waiting[variable] = self._activity[variable]
                heappush(self._open, (-self._activity[variable], variable))
        del self._trail[start:]
        del self._limits[level:]
        self._head = min(self._head, start)

    def _learn(self, conflict: list[int]) -> tuple[list[int], int]:
        """Return the clause that a conflict teaches, its first literal open after going back."""
        learnt: list[int] = []
        seen: set[int] = set()
        open_, at, literal = 0, len(self._trail), 0
        clause: Sequence[int] = conflict
        level = len(self._limits)
        while True:
            for other in clause:
                variable = abs(other)
                if other == literal or variable in seen or self._levels[variable] == 0:
                    continue
                seen.add(variable)
                self._raise(variable)
                if self._levels[variable] == level:
                    open_ += 1
                else:
                    learnt.append(other)
            while True:
                at -= 1
                literal = self._trail[at]
                if abs(literal) in seen:
                    break
            open_ -= 1
            if not open_:
                break
            clause = self._reasons[abs(literal)] or ()
        learnt.sort(key=lambda one: -self._levels[abs(one)])
        back = self._levels[abs(learnt[0])] if learnt else 0
        return [-literal, *learnt], back

    def _raise(self, variable: int) -> None:
        self._activity[variable] += self._bump
        if self._activity[variable] > _LARGE:
            self._activity = [one / _LARGE for one in self._activity]
            self._bump /= _LARGE
            self._open = [(-one, number) for number, one in enumerate(self._activity) if number]
            self._waiting = list(self._activity)
            heapify(self._open)

    def _choose(self) -> int:
        """Return the open variable that most conflicts were about, as it was last; 0 without."""
        while self._open:
            activity, variable = heappop(self._open)
            if -activity == self._waiting[variable]:
                self._waiting[variable] = -1.0
            if not self._values[variable]:
                return variable * self._phase[variable]
        return 0

    def scatter(self, seed: int) -> None:
        """
        Choose anew which value of each variable is tried first, the same for one number.

        All choices are taken back: what stays chosen would be tried again.
        """
        self._backtrack(0)
        state = seed * 2_654_435_761
        for variable in range(1, len(self._phase)):
            state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
            self._phase[variable] = 1 if state >> 16 & 1 else -1

    def solve(self) -> bool:
        """
        Tell whether all clauses can hold; `value` then tells how.

        Raises:
            OutOfStepsError: The steps are spent.
        """
        conflicts, restart = 0, _FIRST_RESTART
        while not self._contradiction:
            conflict = self._propagate()
            if conflict is not None:
                self._steps.take(10)
                if not self._limits:
                    break
                conflicts += 1
                clause, back = self._learn(conflict)
                self._backtrack(back)
                self._bump /= _DECAY
                if len(clause) > 1:
                    self._watch(clause)
                self._assign(clause[0], clause)
                continue
            if conflicts >= restart:
                conflicts, restart = 0, restart * 3 // 2
                self._backtrack(0)
                continue
            literal = self._choose()
            if not literal:
                return True
            self._limits.append(len(self._trail))
            self._assign(literal, None)
        self._contradiction = True
        return False
