"""
The policy as the proxy applies it: to requests that a token leaves open, and to the catalog.

What lives here: asking the engine about the workload behind a verified token.  Not here: a decision
(`regauth.engine.decisions.workload`), tokens (`gate`, `trust`), and HTTP (`app`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from regauth.engine import Access, Decision, Policy, Refusal, Verdict
from regauth.engine.access.outcomes import Why
from regauth.engine.access.references import ALL_TAGS, UPLOAD, TagState
from regauth.engine.access.scope import REPOSITORY, Resource
from regauth.engine.decisions.workload import decide_for, decide_open
from regauth.engine.explaining.disclosure import reasons_told
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.registry_trust import RegistryToken

from .new_tags import Tag

PULL: Final = "pull"

_DECIDED_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy decides of a request, and which policy it was."""

    asked: tuple[Access, ...]
    """Each access that is asked for, in every class that the token leaves open."""
    outcome: Decision | Refusal
    service: str
    policy: Policy
    now: datetime

    @property
    def allowed(self) -> bool:
        """Whether every access is granted."""
        outcome = self.outcome
        return isinstance(outcome, Decision) and all(one.allowed for one in outcome.verdicts)

    @property
    def tags_in_question(self) -> tuple[Tag, ...]:
        """
        The tags of which somebody must find out whether they are new, each once.

        None where the policy refuses the request whatever they are.
        """
        refused = self._refused
        if not refused or any(one.why is not Why.DEPENDS_ON_NEW_TAG for one in refused):
            return ()
        places = (Tag(one.access.resource.name, one.access.reference) for one in refused)
        return tuple(dict.fromkeys(places))

    @property
    def reason(self) -> str:
        """Why it is refused, in the stable words of the engine, for the log."""
        if isinstance(self.outcome, Refusal):
            return str(self.outcome.reason)
        return ", ".join(f"{one.why} {one.source}".strip() for one in self._refused)

    @property
    def message(self) -> str:
        """Why it is refused, for the client: what it asked for, and no value of the policy."""
        if isinstance(self.outcome, Refusal):
            return self.outcome.message
        actions: dict[str, list[str]] = {}
        for refused in self._refused:
            actions.setdefault(_place(refused.access), []).append(refused.access.action)
        told = ", ".join(f"{' and '.join(listed)} of {one}" for one, listed in actions.items())
        if all(one.why is Why.TAG_EXISTS for one in self._refused):
            return f"the policy allows new tags only, and there is one already: {told}"
        if all(one.why is Why.DEPENDS_ON_NEW_TAG for one in self._refused):
            return f"the policy allows new tags only, and nobody here sees whether it is: {told}"
        return f"the policy does not allow {told}"

    @property
    def _refused(self) -> list[Verdict]:
        if isinstance(self.outcome, Refusal):
            return []
        return [verdict for verdict in self.outcome.verdicts if not verdict.allowed]


def _place(access: Access) -> str:
    """Say in words what our own notation writes as a sign."""
    name = access.resource.name
    access = replace(access, tag_state=TagState.UNKNOWN)
    return {ALL_TAGS: f"the list of tags of {name}", UPLOAD: f"an upload to {name}"}.get(
        access.reference, access.place
    )


def _with_state(access: Access, states: Mapping[Tag, TagState]) -> Access:
    state = states.get(Tag(access.resource.name, access.reference))
    return access if state is None else replace(access, tag_state=state)


class ProxyPolicy:
    """
    Asks the current policy.  Safe to use from many threads.

    Args:
        policy: Returns the policy that is current.
        service: The service that tokens are for.
        filter_catalog: Whether the catalog shows each workload only what it may pull from.
        now: The clock.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        service: str,
        *,
        filter_catalog: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._policy = policy
        self._service = service
        self._now = now
        self.filter_catalog = filter_catalog

    def decide(
        self,
        token: RegistryToken,
        accesses: Sequence[Access],
        client: IpAddress | None,
        states: Mapping[Tag, TagState] = MappingProxyType({}),
    ) -> Ruling | None:
        """
        Decide accesses; None when the token does not leave all of them open.

        Args:
            token: The verified token.
            accesses: What is asked for.
            client: The address of the client; None: it is not known.
            states: Whether tags are new, as far as somebody has found out and holds it so.
        """
        variants = [[_with_state(one, states) for one in token.open(access)] for access in accesses]
        if token.workload is None or not all(variants):
            return None
        policy, now = self._policy(), self._now()
        outcome = decide_open(policy, token.workload, self._service, variants, now, client)
        return Ruling(tuple(chain(*variants)), outcome, self._service, policy, now)

    def told(self, ruling: Ruling, token: RegistryToken) -> str:
        """Return why a ruling refuses, in the words that its caller may know."""
        outcome = ruling.outcome
        if isinstance(outcome, Refusal) or token.workload is None:
            return str(outcome.reason) if isinstance(outcome, Refusal) else ""
        told = reasons_told(ruling.policy, outcome, token.workload.claims, ruling.now)
        if isinstance(told, Refusal):
            return str(told.reason)
        return ", ".join(dict.fromkeys(str(one) for one in told if one is not Why.GRANTED))

    def visible(
        self, token: RegistryToken, names: Sequence[str], client: IpAddress | None = None
    ) -> list[str]:
        """Return those of some repositories that a token's workload may pull from, or a tag of."""
        if token.workload is None:
            return []
        asked = [Access(Resource(REPOSITORY, name), PULL) for name in names]
        policy, now = self._policy(), self._now()
        seen: list[str] = []
        # A page may hold many names, so it is decided in parts, each as one request.
        for start in range(0, len(asked), _DECIDED_AT_ONCE):
            part = asked[start : start + _DECIDED_AT_ONCE]
            found = decide_for(policy, token.workload, self._service, part, now, client)
            if isinstance(found, Refusal):
                continue
            seen += [
                verdict.access.resource.name
                for verdict in found.verdicts
                if verdict.allowed or verdict.why is Why.DEPENDS_ON_REFERENCE
            ]
        return seen
