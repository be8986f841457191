"""
Errors as clients see them.

What lives here: the body of an error in Distribution's form (docs/spec/api.md, "Errors"), which
clients show to people.  What must not: which error it is.
"""

import json
from collections.abc import Mapping
from typing import Final

_CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NOT_FOUND",
    405: "UNSUPPORTED",
    413: "SIZE_INVALID",
    414: "SIZE_INVALID",
    429: "TOOMANYREQUESTS",
    503: "UNAVAILABLE",
}
_encode = json.JSONEncoder(separators=(",", ":")).encode


def error_body(status: int, message: str, reason: str = "") -> str:
    """Return an error as JSON; `reason` is the stable word for programs."""
    detail = {"detail": {"reason": reason}} if reason else {}
    code = _CODES.get(status, "UNKNOWN")
    return _encode({"errors": [{"code": code, "message": message, **detail}]})
