"""
Redaction: removes whatever looks like a token from a text for a log.

What lives here: what JWTs look like (RFC 7515, section 7.1), wherever they stand.  Not here:
writing logs, and a server's own secrets (`regauth.servers.telemetry.event_log`).

Clients choose the texts that are searched here, so every pattern reads a text only once.
"""

import binascii
import re
from typing import Final

REDACTED: Final = "[token]"
"""The text that replaces a token."""

_USUAL: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*", re.ASCII)
"""A JWT, or the beginning of one, whose JSON has no blanks before its first name."""

_DOTTED: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
"""What may be a JWT whose JSON has blanks, but more often is a word or a host's name."""

_FROM_URL: Final = str.maketrans("-_", "+/")
_BLANKS: Final = b" \t\r\n"


def without_tokens(text: str) -> str:
    """Return a text with whatever looks like a JWT, or the beginning of one, taken out."""
    # One expression, because a line of the log rarely has any and each one asks.
    if (
        "eyJ" in text
        or ".ey" in text
        or ".ew" in text
        or ".I" in text
        or ".C" in text
        or ".D" in text
    ):
        return _DOTTED.sub(_without_token, _USUAL.sub(REDACTED, text))
    return text


def _without_token(dotted: re.Match[str]) -> str:
    parts = dotted[0].split(".")
    for at, part in enumerate(parts[:-2]):
        if part[:1] in "eICD" and _begins_an_object(part):
            return ".".join([*parts[:at], REDACTED])
    return dotted[0]


def _begins_an_object(part: str) -> bool:
    """Tell whether base64url is that of a JSON object with a name (RFC 8259, section 4)."""
    whole = part[: len(part) // 4 * 4].translate(_FROM_URL)
    begun = binascii.a2b_base64(whole).lstrip(_BLANKS)
    return begun[:1] == b"{" and begun[1:].lstrip(_BLANKS)[:1] == b'"'
