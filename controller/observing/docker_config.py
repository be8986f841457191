"""
The content of pull secrets: docker's `config.json`, read.

What lives here: what the logins say of themselves, everything but the tokens.  Not here: writing
logins (`regauth.controller.applying.content`).

Source: Kubernetes documentation, "Secrets", "Docker config Secrets".
"""

import base64
import json
from datetime import UTC, datetime
from typing import Final

from regauth.engine.tokens.jwt import MalformedTokenError, parse

from .observed import Credential

KEY: Final = ".dockerconfigjson"
TYPE: Final = "kubernetes.io/dockerconfigjson"


MAX_KEPT: Final = 64 * 1024
"""
Characters that are kept of one secret.  Whoever writes secrets chooses the names in them; those
of five hundred registries are less.
"""


class ContentError(ValueError):
    """A token or a pull secret is not what it should be; the message quotes nothing of it."""


def read(content: object) -> tuple[Credential, ...]:
    """
    Return what the logins of a secret's data say of themselves; nothing of what cannot be read.

    A secret of ours that somebody has damaged is like one without tokens: it gets new ones.
    """
    try:
        document = json.loads(base64.b64decode(str(content), validate=True))
        found = tuple(
            credential(registry, str(login["username"]), str(login["password"]))
            for registry, login in sorted(document["auths"].items())
        )
        return found if sum(map(_size, found)) <= MAX_KEPT else ()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def credential(registry: str, username: str, token: str) -> Credential:
    """
    Return what a service account token says of itself, unverified: it came from the API server.

    Raises:
        ContentError: It is not such a token.
    """
    try:
        parsed = parse(token)
    except MalformedTokenError as error:
        raise ContentError(f"the token is malformed: {error}") from None
    issued, expires = parsed.claims.get("iat"), parsed.claims.get("exp")
    audiences = parsed.claims.get("aud")
    if (
        not isinstance(issued, int)
        or not isinstance(expires, int)
        or not isinstance(audiences, list)
        or issued >= expires
    ):
        raise ContentError("the token has no `iat`, `exp` or `aud` of a service account's")
    return Credential(
        registry,
        username,
        tuple(one for one in audiences if isinstance(one, str)),
        _moment(issued),
        _moment(expires),
        parsed.key_id,
    )


def _size(one: Credential) -> int:
    texts = (one.registry, one.username, one.key_id or "", *one.audiences)
    return sum(map(len, texts))


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ContentError("the token's times are beyond all bounds") from None
