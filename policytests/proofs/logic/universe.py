"""
The universe: which tokens a proof is about.

What lives here: the kinds that the value at each path of a token's claims can have.  Not here: what
a policy asks of them (`statements`), and what its issuer guarantees (`guarantees`).

The engine does not enforce claim schemas: a token may hold any JSON, whatever its issuer is known
for.  So a proof is tried for any JSON first, and only else for tokens that conform to the claim
schema; the answer says which.
"""

from enum import StrEnum
from typing import Final

from regauth.engine.cel import BOOL, DOUBLE, DYN, INT, STRING, ListType, MapType, RecordType, Type
from regauth.engine.issuers import ClaimSchema
from regauth.engine.tokens.jwt import MAX_TOKEN_LENGTH

from .atoms import Path, Slot, Unclaimed


class Kind(StrEnum):
    """What can stand at a path of the claims."""

    STRING = "string"
    LIST = "list"
    MAP = "map"
    INT = "int"
    BOOL = "bool"
    ABSENT = "absent"
    NULL = "null"
    DOUBLE = "double"


ANY_KIND: Final = tuple(Kind)
_PRESENT: Final = tuple(kind for kind in Kind if kind is not Kind.ABSENT)
_SCALARS: Final = {STRING: Kind.STRING, INT: Kind.INT, DOUBLE: Kind.DOUBLE, BOOL: Kind.BOOL}

TIMES: Final[frozenset[Path]] = frozenset({("exp",), ("iat",), ("nbf",)})
"""The times of a token: each may have a fraction, whatever a schema says (RFC 7519, section 2)."""

MAX_TEXT: Final = MAX_TOKEN_LENGTH * 3 // 4
"""Characters of the longest text in a token: its payload is written in base64url."""

MAX_ELEMENTS: Final = MAX_TEXT // 2
"""Elements of the longest list in a token: each takes a character and a comma."""


class Universe:
    """
    The tokens of one provider.

    `schema` is what is known of their claims; None is for requests without credentials, which have
    no claims.  `anything` is whether they may hold any JSON, or only what the schema says: of each
    claim its type, and that it is there where the issuer guarantees it.
    """

    def __init__(self, schema: ClaimSchema | None, *, anything: bool) -> None:
        self.schema = schema
        self.anything = anything
        self._kinds: dict[Path, tuple[Kind, ...]] = {}

    def kinds(self, path: Path) -> tuple[Kind, ...]:
        """Return the kinds that the value at a path can have, where the value around it exists."""
        found = self._kinds.get(path)
        if found is None:
            found = self._kinds[path] = self._find(path)
        return found

    def _find(self, path: Path) -> tuple[Kind, ...]:
        if not path:
            return (Kind.MAP,)
        if self.schema is None:
            return (Kind.ABSENT,)
        if path[0] == "aud":
            return self._audience(path)
        if self.anything:
            return ANY_KIND
        declared = self.declared(path)
        if declared is None:
            return (Kind.ABSENT,)
        kind, always = declared
        kinds = _kinds(kind)
        if path in TIMES and Kind.INT in kinds and Kind.DOUBLE not in kinds:
            kinds = (*kinds, Kind.DOUBLE)
        claim = self.schema.claim(tuple(map(str, path)))
        if claim is not None and claim.nullable and Kind.NULL not in kinds:
            kinds = (*kinds, Kind.NULL)
        if always and claim is not None and claim.presence_guaranteed:
            return kinds
        return (*kinds, Kind.ABSENT)

    def _audience(self, path: Path) -> tuple[Kind, ...]:
        """`aud` is a list of texts, whichever way it was sent (`authentication`)."""
        if len(path) == 1:
            return (Kind.LIST,)
        return (Kind.STRING, Kind.ABSENT) if isinstance(path[1], Slot) else (Kind.ABSENT,)

    def declared(self, path: Path) -> tuple[Type, bool] | None:
        """Return the type that the schema gives a path, and whether it is always there; or None."""
        kind: Type = DYN if self.schema is None else self.schema.type
        always = True
        for name in path:
            if isinstance(name, Slot):
                if not isinstance(kind, ListType) and kind != DYN:
                    return None
                kind, always = kind.item if isinstance(kind, ListType) else DYN, False
            elif isinstance(name, Unclaimed):
                return None
            elif isinstance(kind, RecordType):
                field = kind.field(name)
                if field is None:
                    return None
                kind, always = field.type, field.required
            elif isinstance(kind, MapType):
                kind, always = kind.value, False
            elif kind == DYN:
                always = False
            else:
                return None
        return kind, always


_universes: Final[dict[tuple[int, bool], Universe]] = {}


def universe_of(schema: ClaimSchema | None, *, anything: bool) -> Universe:
    """Return the universe of a schema, one object for a question."""
    key = (id(schema), anything)
    found = _universes.get(key)
    if found is None:
        # It holds its schema, so that no other schema can have the same identity.
        found = _universes[key] = Universe(schema, anything=anything)
    return found


def forget() -> None:
    """Forget all universes, between two questions."""
    _universes.clear()


def _kinds(kind: Type) -> tuple[Kind, ...]:
    if isinstance(kind, ListType):
        return (Kind.LIST,)
    if isinstance(kind, (RecordType, MapType)):
        return (Kind.MAP,)
    scalar = _SCALARS.get(kind)
    return _PRESENT if scalar is None else (scalar,)
