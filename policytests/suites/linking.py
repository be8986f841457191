"""
A suite checked against its policy: errors that need both to be found.

What lives here: names of grants, denials, providers and services that a suite uses, the provider
each sample token logs in with.  Not here: captured tokens (`captured`), and running a case
(`execution.evaluation`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from regauth.engine.access.outcomes import Reason
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.problems import Location, Problems
from regauth.policytests.tokens.claim_names import ClaimPath, unknown_claims
from regauth.policytests.tokens.coherence import impossible_claims, is_excused_for_nothing
from regauth.policytests.tokens.issuing import Sample, make_sample, profile_of
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.spec import TokenSpec

from .captured import Capture, Surroundings, read_captured
from .invariants import Invariant, SuiteAssumption, compile_invariants
from .suite import Because, GridTest, RequestTest, Suite, Test


@dataclass(frozen=True, slots=True)
class Linked:
    """A complete suite: its tokens are made, and the policy knows its names."""

    suite: Suite
    policy: Policy
    samples: dict[str, Sample] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    """The service of each test's requests, by the test's name; "" for the hostile layer."""
    invariants: tuple[Invariant, ...] = ()
    assumptions: tuple[SuiteAssumption, ...] = ()


def link(suite: Suite, policy: Policy, surroundings: Surroundings, problems: Problems) -> Linked:
    """
    Tie a suite to its policy.

    The codes are `unknown-profile`, `unknown-provider`, `ambiguous-provider`, `unknown-claim`,
    `impossible-claim`, `impossible-unused`, `unknown-service`, `unknown-grant`,
    `unknown-reason`, `captured-token`, `leaked-token`, `expired-exemption`, and those of
    `compile_invariants`.
    """
    linker = _Linker(suite, policy, surroundings, problems)
    stated = compile_invariants(suite.invariants, policy, problems) if suite.invariants else ()
    linked = Linked(suite, policy, {}, {}, *stated)
    for spec in suite.tokens.values():
        linker.check_client(spec)
        sample = linker.sample(spec)
        if sample is not None:
            linked.samples[spec.name] = sample
    for test in suite.tests:
        linked.services[test.name] = linker.service(test.service, test.location)
        linker.check_test(test)
    if suite.hostile is not None:
        linked.services[""] = linker.service(None, suite.hostile.location)
    return linked


class _Linker:
    def __init__(
        self, suite: Suite, policy: Policy, surroundings: Surroundings, problems: Problems
    ) -> None:
        self._suite = suite
        self._policy = policy
        self._keys = surroundings.keys
        self._capture = Capture(suite.at, surroundings, problems)
        self._now = surroundings.now
        self._problems = problems
        self._told: set[tuple[ClaimPath, str]] = set()
        statements = (*policy.grants, *policy.denials)
        self._statements = [statement.name for statement in statements]
        if policy.anonymous is not None:
            self._statements.append(policy.anonymous.name)

    # -- tokens

    def check_client(self, spec: TokenSpec) -> None:
        """Report a token that is used from nowhere, where the policy asks from where."""
        if spec.client is None and self._policy.reads_client:
            statement = self._policy.by_client[0].name
            message = f"from which address `{spec.name}` is used decides `{statement}`"
            hint = "client: 192.0.2.7, here or for the whole suite; or client: unknown"
            self._problems.error(spec.location, "missing-client", message, hint)

    def sample(self, spec: TokenSpec) -> Sample | None:
        if spec.jwt is not None:
            if spec.provider is not None and self._provider(spec) is None:
                return None
            return read_captured(spec, spec.jwt, self._capture)
        provider = self._provider(spec) if self._has_profile(spec) else None
        if provider is None:
            return None
        self._check_claims(spec, provider)
        sample = make_sample(spec, provider, self._suite.at, self._keys)
        self._check_coherence(sample)
        return sample

    def _has_profile(self, spec: TokenSpec) -> bool:
        """Tell whether a token's profile is there, and report it where the token names it."""
        own = [provider.claims for provider in self._policy.providers.values()]
        if spec.profile is None or profiles.find(spec.profile, own) is not None:
            return True
        if spec.profile_at is not None:
            hint = did_you_mean(spec.profile, profiles.names(own))
            message = f"there is no profile `{spec.profile}`"
            self._problems.error(spec.profile_at, "unknown-profile", message, hint)
        return False

    def _provider(self, spec: TokenSpec) -> Provider | None:
        providers = self._policy.providers
        if spec.provider is not None:
            if spec.provider not in providers:
                self._problems.error(
                    spec.location,
                    "unknown-provider",
                    f"the policy has no provider `{spec.provider}`",
                    did_you_mean(spec.provider, list(providers)),
                )
            return providers.get(spec.provider)
        profile = (spec.profile or profiles.PLAIN.name).partition("/")[0]
        fitting = [one for one in providers.values() if one.claims.name == profile]
        if profile == "plain" and not fitting:
            fitting = list(providers.values())
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(f"`{one.name}`" for one in fitting)
            message = f"{names} all have tokens like `{spec.name}`"
            hint = f"provider: {fitting[0].name}"
            self._problems.error(spec.location, "ambiguous-provider", message, hint)
        else:
            message = f"no provider of the policy has the claims of {profile}"
            hint = f"`claims: {profile}` in the policy, or `provider: NAME` here"
            self._problems.error(spec.location, "unknown-provider", message, hint)
        return None

    def _check_claims(self, spec: TokenSpec, provider: Provider) -> None:
        """Report a claim that such a token cannot have: written wrong, it would test nothing."""
        if profile_of(spec, provider) is profiles.PLAIN:
            return
        for unknown in unknown_claims(provider.claims, spec.named):
            location = spec.named[unknown.path]
            self._problems.error(location, "unknown-claim", unknown.message, unknown.hint)

    def _check_coherence(self, sample: Sample) -> None:
        """Report what no token of the issuer has: at the claim, or else at the token's name."""
        spec = sample.spec
        assumed = any(one.kind == "assume" for one in self._suite.invariants)
        if spec.impossible_at is not None and not assumed and is_excused_for_nothing(sample):
            message = "`impossible` excuses nothing: the token contradicts nothing of its issuer"
            hint = "remove `impossible`, or it hides the next mistake"
            self._problems.error(spec.impossible_at, "impossible-unused", message, hint)
        named = {"/".join(path): location for path, location in spec.named.items()}
        for found in impossible_claims(sample):
            location = named.get("/".join(found.path))  # a name can hold slashes itself
            if location is None and (found.path, found.message) in self._told:
                continue  # the token that this one is made from has it too
            self._told.add((found.path, found.message))
            place = location or spec.location
            hint = f"{found.fix}; or write `impossible: REASON` or `profile: plain`"
            self._problems.error(place, "impossible-claim", found.message, hint)

    # -- tests

    def service(self, written: str | None, location: Location) -> str:
        services = sorted(self._policy.services)
        service = written or self._suite.service
        if service is None:
            if len(services) == 1:
                return services[0]
            self._problems.error(
                location,
                "unknown-service",
                f"the policy answers for {', '.join(services)}; which one is asked?",
                f"service: {services[0]}",
            )
            return services[0]
        if service not in services:
            self._problems.error(
                location,
                "unknown-service",
                f"the policy does not answer for the service `{service}`",
                did_you_mean(service, services),
            )
        return service

    def check_test(self, test: Test) -> None:
        for because in _becauses(test):
            for name, location in zip(because.names, because.name_locations, strict=True):
                self._check_statement(name, location)
        if isinstance(test, RequestTest):
            for name, location in test.errors:
                self._check_statement(name, location)
            if test.refused is not None:
                self._check_reason(test.refused, test.location)
        exemption = test.exemption
        if exemption and exemption.until and self._now.date() > exemption.until:
            self._problems.error(
                exemption.location,
                "expired-exemption",
                f"`{test.name}` was excused until {exemption.until}: {exemption.reason}",
                "make it pass, or decide anew",
            )

    def _check_statement(self, name: str, location: Location) -> None:
        if name not in self._statements:
            self._problems.error(
                location,
                "unknown-grant",
                f"the policy has no grant or denial `{name}`",
                did_you_mean(name, self._statements),
            )

    def _check_reason(self, reason: str, location: Location) -> None:
        rules = [
            rule.reason for provider in self._policy.providers.values() for rule in provider.rules
        ]
        known = [*(str(one) for one in Reason), *rules]
        if reason not in known:
            self._problems.error(
                location,
                "unknown-reason",
                f"no login is ever refused for `{reason}`",
                did_you_mean(reason, known),
            )


def _becauses(test: Test) -> Iterator[Because]:
    if isinstance(test, GridTest):
        yield from test.because
    elif isinstance(test, RequestTest) and test.because is not None:
        yield test.because
