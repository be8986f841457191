"""
The shape of a profile: what the tokens of one issuer hold.

What lives here: whole claims from the ones that an author gave, with the times of a token's issue.
Not here: which profiles there are (`known`), and what an issuer's tokens are like, which its claim
schema says (`regauth.schemas.claims`).

A profile completes coherently: claims that depend on another (`sub` on the repository, an id on a
name) follow the ones that are given, because a token that could not exist proves nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from regauth.engine.issuers import ClaimSchema, Derived, SampleToken, ValueOrigin, derived

Claims = dict[str, object]

TIMES: Final = ("iat", "nbf", "exp")
"""The claims that hold times (RFC 7519, section 4.1)."""

IMMUTABLE: Final = "immutable"
"""The form of GitHub's newer `sub`, as its claim schema calls it."""


@dataclass(frozen=True, slots=True)
class Issuance:
    """The circumstances of a token's issue; `immutable_subject` is GitHub's newer `sub`."""

    issuer: str
    audience: str
    at: datetime
    immutable_subject: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """One issuer's usual tokens, or with no schema tokens of which nothing is known."""

    name: str
    about: str
    schema: ClaimSchema | None = None

    @property
    def variants(self) -> Mapping[str, SampleToken]:
        """The tokens by the name of a way of working, "" for the usual one."""
        return _PLAIN if self.schema is None else self.schema.samples.variants

    @property
    def algorithm(self) -> str:
        """The algorithm that the issuer signs with."""
        return "RS256" if self.schema is None else self.schema.samples.algorithm

    def claims(self, given: Mapping[str, object], issue: Issuance, variant: str = "") -> Claims:
        """Return a whole token's claims: the given ones, and those that follow from them."""
        return self.derived(merge(self.variants[variant].claims, given), issue, variant).claims

    def derived(self, given: Mapping[str, object], issue: Issuance, variant: str = "") -> Derived:
        """Return a whole token's claims, those of the variant being given, and their origins."""
        claims = dict(given)
        claims.setdefault("iss", issue.issuer)
        claims.setdefault("aud", issue.audience)
        issued = int(issue.at.timestamp())
        claims.setdefault("iat", issued)
        if self.schema is None:
            claims.setdefault("nbf", issued)
            claims.setdefault("exp", issued + 300)
            claims.setdefault("sub", "sample")
            return Derived(claims, {(name,): ValueOrigin("given") for name in claims})
        samples = self.schema.samples
        always = self.schema.claims.get(("nbf",))
        if samples.backdated is not None or (always is not None and always.always):
            claims.setdefault("nbf", issued - (samples.backdated or 0))
        claims.setdefault("exp", issued + samples.lifetime)
        form = IMMUTABLE if issue.immutable_subject else ""
        return derived(self.schema, claims, self.variants[variant].including, form)


_PLAIN: Final[Mapping[str, SampleToken]] = {"": SampleToken("")}


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Claims:
    """Return the claims of both; objects are merged, anything else of `over` replaces."""
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = merge(before, value)
        else:
            merged[name] = value
    return merged


def number_of(name: object) -> str:
    """Return an id for a name: always the same, and another one for another name."""
    digest = hashlib.sha256(str(name).encode()).digest()
    return str(1_000_000 + int.from_bytes(digest[:4], "big") % 900_000_000)


def uuid_of(*names: object) -> str:
    """Return an id in UUID form for names: always the same, and another one for others."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
