"""
The claim schemas that a policy's providers name.

What lives here: finding a known schema or a file of the policy's folder, and the errors of a user's
own schema, at their place in the file.  Not here: what a schema means (`regauth.engine.issuers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from regauth import schemas
from regauth.engine.issuers import (
    ClaimSchema,
    ClaimSchemaError,
    SchemaFault,
    claim_schema,
    faulty_samples,
)
from regauth.engine.source import nodes, schema, strictjson
from regauth.engine.source.foreign_text import REORDERING, WHY_REORDERING
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.nodes import MappingNode, Node, SequenceNode
from regauth.engine.source.problems import Location, Problem, Problems

from . import json_faults
from .json_faults import JsonFault

_MAX_DEPTH: Final = 32
"""How deep a claim schema's objects and lists may nest."""


@cache
def known_schema(name: str) -> ClaimSchema:
    """
    Return the claim schema of a known issuer; the same object each time.

    Args:
        name: One of `schemas.claims_names()`.

    Raises:
        UnknownSchema: There is none of that name.
    """
    return claim_schema(schemas.load_claims(name), fits=True)  # `test_known_schemas` sees to it


@dataclass(frozen=True, slots=True)
class KnownIssuer:
    """An address of a known issuer, and the claim schema that knows its tokens."""

    address: str
    everybody: bool
    schema: str
    title: str


@cache
def known_issuers() -> tuple[KnownIssuer, ...]:
    """Return the addresses of all known issuers whose host is known, those without a `*` first."""
    found = [
        KnownIssuer(one["address"], one["serves"] == "everybody", name, document["title"])
        for name in schemas.claims_names()
        for document in [schemas.load_claims(name)]
        for one in document.get("issuers", ())
        if not one["address"].startswith("https://*/")
    ]
    return tuple(sorted(found, key=lambda one: "*" in one.address))


@dataclass(slots=True)
class ClaimSchemas:
    """Finds the claim schemas of one policy; each file is read once."""

    files: Mapping[str, str]
    """The policy's files by the names that messages call them."""
    problems: Problems
    folder: str = ""
    """The beginning of those names; a path in the policy is written without it."""
    _found: dict[str, ClaimSchema | None] = field(default_factory=dict)

    def find(self, name: str, location: Location) -> ClaimSchema | None:
        """Return the claim schema that a provider names, or None after a problem."""
        if name not in self._found:
            load = self._own if name.endswith(".json") else self._known
            self._found[name] = load(name, location)
        return self._found[name]

    def _known(self, name: str, location: Location) -> ClaimSchema | None:
        try:
            return known_schema(name)
        except schemas.UnknownSchema:
            names = schemas.claims_names()
            self.problems.error(
                location,
                "unknown-claims",
                f"there is no claim schema {name!r}",
                did_you_mean(
                    name,
                    names,
                    f"known here: {', '.join(names)}; or a .json file in the policy's folder",
                ),
            )
            return None

    def _own(self, name: str, location: Location) -> ClaimSchema | None:
        path = name.removeprefix("./")
        file = f"{self.folder}/{path}" if self.folder else path
        if file in self.files:
            return self._read(file)
        beside = [
            one.removeprefix(f"{self.folder}/") for one in self.files if one.endswith(".json")
        ]
        self.problems.error(
            location,
            "unknown-claims",
            f"there is no file {path!r} in the policy's folder",
            did_you_mean(path, beside, "a claim schema is a .json file in the policy's own folder"),
        )
        return None

    def _read(self, file: str) -> ClaimSchema | None:
        text = self.files[file]
        if (order := REORDERING.search(text)) is not None:
            what = f"the character U+{ord(order[0]):04X} cannot stand in it: {WHY_REORDERING}"
            fault = JsonFault(order.start(), what, "remove it")
            self.problems.error(fault.location(text, file), "bad-claims", fault.message, fault.hint)
            return None
        try:
            document: Any = strictjson.loads(text, max_depth=_MAX_DEPTH)
        except strictjson.JsonError as error:
            fault = json_faults.explain(text, _MAX_DEPTH) or JsonFault(0, str(error), "")
            place, message = fault.location(text, file), f"not a claim schema: {fault.message}"
            self.problems.error(place, "bad-claims", message, fault.hint)
            return None
        found = Problems()
        located = _located(text, document, file)
        if not schema.check(located, "claim-schema", found):
            self.problems.extend(
                Problem(problem.location, "bad-claims", problem.message, problem.hint)
                for problem in found
            )
            return None
        try:
            own = claim_schema(document)
        except ClaimSchemaError as error:
            self.problems.extend(_problem(fault, located) for fault in error.faults)
            return None
        faults = list(faulty_samples(document, own))
        self.problems.extend(_problem(fault, located) for fault in faults)
        return None if faults else own


def _located(text: str, document: object, file: str) -> Node:
    """Return a JSON document as nodes, with their places where YAML reads the same in its text."""
    node = nodes.parse(text, file, Problems())
    if node is None or node.plain() != document:
        return nodes.placed(document, Location(file))
    return node


def _problem(fault: SchemaFault, root: Node) -> Problem:
    """Return what is wrong with a schema as a problem, where it stands."""
    node = root
    for key in fault.place:
        if isinstance(node, MappingNode) and key in node:
            node = node[str(key)]
        elif isinstance(node, SequenceNode) and isinstance(key, int):
            node = node.items[key]
    return Problem(node.location, "bad-claims", fault.message, fault.hint)
