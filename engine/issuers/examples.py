"""
A whole token from a few claims: adds the claims that an issuer would add.

What lives here: filling in the claims that every token has, so that nothing contradicts the schema,
and where each value comes from.  Not here: signatures, and the times of a token's issue
(`regauth.policytests.tokens`).

The given claims stay.  A value that follows from them by a relation comes before a usual value.
For `repository: other/app` the owner is `other`, and the subject begins with `repo:other/app`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from regauth.engine.languages import find_common

from .claims import Claim, ClaimSchema
from .relations import (
    MISSING,
    AnyText,
    ClaimReference,
    Constraint,
    Path,
    Relation,
    Template,
    value_at,
)
from .stand_ins import stand_in

_ROUNDS: Final = 200
"""Steps after which filling in ends.  Each adds a claim, and no schema has as many claims."""


_UNKNOWN: Final[Mapping[str, object]] = {
    "int": 1,
    "double": 0.5,
    "bool": True,
    "list": [],
    "map": {},
}
"""Values of claims of which nothing but the type is known."""


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """
    Where the value of a claim comes from.

    `about` is the description of the relation, the name that an id belongs to, or "".
    """

    kind: Literal["given", "relation", "name", "usual"]
    about: str = ""


GIVEN: Final = ValueOrigin("given")


@dataclass(frozen=True, slots=True)
class Derived:
    """The claims of a whole token, and where each value comes from."""

    claims: dict[str, Any]
    origins: Mapping[Path, ValueOrigin]


def coherent(
    schema: ClaimSchema, given: Mapping[str, object], including: Collection[Path] = ()
) -> dict[str, Any]:
    """Return the claims of a token of the issuer that has the given ones; see `derived`."""
    return derived(schema, given, including).claims


def derived(
    schema: ClaimSchema,
    given: Mapping[str, object],
    including: Collection[Path] = (),
    form: str = "",
) -> Derived:
    """
    Return the claims of a token of the issuer that has the given ones, and their origins.

    The given claims are not changed, even where they contradict the schema or one another:
    `check_token` says so.  A claim that is only sometimes there is added where a relation asks for
    it, or where `including` names it.  What an issuer writes in several forms has the named one.
    """
    filling = _Filling(schema, deepcopy(dict(given)), frozenset(including), form)
    filling.fill()
    return Derived(filling.claims, filling.origins)


@dataclass(frozen=True, slots=True)
class _Plan:
    """In which order the claims of a schema are added; the same for each of its tokens."""

    schema: ClaimSchema
    free: tuple[Path, ...]
    """The claims that no relation speaks of."""
    single: tuple[Path, ...]
    ids: tuple[Path, ...]
    """The claims that are the id of what another claim names."""
    made: frozenset[Path]
    """The claims that a template makes of others."""
    making: tuple[Relation, ...]
    """The relations that speak of a claim that is made of others."""


_MAX_PLANS: Final = 256
_PLANS: Final[dict[int, _Plan]] = {}
"""By the `id` of their schema, which they keep alive: it holds mappings, so it has no hash."""


def _plan(schema: ClaimSchema) -> _Plan:
    found = _PLANS.get(id(schema))
    if found is not None:
        return found
    related = _related(schema)
    made = _made_of_others(schema)
    ids = tuple(path for path in related if _named_by(schema, schema.claims[path]))
    found = _Plan(
        schema,
        free=tuple(path for path in schema.claims if path not in related),
        single=tuple(path for path in related if path not in made and path not in ids),
        ids=ids,
        made=made,
        making=tuple(
            relation
            for relation in schema.relations
            if not made.isdisjoint(path for path, _ in relation.then)
        ),
    )
    if len(_PLANS) >= _MAX_PLANS:
        _PLANS.clear()
    _PLANS[id(schema)] = found
    return found


@dataclass(slots=True)
class _Filling:
    """A token that is being made."""

    schema: ClaimSchema
    claims: dict[str, Any]
    including: frozenset[Path]
    form: str
    origins: dict[Path, ValueOrigin] = field(default_factory=dict)
    made: frozenset[Path] = frozenset()
    """The claims that a template makes of others."""

    def fill(self) -> None:
        """Add claims until none is missing; the order says what comes before what."""
        for path in _leaves(self.claims):
            self.origins[path] = GIVEN
        plan = _plan(self.schema)
        self.made = plan.made
        for path in plan.free:
            self._add(path)
        for _ in range(_ROUNDS):
            # A claim that is made of others follows once they are there, an id once its name is.
            if not (
                self._follow(self.schema.relations, made=False)
                or any(map(self._add, plan.single))
                or self._follow(plan.making, made=True)
                or any(map(self._add, plan.ids))
                or any(map(self._add, plan.made))
            ):
                break

    def _put(self, path: Path, value: object, origin: ValueOrigin) -> None:
        claims = self.claims
        for name in path[:-1]:
            claims = claims[name]
        claims[path[-1]] = value
        self.origins[path] = origin

    def _is_missing(self, path: Path) -> bool:
        return value_at(self.claims, path) is MISSING and (
            len(path) == 1 or isinstance(value_at(self.claims, path[:-1]), Mapping)
        )

    # What follows

    def _follow(self, relations: Sequence[Relation], *, made: bool) -> bool:
        """
        Add a claim that is not there yet, with the value that follows from those that are.

        Args:
            relations: Those that may give one.
            made: Whether to add a claim that is made of others; else one that they are made of.
        """
        for relation in relations:
            if not relation.applies(self.claims):
                continue
            for path, constraint in relation.then:
                found = self._made(path, constraint) if made == (path in self.made) else None
                # What is only usual leads one way.  A job of a fork has another `job_project_id`,
                # which says nothing of the project's own id.
                if found is None and not made and not relation.usual:
                    found = self._read_back(path, constraint)
                if found is not None:
                    self._put(*found, _origin(relation))
                    return True
        return False

    def _made(self, path: Path, constraint: Constraint) -> tuple[Path, object] | None:
        """Return a missing claim's value that a relation leaves it."""
        if constraint.present is False or not self._is_missing(path):
            return None
        claim = self.schema.claims[path]
        if not (claim.always or constraint.present is True or path in self.including):
            return None
        if constraint.templates:
            example = claim.examples[0] if claim.examples else ""
            text = constraint.proposed(self.claims, str(example), self.form)
            return None if text is None else (path, text)
        if constraint.values is None:
            return (path, self._usual(claim)[0]) if constraint.present else None
        return path, self._default(claim, constraint)

    def _read_back(self, path: Path, constraint: Constraint) -> tuple[Path, object] | None:
        """Return a missing claim's value that a claim made of it was made with."""
        if not constraint.templates:
            return None
        value = value_at(self.claims, path)
        if not isinstance(value, str):
            return None
        for template in constraint.templates:
            captured = _captured(template, self.claims, value)
            if captured is None or not _may_be_used(template, self.claims, captured):
                continue
            for read, text in captured.items():
                values = self.schema.claims[read].values
                if self._is_missing(read) and values.can_equal(text):
                    return read, text
            for read, condition in template.when:
                allowed = condition.values
                if self._is_missing(read) and allowed is not None and allowed.enum:
                    return read, allowed.enum[0]
            return None
        return None

    # What is usual

    def _add(self, path: Path) -> bool:
        """Add a claim with its usual value, if it is missing."""
        claim = self.schema.claims[path]
        if not (claim.always or path in self.including) or not self._is_missing(path):
            return False
        self._put(path, *self._usual(claim))
        return True

    def _usual(self, claim: Claim) -> tuple[object, ValueOrigin]:
        """Return a claim's usual value, for an id that of the thing's name."""
        if claim.type == "object":
            return {}, ValueOrigin("usual")
        name = self._name_of(claim)
        if name is not None:
            return stand_in(claim.values, "/".join(name)), ValueOrigin("name", name[-1])
        return self._default(claim), ValueOrigin("usual")

    def _default(self, claim: Claim, constraint: Constraint | None = None) -> object:
        """Return a claim's usual value, or the most usual one that a constraint allows."""
        allowed = None if constraint is None else constraint.values
        for example in (*claim.examples, *claim.values.enum):
            if allowed is None or (example is not None and allowed.can_equal(example)):
                return deepcopy(example)
        if claim.type in _UNKNOWN:
            return deepcopy(_UNKNOWN[claim.type])
        if allowed is None:
            return find_common(claim.values.language, claim.values.language) or "sample"
        if allowed.enum:
            return allowed.enum[0]
        return find_common(allowed.language, claim.values.language) or "sample"

    def _name_of(self, claim: Claim) -> tuple[str, ...] | None:
        """
        Return the name of the thing of which a claim is the id, after the names that it is within.

        None where there is no such name, or where all of them are those of the schema's examples,
        so that the id is the example's, too.
        """
        named = _named_by(self.schema, claim)
        name = MISSING if named is None else value_at(self.claims, named.path)
        if named is None or name is MISSING or not named.examples:
            return None
        names, usual = [str(name)], [str(named.examples[0])]
        for size in range(len(claim.path) - 1, 0, -1):
            for one in self.schema.claims.values():
                beside = one.path[:-1] == claim.path[: size - 1] and one.path != claim.path[:size]
                if size > 1 and beside and one.mutable and one.type == "string" and one.examples:
                    names.insert(0, str(value_at(self.claims, one.path)))
                    usual.insert(0, str(one.examples[0]))
        return None if names == usual else tuple(names)


def _leaves(claims: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for name, value in claims.items():
        yield (*path, name)
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))


def _origin(relation: Relation) -> ValueOrigin:
    return ValueOrigin("relation", relation.description)


def _named_by(schema: ClaimSchema, claim: Claim) -> Claim | None:
    """Return the claim that names the thing of which this one is the id."""
    beside = claim.path[:-1]
    for one in schema.claims.values():
        if one.twin == claim.path[-1] and one.path[:-1] == beside:
            return one
    return None


def _related(schema: ClaimSchema) -> list[Path]:
    """Return the claims that a relation speaks of, those that hold them, and ids of names."""
    found: set[Path] = set()
    for relation in schema.relations:
        for path, constraint in (*relation.when, *relation.then):
            found.add(path)
            for template in (*constraint.templates, *constraint.parts):
                found.update(one.path for one in template.pieces if isinstance(one, ClaimReference))
                found.update(read for read, _ in template.when)
    for path, claim in schema.claims.items():
        if claim.type == "object" or _named_by(schema, claim) is not None or len(path) > 1:
            found.add(path)
    return [path for path in schema.claims if path in found]


def _made_of_others(schema: ClaimSchema) -> frozenset[Path]:
    return frozenset(
        path
        for relation in schema.relations
        for path, constraint in relation.then
        if constraint.templates
    )


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
        if isinstance(piece, ClaimReference):
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
        split = rest.rpartition if pieces[at + 2 :] == [AnyText()] else rest.partition
        text, separator, _ = split(following) if following else (rest, "", "")
        if not text or (following and not separator):
            return None
        if isinstance(piece, ClaimReference) and not piece.group:
            found[piece.path] = text
        rest = rest[len(text) :]
    return None if rest else found
