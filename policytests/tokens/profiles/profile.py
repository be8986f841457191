"""
A token profile: what the tokens of one kind of issuer look like.

What lives here: the shape of a profile and what profiles share.  Not here: any issuer's
claims (`profile_github`, `profile_ci`, `profile_workload`), keys, signatures and forgeries.

A profile completes coherently: claims that depend on another (`sub` on the repository, an id on a
name) follow the ones that are given, because a token that could not exist proves nothing.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

Claims = dict[str, object]

TIMES: Final = ("iat", "nbf", "exp")
"""The claims that hold times (RFC 7519, section 4.1)."""


@dataclass(frozen=True, slots=True)
class Issue:
    """The circumstances of a token's issue; `immutable_subject` is GitHub's newer `sub`."""

    issuer: str
    audience: str
    at: datetime
    immutable_subject: bool = False


Complete = Callable[[Claims, Issue], None]
"""Adds to the claims an author gave those that the issuer would, times excepted."""


@dataclass(frozen=True, slots=True)
class Profile:
    """
    One issuer's tokens.

    `variants` are claims by the name of a way of working, "" for the usual one; `lifetime` and
    `backdated`
    (how long `nbf` is before `iat`; None without `nbf`) are those of the issuer's tokens.
    """

    name: str
    about: str
    variants: Mapping[str, Mapping[str, object]]
    complete: Complete
    lifetime: timedelta
    backdated: timedelta | None = timedelta()
    algorithm: str = "RS256"

    def claims(self, given: Mapping[str, object], issue: Issue) -> Claims:
        """Return a whole token's claims: the given ones, and those that follow from them."""
        completed = dict(given)
        completed.setdefault("iss", issue.issuer)
        completed.setdefault("aud", issue.audience)
        self.complete(completed, issue)
        issued = int(issue.at.timestamp())
        completed.setdefault("iat", issued)
        if self.backdated is not None:
            completed.setdefault("nbf", issued - int(self.backdated.total_seconds()))
        completed.setdefault("exp", issued + int(self.lifetime.total_seconds()))
        return completed


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


def text(claims: Claims, name: str, default: str) -> str:
    """Return a claim as text, setting it to `default` when it was not given."""
    return str(claims.setdefault(name, default))


def number_of(name: object) -> str:
    """Return an id for a name: always the same, and another one for another name."""
    digest = hashlib.sha256(str(name).encode()).digest()
    return str(1_000_000 + int.from_bytes(digest[:4], "big") % 900_000_000)


def uuid_of(*names: object) -> str:
    """Return an id in UUID form for names: always the same, and another one for others."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def sha_of(*names: object) -> str:
    """Return a commit id for names: always the same, and another one for others."""
    return hashlib.sha256("/".join(map(str, names)).encode()).hexdigest()[:40]
