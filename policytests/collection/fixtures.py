"""
Fixtures for Python tests of a policy.

What lives here: what a test asks with.  What must not: pytest's hooks.

    def test_only_main_pushes(policytest):
        policy = policytest("policy/")
        main = policy.token("github-actions", repository="acme/app", repository_owner_id="1342004")
        assert main.may("push", "acme/app")
        assert not main.but(ref="refs/heads/x").may("push", "acme/app")
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.access.outcomes import Refusal, Why
from regauth.engine.access.scope import repository_access
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.problems import Location
from regauth.engine.source.rendering import render_text
from regauth.policytests.execution.evaluation import Answer, Session, open_session
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.tokens.issuing import IssuerKeys, make_sample
from regauth.policytests.tokens.profiles.profile import merge
from regauth.policytests.tokens.spec import TokenSpec


class PolicyError(Exception):
    """The policy does not compile, or has no such provider; the message says all."""


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """A policy that tests ask."""

    policy: Policy
    at: datetime
    keys: IssuerKeys = field(default_factory=IssuerKeys, repr=False)

    def token(self, profile: str, provider: str | None = None, **claims: object) -> "AskedToken":
        """
        Make a sample token of a profile, with the claims that matter.

        Raises:
            PolicyError: The policy has not exactly one provider with the profile's claims.
        """
        kind = profile.partition("/")[0]
        fitting = [
            one
            for one in self.policy.providers.values()
            if one.name == provider or (provider is None and one.claims.name == kind)
        ]
        if len(fitting) != 1:
            raise PolicyError(f"{len(fitting)} providers of the policy fit; name one of them")
        spec = TokenSpec("token", Location("test"), profile=profile, claims=claims)
        return AskedToken(self, spec, fitting[0])


@dataclass(frozen=True, slots=True)
class AskedToken:
    """A sample token and what it may do."""

    asked: AskedPolicy
    spec: TokenSpec
    provider: Provider

    def but(self, **claims: object) -> "AskedToken":
        """Return the token with other claims."""
        return replace(self, spec=replace(self.spec, claims=merge(self.spec.claims, claims)))

    def without(self, *names: str) -> "AskedToken":
        """Return the token without some claims."""
        return replace(self, spec=replace(self.spec, without=(*self.spec.without, *names)))

    def forged(self, forgery: str) -> "AskedToken":
        """Return the token forged in a way that `policytest hostile --list` names."""
        return replace(self, spec=replace(self.spec, forge=forgery))

    def session(self, service: str | None = None) -> Session:
        """Log the token in."""
        sample = make_sample(self.spec, self.provider, self.asked.at, self.asked.keys)
        policy = self.asked.policy
        return open_session(policy, sample, service or min(policy.services))

    def ask(self, action: str, repository: str, service: str | None = None) -> Answer:
        """
        Return the engine's verdict on an action, or the refusal of the login.

        Args:
            action: `pull`, `push` or `delete`.
            repository: Its name, with a tag or digest where the policy asks: `acme/app:v1`.
            service: The service; the policy's only one.

        Raises:
            PolicyError: It is no repository's name.
        """
        access = repository_access(repository, action)
        if access is None:
            raise PolicyError(f"{repository!r} is not a repository's name")
        return self.session(service).answer(access)

    def may(self, action: str, repository: str, service: str | None = None) -> bool:
        """Tell whether an action is allowed; what cannot be told fails the test."""
        answer = self.ask(action, repository, service)
        if isinstance(answer, Refusal):
            return False
        if answer.errors:
            raise PolicyError(f"a condition failed: {answer.errors[0].message}")
        if answer.why is Why.DEPENDS_ON_REFERENCE:
            raise PolicyError(f"`{answer.source}` asks for the tag: write {repository}:TAG")
        return answer.allowed

    def refused(self, service: str | None = None) -> str | None:
        """Return the reason that the login is refused for, or None."""
        outcome = self.session(service).outcome
        return outcome.reason if isinstance(outcome, Refusal) else None


def load(folder: Path, at: datetime | None = None) -> AskedPolicy:
    """
    Compile a policy for tests.

    Raises:
        PolicyError: It does not compile.
    """
    compilation = compile_folder(folder, folder.as_posix()).compilation
    if compilation.policy is None:
        raise PolicyError(render_text(compilation.problems, compilation.sources))
    return AskedPolicy(compilation.policy, at or datetime.now(UTC))
