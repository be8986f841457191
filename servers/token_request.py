"""
The token request: what a client asks, read from what it sent.

What lives here: the parameters of Distribution's token protocol (docs/spec/auth/token.md) and the
Basic credentials (RFC 7617).  What must not: any judgement of the credentials.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regauth.engine.exchange import Credentials
from regauth.engine.scope import Scope, ScopeError, parse_scopes

MAX_PARAMETER: Final = 1000
"""Characters in `service`, `account` or `client_id`."""


class BadRequestError(Exception):
    """The request is not of the protocol; the client's fault, and the message is for it."""


class BadCredentialsError(Exception):
    """The `Authorization` header cannot be read; answered like any login that fails."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked: a token for `service`, with `scopes`."""

    credentials: Credentials | None
    service: str
    scopes: tuple[Scope, ...]
    account: str = ""
    client_id: str = ""


def read_get(
    parameters: Mapping[str, str | Sequence[str]], authorization: str | None
) -> TokenRequest:
    """
    Read a GET request.

    Unknown parameters are ignored, as the protocol grows; `offline_token` is among them.

    Raises:
        BadRequestError: A parameter is missing, repeated, too long or malformed.
        BadCredentialsError: The `Authorization` header is not Basic, or malformed.
    """
    service = single(parameters, "service")
    if not service:
        message = "the parameter `service` is missing; it is what the registry's challenge says"
        raise BadRequestError(message)
    return TokenRequest(
        credentials=read_basic(authorization),
        service=service,
        scopes=read_scopes(several(parameters, "scope")),
        account=single(parameters, "account"),
        client_id=single(parameters, "client_id"),
    )


def read_scopes(texts: Sequence[str]) -> tuple[Scope, ...]:
    """
    Read the `scope` parameters.

    Raises:
        BadRequestError: One is not of the grammar, or there are too many.
    """
    try:
        return parse_scopes(texts)
    except ScopeError as error:
        raise BadRequestError(str(error)) from error


def single(parameters: Mapping[str, str | Sequence[str]], name: str) -> str:
    """
    Return a parameter that stands once at most; empty when it is not there.

    Raises:
        BadRequestError: It is repeated with different values, or too long.
    """
    values = set(several(parameters, name))
    if len(values) > 1:
        message = f"the parameter `{name}` is given twice, with different values"
        raise BadRequestError(message)
    value = values.pop() if values else ""
    if len(value) > MAX_PARAMETER:
        message = f"the parameter `{name}` is longer than {MAX_PARAMETER} characters"
        raise BadRequestError(message)
    return value


def several(parameters: Mapping[str, str | Sequence[str]], name: str) -> Sequence[str]:
    """Return all values of a parameter."""
    value = parameters.get(name, ())
    return (value,) if isinstance(value, str) else value


def read_basic(authorization: str | None) -> Credentials | None:
    """
    Read Basic credentials (RFC 7617); empty ones are those of a client that has none.

    Raises:
        BadCredentialsError: The scheme is another, or the text is malformed.
    """
    if not authorization:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        message = "the Authorization header must be Basic: a provider's name and a JWT"
        raise BadCredentialsError(message)
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        message = "the Authorization header is not Basic credentials in base64"
        raise BadCredentialsError(message) from None
    username, colon, password = text.partition(":")
    if not colon:
        message = "the Basic credentials have no colon between user name and password"
        raise BadCredentialsError(message)
    if not username and not password:
        return None
    return Credentials(username, password)
