"""
The names of claims that a sample token gives or leaves out, compared with its issuer's.

What lives here: the comparison.  Not here: who is told (`suites.linking`, `collection.fixtures`).

A misspelled claim tests nothing: the token then equals the one that it is made from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from regauth.engine.cel import RecordType
from regauth.engine.issuers import ClaimSchema
from regauth.engine.source.nearest import did_you_mean, nearest

ClaimPath = tuple[str, ...]
"""A claim, and the members that lead into it."""


@dataclass(frozen=True, slots=True)
class UnknownClaim:
    """A claim that no token of the issuer has."""

    path: ClaimPath
    message: str
    hint: str


def unknown_claims(schema: ClaimSchema, paths: Iterable[ClaimPath]) -> Iterator[UnknownClaim]:
    """Yield each claim that the schema does not have."""
    for path in paths:
        holder = _holder(schema.type, path[:-1])
        whole = schema.type.field("/".join(path))  # which `without` names in one word
        if holder is None or holder.field(path[-1]) or whole:
            continue
        within = [one for one in schema.claims if len(one) > 1 and one[-1] == path[-1]]
        hint = did_you_mean(path[-1], holder.fields)
        if within and nearest(path[-1], holder.fields) is None:
            hint = f"it is a part of `{'/'.join(within[0][:-1])}`"
        message = f"tokens of {schema.name} have no claim `{'/'.join(path)}`"
        yield UnknownClaim(path, message, hint)


def paths_of(claims: object, path: ClaimPath = ()) -> Iterator[ClaimPath]:
    """Yield each claim of an object and each member of one, outer ones first."""
    if isinstance(claims, dict):
        for name, value in claims.items():
            yield (*path, name)
            yield from paths_of(value, (*path, name))


def _holder(claims: RecordType, path: ClaimPath) -> RecordType | None:
    """Return the object at a path; None where there is none, or its members are not known."""
    for name in path:
        member = claims.field(name)
        if member is None or not isinstance(member.type, RecordType):
            return None
        claims = member.type
    return claims
