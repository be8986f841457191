"""
A JWT that a helper passes on.

What lives here: whether a text has the form of a JWT and when it says that it ends, so that a
helper can say "expired" where a registry would say "denied".  Not here: where the JWT comes from
(`token_sources`), and trust: nothing here is verified, which is the token server's work
(`regauth.engine.tokens.jwt`).
"""

import base64
import re
from dataclasses import dataclass
from typing import Final

from .strict_input import HelperError, read_object

MAX_TOKEN_BYTES: Final = 16 * 1024
"""The longest token that a token server reads."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True)
class PassedToken:
    """A token in compact form (RFC 7515, section 7.1), and its unverified `exp` and `sub`."""

    text: str
    expires: float | None
    subject: str

    def __repr__(self) -> str:
        return f"PassedToken(expires={self.expires}, subject={self.subject!r})"


def read_token(text: str, what: str, now: float) -> PassedToken:
    """
    Check the form of a token, and that it has not expired.

    Args:
        text: The token; white space around it is dropped.
        what: Where it comes from, for the message.
        now: Seconds since 1970.

    Raises:
        HelperError: It is empty, no JWT, too long, or expired; the message quotes nothing of it.
    """
    token = text.strip()
    if not token:
        raise HelperError(f"{what} is empty")
    match = _COMPACT.fullmatch(token)
    if match is None or len(token) > MAX_TOKEN_BYTES:
        raise HelperError(f"{what} is not a JWT")
    padded = match[1] + "=" * (-len(match[1]) % 4)
    try:
        payload = base64.urlsafe_b64decode(padded).decode("utf-8")
    except ValueError:
        raise HelperError(f"{what} is not a JWT") from None
    claims = read_object(payload, f"the payload of {what}")
    expires, subject = claims.get("exp"), claims.get("sub")
    if isinstance(expires, bool) or not isinstance(expires, int | float | None):
        raise HelperError(f"{what} has an `exp` that is no number")
    if expires is not None and expires <= now:
        raise HelperError(f"{what} has expired {now - expires:.0f} s ago")
    return PassedToken(token, expires, subject if isinstance(subject, str) else "")
