"""
Values: a condition with the value of each part drawn beneath it.

What lives here: the drawing.  Not here: evaluation (`regauth.engine.cel.evaluation.tracing`).
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Final

from regauth.engine.cel import Program, Trace

MAX_VALUE: Final = 48
"""Characters of a value that are shown."""

MAX_WIDTH: Final = 120
"""The columns of an output that is not a terminal."""

INDENT: Final = 16
"""The columns that reports put before a drawing."""

_DEFINITION: Final = re.compile(r"defs\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)\Z")
_CONSTANT: Final = re.compile(r"(true|false|null)\Z|[-0-9\"'\[]|[rRbB]+[\"']")


def draw(
    program: Program,
    variables: Mapping[str, object],
    width: int | None = None,
    told: set[str] | None = None,
) -> Iterator[str]:
    """
    Draw an expression with the value of every part under it, as `assert` does in pytest.

    Definitions that it uses are drawn after it, each once.

    Args:
        program: The expression.
        variables: Its variables.
        width: The columns there are; by default those of the terminal.  A wider drawing would be
            wrapped and unreadable, so it becomes a list with one part and its value a line.
        told: The definitions that the reader has seen, which are not drawn again.
    """
    width = width or shutil.get_terminal_size((MAX_WIDTH, 24)).columns - INDENT
    drawn = set() if told is None else told
    waiting = [("", program.text, program.trace(variables))]
    while waiting:
        name, text, trace = waiting.pop(0)
        if name in drawn:
            continue
        drawn.update({name} - {""})
        if name:
            yield f"where {name} is"
        drawing = list(_draw(text.rstrip().replace("\t", " "), trace))
        if max(map(len, drawing), default=0) <= width:
            yield from drawing
        else:
            yield from _list(trace)
        waiting += [
            (f"defs.{found[1]}", part.children[0].text, part.children[0])
            for part in _walk(trace)
            if (found := _DEFINITION.match(part.text)) and part.children
        ]


def _list(trace: Trace, depth: int = 0) -> Iterator[str]:
    """List an expression's parts with their values, each below the one that it is a part of."""
    shown = _show(trace)
    if shown is not None:
        text = " ".join(trace.text.split())
        yield f"{'  ' * depth}{text}  is  {shown}"
    if _DEFINITION.match(trace.text):
        return
    for child in trace.children:
        if child.element is None:
            yield from _list(child, depth + (shown is not None))


def _walk(trace: Trace) -> Iterator[Trace]:
    """Yield a part and the parts of it that stand in the same text."""
    yield trace
    if _DEFINITION.match(trace.text):
        return
    for child in trace.children:
        if child.element is None:
            yield from _walk(child)


def _draw(text: str, trace: Trace) -> Iterator[str]:
    """Draw each line of an expression with the parts that begin in it."""
    marks = [
        (_anchor(part, text), shown) for part in _walk(trace) if (shown := _show(part)) is not None
    ]
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        if line.strip():
            yield line
            yield from _hang([(at - start, shown) for at, shown in marks if start <= at <= end])
        start = end + 1


def _anchor(trace: Trace, text: str) -> int:
    """Return where a part's value hangs: under its operator, its name, or its first character."""
    inner = [child for child in trace.children if child.element is None]
    if _DEFINITION.match(trace.text) or not inner or inner[0].start != trace.start:
        return trace.start
    after = inner[0].end
    while after < trace.end - 1 and text[after : after + 1] in (" ", "\n", ")", "."):
        after += 1
    return after


def _show(trace: Trace) -> str | None:
    """Return a part's value as text, or None for a literal."""
    if trace.error is not None:
        return _cut(f"error: {trace.error.message}")
    if isinstance(trace.value, Mapping) or _CONSTANT.match(trace.text):
        return None
    try:
        shown = json.dumps(trace.value, ensure_ascii=False)
    except (TypeError, ValueError):
        shown = str(trace.value)
    return _cut(shown)


def _cut(shown: str) -> str:
    return shown if len(shown) <= MAX_VALUE else f"{shown[: MAX_VALUE - 1]}…"


def _hang(marks: list[tuple[int, str]]) -> Iterator[str]:
    """Hang each value under its place, the rightmost first, sharing lines where they fit."""
    waiting = sorted(dict(marks).items())
    if waiting:
        yield _line(dict.fromkeys((at for at, _ in waiting), "|"))
    while waiting:
        limit: int | None = None
        spots: dict[int, str] = {}
        left = []
        for at, shown in reversed(waiting):
            fits = limit is None or at + len(shown) < limit
            if not fits:
                left.append((at, shown))
            spots[at] = shown if fits else "|"
            limit = at
        yield _line(spots)
        waiting = sorted(left)


def _line(spots: Mapping[int, str]) -> str:
    line = ""
    for at in sorted(spots):
        line = f"{line:<{at}}{spots[at]}"
    return line
