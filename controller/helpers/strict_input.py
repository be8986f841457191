"""
What a credential helper is given, read strictly and within bounds.

What lives here: standard input and JSON (RFC 8259) from programs that may be hostile, and files.
Not here: what any of it means (`docker_helper`, `kubelet_plugin`, `helper_configuration`).

The engine has a stricter reader of its own; importing the engine takes longer than a helper may
take altogether, so the helpers have this one.  What is wrong with a text the engine says.
"""

import json
from typing import BinaryIO, Final, NoReturn

MAX_BYTES: Final = 64 * 1024
"""The longest input or document that is read."""

HELP: Final = (["--help"], ["-h"], ["help"])
"""The arguments by which a person asks what a helper is for."""

_CONTROL: Final = 0x20
_DELETE: Final = 0x7F


class HelperError(Exception):
    """A helper cannot answer; the message is for people and holds no secret."""


def read_bounded(stream: BinaryIO, what: str) -> str:
    """
    Read a stream to its end.

    Raises:
        HelperError: It is longer than `MAX_BYTES`, or not UTF-8.
    """
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise HelperError(f"{what} is larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise HelperError(f"{what} is not UTF-8") from None


def read_file(path: str, what: str) -> str:
    """
    Read a small text file.

    Raises:
        HelperError: It cannot be read, is too large, or not UTF-8.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs a helper a tenth of its time
            return read_bounded(file, f"{what} {path}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise HelperError(f"{what} {path!r} cannot be read: {reason}") from None


def read_object(text: str, what: str, *, by_hand: bool = False) -> dict[str, object]:
    """
    Read a JSON object; a name that stands twice is refused, and so is NaN.

    Args:
        text: The text.
        what: What messages call it.
        by_hand: Whether a person wrote it, who is told where the mistake is and what to do.

    Raises:
        HelperError: The text is something else; the message quotes nothing of it.
    """
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except RecursionError:
        raise HelperError(f"{what} nests too deep") from None
    except ValueError:
        raise HelperError(f"{what} is not JSON: {_fault(text, by_hand=by_hand)}") from None
    if not isinstance(value, dict):
        raise HelperError(f"{what} is not a JSON object")
    return value


def is_one_line(text: str) -> bool:
    """Tell whether a text is not empty and has no control characters."""
    return bool(text) and all(ord(one) >= _CONTROL and ord(one) != _DELETE for one in text)


def _fault(text: str, *, by_hand: bool) -> str:
    if not text.strip():
        return "it is empty"
    # Importing the engine takes longer than a helper may take, and only a mistake needs it.
    from regauth.engine.compiler.json_faults import explain  # noqa: PLC0415 - as said above

    fault = explain(text, MAX_BYTES)
    if fault is None:
        return "it cannot be read"
    if not by_hand:
        return fault.message
    place = fault.location(text, "")
    return f"line {place.line}, column {place.column}: {fault.message}; {fault.hint}"


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _constant(_name: str) -> NoReturn:
    raise ValueError
