"""
A token against what is known of its issuer.

What lives here: everything in which a set of claims contradicts a claim schema, each with a value
that would be right.  Not here: whether a token is valid (`regauth.engine.tokens.jwt`,
`regauth.engine.decisions.authentication`).

No schema decides that: a real token that contradicts its schema is still accepted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from .claims import Claim, ClaimSchema
from .nearest import nearest
from .relations import MISSING, Constraint, Path, Relation, value_at
from .values import Values, listed

Kind: TypeAlias = Literal["unknown", "missing", "null", "type", "value", "relation"]

_TIMES: Final = frozenset({"exp", "iat", "nbf"})
"""Claims that are a NumericDate, which may have a fraction (RFC 7519, section 2)."""
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "double": (float, int),
    "bool": (bool,),
    "list": (list, tuple),
    "map": (dict,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Contradiction:
    """
    One contradiction, which no token of the issuer has.

    `coherent` is a value that would be right, or None where none is known.  `guaranteed` says
    whether the issuer promises it; otherwise it is only known today.
    """

    path: Path
    kind: Kind
    message: str
    coherent: object | None = None
    guaranteed: bool = False


def check_token(schema: ClaimSchema, claims: Mapping[str, object]) -> Iterator[Contradiction]:
    """Return everything in which claims contradict their issuer's schema, claim by claim."""
    yield from _unknown(schema, claims)
    broken: set[Path] = set()
    for claim in schema.claims.values():
        for found in _check(claim, claims):
            broken.add(claim.path)
            yield found
    for relation in schema.relations:
        for path, constraint in relation.broken(claims):
            if path not in broken:
                yield _contradiction(relation, path, constraint, claims)


def _unknown(schema: ClaimSchema, claims: Mapping[str, object]) -> Iterator[Contradiction]:
    for name, value in claims.items():
        family = schema.family(name)
        if (name,) in schema.claims or schema.open:
            continue
        if family is None:
            message = f"tokens of {schema.name} have no claim `{name}`"
            yield Contradiction((name,), "unknown", message)
        else:
            yield from _check_value(family.claim, (name,), value)


def _check(claim: Claim, claims: Mapping[str, object]) -> Iterator[Contradiction]:
    value = value_at(claims, claim.path)
    if value is not MISSING:
        yield from _check_value(claim, claim.path, value)
    elif claim.always and isinstance(value_at(claims, claim.path[:-1]), Mapping):
        yield Contradiction(
            claim.path,
            "missing",
            f"every token has `{claim.name}`",
            claim.examples[0] if claim.examples else None,
            claim.presence_guaranteed,
        )


def _check_value(claim: Claim, path: Path, value: object) -> Iterator[Contradiction]:
    name = "/".join(path)
    guaranteed = claim.values.guaranteed
    if value is None:
        if not claim.nullable:
            yield Contradiction(path, "null", f"`{name}` is never null", None, guaranteed)
        return
    if path == ("aud",) and isinstance(value, str):
        value = [value]  # one audience may be a text (RFC 7519, section 4.1.3)
    if not _has_type(claim, value):
        message = f"`{name}` is {_article(claim.type)}, not {_article(_type_of(value))}"
        yield Contradiction(path, "type", message, nearest(claim.values, value), guaranteed)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _check_against(claim.items, path, item)
    else:
        yield from _check_against(claim.values, path, value)


def _check_against(values: Values, path: Path, value: object) -> Iterator[Contradiction]:
    if values.limited and not values.can_equal(value):
        message = f"`{'/'.join(path)}` is never {_quoted(value)}: it is {values.described()}"
        yield Contradiction(path, "value", message, nearest(values, value), values.guaranteed)


def _has_type(claim: Claim, value: object) -> bool:
    wanted = _TYPES.get(claim.type)
    if wanted is None:
        return True
    if claim.path[-1] in _TIMES and isinstance(value, float):
        return True
    # `True` is an int to Python, and no number in JSON.
    return isinstance(value, wanted) and (isinstance(value, bool) == (claim.type == "bool"))


def _type_of(value: object) -> str:
    kinds = {bool: "bool", int: "int", float: "double", str: "string", dict: "object"}
    return kinds.get(type(value), "list")


def _article(kind: str) -> str:
    said = {
        "string": "text",
        "int": "a whole number",
        "double": "a number with a fraction",
        "bool": "true or false",
        "list": "a list",
        "map": "an object",
        "object": "an object",
    }
    return said.get(kind, kind)


def _quoted(value: object) -> str:
    if value == "":
        return "empty"
    return f"`{value}`" if isinstance(value, str) else str(value).lower()


def _contradiction(
    relation: Relation, path: Path, constraint: Constraint, claims: Mapping[str, object]
) -> Contradiction:
    name = "/".join(path)
    value = value_at(claims, path)
    coherent: object | None = constraint.proposed(claims)
    values = constraint.values
    if coherent is None and values is not None:
        coherent = nearest(values, value) or (values.enum[0] if values.enum else None)
    if value is MISSING:
        said = f"`{name}` is missing"
    elif constraint.present is False:
        said = f"`{name}` is there"
    else:
        said = f"`{name}` is {_quoted(value)}"
    wanted = f", not {listed(values.enum)}" if values is not None and values.enum else ""
    message = f"{said}{wanted}. {relation.description}"
    return Contradiction(path, "relation", message, coherent, relation.guaranteed)
