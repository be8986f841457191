"""
Causes: the part of the policy that made a case fail.

What lives here: finding that part.  Not here: the judgement (`judging`), and the story of one
failure (`telling`).

Many cases fail for one cause: a changed grant breaks every cell that it decided.  Reports show a
cause once and count the other cases.
"""

from dataclasses import dataclass, field

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.scope import Access
from regauth.engine.policy.index import ByName
from regauth.engine.policy.policy import Policy
from regauth.engine.source.problems import Location

from .evaluation import AccessAnswer, Session


@dataclass(frozen=True, slots=True)
class Cause:
    """A grant, a denial, a rule or a provider, and where it stands."""

    name: str
    location: Location


@dataclass(slots=True)
class Causes:
    """Finds causes in one policy."""

    policy: Policy
    _grants: ByName | None = field(default=None, init=False)
    _statements: dict[str, Cause] = field(init=False)

    def __post_init__(self) -> None:
        statements = (*self.policy.grants, *self.policy.denials)
        self._statements = {one.name: Cause(one.name, one.location) for one in statements}

    def of(self, session: Session, access: Access, answer: AccessAnswer) -> Cause | None:
        """Return what decided an answer, or the grant that came nearest to allowing it."""
        if isinstance(answer, Refusal):
            return self.of_refusal(answer)
        name = answer.errors[0].source if answer.errors else answer.source
        return self._statements.get(name) if name else self._nearest(session, access)

    def of_refusal(self, refusal: Refusal) -> Cause | None:
        """Return the rule that refused a login, or its provider."""
        provider = self.policy.providers.get(refusal.provider)
        if provider is None:
            return None
        for rule in provider.rules:
            if rule.reason == refusal.reason:
                return Cause(rule.name, rule.location)
        return Cause(provider.name, provider.location)

    def statement(self, name: str) -> Cause | None:
        """Return a grant or a denial by its name."""
        return self._statements.get(name)

    def _nearest(self, session: Session, access: Access) -> Cause | None:
        """Return the first grant about the name and the action, whose condition does not hold."""
        request = session.request
        if request is None:
            return None
        grants = self.policy.grants
        if self._grants is None:
            self._grants = ByName()
            for position, grant in enumerate(grants):
                self._grants.add(position, grant.patterns)
        found: set[int] = set()
        self._grants.find(access.resource.name, found)
        for position in sorted(found):
            grant = grants[position]
            if not request.mismatch(grant, access) and request.named(grant, access) is True:
                return Cause(grant.name, grant.location)
        return None
