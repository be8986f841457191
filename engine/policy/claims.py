"""
Claim schemas: what an issuer is known to put into its tokens.

What lives here: a claim schema's JSON as values, and as the CEL type that conditions are checked
against.  What must not: the schemas themselves (`regauth.schemas.claims`) and any claim's value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from regauth.engine.cel import (
    BOOL,
    DOUBLE,
    DYN,
    INT,
    STRING,
    Field,
    ListType,
    MapType,
    RecordType,
    Type,
)

_SINGLE: Mapping[str, Type] = {
    "string": STRING,
    "int": INT,
    "double": DOUBLE,
    "bool": BOOL,
    "dyn": DYN,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """
    One claim of an issuer's tokens.

    `mutable`: whoever owns the thing it names can rename it, or somebody else can come to own the
    name; `twin` names the claim that identifies the same thing and never changes hands, `within`
    the claim of the thing that the name is unique in.  Both stand beside this one.
    """

    path: tuple[str, ...]
    always: bool
    mutable: bool
    twin: str = ""
    within: str = ""
    whole: bool = True
    """Whether the name says what it is unique within, as OWNER/NAME does."""


@dataclass(frozen=True, slots=True)
class ClaimSchema:
    """The claims of an issuer: their CEL type, and what is known of each by its path."""

    name: str
    type: RecordType
    claims: Mapping[tuple[str, ...], Claim]


def claim_schema(document: Mapping[str, Any]) -> ClaimSchema:
    """Make a claim schema from its JSON, which must be valid by `claim-schema.schema.json`."""
    known: dict[tuple[str, ...], Claim] = {}
    title = document["title"]
    families = {
        beginning: Field(_type(about, (beginning,), {}), required=False)
        for beginning, about in document.get("families", {}).items()
    }
    record = replace(_record(f"the {title} token", document, (), known), families=families)
    return ClaimSchema(document["name"], record, known)


MOVED: Mapping[str, str] = {
    "kubernetes.io/serviceaccount/namespace": 'claims["kubernetes.io"].namespace',
    "kubernetes.io/serviceaccount/service-account.name": (
        'claims["kubernetes.io"].serviceaccount.name'
    ),
    "kubernetes.io/serviceaccount/service-account.uid": (
        'claims["kubernetes.io"].serviceaccount.uid'
    ),
    "kubernetes.io/serviceaccount/secret.name": 'claims["kubernetes.io"].secret.name',
}
"""
Claims of the tokens that Kubernetes kept in Secrets until 1.24, and where new tokens have them.

By the claim's name, as CEL.
"""


def _record(
    name: str,
    document: Mapping[str, Any],
    path: tuple[str, ...],
    known: dict[tuple[str, ...], Claim],
) -> RecordType:
    fields = {}
    for claim, about in document.get("claims", {}).items():
        below = (*path, claim)
        always = about.get("presence") == "always"
        known[below] = Claim(
            below,
            always,
            bool(about.get("mutable")),
            about.get("twin", ""),
            about.get("within", ""),
            _is_whole(about, document["claims"]),
        )
        fields[claim] = Field(_type(about, below, known), always)
    return RecordType(name, fields, bool(document.get("open")))


def _is_whole(about: Mapping[str, Any], beside: Mapping[str, Any]) -> bool:
    outer = beside.get(about.get("within", ""))
    if outer is None:
        return True
    beginnings = tuple(f"{example}/" for example in outer.get("examples", ()))
    return any(str(example).startswith(beginnings) for example in about.get("examples", ()))


def _type(
    about: Mapping[str, Any], path: tuple[str, ...], known: dict[tuple[str, ...], Claim]
) -> Type:
    kind = about["type"]
    if kind == "object":
        return _record(".".join(path), about, path, known)
    if kind in ("list", "map"):
        inner = about.get("items" if kind == "list" else "values", "dyn")
        element = _SINGLE[inner] if isinstance(inner, str) else _type(inner, path, known)
        return ListType(element) if kind == "list" else MapType(element)
    return _SINGLE[kind]
