"""
Fixtures for Python tests of a policy.

What lives here: the objects that a test uses.  Not here: pytest's hooks (`plugin`, `recorder`).

    def test_only_main_pushes(policytest):
        policy = policytest("policy/")
        main = policy.token("github-actions", repository="acme/app", repository_owner_id="1342004")
        assert main.may("push", "acme/app")
        assert not main.but(ref="refs/heads/x").may("push", "acme/app")
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regauth.engine.access.outcomes import Refusal, Why
from regauth.engine.access.scope import REPOSITORY_ACTIONS, Access, repository_access
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.addresses import parse_ip
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.problems import Location
from regauth.engine.source.rendering import render_text
from regauth.policytests.execution.causes import Causes
from regauth.policytests.execution.evaluation import AccessAnswer, Session, open_session
from regauth.policytests.execution.judging import describe
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.execution.telling import tell_access
from regauth.policytests.tokens.claim_names import ClaimPath, paths_of, unknown_claims
from regauth.policytests.tokens.coherence import impossible_claims
from regauth.policytests.tokens.forgeries.known import FORGERIES
from regauth.policytests.tokens.issuing import IssuerKeys, make_sample, profile_of
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.profiles.profile import merge
from regauth.policytests.tokens.spec import UNKNOWN_CLIENT, TokenSpec

__tracebackhide__ = True  # pytest then shows the line of the test and hides this module

TEST: Final = Location("test")
"""The place in messages for what a Python test writes."""


class PolicyError(Exception):
    """A test asks for something that does not exist, or its policy does not compile."""


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """A policy for tests."""

    policy: Policy
    at: datetime
    keys: IssuerKeys = field(default_factory=IssuerKeys, repr=False)

    def token(self, profile: str, provider: str | None = None, **claims: object) -> "AskedToken":
        """
        Make a sample token of a profile, with other values for some claims.

        Raises:
            PolicyError: There is no such profile or claim, or the policy has not exactly one
                provider with the profile's claims.
        """
        kind = profile.partition("/")[0]
        providers = self.policy.providers
        if provider is not None and provider not in providers:
            hint = did_you_mean(provider, providers)
            raise PolicyError(f"the policy has no provider {provider!r}; {hint}")
        fitting = [
            one
            for one in providers.values()
            if one.name == provider or (provider is None and one.claims.name == kind)
        ]
        if not fitting:
            names = ", ".join(f"{one.name} ({one.claims.name})" for one in providers.values())
            raise PolicyError(f"no provider has the claims of {kind}; there are {names}")
        if len(fitting) > 1:
            names = ", ".join(f"{one.name!r}" for one in fitting)
            raise PolicyError(f"{names} have the claims of {kind}; write provider=NAME")
        own = [one.claims for one in providers.values()]
        if profiles.find(profile, own) is None:
            hint = did_you_mean(profile, profiles.names(own))
            raise PolicyError(f"there is no profile {profile!r}; {hint}")
        asked = AskedToken(self, TokenSpec("token", TEST, profile=profile), fitting[0])
        return asked.but(**claims)


@dataclass(frozen=True, slots=True)
class AskedToken:
    """A sample token and what it may do."""

    asked: AskedPolicy
    spec: TokenSpec
    provider: Provider

    def __repr__(self) -> str:
        return f"<{self.spec.profile} token {dict(self.spec.claims)}>"

    def but(self, **claims: object) -> "AskedToken":
        """
        Return the token with other claims.

        Raises:
            PolicyError: The issuer's tokens have no such claim.
        """
        self._check(paths_of(claims))
        return replace(self, spec=replace(self.spec, claims=merge(self.spec.claims, claims)))

    def without(self, *names: str) -> "AskedToken":
        """
        Return the token without some claims, or members of one as in `kubernetes.io/pod`.

        Raises:
            PolicyError: The issuer's tokens have no such claim.
        """
        self._check(tuple(name.split("/")) for name in names)
        return replace(self, spec=replace(self.spec, without=(*self.spec.without, *names)))

    def _check(self, paths: Iterable[ClaimPath]) -> None:
        if profile_of(self.spec, self.provider) is profiles.PLAIN:
            return
        for unknown in unknown_claims(self.provider.claims, paths):
            raise PolicyError(f"{unknown.message}; {unknown.hint}")

    def forged(self, forgery: str) -> "AskedToken":
        """
        Return the token forged in a way that `policytest hostile --list` names.

        Raises:
            PolicyError: There is no such forgery.
        """
        if forgery not in FORGERIES:
            hint = did_you_mean(forgery, FORGERIES)
            raise PolicyError(f"there is no forgery {forgery!r}; {hint}")
        return replace(self, spec=replace(self.spec, forge=forgery))

    def impossible(self, reason: str) -> "AskedToken":
        """
        Return the token, which may now contradict its issuer's claim schema.

        Args:
            reason: Why the test needs a token that no issuer makes.

        Raises:
            PolicyError: The reason is empty.
        """
        if not reason.strip():
            raise PolicyError("write why the test needs a token that no issuer makes")
        return replace(self, spec=replace(self.spec, impossible=reason))

    def used_from(self, address: str) -> "AskedToken":
        """
        Return the token, used from an address.

        Args:
            address: The address of the client, or `unknown`.

        Raises:
            PolicyError: It is neither.
        """
        if address != UNKNOWN_CLIENT and parse_ip(address) is None:
            raise PolicyError(f"{address!r} is no IP address")
        return replace(self, spec=replace(self.spec, client=address))

    def session(self, service: str | None = None) -> Session:
        """
        Log the token in.

        Raises:
            PolicyError: The token contradicts its issuer's claim schema, the policy has no such
                service, or it has several and none is named, or it reads the client's address and
                none is given.
        """
        sample = make_sample(self.spec, self.provider, self.asked.at, self.asked.keys)
        for found in impossible_claims(sample):
            raise PolicyError(f"{found.message}; {found.fix}; or call .impossible(REASON)")
        policy = self.asked.policy
        if self.spec.client is None and policy.reads_client:
            raise PolicyError("the policy asks from where; call .used_from(ADDRESS)")
        if service is None and len(policy.services) > 1:
            names = ", ".join(sorted(policy.services))
            raise PolicyError(f"the policy answers for {names}; write service=NAME")
        if service is not None and service not in policy.services:
            hint = did_you_mean(service, policy.services)
            raise PolicyError(f"the policy does not answer for {service!r}; {hint}")
        return open_session(policy, sample, service or min(policy.services))

    def ask(self, action: str, repository: str, service: str | None = None) -> AccessAnswer:
        """
        Return the engine's verdict on an action, or the refusal of the login.

        Args:
            action: `pull`, `push` or `delete`.
            repository: Its name, with a tag or digest where the policy asks: `acme/app:v1`.
            service: The service; by default the policy's only one.

        Raises:
            PolicyError: There is no such action, or it is no repository's name.
        """
        return self.session(service).answer(_access(action, repository))

    def may(self, action: str, repository: str, service: str | None = None) -> "Permission":
        """
        Tell whether an action is allowed.

        The answer is true or false in an `assert`, and says why when the `assert` fails.

        Raises:
            PolicyError: A condition fails, or the tag is needed to decide.
        """
        session = self.session(service)
        access = _access(action, repository)
        answer = session.answer(access)
        if not isinstance(answer, Refusal):
            if answer.errors:
                raise PolicyError(f"a condition failed: {answer.errors[0].message}")
            if answer.why is Why.DEPENDS_ON_REFERENCE:
                raise PolicyError(f"`{answer.source}` asks for the tag: write {repository}:TAG")
            if answer.why is Why.DEPENDS_ON_NEW_TAG:
                raise PolicyError(
                    f"`{answer.source}` allows new tags only: "
                    f"write {repository}=new or {repository}=existing"
                )
        return Permission(self.asked.policy, session, access, answer)

    def refused(self, service: str | None = None) -> str | None:
        """Return the reason that the login is refused for, or None."""
        outcome = self.session(service).outcome
        return outcome.reason if isinstance(outcome, Refusal) else None


@dataclass(frozen=True, slots=True, eq=False)
class Permission:
    """Whether an access is allowed, and why."""

    policy: Policy
    session: Session
    access: Access
    answer: AccessAnswer

    def __bool__(self) -> bool:
        return not isinstance(self.answer, Refusal) and self.answer.allowed

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))

    def __repr__(self) -> str:
        """Say what decided and where, in the line that pytest shows for a failed `assert`."""
        cause = Causes(self.policy).of(self.session, self.access, self.answer)
        place = f"; see {cause.name} ({cause.location})" if cause is not None else ""
        return f"<{self.access} {describe(self.answer)}{place}>"

    def __str__(self) -> str:
        """Say line by line what was asked, answered and why."""
        told = tell_access(self.policy, self.session, self.access, self.answer, None)
        return "\n".join(told)


def _access(action: str, repository: str) -> Access:
    if action not in REPOSITORY_ACTIONS:
        hint = did_you_mean(action, REPOSITORY_ACTIONS)
        raise PolicyError(f"{action!r} is no action on a repository; {hint}")
    access = repository_access(repository, action)
    if access is None:
        raise PolicyError(f"{repository!r} is not a repository's name")
    return access


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
