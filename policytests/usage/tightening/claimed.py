"""
Claims that were seen: the values that the users of a grant had, where they are few.

What lives here: values in bounded memory, and which of them can become a condition.
Not here: which claims these are (`identities`), and the text of a condition (`conditions`).

Only claims of `identities` are looked at.  No person chooses their values, so no value that a
person chooses becomes a condition.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.policy import Policy, Provider, Statement
from regauth.engine.source.foreign_text import visible
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.usage.identities import IDENTITIES, Path, equals, value_at

MAX_VALUES: Final = 20
"""Values that are remembered of one claim of the users of one grant."""

MAX_LABEL: Final = 60
"""Characters that are shown of a name."""

_FLAG: Final = "true"

Values = tuple[str | None, ...]
"""Those of a provider's narrowing claims in one token; None where it has no such value."""


@dataclass(frozen=True, slots=True)
class NarrowingClaims:
    """The claims of one provider's tokens by which grants can be narrowed."""

    schema: ClaimSchema
    paths: tuple[Path, ...]
    labels: tuple[Path, ...]
    """For each the claim that names the same thing for people; empty where there is none."""
    ruled: frozenset[Path]
    """Those that the provider's rules read already."""

    @classmethod
    def of(cls, provider: Provider) -> "NarrowingClaims":
        """Look up the claims of a provider."""
        identity = IDENTITIES.get(provider.claims.name)
        known = () if identity is None else identity.narrowing
        paths = tuple(path for path in known if provider.claims.claim(path) is not None)
        read = (path for rule in provider.rules for path in rule.check.paths)
        ruled = frozenset(path[1:] for path in read if path[0] == "claims")
        labels = tuple(_label(path, provider.claims) for path in paths)
        return cls(provider.claims, paths, labels, ruled)

    def values(self, claims: Claims) -> Values:
        """Return the values of a token."""
        return tuple([_text(claims, path, self.schema) for path in self.paths])

    def names(self, claims: Claims) -> Values:
        """Return what people call the values of a token."""
        return tuple(_text(claims, path, self.schema) if path else None for path in self.labels)


def _text(claims: Claims, path: Path, schema: ClaimSchema) -> str | None:
    found = value_at(claims, path, schema)
    return found if isinstance(found, str) else None


def _label(path: Path, schema: ClaimSchema) -> Path:
    for other, claim in schema.claims.items():
        if claim.twin == path[-1] and other[:-1] == path[:-1]:
            return other
    return ()


@dataclass(slots=True)
class SeenValues:
    """The values that the users of a grant from one provider had."""

    claims: NarrowingClaims
    values: list[dict[str, str] | None] = field(default_factory=list)
    """By claim the values, each with what people call it; None where they are no condition."""

    def __post_init__(self) -> None:
        self.values = [{} for _ in self.claims.paths]

    def add(self, values: Values, names: Values) -> None:
        """Add those of a token."""
        for number, value in enumerate(values):
            seen = self.values[number]
            if seen is None or value in seen:
                continue
            if value is None or len(seen) >= MAX_VALUES:
                self.values[number] = None
            else:
                seen[value] = names[number] or ""


class NarrowedClaim(NamedTuple):
    """A claim that a grant can ask for, with the values that were seen."""

    path: Path
    condition: str
    names: Mapping[str, str]
    """The values, each with what people call it, or ""."""

    @property
    def comment(self) -> str:
        """Say what people call the values, for a comment; "" where nothing is known."""
        told = [f"{_shown(one)} is {_shown(name)}" for one, name in self.names.items() if name]
        return f"{self.path[-1]}: {', '.join(told)}" if told else ""


def _shown(text: str) -> str:
    return visible(text)[:MAX_LABEL]


def narrowing(grant: Statement, seen: Iterable[SeenValues], most: int) -> list[NarrowedClaim]:
    """
    Return by which claims a grant can be narrowed to its users.

    Args:
        grant: The grant.
        seen: What its users had, for each provider that they came from.
        most: The most values of one claim.
    """
    parts = list(seen)
    if not parts or not most or len({one.claims.schema.name for one in parts}) > 1:
        return []  # issuers of different kinds have no claim in common
    claims = parts[0].claims
    read = {path[1:] for program in grant.programs for path in program.paths}
    read |= {path for one in parts for path in one.claims.ruled}
    found = []
    for number, path in enumerate(claims.paths):
        values = _joined([one.values[number] for one in parts])
        if values is None or not 0 < len(values) <= most or path in read:
            continue
        if claims.labels[number] in read:  # it says by name which ones are meant
            continue
        if _is_flag(path, claims.schema) and set(values) != {_FLAG}:
            continue
        listed = dict(sorted(values.items()))
        found.append(NarrowedClaim(path, equals(path, list(listed), claims.schema), listed))
    return found


def _is_flag(path: Path, schema: ClaimSchema) -> bool:
    identity = IDENTITIES.get(schema.name)
    return identity is not None and path in identity.flags


def _joined(parts: list[dict[str, str] | None]) -> dict[str, str] | None:
    joined: dict[str, str] = {}
    for one in parts:
        if one is None:
            return None
        joined |= one
    return joined


def of_policy(policy: Policy) -> dict[str, NarrowingClaims]:
    """Return the narrowing claims of each provider's tokens."""
    return {name: NarrowingClaims.of(one) for name, one in policy.providers.items()}
