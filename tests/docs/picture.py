"""
A terminal's text as a picture: SVG, in the terminal's colours.

Source of the sequences: ECMA-48, "SGR - Select Graphic Rendition"; only those that pytest writes
are understood.
"""

import re
from collections.abc import Iterator
from html import escape

COLUMNS = 118
WIDTH, HEIGHT = 10, 24
"""Of a character, in the picture's units."""

_SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")
_GROUPS = re.compile(r"(?:\S+(?: (?=\S))?)+|\s+")
_STYLES = {
    "": "",
    "0": "",
    "1": "font-weight:bold",
    "31": "fill:#e06c75",
    "32": "fill:#98c379",
    "33": "fill:#e5c07b",
}

Piece = tuple[str, str]
"""A text and its style."""


def svg(output: str, about: str) -> str:
    """Draw what a terminal shows; `about` is what it is called by those who cannot see it."""
    lines = [line for whole in output.splitlines() for line in _wrapped(list(_pieces(whole)))]
    width, height = (COLUMNS + 2) * WIDTH, len(lines) * HEIGHT + 56
    drawn = "".join(
        f'<text x="{WIDTH}" y="{number * HEIGHT + 60}">{_line(line)}</text>\n'
        for number, line in enumerate(lines)
        if line
    )
    lights = "".join(
        f'<circle cx="{20 + number * 20}" cy="20" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        "<!-- Made by tests/house/test_readme.py, which rewrites it when told to update golden files. -->\n"
        f"<title>{escape(about)}</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#282c34"/>\n{lights}\n'
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="16"'
        f' fill="#dcdfe4">\n{drawn}</g>\n</svg>\n'
    )


def _pieces(line: str) -> Iterator[Piece]:
    styles: list[str] = []
    for number, part in enumerate(_SEQUENCE.split(line)):
        if number % 2 == 0:
            if part:
                yield part, ";".join(styles)
        elif part in {"", "0"}:
            styles = []
        else:
            styles += [_STYLES[code] for code in part.split(";")]


def _wrapped(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Break a line that is too long for the terminal where a word ends."""
    while len(text := "".join(part for part, _ in pieces)) > COLUMNS:
        at = text.rfind(" ", 0, COLUMNS + 1) + 1 or COLUMNS
        yield list(_cut(pieces, 0, at))
        pieces = list(_cut(pieces, at, len(text)))
    yield pieces


def _cut(pieces: list[Piece], start: int, end: int) -> Iterator[Piece]:
    for part, style in pieces:
        if kept := part[max(start, 0) : max(end, 0)]:
            yield kept, style
        start, end = start - len(part), end - len(part)


def _line(pieces: list[Piece]) -> str:
    """Each word group where a terminal has it: SVG draws one blank for many, and fonts differ."""
    drawn, column = "", 0
    for part, style in pieces:
        styled = f' style="{style}"' if style else ""
        for shown in _GROUPS.findall(part):
            if shown.strip():
                place = f'x="{(column + 1) * WIDTH}" textLength="{len(shown) * WIDTH}"'
                drawn += f"<tspan {place}{styled}>{escape(shown, quote=False)}</tspan>"
            column += len(shown)
    return drawn
