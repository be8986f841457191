"""
The budget: how much work an answer may take, counted and never timed.

What lives here: counting steps, for the solver and for everything that is made before it solves.
Not here: what a command does when the steps are spent (`question`).

A step is about as much work everywhere: some microseconds.  Whoever makes something of a size that
a policy decides says how many steps that takes, while it makes it (`spend`).  So a policy that
would take too much time or memory ends by the budget instead, and an exit code does not depend on
the machine.

A question makes its own formulas.  Automata and cells are kept for the questions after it: whoever
finds one pays what it took to make it and what it is made of, each once in a question.  So an
answer and its steps do not depend on what was asked before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class OutOfStepsError(Exception):
    """The steps that a question may take are spent."""


class Cost:
    """
    What it took to make something that is kept.

    `steps` is its own work; `parts` are the costs of what it is made of and what is kept, too.
    """

    __slots__ = ("parts", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.parts: set[Cost] = set()


class Steps:
    """How many steps a question may still take; shared by all that works on it."""

    def __init__(self, budget: int = 1 << 62) -> None:
        self.left = budget
        self.taken = 0
        self._paid: set[Cost] = set()
        self._making: list[Cost] = []
        """The costs of what is being made, the innermost last."""

    def take(self, count: int) -> None:
        """
        Take steps.

        Raises:
            OutOfStepsError: There are not so many left.
        """
        self.left -= count
        self.taken += count
        if self._making:
            self._making[-1].steps += count
        if self.left < 0:
            raise OutOfStepsError

    def pay(self, cost: Cost) -> None:
        """
        Take the steps of something that is kept and of its parts, of each once.

        Raises:
            OutOfStepsError: There are not so many left.
        """
        if self._making:
            self._making[-1].parts.add(cost)
        pending = [cost]
        while pending:
            one = pending.pop()
            if one not in self._paid:
                self._paid.add(one)
                self.left -= one.steps
                self.taken += one.steps
                pending.extend(one.parts)
        if self.left < 0:
            raise OutOfStepsError

    @contextmanager
    def making(self) -> Iterator[Cost]:
        """Measure what something takes that is kept; it is paid for."""
        cost = Cost()
        if self._making:
            self._making[-1].parts.add(cost)
        self._paid.add(cost)
        self._making.append(cost)
        try:
            yield cost
        finally:
            self._making.pop()


_current: ContextVar[Steps | None] = ContextVar("steps", default=None)


@contextmanager
def counted(steps: Steps) -> Iterator[None]:
    """Let `spend` and `pay` take steps of a question."""
    token = _current.set(steps)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Steps:
    """Return the steps of the question that is being answered; without end outside of any."""
    return _current.get() or Steps()


def spend(count: int) -> None:
    """
    Take steps of the question that is being answered; outside of any, do nothing.

    Raises:
        OutOfStepsError: There are not so many left.
    """
    steps = _current.get()
    if steps is not None:
        steps.take(count)


def pay(cost: Cost) -> None:
    """
    Take the steps of something that is kept and was found again, once in a question.

    Raises:
        OutOfStepsError: There are not so many left.
    """
    steps = _current.get()
    if steps is not None:
        steps.pay(cost)


@contextmanager
def measured() -> Iterator[Cost]:
    """
    Measure what it takes to make something that is kept, and pay for it.

    Raises:
        OutOfStepsError: There are not so many steps left.
    """
    steps = current()
    with counted(steps), steps.making() as cost:
        yield cost
