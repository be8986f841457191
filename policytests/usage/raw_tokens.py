"""
Raw tokens as records: what the workloads of some tokens would ask for, as a server would log it.

What lives here: files of JWTs, or of claims as JSON, and what such a token asks for.
Not here: what is made of the records (`counting`, `gathering`).

Nothing is verified: who has the file wrote what it says.  A token is never shown, not even in part.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from regauth.engine.access.scope import ScopeError, accesses, is_repository_name, parse_scopes
from regauth.engine.source import strictjson
from regauth.engine.tokens.jwt import Claims, MalformedTokenError, parse, supposed
from regauth.policytests.replay.records import Answered, Record

from .gathering import own_name

MAX_FILE: Final = 4 * 1024 * 1024
"""Bytes of a file of tokens; a larger one is read as a log."""

OWN_ACTIONS: Final = "pull,push"
"""What a workload does with the images of its own name, where nothing else is said."""

_OF_LOGS: Final = "requestId"
"""A member that each record of a log has, and no token."""


class TokensError(Exception):
    """A file of tokens cannot be used; the message says why, and quotes none of it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What tokens ask for, of which a file says nothing."""

    scopes: tuple[str, ...] = ()
    """Empty: for the images of their own name."""
    service: str = ""
    """Empty: the host of their first audience."""


def tokens_in(file: Path) -> list[Claims] | None:
    """
    Return the claims of a file's tokens; None where the file is something else, such as a log.

    Raises:
        TokensError: One of its tokens, or its JSON, is malformed.
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        text = stream.read(MAX_FILE + 1)
    begun = text.lstrip()
    if len(text) > MAX_FILE or not begun.startswith((b"ey", b"{", b"[")):
        return None
    if begun.startswith(b"ey"):
        return [_claims(one, number) for number, one in enumerate(begun.split(), 1)]
    found = _objects(begun)
    if not found or any(_OF_LOGS in one or "iss" not in one for one in found):
        return None
    return [supposed(one) for one in found]


def _claims(text: bytes, number: int) -> Claims:
    try:
        return supposed(parse(text.decode("ascii", "replace")).claims)
    except MalformedTokenError as error:
        raise TokensError(f"its token {number} is none: {error}") from error


def _objects(text: bytes) -> list[dict[str, Any]]:
    """Read one JSON object, a list of them, or one a line; nothing where it is none of these."""
    for listed in ([text], text.splitlines()):
        try:
            read = [strictjson.loads(one) for one in listed if one.strip()]
        except strictjson.JsonError:
            continue
        inner = read[0] if len(read) == 1 and isinstance(read[0], list) else read
        found = [one for one in inner if isinstance(one, dict)]
        return found if len(found) == len(inner) else []
    return []


def records_of_tokens(
    file: str, tokens: Sequence[Claims], asking: Asking, now: datetime
) -> Iterator[Record]:
    """
    Yield what tokens would ask for, as allowed.

    Raises:
        TokensError: It is not known for which service, or what they ask for cannot be.
    """
    for number, claims in enumerate(tokens, 1):
        texts = asking.scopes or _own(claims)
        try:
            asked = accesses(parse_scopes(texts))
        except ScopeError as error:
            raise TokensError(f"--asks: {error}") from error
        answers = {str(one): Answered(allowed=True, why="granted") for one in asked}
        yield Record(
            time=_moment(claims, now),
            request_id=f"{file}#{number}",
            policy="",
            service=asking.service or _service(claims),
            asked=texts,
            outcome="issued",
            reason="",
            anonymous=False,
            provider="",
            subject="",
            accesses=answers,
            claims=claims,
            checked=None,
            routing="issuer",
            trust="",
            redacted=False,
        )


def _own(claims: Claims) -> tuple[str, ...]:
    name = own_name(claims)
    return (f"repository:{name}:{OWN_ACTIONS}",) if is_repository_name(name) else ()


def _moment(claims: Mapping[str, object], now: datetime) -> datetime:
    """Return a time at which a token is valid, if it ever is."""
    for name in ("iat", "nbf"):
        value = claims.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return datetime.fromtimestamp(value, UTC)
            except (OverflowError, OSError, ValueError):
                continue
    return now


def _service(claims: Mapping[str, object]) -> str:
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    if not isinstance(first, str) or not first:
        raise TokensError("a token names no audience; say the registry's service with --service")
    try:
        host = urlsplit(first).netloc
    except ValueError:
        host = ""
    return host or first
