"""
Which registries a service account gets a login for.

What lives here: the account as its token will describe it, and the question to the engine whether
the policy can give that token anything.  Not here: a decision, which the engine makes
(`regauth.engine.decisions.prospects`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from regauth.controller.naming import DEFAULT_INSTANCE, SYSTEM_NAMESPACES, secret_name
from regauth.controller.observing.observed import Account, Namespace
from regauth.controller.settings import MIN_TOKEN, Registry, Selection
from regauth.engine import Authenticated, Claims, Policy, may_be_granted
from regauth.engine.decisions.authentication import authenticate
from regauth.engine.tokens.jwt import supposed

_NO_UID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A login that a pull secret should hold."""

    registry: str
    username: str
    audience: str
    duration: timedelta
    """What is asked for; the API server may give less or more."""
    max_age: timedelta | None = None
    """How long after `iat` the policy accepts a token, whatever its `exp` says."""


@dataclass(frozen=True, slots=True)
class Entitlements:
    """Who gets what: the settings, and the policy if there is one."""

    registries: tuple[Registry, ...]
    selection: Selection = field(default_factory=Selection)
    policy: Policy | None = None
    instance: str = DEFAULT_INSTANCE
    attach: bool = True
    """Whether accounts list their pull secret; where pods are given it, accounts stay unchanged."""

    def selects(self, account: Account, namespace: Namespace | None) -> bool:
        """
        Tell whether an account is taken: its own mark counts first, then its namespace's.

        A namespace that the settings name is not read: no Role permits to list namespaces.
        """
        named = self.selection.namespaces
        system = account.key.namespace.startswith(SYSTEM_NAMESPACES)
        if (system and not self.selection.kube_namespaces) or (
            named and account.key.namespace not in named
        ):
            return False
        if account.mark is not None:
            return account.mark
        if named:
            return not self.selection.opt_in
        if namespace is None:
            return False
        if namespace.mark is not None:
            return namespace.mark
        labels = self.selection.namespace_labels
        return not self.selection.opt_in and labels.items() <= namespace.labels.items()

    def wanted(self, account: Account, now: datetime) -> tuple[Wanted, ...]:
        """Return the logins that the policy can give something to, sorted."""
        found = (self._wanted(registry, account, now) for registry in self.registries)
        return tuple(sorted(one for one in found if one is not None))

    def _wanted(self, registry: Registry, account: Account, now: datetime) -> Wanted | None:
        asked = Wanted(registry.host, registry.username, registry.audience, registry.token_duration)
        if self.policy is None:
            return asked
        provider = self.policy.providers[registry.provider]
        most = provider.max_token_age
        if most is not None:
            life = max(min(asked.duration, most), MIN_TOKEN)
            asked = Wanted(asked.registry, asked.username, asked.audience, life, most)
        claims = self.claims(registry, account, asked.duration, now)
        login = authenticate(provider, claims, registry.service, now)
        if not isinstance(login, Authenticated):
            return None
        return asked if may_be_granted(self.policy, login, registry.service, now) else None

    def claims(
        self, registry: Registry, account: Account, duration: timedelta, now: datetime
    ) -> Claims:
        """
        Return what the token of an account will say.

        Source: Kubernetes documentation, "Managing Service Accounts", "Bound service account
        tokens", "Schema for service account private claims".
        """
        assert self.policy is not None  # noqa: S101 - asked only when there is one
        namespace, name = account.key
        seconds = int(now.timestamp())
        return supposed(
            {
                "iss": self.policy.providers[registry.provider].issuer,
                "sub": f"system:serviceaccount:{namespace}:{name}",
                "aud": [registry.audience],
                "iat": seconds,
                "nbf": seconds,
                "exp": seconds + int(duration.total_seconds()),
                "jti": _NO_UID,
                "kubernetes.io": {
                    "namespace": namespace,
                    "serviceaccount": {"name": name, "uid": account.uid},
                    "secret": {"name": secret_name(name, self.instance), "uid": _NO_UID},
                },
            }
        )
