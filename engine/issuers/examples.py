"""
A whole token from a few claims: adds the claims that an issuer would add.

What lives here: filling in the claims that every token has, so that nothing contradicts the schema.
Not here: signatures, and the times of a token's issue.

The given claims stay.  A value that follows from them by a relation comes before a usual value.
For `repository: other/app` the owner is `other`, and the subject begins with `repo:other/app`.
"""

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from regauth.engine.languages import find_common

from .claims import Claim, ClaimSchema
from .relations import MISSING, Constraint, Path, Reference, Relation, Template, Wildcard, value_at
from .values import Values

_ROUNDS: Final = 200
"""Steps after which filling in ends.  Each adds a claim, and no schema has as many claims."""


def coherent(schema: ClaimSchema, given: Mapping[str, object]) -> dict[str, Any]:
    """
    Return the claims of a token of the issuer that has the given ones.

    The given claims are not changed, even where they contradict the schema or one another:
    `check_token` says so.  A claim that is only sometimes there is added where a relation asks for
    it.
    """
    claims: dict[str, Any] = deepcopy(dict(given))
    for _ in range(_ROUNDS):
        step = _followed(schema, claims) or _usual(schema, claims)
        if step is None:
            break
        path, value = step
        _put(claims, path, value)
    return claims


def _put(claims: dict[str, Any], path: Path, value: object) -> None:
    for name in path[:-1]:
        claims = claims.setdefault(name, {})
    claims[path[-1]] = value


def _followed(schema: ClaimSchema, claims: Mapping[str, Any]) -> tuple[Path, object] | None:
    """Return a claim that is not there yet, with the value that follows from those that are."""
    for relation in sorted(schema.relations, key=_order):
        if relation.applies(claims):
            for path, constraint in relation.then:
                for step in (_made, _read_back):
                    found = step(schema, claims, path, constraint)
                    if found is not None:
                        return found
    return None


def _order(relation: Relation) -> int:
    """Sort relations: those that leave one value, then usual values, then those with a choice."""
    single = all(
        constraint.templates or constraint.values is None or len(constraint.values.enum) == 1
        for _, constraint in relation.then
    )
    return 1 if relation.usual else 0 if single else 2


def _made(
    schema: ClaimSchema, claims: Mapping[str, Any], path: Path, constraint: Constraint
) -> tuple[Path, object] | None:
    """Return a missing claim's value that a relation leaves it."""
    claim = schema.claims[path]
    if value_at(claims, path) is not MISSING or constraint.present is False:
        return None
    if value_at(claims, path[:-1]) is MISSING:
        return None
    wanted = claim.always or constraint.present is True
    if not wanted:
        return None
    if constraint.templates:
        text = constraint.proposed(claims)
        return None if text is None else (path, text)
    if constraint.values is None:
        return (path, _default(claim, claims, constraint)) if constraint.present else None
    return path, _default(claim, claims, constraint)


def _read_back(
    schema: ClaimSchema, claims: Mapping[str, Any], path: Path, constraint: Constraint
) -> tuple[Path, object] | None:
    """Return a missing claim's value that a claim made of it was made with."""
    value = value_at(claims, path)
    if not isinstance(value, str):
        return None
    for template in constraint.templates:
        captured = _captured(template, claims, value)
        if captured is None or not _may_be_used(template, claims, captured):
            continue
        for read, text in captured.items():
            if value_at(claims, read) is MISSING and schema.claims[read].values.can_equal(text):
                return read, text
        for read, condition in template.when:
            values = condition.values
            if value_at(claims, read) is MISSING and values is not None and values.enum:
                return read, values.enum[0]
        return None
    return None


def _may_be_used(
    template: Template, claims: Mapping[str, Any], captured: Mapping[Path, str]
) -> bool:
    """Whether no claim that is there contradicts a template; missing claims may still come."""
    for path, constraint in template.when:
        if path in captured:
            if constraint.present is False:
                return False
        elif value_at(claims, path) is not MISSING and not constraint.holds(claims, path):
            return False
    return True


def _captured(template: Template, claims: Mapping[str, Any], value: str) -> dict[Path, str] | None:
    """Return what a text tells of the missing claims of a template; None where it is not of it."""
    found: dict[Path, str] = {}
    rest = value
    pieces = list(template.pieces)
    for at, piece in enumerate(pieces):
        known = piece if isinstance(piece, str) else None
        if isinstance(piece, Reference):
            known = found.get(piece.path) or piece.text(claims)
        if known is not None:
            if not rest.startswith(known):
                return None
            rest = rest[len(known) :]
            continue
        following = pieces[at + 1] if at + 1 < len(pieces) else ""
        if not isinstance(following, str):
            return None
        # Before a wildcard the last separator ends the part: `acme/team` of `acme/team/app`.
        split = rest.rpartition if pieces[at + 2 :] == [Wildcard()] else rest.partition
        text, separator, _ = split(following) if following else (rest, "", "")
        if not text or (following and not separator):
            return None
        if isinstance(piece, Reference) and not piece.group:
            found[piece.path] = text
        rest = rest[len(text) :]
    return None if rest else found


def _usual(schema: ClaimSchema, claims: Mapping[str, Any]) -> tuple[Path, object] | None:
    """
    Return the next claim that every token has and this one has not, with its usual value.

    A claim that is made of others comes last: it follows once they are there.
    """
    made = _made_of_others(schema)
    for path, claim in sorted(schema.claims.items(), key=lambda one: one[0] in made):
        if claim.always and value_at(claims, path) is MISSING:
            holder = value_at(claims, path[:-1])
            if isinstance(holder, Mapping):
                return path, {} if claim.type == "object" else _default(claim, claims, None, schema)
    return None


def _made_of_others(schema: ClaimSchema) -> set[Path]:
    return {
        path
        for relation in schema.relations
        for path, constraint in relation.then
        for template in constraint.templates
        if not any(isinstance(piece, Wildcard) for piece in template.pieces)
    }


def _default(
    claim: Claim,
    claims: Mapping[str, Any],
    constraint: Constraint | None,
    schema: ClaimSchema | None = None,
) -> object:
    """Return a claim's usual value, or the most usual one that a constraint allows."""
    allowed = None if constraint is None else constraint.values
    twin = _name_of(claim, schema)
    if twin is not None:
        name = value_at(claims, twin.path)
        if name is not MISSING and twin.examples and name != twin.examples[0]:
            return stand_in(claim.values, str(name))
    for example in (*claim.examples, *claim.values.enum):
        if allowed is None or (example is not None and allowed.can_equal(example)):
            return deepcopy(example)
    if allowed is None:
        return "sample"
    if allowed.enum:
        return allowed.enum[0]
    return find_common(allowed.language, claim.values.language) or "sample"


def _name_of(claim: Claim, schema: ClaimSchema | None) -> Claim | None:
    """Return the claim that names the thing of which this one is the id."""
    if schema is None:
        return None
    beside = claim.path[:-1]
    return next(
        (
            one
            for one in schema.claims.values()
            if one.path[:-1] == beside and one.twin == claim.path[-1]
        ),
        None,
    )


def stand_in(values: Values, name: str) -> str:
    """
    Return an id for a name: always the same one, and another for another name.

    It has the form of the values: a UUID, a commit, a number; where that is none of these, a text
    of letters and digits.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    number = str(1_000_000 + int(digest[:8], 16) % 900_000_000)
    forms = (number, uuid, digest[:40], digest[:12])
    return next((one for one in forms if values.can_equal(one)), digest[:12])
