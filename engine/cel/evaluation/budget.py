"""
How much one evaluation may still do.

What lives here: the count of steps that bounds macros and what walks a list inside them.  What must
not: the bounds themselves (`limits`), and who takes how many steps.
"""

from collections.abc import Mapping
from typing import Any, Final

from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import CelError, ErrorCode
from regauth.engine.cel.syntax.nodes import Node

STEPS: Final = "@steps"
"""The frame's key of the steps left: a list of one int, shared by an evaluation's frames."""


def budget() -> dict[str, list[int]]:
    """Give what a frame needs before the first macro runs."""
    return {STEPS: [limits.STEPS]}


def charge(frame: Mapping[str, Any], steps: int, node: Node) -> None:
    """
    Take steps.

    Raises:
        CelError: there are not so many left.

    """
    left = frame[STEPS]
    left[0] -= steps
    if left[0] < 0:
        raise CelError(
            ErrorCode.LIMIT,
            f"the evaluation takes more than {limits.STEPS} steps",
            node.start,
            node.end,
        )


def charge_comparison(frame: Mapping[str, Any], right: Value, node: Node) -> None:
    """
    Take a step for each element that `==`, `!=` or `in` may look at, where a macro asks for it.

    Raises:
        CelError: there are not so many left.

    """
    if STEPS in frame and type(right) in _HOLDERS:
        charge(frame, 0, node)  # a macro goes on after an error: what is over is not counted again
        charge(frame, _elements(right), node)


_HOLDERS: Final = (list, dict)


def _elements(value: Value) -> int:
    """Count what stands in a list or a map, at every depth."""
    held = value if type(value) is list else value.values()
    return len(value) + sum(_elements(one) for one in held if type(one) in _HOLDERS)
