"""
Tokens that fulfil some conditions, and why there are none.

What lives here: what conditions and the relations of a claim schema leave of each claim.  Not here:
reading conditions (`conjunctions`), and what is told (`together`).

Relations are followed from what is certain: only where every such token is one that a relation
speaks of, and every such token breaks it, is anything broken.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from regauth.engine import languages
from regauth.engine.issuers import ClaimSchema, Constraint, Relation, Template, Values, nearest
from regauth.engine.issuers.relations import ClaimReference, escaped

from .conjunctions import MAX_REMEMBERED, Facts, Place, SaidOfClaim, facts_of
from .subject import Condition, Path

_ROUNDS: Final = 4
"""How often what follows from claims is followed further."""

_CLASSES: Final = re.compile(r"\\[^A-Za-z0-9]|\[\^?(?:\\x..|\\.|[^\]\\])+\]")
"""Signs that stand for themselves, and classes of characters."""
_ANY_TEXT: Final = "(?s:.*)"
_SOME_TEXT: Final = "(?s:.+)"


@dataclass(frozen=True, slots=True)
class ExcludedClaim:
    """
    What no token is like: a claim with a reason, and the conditions that take part.

    `reason` is a relation's description, "" where the conditions on the claim exclude one another.
    `coherent` is a value of the claim that would be right, None where none is known.
    """

    path: Path
    places: tuple[Place, ...]
    reason: str = ""
    coherent: object | None = None


@dataclass(slots=True)
class Conditioned:
    """The tokens of an issuer that fulfil some conditions."""

    schema: ClaimSchema
    said: Sequence[SaidOfClaim]
    condition: Condition
    """The one that is looked at, for what it shares with others."""
    facts: dict[Path, Facts] = field(default_factory=dict)
    places: dict[Path, tuple[Place, ...]] = field(default_factory=dict)
    """Where something is said of each claim of the facts."""
    followed: set[tuple[int, Path]] = field(default_factory=set)
    """The relations that were followed, and to which claim."""
    _single: dict[str, Any] | None = None

    def broken(self) -> ExcludedClaim | None:
        """
        Return what no token can fulfil, if there is something.

        Raises:
            UncomparableError: A language is too large.
        """
        if not self._take():
            return None
        for path, facts in self.facts.items():
            if facts.is_impossible:
                return ExcludedClaim(path, self.places[path], coherent=_first_value(facts))
        for _ in range(_ROUNDS):
            applying = list(self._applying())
            found = self._break(applying)
            if found is not None or not self._follow(applying):
                return found
        return None

    def _take(self) -> bool:
        """Take what is said; False where one condition by itself is impossible."""
        for one in self.said:
            claim = self.schema.claim(one.path)
            if claim is None or (not one.there and claim.always):
                continue  # nothing is known of it, or it asks what is always so
            nothing = facts_of(claim, self.condition)
            if nothing.adding(one).is_impossible:
                return False  # `impossible-value` reports it
            self._add(one.path, nothing, one, one.places)
        return True

    def _add(
        self, path: Path, nothing: Facts, said: SaidOfClaim, places: tuple[Place, ...]
    ) -> None:
        """Take what is said of a claim, of which there is nothing known but what is taken."""
        self.facts[path] = self.facts.get(path, nothing).adding(said)
        self.places[path] = (*self.places.get(path, ()), *places)
        self._single = None

    def _applying(self) -> Iterator[tuple[int, Relation]]:
        known = self.facts.keys()
        for at, relation in enumerate(self.schema.relations):
            # Most relations speak of claims that no condition is about.
            if relation.usual or not relation.condition_paths <= known:
                continue
            if all(self._holds(constraint, path) for path, constraint in relation.when):
                yield at, relation

    def _break(self, applying: Sequence[tuple[int, Relation]]) -> ExcludedClaim | None:
        for _, relation in applying:
            for path, constraint in relation.then:
                if self._is_broken(constraint, path):
                    return ExcludedClaim(
                        path,
                        tuple(dict.fromkeys(self._places(relation, path, constraint))),
                        relation.description,
                        self._coherent(constraint, path),
                    )
        return None

    def _follow(self, applying: Sequence[tuple[int, Relation]]) -> bool:
        """Take what follows by relations, and tell whether anything new does."""
        new = False
        for at, relation in applying:
            for path, constraint in relation.then:
                claim, values = self.schema.claims.get(path), constraint.values
                if claim is None or values is None or (at, path) in self.followed:
                    continue
                if claim.type != "string" or not claim.always or claim.nullable:
                    continue
                self.followed.add((at, path))
                places = self._places(relation, path, constraint)
                said = SaidOfClaim(path, inside=values.language)
                self._add(path, facts_of(claim, self.condition), said, places)
                new = True
        return new

    def _holds(self, constraint: Constraint, path: Path) -> bool:
        """Whether a constraint holds for certain."""
        facts = self.facts.get(path)
        if facts is None:
            return False
        if (constraint.templates or constraint.parts) and facts.there and not facts.absent:
            settled = constraint.present is not False and self._is_settled(constraint, path)
            return settled and constraint.holds(self._exact(), path)
        known = facts.held.get(id(constraint))  # it depends on nothing but this claim
        if known is None:
            known = facts.held[id(constraint)] = _holds_of(constraint, path, facts)
        return known

    def _is_refuted(self, constraint: Constraint, path: Path) -> bool:
        """Whether a constraint, but for what the claim is made of, holds for no such token."""
        facts = self.facts.get(path)
        if facts is None:
            return False
        known = facts.refuted.get(id(constraint))  # it depends on nothing but this claim
        if known is None:
            known = facts.refuted[id(constraint)] = _is_refuted_by(constraint, path, facts)
        return known

    def _is_broken(self, constraint: Constraint, path: Path) -> bool:
        """Whether every such token breaks what a relation asks of a claim."""
        facts = self.facts.get(path)
        if facts is None:
            return False
        if facts.absent:
            return constraint.present is True
        if not facts.there:
            return False
        if constraint.present is False or constraint.null is False:
            return self._is_refuted(constraint, path)
        options = facts.options
        if None in options if options is not None else facts.claim.nullable and not facts.is_text:
            return False
        return self._is_refuted(constraint, path) or self._is_unmade(constraint, path)

    # What a claim is made of

    def _is_unmade(self, constraint: Constraint, path: Path) -> bool:
        """Whether a claim is a text that none of the texts is that it can be made to."""
        templates = (*constraint.templates, *constraint.parts)
        if not templates:
            return False
        facts = self.facts[path]
        if not facts.is_text:
            return False
        possible = [one for one in templates if not self._is_out(one)]
        if not any(self._is_sure(one) for one in possible):
            return False
        pattern = self._pattern(constraint, possible)
        known = facts.outside.get(pattern)
        if known is None:
            if len(facts.outside) >= MAX_REMEMBERED:
                facts.outside.clear()
            known = facts.outside[pattern] = _is_outside(pattern, facts)
        return known

    def _is_out(self, template: Template) -> bool:
        """Whether a template is for no such token."""
        return any(self._is_refuted(constraint, path) for path, constraint in template.when) or any(
            (facts := self.facts.get(one.path)) is not None and facts.absent
            for one in template.pieces
            if isinstance(one, ClaimReference)
        )

    def _is_sure(self, template: Template) -> bool:
        """Whether a template is for every such token."""
        return all(self._holds(constraint, path) for path, constraint in template.when) and all(
            one.always or ((facts := self.facts.get(one.path)) is not None and facts.there)
            for one in template.pieces
            if isinstance(one, ClaimReference) and not one.group
        )

    def _pattern(self, constraint: Constraint, possible: Sequence[Template]) -> str:
        escape = dict(constraint.escape)
        whole = [self._text(one, escape) for one in constraint.templates if one in possible]
        parts = "|".join(self._text(one, escape) for one in constraint.parts if one in possible)
        if parts:
            separator = re.escape(constraint.separator)
            whole.append(f"(?:{parts})(?:{separator}(?:{parts}))*")
        return "|".join(f"(?:{one})" for one in whole)

    def _text(self, template: Template, escape: Mapping[str, str]) -> str:
        """Return a pattern of what a template can come to."""
        exact = self._exact()
        found = []
        for piece in template.pieces:
            if isinstance(piece, ClaimReference):
                text = piece.text(exact)
                known = None if text is None else re.escape(escaped(text, escape))
                found.append(self._open(piece, escape) if known is None else known)
            else:
                found.append(re.escape(piece) if isinstance(piece, str) else _SOME_TEXT)
        return "".join(found)

    def _open(self, piece: ClaimReference, escape: Mapping[str, str]) -> str:
        """Return a pattern of what a claim can be of which the conditions leave several values."""
        claim = self.schema.claims.get(piece.path)
        if claim is None or piece.group or claim.type != "string":
            return _ANY_TEXT
        if any(claim.values.can_contain(sign) for sign in escape):
            return _ANY_TEXT
        return _embedded(claim.values) or _ANY_TEXT

    def _is_settled(self, constraint: Constraint, path: Path) -> bool:
        """Whether nothing that is open decides if a claim is made of others."""
        used = [path]
        for one in (*constraint.templates, *constraint.parts):
            used += [read for read, _ in one.when]
            used += [piece.path for piece in one.pieces if isinstance(piece, ClaimReference)]
        return all(
            (facts := self.facts.get(one)) is not None
            and (facts.absent or len(facts.options or ()) == 1)
            for one in used
        )

    def _exact(self) -> dict[str, Any]:
        """Return the claims of which only one value is left."""
        if self._single is None:
            self._single = {}
            for path, facts in self.facts.items():
                options = () if facts.absent else facts.options or ()
                if len(options) == 1:
                    _put(self._single, path, options[0])
        return self._single

    # What is told

    def _places(self, relation: Relation, path: Path, constraint: Constraint) -> tuple[Place, ...]:
        used = [read for read, _ in relation.when]
        for one in (*constraint.templates, *constraint.parts):
            used += [read for read, _ in one.when]
            used += [piece.path for piece in one.pieces if isinstance(piece, ClaimReference)]
        used.append(path)
        return tuple(place for one in used for place in self.places.get(one, ()))

    def _coherent(self, constraint: Constraint, path: Path) -> object | None:
        if self.facts[path].absent or constraint.present is False:
            return None
        proposed = constraint.proposed(self._exact())
        values = constraint.values
        if proposed is not None or values is None:
            return proposed
        if len(values.enum) == 1:
            return values.enum[0]
        options = self.facts[path].options or ()
        return nearest(values, options[0]) if len(options) == 1 else None


def _holds_of(constraint: Constraint, path: Path, facts: Facts) -> bool:
    """Whether a constraint that is about one claim alone holds for certain."""
    if facts.absent:
        return constraint.holds({}, path)
    if not facts.there or constraint.present is False:
        return False
    options = facts.options
    if options is not None:
        return bool(options) and all(constraint.holds(_nest(path, it), path) for it in options)
    if constraint.null is True or (constraint.null is False and not facts.is_text):
        return False
    values, negated = constraint.values, constraint.negated
    if values is not None and not (facts.is_text and facts.is_always_in(values.language)):
        return False
    if negated is None:
        return True
    return negated.values is not None and not facts.can_be_in(negated.values.language)


def _is_refuted_by(constraint: Constraint, path: Path, facts: Facts) -> bool:
    """Whether a constraint, but for what the claim is made of, holds for no such claim."""
    if not (facts.there or facts.absent):
        return False
    if facts.absent:
        return not constraint.holds({}, path)
    options = facts.options
    if constraint.present is False:
        return True
    if options is not None:
        plain = replace(constraint, templates=(), parts=())
        return not any(plain.holds(_nest(path, one), path) for one in options)
    if constraint.null is True and facts.is_text:
        return True
    values, negated = constraint.values, constraint.negated
    if values is not None and not facts.can_be_in(values.language):
        return True
    if negated is None or negated.values is None or not facts.is_text:
        return False
    return facts.is_always_in(negated.values.language)


def _is_outside(pattern: str, facts: Facts) -> bool:
    """Whether a pattern matches no text as a whole that a claim can be."""
    made = languages.fully_matched(pattern)
    options = facts.options
    if options is not None:
        return not any(one in made for one in options)
    return not facts.can_be_in(made)


@lru_cache(maxsize=256)
def _embedded(values: Values) -> str:
    """Return a pattern of values that can stand within another one; "" where there is none."""
    if values.enum:
        return f"(?:{'|'.join(re.escape(str(one)) for one in values.enum)})"
    inner = values.pattern.removeprefix("^").removesuffix("$")
    outside = _CLASSES.sub("", inner)
    has_edges = any(sign in outside for sign in "^$\\") or len(inner) != len(values.pattern) - 2
    return "" if has_edges else f"(?:{inner})"


def _first_value(facts: Facts) -> object | None:
    """Return the one text that the first condition leaves, as the value to write in the others."""
    options = facts.said[0].options
    single = options is not None and len(options) == 1 and isinstance(options[0], str)
    return options[0] if options is not None and single else None


def _put(claims: dict[str, Any], path: Path, value: object) -> None:
    for name in path[:-1]:
        claims = claims.setdefault(name, {})
    claims[path[-1]] = value


def _nest(path: Path, value: object) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    _put(claims, path, value)
    return claims
