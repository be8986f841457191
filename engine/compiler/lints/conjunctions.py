"""
What a conjunction says of a token's claims.

What lives here: reading conditions, and the definitions that they use, as statements about one
claim each; and what several of them come to.  Not here: relations between claims (`together`).

Only what is certain is read.  A condition that compares two claims, or that is true for other
reasons too, says nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from regauth.engine import languages
from regauth.engine.access.once import once
from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Constant,
    Has,
    ListLiteral,
    Logic,
    Node,
    Unary,
    definition_of,
    path_of,
)
from regauth.engine.issuers import Claim
from regauth.engine.issuers.values import language_of
from regauth.engine.languages import Nfa
from regauth.engine.policy.policy import Rule

from .subject import Condition, Path

TESTS: Final[Mapping[str, Callable[[str], Nfa | None]]] = {
    "startsWith": languages.prefixed,
    "endsWith": languages.suffixed,
    "contains": languages.containing,
    "matches": language_of,
}
"""The functions that ask a text about a literal, and the texts that pass; None where unknown."""
_CHANGES: Final[Mapping[str, Callable[[Nfa], Nfa]]] = {
    "lowerAscii": Nfa.before_lowering,
    "upperAscii": Nfa.before_raising,
}
_MAX_DEPTH: Final = 8
"""How many definitions are followed into one another."""
MAX_REMEMBERED: Final = 64
"""How many different things that follow one another are remembered of a claim."""


class Place(Struct, frozen=True):
    """
    Where something is said: in the condition that is looked at, or before it.

    `rule` is the name of a rule, `issuer` the address of the provider's.
    """

    node: Node | None
    rule: str = ""
    issuer: str = ""


class SaidOfClaim(Struct, frozen=True):
    """
    What one condition says of one claim.

    `options`: the values that it is one of; None where they cannot be listed.  `inside`: the texts
    that it is one of.  `outside` and `excluded`: the texts and the values that it is not.
    """

    path: Path
    places: tuple[Place, ...] = ()
    there: bool = True
    asked: bool = False
    """Whether it only asks if the claim is there."""
    options: tuple[object, ...] | None = None
    inside: Nfa | None = None
    outside: Nfa | None = None
    excluded: tuple[object, ...] = ()


def said_by(
    node: Node, definitions: Mapping[str, Program], rule: str = ""
) -> Iterator[SaidOfClaim]:
    """Yield what is certain of single claims where a condition is true; `rule` names its rule."""
    for said, place in _said(node, definitions, _MAX_DEPTH, holds=True):
        yield replace(said, places=(Place(None if rule else place, rule),))


def said_in(condition: Condition, node: Node) -> Sequence[SaidOfClaim]:
    """Return what a part of a condition says of single claims; several lints ask for the same."""
    known: Sequence[SaidOfClaim] | None = condition.said.get(id(node))
    if known is None:
        if isinstance(node, Logic) and node.operator == "&&":
            known = [one for part in node.operands for one in said_in(condition, part)]
        else:
            known = list(said_by(node, condition.program.definitions))
        condition.said[id(node)] = known
    return known


@lru_cache(maxsize=256)
def said_by_rule(rule: Rule) -> Sequence[SaidOfClaim]:
    """Return what a rule says of single claims: it depends on the rule alone."""
    return tuple(said_by(rule.check.node, rule.check.definitions, rule.name))


def _said(
    node: Node, definitions: Mapping[str, Program], depth: int, *, holds: bool
) -> Iterator[tuple[SaidOfClaim, Node]]:
    if isinstance(node, Unary) and node.operator == "!":
        whole = not isinstance(node.operand, Logic)
        for found, place in _said(node.operand, definitions, depth, holds=not holds):
            yield found, node if whole else place
        return
    if isinstance(node, Logic):
        if (node.operator == "&&") == holds:
            for operand in node.operands:
                yield from _said(operand, definitions, depth, holds=holds)
        else:
            one = _one_of(node, definitions, depth, holds=holds)
            yield from () if one is None else ((one, node),)
        return
    name = definition_of(node)
    if name is None or name not in definitions:
        single = _of_claim(node, definitions, holds=holds)
        yield from () if single is None else ((single, node),)
    elif depth:
        inner = definitions[name]
        for found, _ in _said(inner.node, inner.definitions, depth - 1, holds=holds):
            yield found, node


def _one_of(
    node: Logic, definitions: Mapping[str, Program], depth: int, *, holds: bool
) -> SaidOfClaim | None:
    """Return what is said by alternatives that are all about the same claim."""
    found = [list(_said(one, definitions, depth, holds=holds)) for one in node.operands]
    if any(len(one) != 1 for one in found):
        return None
    parts = [one[0][0] for one in found]
    first = parts[0]
    if any(one.path != first.path or one.outside or one.excluded for one in parts):
        return None
    if all(one.options is not None for one in parts):
        options = tuple(value for one in parts for value in one.options or ())
        return replace(first, options=options, inside=None)
    texts = [_texts(one) for one in parts]
    if any(one is None for one in texts):
        return None
    inside = languages.either(one for one in texts if one is not None)
    return replace(first, options=None, inside=inside)


def _texts(said: SaidOfClaim) -> Nfa | None:
    """Return the texts that a claim is one of, where it is a text for certain."""
    if said.options is None:
        return said.inside
    texts = [one for one in said.options if isinstance(one, str)]
    return languages.literals(texts) if len(texts) == len(said.options) else None


def _of_claim(node: Node, definitions: Mapping[str, Program], *, holds: bool) -> SaidOfClaim | None:
    asked = asked_claim(node)
    if asked is not None:
        return SaidOfClaim(asked, there=holds, asked=True)
    if isinstance(node, Binary):
        return _comparison(node, definitions, holds=holds)
    if isinstance(node, Call) and node.function in TESTS and node.target is not None:
        literal = node.arguments[0] if node.arguments else None
        if isinstance(literal, Constant) and isinstance(literal.value, str):
            language = TESTS[node.function](literal.value)
            return None if language is None else _text_test(node.target, language, holds=holds)
        return None
    path = _claim(node)
    return None if path is None else SaidOfClaim(path, options=(holds,))


def _comparison(
    node: Binary, definitions: Mapping[str, Program], *, holds: bool
) -> SaidOfClaim | None:
    sides = ((node.left, node.right), (node.right, node.left))
    for side, other in sides if node.operator in ("==", "!=") else sides[:1]:
        values = _values(other, node.operator, definitions)
        if values is None:
            continue
        holds_so = holds == (node.operator != "!=")
        path = _claim(side)
        if path is not None and holds_so:
            return SaidOfClaim(path, options=values)
        texts = [one for one in values if isinstance(one, str)]
        if path is not None:
            outside = languages.literals(texts) if texts else None
            excluded = tuple(one for one in values if not isinstance(one, str))
            return SaidOfClaim(path, outside=outside, excluded=excluded)
        if len(texts) == len(values):
            return _text_test(side, languages.literals(texts), holds=holds_so)
    return None


def _values(
    node: Node, operator: str, definitions: Mapping[str, Program]
) -> tuple[object, ...] | None:
    """Return the literals on the other side of a comparison."""
    if operator in ("==", "!="):
        return (node.value,) if isinstance(node, Constant) else None
    if operator != "in":
        return None
    if isinstance(node, ListLiteral):
        found = tuple(one.value for one in node.items if isinstance(one, Constant))
        return found if len(found) == len(node.items) else None
    name = definition_of(node)
    table = definitions[name].table if name is not None and name in definitions else None
    return None if table is None else tuple(table)


def _text_test(node: Node, language: Nfa, *, holds: bool) -> SaidOfClaim | None:
    """Return what is said of a claim, perhaps with its capitals changed, that is tested as text."""
    while isinstance(node, Call) and node.function in _CHANGES and node.target is not None:
        language = _CHANGES[node.function](language)
        node = node.target
    path = _claim(node)
    if path is None:
        return None
    if holds:
        return SaidOfClaim(path, inside=language)
    return SaidOfClaim(path, outside=language)


def _claim(node: Node) -> Path | None:
    path = path_of(node)
    return path[1:] if path is not None and path[0] == "claims" and len(path) > 1 else None


def asked_claim(node: Node) -> Path | None:
    """Return the claim that a condition asks for, as `has()` and `in` do."""
    if isinstance(node, Has):
        path = path_of(node.operand)
        return (*path[1:], node.field) if path is not None and path[0] == "claims" else None
    if isinstance(node, Binary) and node.operator == "in" and isinstance(node.left, Constant):
        path = path_of(node.right)
        if path is not None and path[0] == "claims" and isinstance(node.left.value, str):
            return (*path[1:], node.left.value)
    return None


class Facts:
    """
    All that a conjunction says of one claim.

    They never change, so that conjunctions which say the same share them, with all that was worked
    out of them.
    """

    def __init__(self, claim: Claim, said: Sequence[SaidOfClaim] = ()) -> None:
        self.claim = claim
        self.said = tuple(said)
        self.absent = not all(one.there for one in said)
        """Whether the claim is not there."""
        self._said_there = any(one.there for one in said)
        self.there = claim.always or self._said_there
        """Whether the claim is there for certain."""
        self.held: dict[int, bool] = {}
        """Which constraints hold of it for certain, by their identity (`conditioned`)."""
        self.refuted: dict[int, bool] = {}
        """Which constraints hold for no such claim, by their identity (`conditioned`)."""
        self.outside: dict[str, bool] = {}
        """Which patterns no such claim matches as a whole (`conditioned`)."""
        self.narrows: bool | None = None
        """Whether it says which refs are meant; None before somebody asks (`narrowing`)."""
        self._more: dict[object, Facts] = {}
        self._texts: Nfa | None = None
        self._text: str | None = None

    def adding(self, said: SaidOfClaim) -> "Facts":
        """Return the facts with one more thing that is said."""
        # Languages are compared by identity: these facts, and those that follow, keep them.
        key = (
            said.there,
            _typed(said.options),
            id(said.inside),
            id(said.outside),
            _typed(said.excluded),
        )
        found = self._more.get(key)
        if found is None:
            if len(self._more) >= MAX_REMEMBERED:
                self._more.clear()
            found = self._more[key] = Facts(self.claim, (*self.said, said))
        return found

    @once
    def is_text(self) -> bool:
        """Whether the claim is a text for certain, and not null."""
        options = self.options
        if options is not None:
            return all(isinstance(one, str) for one in options)
        return any(one.inside is not None for one in self.said) or (
            self.claim.type == "string"
            and (not self.claim.nullable or any(None in one.excluded for one in self.said))
        )

    @once
    def options(self) -> tuple[object, ...] | None:
        """The values that are left, where they can be listed."""
        listed = next((one.options for one in self.said if one.options is not None), None)
        if listed is None:
            return None
        among = [_Among(one.options) for one in self.said if one.options is not None]
        common = (one for one in listed if all(one in other for other in among))
        return tuple(one for one in common if self._allows(one))

    def _allows(self, value: object) -> bool:
        for one in self.said:
            if one.inside is not None and (not isinstance(value, str) or value not in one.inside):
                return False
            if one.outside is not None and isinstance(value, str) and value in one.outside:
                return False
            if any(_is_same(value, other) for other in one.excluded):
                return False
        return value is None or self.claim.values.can_equal(value)

    def _inside(self) -> Nfa:
        """
        Return the texts that the claim can be, without what `outside` takes away.

        Raises:
            UncomparableError: They are too many to be followed.
        """
        if self._texts is None:
            found = self.claim.values.language if self.claim.values.limited else languages.ANYTHING
            for one in self.said:
                if one.inside is not None:
                    found = languages.both(found, one.inside)
            self._texts = found
        return self._texts

    def _outside(self, *more: Nfa) -> Nfa:
        taken = [one.outside for one in self.said if one.outside is not None]
        return languages.either([*more, *taken])

    def _some(self) -> str | None:
        """Return a text that is left, so that it answers at once; None where none is."""
        if self._text is None:
            self._text = languages.find_outside(self._inside(), self._outside())
        return self._text

    def can_be_in(self, language: Nfa) -> bool:
        """Whether a text that is left is one of a language."""
        some = self._some()
        if some is None or some in language:
            return some is not None
        within = languages.both(self._inside(), language)
        return languages.find_outside(within, self._outside()) is not None

    def is_always_in(self, language: Nfa) -> bool:
        """Whether every text that is left is one of a language."""
        some = self._some()
        if some is not None and some not in language:
            return False
        return languages.find_outside(self._inside(), self._outside(language)) is None

    @once
    def is_impossible(self) -> bool:
        """Whether nothing is left for the claim."""
        if self.absent:
            return self._said_there
        options = self.options
        if options is not None:
            return not options
        return self.is_text and self._some() is None


def facts_of(claim: Claim, condition: Condition) -> Facts:
    """Return the facts of a claim of which nothing is said; conditions of a policy share them."""
    found: Facts | None = condition.shared.facts.get(id(claim))
    if found is None:
        found = condition.shared.facts[id(claim)] = Facts(claim)
    return found


def _typed(values: tuple[object, ...] | None) -> object:
    """Return values so that 1, 1.0 and true are not the same."""
    return values and (values, tuple(map(type, values)))


def _is_same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class _Among:
    """Values, of which one is found in one step: a table may have thousands."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        try:
            self._known: frozenset[tuple[bool, object]] | None = frozenset(map(_key, values))
        except TypeError:  # a list is not hashed
            self._known = None

    def __contains__(self, value: object) -> bool:
        if self._known is None:
            return any(_is_same(value, other) for other in self._values)
        try:
            return _key(value) in self._known
        except TypeError:
            return False


def _key(value: object) -> tuple[bool, object]:
    """Return what is equal for values that are the same."""
    return isinstance(value, bool), value
