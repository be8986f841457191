"""
The workload behind a registry token: what a proxy needs to decide once it sees the request.

What lives here: the claims `workload` and `deferred`, private ones (RFC 7519, section 4.3) beside
Distribution's, and deciding for a workload by the current policy.  What must not: signatures, and
requests.

A registry knows neither claim and goes by `access` alone, so that it allows none of what is left
open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from regauth.engine.access.outcomes import Decision, Reason, Refusal, Verdict
from regauth.engine.access.scope import Access
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

from .authentication import Authenticated, authenticate, refusal
from .decide import decide
from .exchange import anonymous

WORKLOAD: Final = "workload"
DEFERRED: Final = "deferred"

_LATEST: Final = 253_402_300_800  # the year 10000, where datetime ends


@dataclass(frozen=True, slots=True)
class Workload:
    """
    Whose login a registry token came of, as its claims were verified.

    `provider` is empty for a request without credentials, which has no claims.
    """

    provider: str
    claims: Claims
    at: datetime
    """As of when the login is good; its own token may have expired since."""

    @classmethod
    def of(cls, login: Authenticated | None, now: datetime) -> Self:
        """Return the workload of a login, or of a request without credentials."""
        if login is None:
            return cls("", Claims({}), now)
        return cls(login.provider.name, login.claims, login.at)

    def claim(self) -> Mapping[str, object]:
        """Return the claim `workload`."""
        return {"provider": self.provider, "claims": self.claims, "at": self.at.timestamp()}


def read_workload(value: object) -> Workload | None:
    """Read the claim `workload`; None for anything else, so that nothing comes of it."""
    if not isinstance(value, dict) or value.keys() != {"provider", "claims", "at"}:
        return None
    provider, claims, at = value["provider"], value["claims"], value["at"]
    if not isinstance(provider, str) or not isinstance(claims, dict):
        return None
    if not isinstance(at, int | float) or isinstance(at, bool):
        return None
    if not 0 <= at < _LATEST or (not provider and claims):
        return None
    return Workload(provider, Claims(claims), datetime.fromtimestamp(at, UTC))


def decide_for(
    policy: Policy, workload: Workload, service: str, accesses: Sequence[Access], now: datetime
) -> Decision | Refusal:
    """
    Decide accesses of a workload whose token is good.

    Its login is checked again by this policy, which may have changed; the times of the token that
    it was made with are those of then.

    Args:
        policy: The current policy.
        workload: Whose token it is.
        service: The service that the token is for.
        accesses: What is asked for, with references where they are known.
        now: The time, with its zone.
    """
    if not workload.provider:
        return anonymous(policy, service, accesses, now)
    login = login_again(policy, workload, service, now)
    if isinstance(login, Refusal):
        return login
    return decide(policy, login.identity, login.claims, service, accesses, now)


def login_again(
    policy: Policy, workload: Workload, service: str, now: datetime
) -> Authenticated | Refusal:
    """Check the login of a workload, which has one, by the current policy; see `decide_for`."""
    provider = policy.providers.get(workload.provider)
    if provider is None:
        return refusal(Reason.UNKNOWN_PROVIDER, provider=workload.provider)
    return authenticate(provider, workload.claims, service, now, at=workload.at)


def decide_open(
    policy: Policy,
    workload: Workload,
    service: str,
    choices: Sequence[Sequence[Access]],
    now: datetime,
) -> Decision | Refusal:
    """
    Decide what a token leaves open, as `decide_for` does.

    Args:
        policy: The current policy.
        workload: Whose token it is.
        service: The service that the token is for.
        choices: For each access that is asked for those of which any would do, at least one: a
            request names no class (`RegistryToken.open`).
        now: The time, with its zone.

    Returns:
        A decision with one verdict for each choice, or the refusal of the login.
    """
    asked = [access for choice in choices for access in choice]
    outcome = decide_for(policy, workload, service, asked, now)
    if isinstance(outcome, Refusal):
        return outcome
    return replace(outcome, verdicts=choose(outcome.verdicts, choices))


def choose(verdicts: Sequence[Verdict], choices: Sequence[Sequence[Access]]) -> tuple[Verdict, ...]:
    """Return for each choice the verdict that counts: the first that allows, else its first."""
    listed = iter(verdicts)
    found = [[next(listed) for _ in choice] for choice in choices]
    return tuple([next((one for one in some if one.allowed), some[0]) for some in found])
