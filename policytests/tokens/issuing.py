"""
Sample tokens: made, signed, and given the login they are sent with.

What lives here: the signing keys of a run, one for each issuer, and turning a `TokenSpec` into a
`Sample`.  Not here: what an issuer puts into its tokens (`profiles`), and forgery (`forgeries`).

The keys are made in this process and never written anywhere; the policy under test is asked to
verify with their public halves in place of the issuer's, and with nothing else changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa

from regauth.engine.issuers import Derived
from regauth.engine.policy.policy import Provider
from regauth.engine.source.addresses import IpAddress, parse_ip
from regauth.engine.tokens.jwt import sign
from regauth.engine.tokens.keys import Key, KeySet, PrivateKey, SigningKey, algorithms_of
from regauth.policytests.tokens.profiles.profile import Claims, Issuance, Profile, merge

from .forgeries import known as forgeries
from .profiles import known as profiles
from .spec import TokenSpec

_CURVES: Final[Mapping[str, Callable[[], EllipticCurve]]] = {
    "ES256": SECP256R1,
    "ES384": SECP384R1,
    "ES512": SECP521R1,
}


def generate_key(algorithm: str) -> PrivateKey:
    """Make a private key that can sign with an algorithm."""
    if algorithm in _CURVES:
        return generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return Ed25519PrivateKey.generate()
    return generate_rsa(public_exponent=65537, key_size=2048)


@cache
def _key(algorithm: str, number: int) -> PrivateKey:  # noqa: ARG001 - what the cache tells keys by
    """
    Return the sample key of a number in this process.

    An RSA key takes longer than most runs, so the next run of the process uses it again.
    """
    return generate_key(algorithm)


@dataclass(slots=True)
class IssuerKeys:
    """
    The signing keys of a run: one for each issuer and algorithm, taken when first needed.

    No two keys of a run are the same.
    """

    _keys: dict[tuple[str, str], SigningKey] = field(default_factory=dict)
    _strangers: dict[str, PrivateKey] = field(default_factory=dict)

    def signing_key(self, issuer: str, algorithm: str) -> SigningKey:
        """Return the key that an issuer's sample tokens are signed with."""
        key = self._keys.get((issuer, algorithm))
        if key is None:
            key = SigningKey(self._next(algorithm), algorithm, f"sample-{len(self._keys) + 1}")
            self._keys[issuer, algorithm] = key
        return key

    def use(self, issuer: str, algorithm: str, key: SigningKey) -> None:
        """Sign an issuer's sample tokens with a key that was made elsewhere."""
        self._keys[issuer, algorithm] = key

    def stranger(self, algorithm: str) -> PrivateKey:
        """Return a key that no issuer has."""
        if algorithm not in self._strangers:
            self._strangers[algorithm] = self._next(algorithm)
        return self._strangers[algorithm]

    def _next(self, algorithm: str) -> PrivateKey:
        """Return a key that nobody in the run has."""
        return _key(algorithm, len(self._keys) + len(self._strangers))

    def key_set(self, issuer: str) -> KeySet:
        """Return the keys to verify an issuer's sample tokens with; none if it issued nothing."""
        return KeySet(
            tuple(
                Key(key.public_key, algorithms_of(key.public_key), key.key_id)
                for (name, _), key in self._keys.items()
                if name == issuer
            )
        )


@dataclass(frozen=True)
class Sample:
    """A token as a client would send it: the login, its time, and whose keys verify it."""

    spec: TokenSpec
    username: str
    now: datetime
    claims: Mapping[str, object]
    keys: IssuerKeys = field(repr=False)
    provider: Provider | None = field(default=None, repr=False)
    captured: str | None = field(default=None, repr=False)
    captured_keys: KeySet | None = None

    @property
    def client(self) -> IpAddress | None:
        """The address that it is used from; None: it is not known."""
        return parse_ip(self.spec.client) if self.spec.client else None

    @cached_property
    def text(self) -> str:
        """The token."""
        if self.captured is not None:
            return self.captured
        material = self.material()
        if self.spec.forge is not None:
            return forgeries.FORGERIES[self.spec.forge].make(material)
        return sign(material.claims, material.key)

    def material(self) -> forgeries.Material:
        """Return what this token is made of."""
        provider = cast("Provider", self.provider)
        algorithm = algorithm_for(provider, profile_of(self.spec, provider))
        return forgeries.Material(
            claims=self.claims,
            key=self.keys.signing_key(provider.issuer, algorithm),
            stranger=self.keys.stranger,
            now=self.now,
            skew=provider.clock_skew,
        )

    def key_set(self, provider: Provider) -> KeySet:
        """Return the keys that a provider's tokens are verified with in this run."""
        if self.captured_keys is not None:
            return self.captured_keys
        return self.keys.key_set(provider.issuer)


def profile_of(spec: TokenSpec, provider: Provider | None = None) -> Profile:
    """Return the profile a token is made after; the provider's own claim schema comes first."""
    return _found(spec, provider)[0]


def _found(spec: TokenSpec, provider: Provider | None) -> tuple[Profile, str]:
    own = () if provider is None else (provider.claims,)
    return profiles.find(spec.profile or "plain", own) or (profiles.PLAIN, "")


def algorithm_for(provider: Provider, profile: Profile) -> str:
    """Return the algorithm of a provider's sample tokens: the issuer's own, if allowed."""
    algorithms = provider.algorithms
    return profile.algorithm if profile.algorithm in algorithms else algorithms[0]


def claims_of(spec: TokenSpec, provider: Provider, issued: datetime) -> Claims:
    """Return the whole claims of a token that the provider's issuer issued at a time."""
    return dict(derived_of(spec, provider, issued).claims)


def derived_of(spec: TokenSpec, provider: Provider, issued: datetime) -> Derived:
    """Return the whole claims of a token, and where those come from that the suite leaves out."""
    profile, variant = _found(spec, provider)
    issue = Issuance(provider.issuer, min(provider.audiences), issued, spec.immutable_subject)
    given = merge(profile.variants[variant].claims, spec.claims)
    for name in spec.without:
        # A claim that is only sometimes there must not decide others here: the subject of a GitHub
        # token without `environment` names the ref.
        less = {key: value for key, value in given.items() if key != name}
        if name in given and name not in profile.derived(less, issue, variant).claims:
            given = less
    made = profile.derived(given, issue, variant)
    for name in spec.without:
        remove(made.claims, name)
    return made


def remove(claims: Claims, name: str) -> None:
    """Remove a claim, or a member of one as in `kubernetes.io/pod`, if it is there."""
    outer, slash, member = name.partition("/")
    inner = claims.get(outer)
    if name in claims or not slash:
        claims.pop(name, None)
    elif isinstance(inner, Mapping):
        copy = dict(inner)
        remove(copy, member)
        claims[outer] = copy


def make_sample(
    spec: TokenSpec, provider: Provider, suite_time: datetime, keys: IssuerKeys
) -> Sample:
    """Make the sample of a spec that is no captured token."""
    issued = spec.at or suite_time
    return Sample(
        spec=spec,
        username=provider.name if spec.username is None else spec.username,
        now=issued + spec.shift,
        claims=claims_of(spec, provider, issued),
        keys=keys,
        provider=provider,
    )
