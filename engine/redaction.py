"""
Redaction: what looks like a token, taken out of a text that is for a log.

What lives here: what JWTs look like (RFC 7515, section 7.1), wherever they came to stand.  What
must not: writing logs, and a server's own secrets (`regauth.servers.event_log`).
"""

import re
from typing import Final

REDACTED: Final = "[token]"
"""What stands in a token's place."""

_TOKEN: Final = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
    r"|e(?:y[A-D]|w[k-r0-3])[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.ASCII,
)
"""JWTs, those whose JSON begins with a blank too."""
_MARKS: Final = ("eyJ", ".ey", ".ew")
"""One of which stands in a text with a token."""


def without_tokens(text: str) -> str:
    """Return a text with whatever looks like a JWT, or the beginning of one, taken out."""
    return _TOKEN.sub(REDACTED, text) if any(mark in text for mark in _MARKS) else text
