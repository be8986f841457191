"""
How much one evaluation, and all evaluations of one request, may still do.

What lives here: the count of steps that bounds macros and what walks a list or a string inside
them.  Not here: the bounds themselves (`syntax.limits`), and who takes how many steps
(`comprehensions`, `lowering`).

A program with macros counts its own steps, and at its end subtracts them from the request's.  A
program without macros subtracts from the request's count at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode
from regauth.engine.cel.syntax.nodes import Binary, Node

Frame: TypeAlias = Mapping[str, Any]

STEPS: Final = "@steps"
"""The frame's key of the steps left: a list of one int, shared by an evaluation's frames."""


def budget() -> dict[str, list[int]]:
    """Give what a frame needs before the first macro runs."""
    return {STEPS: [limits.STEPS]}


def request_budget(steps: int = limits.REQUEST_STEPS) -> list[int]:
    """
    Make the count for all evaluations of one request.

    The caller (`regauth.engine.decisions`) adds it to the variables as `STEPS`.  When it is below
    zero after an evaluation, the caller must refuse the whole request: the evaluation's value or
    error then means nothing.
    """
    return [steps]


def run_bounded(run: Callable[[Frame], Value], variables: Frame) -> Value:
    """Run a program with macros by its own count, then subtract that from the request's."""
    left = [limits.STEPS]
    try:
        return run({**variables, STEPS: left})
    finally:
        whole = variables.get(STEPS)
        if whole is not None:
            whole[0] -= limits.STEPS - left[0]


def charge(frame: Frame, steps: int, node: Node) -> None:
    """
    Take steps.

    Raises:
        CelError: there are not so many left.

    """
    left = frame[STEPS]
    left[0] -= steps
    if left[0] < 0:
        raise CelError(
            CelErrorCode.LIMIT,
            f"the evaluation takes more than {limits.STEPS} steps",
            node.start,
            node.end,
        )


def charge_comparison(frame: Frame, right: Value, node: Binary) -> None:
    """
    Take a step for each element that `==`, `!=` or `in` may look at inside a macro.

    To find a key of a map, none is looked at.

    Raises:
        CelError: there are not so many left.

    """
    if node.operator == "in" and type(right) is dict:
        return
    if STEPS in frame and type(right) in _HOLDERS:
        charge(frame, 0, node)  # a macro goes on after an error: what is over is not counted again
        charge(frame, _elements(right), node)


def charge_text(
    frame: Frame, node: Node, *values: Value, per_step: int = limits.CHARACTERS_PER_STEP
) -> None:
    """
    Take steps for what a function reads or writes: strings by length, lists by element.

    Short strings are free, because a step is more than they cost.

    Raises:
        CelError: there are not so many left.

    """
    steps = 0
    for value in values:
        if type(value) is str:
            steps += len(value) // per_step
        elif type(value) is list:
            steps += len(value)
    if steps and STEPS in frame:
        charge(frame, 0, node)  # a macro goes on after an error: what is over is not counted again
        charge(frame, steps, node)


_HOLDERS: Final = (list, dict)


def _elements(value: Value) -> int:
    """Count the elements of a list or a map, at every depth."""
    held = value if type(value) is list else value.values()
    return len(value) + sum(_elements(one) for one in held if type(one) in _HOLDERS)
