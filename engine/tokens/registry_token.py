"""
The registry token: a decision as the JWT that a registry's verifier accepts.

What lives here: the claim set of Distribution's token specification (docs/spec/auth/jwt.md).
Not here: HTTP replies (`regauth.servers.token.resource`), and which header form a registry needs
(`regauth.servers.signing.compat`; `SigningKey` carries it).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.access.outcomes import MIN_LIFETIME, Decision
from regauth.engine.access.scope import Scope

from . import jwt
from .keys import SigningKey
from .workload_claim import DEFERRED, WORKLOAD, Workload

BACKDATED: Final = 10
"""
Seconds by which `nbf` and `iat` lie before the time of issue: a registry's clock may be behind.

Distribution checks `nbf` with a leeway, and zot refuses an `iat` that is a second ahead.
"""


def registry_token(
    decision: Decision,
    *,
    issuer: str,
    key: SigningKey,
    now: datetime,
    lifetime: timedelta,
    jti: str,
    workload: Workload | None = None,
) -> str:
    """
    Return a signed registry token that carries exactly what was granted.

    Times are integers, `aud` is a string and `access` is always a list: Distribution 2 accepts
    nothing else.

    Args:
        decision: The decision; what it refused does not appear in the token.
        issuer: The issuer that the registry is configured with.
        key: The key, with the header members that the registry knows it by.
        now: The time of issue, with its zone.
        lifetime: How long the token is valid.
        jti: An id that the host drew at random.
        workload: Whose token it is, for a proxy that decides what depends on the reference.

    Raises:
        ValueError: The lifetime is under `MIN_LIFETIME`.
    """
    if lifetime < MIN_LIFETIME:
        raise ValueError(
            f"a registry token must be good for at least {MIN_LIFETIME.seconds} seconds"
        )
    claims = claim_set(decision, issuer, now, lifetime, jti)
    if workload is not None:
        deferred = [_access(scope) for scope in decision.deferred]
        claims = {**claims, WORKLOAD: workload.claim(), DEFERRED: deferred}
    return jwt.sign(claims, key)


def claim_set(
    decision: Decision, issuer: str, now: datetime, lifetime: timedelta, jti: str
) -> Mapping[str, object]:
    """Return the claims of a registry token (distribution docs/spec/auth/jwt.md)."""
    issued = int(now.timestamp())
    begins = issued - BACKDATED
    return {
        "iss": issuer,
        "sub": decision.identity.subject,
        "aud": decision.service,
        "exp": issued + int(lifetime.total_seconds()),
        "nbf": begins,
        "iat": begins,
        "jti": jti,
        "access": [_access(scope) for scope in decision.granted],
    }


def _access(scope: Scope) -> dict[str, object]:
    resource = scope.resource
    entry: dict[str, object] = {
        "type": resource.type,
        "name": resource.name,
        "actions": list(scope.actions),
    }
    if resource.class_:
        entry["class"] = resource.class_
    return entry
