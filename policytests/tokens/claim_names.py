"""
The names of claims that a sample token gives or leaves out, compared with its issuer's.

What lives here: the comparison.  Not here: who is told (`suites.linking`, `collection.fixtures`).

A misspelled claim tests nothing: the token then equals the one that it is made from.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from regauth.engine.cel import BOOL, DOUBLE, INT, STRING, RecordType, Type
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
    """Yield each claim that the schema does not have, once."""
    told: set[ClaimPath] = set()
    for path in paths:
        if schema.type.field("/".join(path)):  # which `without` names in one word
            continue
        unknown = _first_unknown(schema.type, path)
        if unknown is None or unknown in told:
            continue
        told.add(unknown)
        holder = _holder(schema.type, unknown[:-1])
        known = () if holder is None else tuple(holder.fields)
        within = [one for one in schema.claims if len(one) > 1 and one[-1] == unknown[-1]]
        hint = did_you_mean(unknown[-1], known) if known else ""
        if within and nearest(unknown[-1], known) is None:
            hint = f"it is a part of `{'/'.join(within[0][:-1])}`"
        message = f"tokens of {schema.name} have no claim `{'/'.join(unknown)}`"
        yield UnknownClaim(unknown, message, hint)


def _first_unknown(claims: RecordType, path: ClaimPath) -> ClaimPath | None:
    """Return a path up to its first name that is not there, or None when all are or may be."""
    found: Type = claims
    for end, name in enumerate(path, 1):
        if found in (STRING, INT, DOUBLE, BOOL):
            return path[:end]
        if not isinstance(found, RecordType):
            return None
        member = found.field(name)
        if member is None:
            return path[:end]
        found = member.type
    return None


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
