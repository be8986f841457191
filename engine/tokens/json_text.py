"""
The JSON of our own tokens (RFC 8259).

What lives here: writing a header or claims.  Not here: reading what others wrote
(`regauth.engine.source.strictjson`).
"""

import json
from collections.abc import Mapping
from typing import Final

import orjson

_AS_JSON_DOES: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def write(value: Mapping[str, object]) -> bytes:
    """
    Return an object as JSON, without blanks.

    Raises:
        TypeError: It holds what JSON has no form for.
        ValueError: It holds a number that is not finite.
    """
    try:
        text = orjson.dumps(value, option=_AS_JSON_DOES)
    except orjson.JSONEncodeError:  # such as an integer beyond 64 bits, which a sample may have
        return _encode(value).encode()
    # orjson writes a number that is not finite as null; the other encoder refuses it.
    return _encode(value).encode() if b"null" in text else text
