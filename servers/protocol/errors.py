"""
Errors as clients see them.

What lives here: the body of an error in Distribution's form (docs/spec/api.md, "Errors"), which
clients show to people, and the codes in it.  Not here: which error a request gets
(`token.refusals`, `proxy.gate`).
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from regauth.engine.access.scope import Access


class ErrorCode(StrEnum):
    """The codes of errors (OCI Distribution Spec 1.1, "Error Codes"), and Distribution's own."""

    BAD_REQUEST = "BAD_REQUEST"
    DENIED = "DENIED"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NOT_FOUND = "NOT_FOUND"
    PAGINATION_NUMBER_INVALID = "PAGINATION_NUMBER_INVALID"
    SIZE_INVALID = "SIZE_INVALID"
    TAG_INVALID = "TAG_INVALID"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNAUTHORIZED = "UNAUTHORIZED"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"
    UNSUPPORTED = "UNSUPPORTED"


_CODES: Final[Mapping[int, ErrorCode]] = {
    400: ErrorCode.BAD_REQUEST,
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.DENIED,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.UNSUPPORTED,
    408: ErrorCode.BAD_REQUEST,
    413: ErrorCode.SIZE_INVALID,
    414: ErrorCode.SIZE_INVALID,
    431: ErrorCode.SIZE_INVALID,
    429: ErrorCode.TOOMANYREQUESTS,
    502: ErrorCode.UNAVAILABLE,
    503: ErrorCode.UNAVAILABLE,
    504: ErrorCode.UNAVAILABLE,
    507: ErrorCode.UNAVAILABLE,
}
_encode = json.JSONEncoder(separators=(",", ":")).encode


def error_body(
    status: int,
    message: str,
    reason: str = "",
    *,
    code: ErrorCode | None = None,
    missing: Sequence[Access] = (),
    request_id: str = "",
) -> str:
    """
    Return an error as JSON.

    Args:
        status: The HTTP status, which the code follows from.
        message: What people read.
        reason: The stable word for programs.
        code: The code, where the status has several.
        missing: The accesses that a token lacks, each as Distribution tells it
            (`registry/auth/auth.go`, `Access`).
        request_id: What the logs call the request.
    """
    error: dict[str, object] = {
        "code": code or _CODES.get(status, ErrorCode.UNKNOWN),
        "message": message,
    }
    detail: dict[str, object] = {}
    if reason:
        detail["reason"] = reason
    if request_id:
        detail["requestId"] = request_id
    if missing:
        detail["missing"] = [
            {
                "Type": one.resource.type,
                "Class": one.resource.class_,
                "Name": one.resource.name,
                "Action": one.action,
            }
            for one in missing
        ]
    if detail:
        error["detail"] = detail
    return _encode({"errors": [error]})
