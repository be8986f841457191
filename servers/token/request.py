"""
The token request: what a client asks, read from what it sent.

What lives here: the parameters of Distribution's token protocol by GET (docs/spec/auth/token.md)
and by POST (docs/spec/auth/oauth.md), and Basic credentials (RFC 7617).
Not here: any judgement of the credentials (`service`).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct
from msgspec.structs import replace

from regauth.engine.access import references
from regauth.engine.access.scope import (
    REPOSITORY,
    Access,
    Scope,
    ScopeSizeError,
    accesses,
    is_repository_name,
    requested_scopes,
)
from regauth.engine.decisions.exchange import Credentials
from regauth.engine.source.addresses import IpAddress

MAX_PARAMETER: Final = 1000
"""Characters in `service`, `account` or `client_id`."""

MAX_PARAMETERS: Final = 300
"""Parameters in one request."""

Parameters = Mapping[str, str | Sequence[str]]


class BadRequestError(Exception):
    """The request is not of the protocol; the client's fault, and the message is for it."""


class UnsupportedGrantError(Exception):
    """This server does not have the grant type; answered 404, so that clients try GET."""


class BadCredentialsError(Exception):
    """The credentials cannot be read; answered like any login that fails."""


class TokenRequest(Struct, frozen=True):
    """What is asked: a token for `service`, with `scopes`."""

    credentials: Credentials | None
    service: str
    scopes: tuple[Scope, ...]
    malformed: tuple[str, ...] = ()
    """Entries of the `scope` parameters that are no scope: nothing is granted for them."""
    account: str = ""
    client_id: str = ""
    offline: bool = False
    """Whether the client would store a refresh token instead of its password."""
    refreshing: bool = False
    """Whether the password is what the client was once given as a refresh token."""
    named: tuple[Access, ...] | None = None
    """What is asked for with tags and digests, which scopes cannot name; None: the scopes alone."""
    client: IpAddress | None = None
    """The address that it came from, for conditions that read it; None: it is not known."""

    @property
    def accesses(self) -> tuple[Access, ...]:
        """Each access that is asked for, once."""
        return accesses(self.scopes) if self.named is None else self.named


def read_get(
    parameters: Parameters, authorization: str | None, client: IpAddress | None = None
) -> TokenRequest:
    """
    Read a GET request.

    Unknown parameters are ignored, as the protocol grows.

    Raises:
        BadRequestError: A parameter is missing, repeated, too long or malformed.
        BadCredentialsError: The `Authorization` header is not Basic, or malformed.
    """
    return _request(
        parameters,
        read_basic(authorization),
        client,
        offline=_single(parameters, "offline_token") == "true",
    )


def read_post(
    body: bytes, authorization: str | None, client: IpAddress | None = None
) -> TokenRequest:
    """
    Read the form of a POST request.

    A refresh token may be a JWT: clients send it so when a credential helper answers with the user
    name `<token>`.

    Raises:
        BadRequestError: The body is no form, or a parameter is missing, repeated or malformed.
        UnsupportedGrantError: There is no such grant type here.
        BadCredentialsError: The `Authorization` header is not Basic, or malformed.
    """
    form = _form(body)
    grant = _single(form, "grant_type")
    offline = _single(form, "access_type") == "offline"
    if grant == "password":
        return _request(form, _password(form, authorization), client, offline=offline)
    if grant == "refresh_token":
        token = _secret(form, "refresh_token")
        if not token:
            raise BadRequestError("the parameter `refresh_token` is missing")
        return _request(form, Credentials("", token), client, offline=False, refreshing=True)
    if not grant:
        raise BadRequestError(
            "the parameter `grant_type` is missing; it is `password` or `refresh_token`"
        )
    raise UnsupportedGrantError("this grant type is not served; `password` and `refresh_token` are")


def read_why(
    body: bytes, authorization: str | None, client: IpAddress | None = None
) -> TokenRequest:
    """
    Read the form of a question to `/auth/why`: that of a token request, or without `grant_type`.

    Without it the credentials are those of the form or of the header, so that `curl -u` can ask.
    The name in a scope may have a tag or a digest: `repository:acme/app:v1:push`.

    Raises:
        BadRequestError, UnsupportedGrantError, BadCredentialsError: As `read_post`.
    """
    form = _form(body)
    if _single(form, "grant_type"):
        asked = read_post(body, authorization, client)
    else:
        asked = _request(form, _password(form, authorization), client, offline=False)
    return replace(asked, named=tuple(map(_with_reference, asked.accesses)))


def _with_reference(access: Access) -> Access:
    """Read the name of a scope as one with a tag or a digest, where it is no name without."""
    name = access.resource.name
    if access.resource.type != REPOSITORY or is_repository_name(name):
        return access
    found = references.read(name)
    if found is None or not is_repository_name(found[0]):
        return access
    return replace(access, resource=replace(access.resource, name=found[0]), reference=found[1])


def _form(body: bytes) -> Parameters:
    try:
        return parse_qs(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=MAX_PARAMETERS,
            errors="strict",
        )
    except ValueError:
        raise BadRequestError(
            "the body is not a form (application/x-www-form-urlencoded, UTF-8)"
        ) from None


def _request(
    parameters: Parameters,
    credentials: Credentials | None,
    client: IpAddress | None,
    *,
    offline: bool,
    refreshing: bool = False,
) -> TokenRequest:
    service = _single(parameters, "service")
    if not service:
        raise BadRequestError(
            "the parameter `service` is missing; it is what the registry's challenge says"
        )
    try:
        asked = requested_scopes(_several(parameters, "scope"))
    except ScopeSizeError as error:
        raise BadRequestError(str(error)) from error
    return TokenRequest(
        credentials=credentials,
        service=service,
        scopes=asked.scopes,
        malformed=asked.malformed,
        account=_single(parameters, "account"),
        client_id=_single(parameters, "client_id"),
        offline=offline,
        refreshing=refreshing,
        client=client,
    )


def _password(form: Parameters, authorization: str | None) -> Credentials | None:
    """Return the form's credentials, or else the header's."""
    username, password = _secret(form, "username"), _secret(form, "password")
    if username or password:
        return Credentials(username, password)
    return read_basic(authorization)


def _single(parameters: Parameters, name: str) -> str:
    """Return a parameter that is given once at most; empty when it is absent."""
    value = parameters.get(name, "")
    if not isinstance(value, str):
        value = _secret(parameters, name)
    if len(value) > MAX_PARAMETER:
        raise BadRequestError(f"the parameter `{name}` is longer than {MAX_PARAMETER} characters")
    return value


def _secret(parameters: Parameters, name: str) -> str:
    """Return a parameter of any length; the engine bounds the length of a token."""
    value = parameters.get(name, "")
    if isinstance(value, str):
        return value
    # A parameter must not be there twice (RFC 6749, section 3.1): of two values, a proxy that logs
    # or limits could read the one and this server the other.  Equal ones leave no choice.
    values = set(value)
    if len(values) > 1:
        raise BadRequestError(f"the parameter `{name}` is given twice, with different values")
    return values.pop() if values else ""


def _several(parameters: Parameters, name: str) -> Sequence[str]:
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
        raise BadCredentialsError(
            "the Authorization header must be Basic: a provider's name and a JWT"
        )
    try:
        # `validate`: without it Python skips characters outside the alphabet, and one login has
        # many texts.
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadCredentialsError(
            "the Authorization header is not Basic credentials in base64"
        ) from None
    # The first colon ends the user name, which cannot have one (RFC 7617, section 2).
    username, colon, password = text.partition(":")
    if not colon:
        raise BadCredentialsError(
            "the Basic credentials have no colon between user name and password"
        )
    if not username and not password:
        return None
    return Credentials(username, password)
