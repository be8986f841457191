"""
Reading a claim schema from its JSON.

What lives here: the schema's JSON as values, and what a JSON Schema cannot say of it: patterns that
RE2 refuses, references to claims that are not there, examples that are no possible values.
Not here: the JSON Schema itself (`regauth.schemas`), and finding the schema that a policy names
(`compiler.claim_schemas`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import re2
from msgspec import structs

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
from regauth.engine.source.nearest import did_you_mean

from .claims import (
    Audience,
    ByStrangers,
    Claim,
    ClaimSchema,
    Composed,
    Family,
    Forks,
    Issuer,
    Needed,
)
from .formats import FORMATS, referenced, written_out
from .relation_reading import RelationReader, quiet
from .relations import Constraint, Path, Relation
from .samples import Place, SchemaFault, read_samples
from .values import ANY, Values

_SINGLE: Final[Mapping[str, Type]] = {
    "string": STRING,
    "int": INT,
    "double": DOUBLE,
    "bool": BOOL,
    "dyn": DYN,
}
_PYTHON: Final[Mapping[str, type]] = {"string": str, "int": int, "bool": bool}
_THERE: Final = Constraint(present=True)
_MAX_SIZE: Final = 10_000
"""Instructions of a claim's compiled pattern at most; bounds the time and memory of a match."""


class ClaimSchemaError(ValueError):
    """A document fits the JSON Schema and is no claim schema all the same."""

    def __init__(self, faults: Iterable[SchemaFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.message for fault in self.faults))


def claim_schema(document: Mapping[str, Any], *, fits: bool = False) -> ClaimSchema:
    """
    Make a claim schema from its JSON, which must be valid by `claim-schema.schema.json`.

    Args:
        document: The JSON.
        fits: Whether it is known that each claim can have the values that its examples and the
            relations give it.  To find that out takes longer than all the rest.

    Raises:
        ClaimSchemaError: With everything that is wrong with it.
    """
    reader = _SchemaReader(fits=fits)
    schema = reader.read(document)
    if reader.faults:
        raise ClaimSchemaError(reader.faults)
    return schema


class _SchemaReader:
    def __init__(self, *, fits: bool) -> None:
        self._fits = fits
        self.faults: list[SchemaFault] = []
        self._known: dict[Path, Claim] = {}
        self._names: dict[str, Path] = {}

    def _fault(self, place: Place, message: str, hint: str = "") -> None:
        self.faults.append(SchemaFault(place, message, hint))

    def read(self, document: Mapping[str, Any]) -> ClaimSchema:
        title = str(document["title"])
        record = self._record(f"the {title} token", document, (), ())
        families = [
            self._family(beginning, about)
            for beginning, about in document.get("families", {}).items()
        ]
        fields = {family.beginning: _family_field(family) for family in families}
        self._names = {claim.name: path for path, claim in self._known.items()}
        self._link_needs(document, (), ())
        reader = RelationReader(
            self._known, self._names, self._fault, self._values, fits=self._fits
        )
        relations = tuple(
            reader.read(about, ("relations", at))
            for at, about in enumerate(document.get("relations", ()))
        )
        return ClaimSchema(
            name=document["name"],
            type=replace(record, families=fields, beside=_beside(relations)),
            claims=self._known,
            title=title,
            families=tuple(families),
            # The order in which they help to make up a token (`examples`).
            relations=tuple(sorted(relations, key=lambda one: one.certainty)),
            issuers=tuple(
                Issuer(about["address"], about["serves"] == "everybody")
                for about in document.get("issuers", ())
            ),
            audiences=tuple(
                Audience(about["value"], about["of"]) for about in document.get("audiences", ())
            ),
            forks=self._forks(document.get("forks")),
            everybody=document.get("serves") == "everybody",
            open=bool(document.get("open")),
            samples=read_samples(document.get("sampleTokens", {"about": ""}), self._names),
        )

    # Claims

    def _record(
        self, name: str, document: Mapping[str, Any], path: Path, place: Place
    ) -> RecordType:
        fields: dict[str, Field] = {}
        claims: Mapping[str, Any] = document.get("claims", {})
        for claim, about in claims.items():
            at = (*place, "claims", claim)
            below = (*path, claim)
            self._known[below] = self._claim(below, about, at, claims)
            fields[claim] = Field(
                self._type(about, below, at),
                about.get("presence") == "always",
                bool(about.get("nullable")),
            )
        return RecordType(name, fields, bool(document.get("open")))

    def _claim(
        self, path: Path, about: Mapping[str, Any], place: Place, beside: Mapping[str, Any]
    ) -> Claim:
        guaranteed = about.get("guaranteed", ())
        values = self._values(about, place, guaranteed="values" in guaranteed)
        items = ANY
        if about.get("type") == "list" and "items" in about:
            items = self._values(
                about["items"], (*place, "items"), guaranteed="values" in guaranteed
            )
        for key in ("twin", "within", "verifiedBy"):
            self._check_beside(about.get(key), beside, (*place, key))
        claim_type = str(about["type"])
        needed = about.get("needs")
        claim = Claim(
            path=path,
            always=about.get("presence") == "always",
            mutable=bool(about.get("mutable")),
            twin=about.get("twin", ""),
            within=about.get("within", ""),
            whole=_is_whole(about, beside),
            type=claim_type,
            values=values,
            items=items,
            nullable=bool(about.get("nullable")),
            ignores_case=bool(about.get("ignoresCase")),
            presence_guaranteed="presence" in guaranteed,
            chosen_by=about.get("chosenBy", ""),
            narrows=bool(about.get("narrows")),
            composed=self._composed(about.get("composed"), beside, place),
            needs=None if needed is None else self._needed(needed, (*place, "needs")),
            verified_by=about.get("verifiedBy", ""),
            by_strangers=self._by_strangers(
                about.get("causedByStrangers"), claim_type, values, place
            ),
            when=about.get("when", ""),
            since=about.get("since", ""),
            source=about.get("source", ""),
            description=about.get("description", ""),
            examples=tuple(about.get("examples", ())),
        )
        if not self._fits:
            self._check_examples(claim, place)
        return claim

    def _composed(
        self, about: Mapping[str, Any] | None, beside: Mapping[str, Any], place: Place
    ) -> Composed | None:
        if about is None:
            return None
        for at, name in enumerate(about["claims"]):
            self._check_beside(name, beside, (*place, "composed", "claims", at))
        return Composed(about["because"], tuple(about["claims"]), about.get("beginning", ""))

    def _needed(self, about: Mapping[str, Any], place: Place) -> Needed:
        unless = str(about.get("unless", ""))
        if unless and not self._compiles(unless, (*place, "unless")):
            unless = ""
        return Needed(about["because"], (), unless)

    def _link_needs(self, document: Mapping[str, Any], path: Path, place: Place) -> None:
        """Put the claims that a claim needs into it, once all of them are known."""
        for name, about in document.get("claims", {}).items():
            at, below = (*place, "claims", name), (*path, name)
            claim = self._known[below]
            if claim.needs is not None:
                claims = tuple(
                    self._path(one, (*at, "needs", "claims", number))
                    for number, one in enumerate(about["needs"]["claims"])
                )
                needs = structs.replace(claim.needs, claims=claims)
                self._known[below] = structs.replace(claim, needs=needs)
            self._link_needs(about, below, at)

    def _by_strangers(
        self, about: Mapping[str, Any] | None, kind: str, own: Values, place: Place
    ) -> ByStrangers | None:
        if about is None:
            return None
        values = self._values(
            {**about, "type": kind}, (*place, "causedByStrangers"), guaranteed=False
        )
        for number, one in enumerate(values.enum):
            if not own.can_equal(one):
                self._fault(
                    (*place, "causedByStrangers", "enum", number),
                    f"the claim is never {one!r}",
                    f"it is {own.described()}",
                )
        return ByStrangers(values, about["because"])

    def _forks(self, about: Mapping[str, Any] | None) -> Forks | None:
        if about is None:
            return None
        shown, hidden = (
            tuple(
                self._path(name, ("forks", key, at)) for at, name in enumerate(about.get(key, ()))
            )
            for key in ("shownBy", "hiddenBy")
        )
        asked = tuple(
            (self._path(name, ("forks", "askedBy", name)), tuple(values))
            for name, values in about.get("askedBy", {}).items()
        )
        return Forks(shown, hidden, about.get("when", ""), asked)

    def _path(self, name: str, place: Place) -> Path:
        if name not in self._names:
            self._fault(place, f"there is no claim `{name}`", did_you_mean(name, self._names, ""))
        return self._names.get(name, (name,))

    def _check_beside(self, name: str | None, beside: Mapping[str, Any], place: Place) -> None:
        if name is not None and name not in beside:
            self._fault(
                place, f"there is no claim `{name}` beside this one", did_you_mean(name, beside, "")
            )

    def _check_examples(self, claim: Claim, place: Place) -> None:
        for at, example in enumerate(claim.examples):
            listed = example if isinstance(example, list) else [example]
            values = claim.items if claim.type == "list" else claim.values
            for one in listed:
                if one is not None and not values.can_equal(one):
                    self._fault(
                        (*place, "examples", at),
                        f"the example {one!r} is no possible value of `{claim.name}`",
                        f"it is {values.described()}",
                    )

    def _values(self, about: Mapping[str, Any], place: Place, *, guaranteed: bool) -> Values:
        """Return the values that a claim, an item or a constraint allows."""
        kind = about.get("type")
        enum = tuple(about.get("enum", ()))
        for at, one in enumerate(enum):
            if kind in _PYTHON and type(one) is not _PYTHON[str(kind)]:
                self._fault((*place, "enum", at), f"{one!r} is no value of the type {kind}")
        if "format" in about:
            known = FORMATS[about["format"]]
            return Values(pattern=known.pattern, meaning=known.meaning, guaranteed=guaranteed)
        written = str(about.get("pattern", ""))
        pattern = self._written_out(written, (*place, "pattern"))
        if pattern and not self._compiles(pattern, (*place, "pattern")):
            pattern = ""
        meaning = str(about.get("meaning", ""))
        if pattern != written and pattern and not meaning:
            meaning = f"a text like `{written}`"
        return Values(enum, pattern, meaning, guaranteed)

    def _written_out(self, pattern: str, place: Place) -> str:
        unknown = [name for name in referenced(pattern) if name not in FORMATS]
        for name in unknown:
            hint = did_you_mean(name, FORMATS, "")
            self._fault(place, f"there is no format `{name}`", hint)
        return "" if unknown else written_out(pattern)

    def _compiles(self, pattern: str, place: Place) -> bool:
        try:
            compiled = re2.compile(pattern, quiet())
        except re2.error as error:
            self._fault(place, f"RE2 refuses the pattern: {error.args[0].decode(errors='replace')}")
            return False
        if compiled.programsize > _MAX_SIZE:
            self._fault(place, "the pattern is too large")
            return False
        return True

    def _type(self, about: Mapping[str, Any], path: Path, place: Place) -> Type:
        kind = about["type"]
        if kind == "object":
            return self._record(".".join(path), about, path, place)
        if kind in ("list", "map"):
            key = "items" if kind == "list" else "values"
            inner = about.get(key)
            element = DYN if inner is None else self._type(inner, path, (*place, key))
            return ListType(element) if kind == "list" else MapType(element)
        return _SINGLE[kind]

    def _family(self, beginning: str, about: Mapping[str, Any]) -> Family:
        place = ("families", beginning)
        claim = self._claim((f"{beginning}*",), about, place, {})
        return Family(beginning, claim, about.get("names") == "issuer")


def _beside(relations: Iterable[Relation]) -> Mapping[str, frozenset[str]]:
    """Return, by a claim's name, the claims beside which an issuer promises that it is there."""
    found: dict[str, frozenset[str]] = {}
    for relation in relations:
        if not relation.guaranteed or relation.usual or len(relation.when) != 1:
            continue
        [(path, asked)] = relation.when
        for other, constraint in relation.then:
            if asked == _THERE and constraint.present and len(path) == len(other) == 1:
                found[other[0]] = found.get(other[0], frozenset()) | {path[0]}
    return found


def _family_field(family: Family) -> Field:
    kind = family.claim.type
    return Field(_SINGLE.get(kind, DYN), required=False, nullable=family.claim.nullable)


def _is_whole(about: Mapping[str, Any], beside: Mapping[str, Any]) -> bool:
    outer = beside.get(about.get("within", ""))
    if outer is None:
        return True
    beginnings = tuple(f"{example}/" for example in outer.get("examples", ()))
    return any(str(example).startswith(beginnings) for example in about.get("examples", ()))
