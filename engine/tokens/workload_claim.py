"""
The claim `workload` of a registry token: the login that the token was issued for.

What lives here: the form of the private claims `workload` and `deferred` (RFC 7519, section 4.3),
which stand beside Distribution's.
Not here: signatures (`jwt`), and deciding for a workload (`regauth.engine.decisions.workload`).

A registry knows neither claim.  It reads `access` alone, so it allows nothing that is left open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from .jwt import Claims, recalled

WORKLOAD: Final = "workload"
DEFERRED: Final = "deferred"

_LATEST: Final = 253_402_300_800  # the year 10000, where datetime ends


@dataclass(frozen=True, slots=True)
class Workload:
    """
    The login that a registry token was issued for, with its verified claims.

    `provider` is empty for a request without credentials, which has no claims.
    """

    provider: str
    claims: Claims
    at: datetime
    """When the login was checked.  Its own token may have expired since."""

    def claim(self) -> Mapping[str, object]:
        """Return the claim `workload`."""
        return {"provider": self.provider, "claims": self.claims, "at": self.at.timestamp()}


def read_workload(value: object) -> Workload | None:
    """
    Read the claim `workload` of a registry token whose signature was verified.

    A malformed claim yields None, so that nothing is granted for it.
    """
    if not isinstance(value, dict) or value.keys() != {"provider", "claims", "at"}:
        return None
    provider, claims, at = value["provider"], value["claims"], value["at"]
    if not isinstance(provider, str) or not isinstance(claims, dict):
        return None
    if not isinstance(at, int | float) or isinstance(at, bool):
        return None
    if not 0 <= at < _LATEST or (not provider and claims):
        return None
    return Workload(provider, recalled(claims), datetime.fromtimestamp(at, UTC))
