"""
Values: a condition with the value of each part drawn beneath it.

What lives here: the drawing.  What must not: evaluation, which is `Program.trace`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..engine.cel import Program

if TYPE_CHECKING:
    from ..engine.cel import Trace

MAX_VALUE = 48
"""Characters of a value that are shown."""


def draw(program: Program, variables: Mapping[str, object]) -> Iterator[str]:
    """
    Draw an expression with the value of every part under it, as `assert` does in pytest.

    An expression over several lines is drawn as one.
    """
    trace = program.trace(variables)
    text = program.text.replace("\t", " ")
    lines = text.split("\n")
    if len(lines) > 1:
        yield from _draw_lines(lines, trace)
        return
    yield text
    yield from _layout(list(_marks(trace, text)))


def _draw_lines(lines: Sequence[str], trace: Trace) -> Iterator[str]:
    """Draw each line of an expression with the parts that begin in it."""
    marks = sorted(_marks(trace, "\n".join(lines)))
    start = 0
    for line in lines:
        end = start + len(line)
        if line.strip():
            yield line
            yield from _layout([(at - start, text) for at, text in marks if start <= at <= end])
        start = end + 1


def _marks(trace: Trace, text: str) -> Iterator[tuple[int, str]]:
    """Yield where to put each part's value: under an operator, a call's name, or a value."""
    shown = _show(trace)
    if shown is not None:
        yield _anchor(trace, text), shown
    for child in trace.children:
        yield from _marks(child, text)


def _anchor(trace: Trace, text: str) -> int:
    if not trace.children or trace.children[0].start != trace.start:
        return trace.start
    after = trace.children[0].end
    while after < trace.end and after < len(text) and text[after] in " \n)":
        after += 1
    if text[after : after + 1] == "." and after + 1 < trace.end:
        after += 1
    return min(after, trace.end - 1)


def _show(trace: Trace) -> str | None:
    """Return a part's value as text, or None for a part that shows itself."""
    if trace.error is not None:
        return f"error: {trace.error}"[:MAX_VALUE]
    value = trace.value
    if isinstance(value, Mapping) or (not trace.children and not _is_name(trace.text)):
        return None
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _is_name(text: str) -> bool:
    return text not in ("true", "false", "null") and text[:1].isalpha() and '"' not in text[:2]


def _layout(marks: list[tuple[int, str]]) -> Iterator[str]:
    """Hang each value under its place, the rightmost first, sharing lines where they fit."""
    waiting = sorted(dict(marks).items())
    if waiting:
        yield _bars([at for at, _ in waiting])
    while waiting:
        line, left = "", []
        limit: int | None = None
        placed: list[tuple[int, str]] = []
        for at, text in reversed(waiting):
            if limit is None or at + len(text) + 1 < limit:
                placed.append((at, text))
                limit = at
            else:
                left.append((at, text))
                limit = at
        spots = dict(placed) | {at: "|" for at, _ in left}
        for at in sorted(spots):
            line = f"{line:<{at}}{spots[at]}"
        yield line
        waiting = sorted(left)


def _bars(columns: list[int]) -> str:
    line = ""
    for column in columns:
        line = f"{line:<{column}}|"
    return line
