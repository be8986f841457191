"""
A solver of clauses: conflict-driven clause learning, and nothing else.

What lives here: which variables can be true together so that every clause has a true literal.
Not here: what they mean (`theory`).

Literals are numbers: `n` is the variable `n`, `-n` its opposite.  Steps are counted, not time, so
that the answer to a question does not depend on the machine.
"""

from collections.abc import Iterable, Sequence
from typing import Final

_DECAY: Final = 0.95
_LARGE: Final = 1e100
_FIRST_RESTART: Final = 100


class OutOfStepsError(Exception):
    """The steps that a question may take are spent."""


class Steps:
    """How many steps a question may still take; shared by its solvers."""

    def __init__(self, budget: int) -> None:
        self.left = budget
        self.taken = 0

    def take(self, count: int) -> None:
        """
        Take steps.

        Raises:
            OutOfStepsError: There are not so many left.
        """
        self.left -= count
        self.taken += count
        if self.left < 0:
            raise OutOfStepsError


class Solver:
    """Clauses over variables from 1 on; more can be added between two calls of `solve`."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._watches: list[list[list[int]]] = [[], []]
        self._values: list[int] = [0]
        self._levels: list[int] = [0]
        self._reasons: list[list[int] | None] = [None]
        self._activity: list[float] = [0.0]
        self._phase: list[int] = [-1]
        self._trail: list[int] = []
        self._limits: list[int] = []
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
        return len(self._values) - 1

    def value(self, literal: int) -> int:
        """Return 1 where a literal is true, -1 where it is false, 0 where it is open."""
        value = self._values[abs(literal)]
        return value if literal > 0 else -value

    def _index(self, literal: int) -> int:
        return 2 * literal if literal > 0 else -2 * literal + 1

    def add(self, literals: Iterable[int]) -> None:
        """Add a clause: one of some literals is true."""
        self._backtrack(0)
        clause: list[int] = []
        for literal in dict.fromkeys(literals):
            if self.value(literal) == 1 or -literal in clause:
                return
            if self.value(literal) == 0:
                clause.append(literal)
        if not clause:
            self._contradiction = True
        elif len(clause) == 1:
            self._assign(clause[0], None)
        else:
            self._watch(clause)

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
        values = self._values
        before = self._head
        while self._head < len(self._trail):
            literal = self._trail[self._head]
            self._head += 1
            index = self._index(literal)
            watching = self._watches[index]
            kept: list[list[int]] = []
            self._watches[index] = kept
            for number, clause in enumerate(watching):
                if clause[0] == -literal:
                    clause[0], clause[1] = clause[1], clause[0]
                first = clause[0]
                value = values[first] if first > 0 else -values[-first]
                if value == 1:
                    kept.append(clause)
                    continue
                if self._move(clause):
                    continue
                kept.append(clause)
                if value == -1:
                    kept.extend(watching[number + 1 :])
                    return clause
                self._assign(first, clause)
        self._steps.take(self._head - before)
        return None

    def _move(self, clause: list[int]) -> bool:
        """Watch another literal of a clause that is not false; tell whether there is one."""
        values = self._values
        for at in range(2, len(clause)):
            other = clause[at]
            if (values[other] if other > 0 else -values[-other]) != -1:
                clause[1], clause[at] = other, clause[1]
                self._watches[self._index(-other)].append(clause)
                return True
        return False

    def _backtrack(self, level: int) -> None:
        if len(self._limits) <= level:
            return
        start = self._limits[level]
        for literal in self._trail[start:]:
            self._values[abs(literal)] = 0
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

    def _choose(self) -> int:
        """Return the open variable that most conflicts were about, as it was last; 0 without."""
        best, most = 0, -1.0
        activity = self._activity
        for variable in range(1, len(self._values)):
            if not self._values[variable] and activity[variable] > most:
                best, most = variable, activity[variable]
        return best * self._phase[best] if best else 0

    def scatter(self, seed: int) -> None:
        """Choose anew which value of each variable is tried first, the same for one number."""
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
        self._backtrack(0)
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
