"""
Foreign text, made safe to show to people.

What lives here: the one way to show what a peer, a file or a client wrote, in messages, on
terminals and in reports; and which characters make a text look like another one.
Not here: escaping for HTML, JSON, XML or a workflow's commands, which the writers of these formats
do (`regauth.policytests.reports`), and taking tokens out (`regauth.engine.source.redaction`).

An escape sequence moves a terminal's cursor, changes its title or hides a line; a right-to-left
mark makes a line read otherwise than it is.  Each such character is written as an escape.
"""

import re
from typing import Final

REORDERING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""
The characters that order text by its direction (Unicode Standard Annex 9, explicit formatting).

An editor shows a line with them in another order than a program reads it ("Trojan Source").
"""
WHY_REORDERING: Final = "an editor shows what stands behind it in another order than it is read"
"""What messages say of such a character."""

INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
    # Joiners and variation selectors shape the character before them, but no letter of ASCII.
    "|(?<![^\\x00-\\x7f])[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef](?!\u20e3)"
)
"""The characters that nobody sees (Unicode: Default_Ignorable_Code_Point), but `REORDERING`."""

MAX_QUOTED: Final = 200
"""Characters of a foreign text that a message repeats."""


def visible(text: str, *, keep: str = "") -> str:
    r"""
    Return a text with every character that cannot be seen written as an escape, such as `\x1b`.

    Args:
        text: What a stranger wrote.
        keep: Characters that stay as they are: `\n` and `\t` where a text has several lines.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def quoted(text: str, most: int = MAX_QUOTED) -> str:
    """
    Return a text in quotes, as part of a sentence: visible, and cut after `most` characters.

    A quote or a backslash in the text is written as an escape too, so that the text cannot end its
    own quotes.
    """
    inner = text[:most].replace("\\", "\\\\").replace("'", "\\'")
    return f"'{visible(inner)}{'...' if len(text) > most else ''}'"


def _escape(one: str) -> str:
    number = ord(one)
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(one)
    if short is not None:
        return short
    if number < 0x100:  # noqa: PLR2004 - two hexadecimal digits
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004 - four
