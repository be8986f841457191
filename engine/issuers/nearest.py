"""
The value that an author probably meant.

What lives here: the possible value that is most like an impossible one.  Not here: what is possible
(`values`).
"""

from collections.abc import Iterator
from difflib import SequenceMatcher

from regauth.engine import languages
from regauth.engine.source import nearest as source

from .values import Values


def nearest(values: Values, written: object) -> str | None:
    """Return the possible text that is most like what was written, or None where none is."""
    if not isinstance(written, str):
        text = str(written).lower() if isinstance(written, bool) else str(written)
        return text if values.limited and values.can_equal(text) else None
    if values.enum:
        return _of_enumeration([str(one) for one in values.enum], written)
    if not values.pattern:
        return None
    return next((one for one in _rewritten(values, written) if values.can_equal(one)), None)


def _of_enumeration(known: list[str], written: str) -> str | None:
    plain = {_plain(one): one for one in reversed(known)}
    if _plain(written) in plain:
        return plain[_plain(written)]
    return source.nearest(written, known)


def _plain(text: str) -> str:
    """Return a text without the differences that authors make: case, `-`, `_` and blanks."""
    return "".join(sign for sign in text.lower() if sign not in "-_ ")


def _rewritten(values: Values, written: str) -> Iterator[str]:
    """Return a text in the ways that authors write it wrongly, the likeliest first."""
    yield written.strip()
    yield written.lower()
    yield written.upper()
    # A glob is read as the text that stands before its first sign.
    plain = written.rstrip("*").rstrip("/-") if written.endswith("*") else written
    beginnings = [one for one in values.language.beginnings() if one and one != plain]
    if "/" in plain:
        beginnings.sort(key=lambda one: -SequenceMatcher(None, one, plain).ratio())
    for beginning in beginnings:
        yield from _begun(beginning, plain)
    # A workflow's file is followed by a whole ref, and written with the short one in `uses`.
    file, sign, ref = written.rpartition("@")
    for kind in ("heads", "tags") if sign else ():
        yield f"{file}@refs/{kind}/{ref}"
    if written.startswith("http://"):
        yield "https://" + written.removeprefix("http://")


def _begun(beginning: str, plain: str) -> Iterator[str]:
    """Return a text with the beginning that it lacks, has half of, or has misspelt."""
    for at in range(len(beginning)):
        if beginning[at - 1] == "/" and plain.startswith(beginning[at:]):
            yield beginning[:at] + plain
    parts = plain.split("/", beginning.count("/"))
    if len(parts) > beginning.count("/"):
        yield beginning + parts[-1]
    yield beginning + plain.lstrip("/")


def nearest_beginning(values: Values, written: str) -> str | None:
    """Return how possible texts begin that is most like a beginning that none of them has."""
    if values.enum:
        return _of_enumeration([str(one) for one in values.enum], written)
    known = [one for one in values.language.beginnings() if one]
    close = source.nearest(written, known)
    if close is not None:
        return close
    lowered = written.lower()
    possible = values.can_be_in(languages.prefixed(lowered))
    return lowered if possible and lowered != written else (known[0] if len(known) == 1 else None)
