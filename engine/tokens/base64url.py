"""
The base64url of tokens (RFC 7515, section 2): no padding, and one text for each value.

What lives here: both directions.  Not here: what is encoded (`jwt`, `jwks`).
"""

import binascii
from typing import Final

# A canonical last character leaves no bits over (RFC 4648, section 3.5).
_LAST: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}


def decode(part: bytes) -> bytes:
    """
    Return what a text stands for, in which the caller has looked for `+`, `/` and `=`.

    Raises:
        ValueError: It has another character than those of the alphabet, a length that no value has,
            or bits after the last byte.
    """
    # Python's decoder accepts bits after the last byte.  Then several texts are one token, and a
    # deny list or a cache that compares texts fails.
    rest = len(part) % 4
    if rest == 1 or (rest and part[-1] not in _LAST[rest]):
        raise ValueError("it is not base64url")
    text = part.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-rest % 4)
    return binascii.a2b_base64(text, strict_mode=True)


def encode(data: bytes) -> bytes:
    """Return the one text of a value."""
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=")
    return text.replace(b"+", b"-").replace(b"/", b"_")
