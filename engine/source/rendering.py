"""
Problems as text for people: the place in the file, underlined, and what to do.

What lives here: plain text with or without colour.  Not here: formats for machines
(`regauth.policytests.reports`).
"""

from collections.abc import Iterable, Mapping

from .foreign_text import visible
from .problems import Problem, Severity

_RED, _YELLOW, _BLUE, _BOLD, _RESET = "\033[31m", "\033[33m", "\033[34m", "\033[1m", "\033[0m"


def render_text(
    problems: Iterable[Problem], sources: Mapping[str, str], *, color: bool = False
) -> str:
    """
    Return problems with their source lines.

    Args:
        problems: What to show, in this order.
        sources: The texts of the files by name; a problem elsewhere is shown without its line.
        color: Whether to use ANSI colours.
    """
    lines: dict[str, list[str]] = {}
    blocks = []
    for problem in problems:
        file = problem.location.file
        if file not in lines:
            lines[file] = sources.get(file, "").removeprefix("\ufeff").split("\n")
        blocks.append(_render(problem, lines[file], color=color))
    return "\n\n".join(blocks)


def wants_color(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """
    Tell whether output is coloured: `NO_COLOR` and `FORCE_COLOR`, then whether it is a terminal.

    https://no-color.org and https://force-color.org: a variable counts when it is not empty.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return terminal and environment.get("TERM") != "dumb"


def _render(problem: Problem, lines: list[str], *, color: bool) -> str:
    def paint(code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if color else text

    tone = _RED if problem.severity is Severity.ERROR else _YELLOW
    where = problem.location
    message = visible(problem.message)
    head = f"{visible(str(where))}: {paint(tone + _BOLD, problem.severity.value)}: {message}"
    rendered = [f"{head} [{problem.code}]"]
    if where.line <= len(lines) and lines[where.line - 1].strip():
        text = _same_width(lines[where.line - 1].rstrip("\r"))
        gutter = str(where.line)
        end = where.end_column if where.end_line <= where.line else len(text) + 1
        length = max(min(end, len(text) + 1) - where.column, 1)
        # Tabs before the place keep their width in the line below.
        indent = "".join("\t" if c == "\t" else " " for c in text[: where.column - 1])
        rendered += [
            f"  {paint(_BLUE, gutter + ' |')} {text}",
            f"  {' ' * len(gutter)} {paint(_BLUE, '|')} {indent}{paint(tone, '^' * length)}",
        ]
    if problem.hint:
        rendered.append(f"  {paint(_BLUE, '=')} {visible(problem.hint)}")
    return "\n".join(rendered)


def _same_width(text: str) -> str:
    """
    Replace what would steer the reader's terminal, one character by one.

    An escape would move what stands behind it away from the marks in the line below.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
