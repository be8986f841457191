"""
Deciding for the workload behind a registry token, once a proxy sees the request.

What lives here: checking the workload's login again by the current policy, and deciding by it.
Not here: the form of the claim (`regauth.engine.tokens.workload_claim`), signatures
(`tokens.registry_trust`), and requests (`regauth.servers.proxy.policy`).
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from regauth.engine.access.outcomes import Decision, Reason, Refusal, Verdict, Why
from regauth.engine.access.scope import Access
from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.jwt import NO_CLAIMS
from regauth.engine.tokens.workload_claim import Workload

from .authentication import Authenticated, authenticate, refusal
from .decide import decide
from .exchange import anonymous


def workload_of(login: Authenticated | None, now: datetime) -> Workload:
    """Return the workload of a login, or of a request without credentials."""
    if login is None:
        return Workload("", NO_CLAIMS, now)
    return Workload(login.provider.name, login.claims, login.at)


def decide_for(
    policy: Policy,
    workload: Workload,
    service: str,
    accesses: Sequence[Access],
    now: datetime,
    client: IpAddress | None = None,
) -> Decision | Refusal:
    """
    Decide accesses of a workload whose registry token was verified.

    Its login is checked again by this policy, which may have changed.  The times of the first token
    are checked as of that login.

    Args:
        policy: The current policy.
        workload: Whose token it is.
        service: The service that the token is for.
        accesses: What is asked for, with references where they are known.
        now: The time, with its zone.
        client: The address of the client; None: it is not known.
    """
    if not workload.provider:
        return anonymous(policy, service, accesses, now, client)
    login = login_again(policy, workload, service, now)
    if isinstance(login, Refusal):
        return login
    identity = login.identity.from_client(client)
    return decide(policy, identity, login.claims, service, accesses, now)


def login_again(
    policy: Policy, workload: Workload, service: str, now: datetime
) -> Authenticated | Refusal:
    """Check the login of a workload by the current policy; it must not be anonymous."""
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
    client: IpAddress | None = None,
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
        client: The address of the client; None: it is not known.

    Returns:
        A decision with one verdict for each choice, or the refusal of the login.
    """
    asked = [access for choice in choices for access in choice]
    outcome = decide_for(policy, workload, service, asked, now, client)
    if isinstance(outcome, Refusal):
        return outcome
    return replace(outcome, verdicts=choose(outcome.verdicts, choices))


def choose(verdicts: Sequence[Verdict], choices: Sequence[Sequence[Access]]) -> tuple[Verdict, ...]:
    """
    Return for each choice the verdict that counts.

    It is the first that allows, else the first that a new tag would allow, else the first.
    """
    listed = iter(verdicts)
    found = [[next(listed) for _ in choice] for choice in choices]
    return tuple([min(some, key=_rank) for some in found])


def _rank(verdict: Verdict) -> int:
    return 0 if verdict.allowed else 1 if verdict.why is Why.DEPENDS_ON_NEW_TAG else 2
