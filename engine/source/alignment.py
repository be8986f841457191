"""
Where the characters of a YAML scalar stand in the file.

What lives here: walking a scalar's value along its source, through quotes, escapes, indentation and
folding (YAML 1.2.2, sections 7.3 and 8.1).  Not here: reading YAML
(`regauth.engine.source.nodes`).
"""

from typing import Final

_ESCAPE_LENGTHS: Final = {"x": 4, "u": 6, "U": 10}
_BLANK: Final = frozenset(" \t\r\n\x85\u2028\u2029")


def align(text: str, source: str, offset: int) -> int:
    """
    Return the index in `source` of the character of `text` at `offset`.

    The two are walked side by side.  What `source` has more is a quote or block header at its
    start, indentation and folding (blank characters), and escapes; so a character that is not
    blank always stands at the next place in `source` that is not blank.
    """
    style = source[0] if source[0] in "|>\"'" else ""
    at = source.index("\n") + 1 if style in ("|", ">") else len(style)
    for character in text[:offset]:
        at = _place(character, source, at, style)
        at += _width(character, source, at, style)
    return min(_place(text[offset : offset + 1], source, at, style), len(source) - 1)


def _place(character: str, source: str, at: int, style: str) -> int:
    """Return where a character stands that is the next one, from `at` on."""
    if character not in _BLANK:
        at = _skip_blank(source, at)
    while style == '"' and source.startswith(("\\\n", "\\\r"), at):  # a line joined to the next
        at = _skip_blank(source, at + 1)
    return at


def _width(character: str, source: str, at: int, style: str) -> int:
    """Return how much of `source` the character that stands at `at` takes up."""
    if style == '"' and source[at : at + 1] == "\\":
        return _ESCAPE_LENGTHS.get(source[at + 1 : at + 2], 2)
    if style == "'" and character == "'":
        return 2
    # A line break in the text may be folded away in the source, or the reverse.
    return character not in _BLANK or source[at : at + 1] in _BLANK


def _skip_blank(source: str, at: int) -> int:
    while at < len(source) and source[at] in _BLANK:
        at += 1
    return at
