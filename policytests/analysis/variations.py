"""
Variations: claims with one changed value that a condition reads.

What lives here: which values of which claims a condition tells apart, and claims with one of them.
Not here: whether a variation is useful, which the engine decides (`coverage`, `witnesses`).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from regauth.engine import languages
from regauth.engine.cel import Node, Program
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Constant,
    Has,
    Index,
    ListLiteral,
    definition_of,
    path_of,
    walk,
)
from regauth.engine.issuers import ClaimSchema, Values
from regauth.engine.issuers.values import language_of
from regauth.engine.languages import Nfa, UncomparableError
from regauth.policytests.suites.writing import yaml_value
from regauth.policytests.tokens.profiles.profile import Claims

Path = tuple[str, ...]


class _Absent:
    """Stands for a claim that is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()

MAX_KEYS: Final = 20
"""The entries of a table that are tried (`sampled`)."""


@dataclass(frozen=True, slots=True)
class Variation:
    """One claim with another value, or without one."""

    path: Path
    value: object

    def apply(self, claims: Mapping[str, object]) -> Claims:
        """Return the claims with the variation."""
        return _changed(claims, self.path, self.value)

    def written(self) -> tuple[Claims, tuple[str, ...]]:
        """Return what a suite writes for it: `claims` and `without`."""
        if self.value is ABSENT:
            return {}, ("/".join(self.path),)
        claims: Claims = {self.path[-1]: self.value}
        for name in reversed(self.path[:-1]):
            claims = {name: claims}
        return claims, ()

    def __str__(self) -> str:
        claims, without = self.written()
        return f"claims: {flow(claims)}" if claims else f"without: [{', '.join(without)}]"


def flow(value: object) -> str:
    """Return a value as YAML on one line; keys that are words have no quotes."""
    if isinstance(value, Mapping):
        inner = (f"{_key(name)}: {flow(one)}" for name, one in value.items())
        return f"{{{', '.join(inner)}}}"
    return yaml_value(value)


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else yaml_value(name)


def _changed(claims: Mapping[str, object], path: Path, value: object) -> Claims:
    name, *rest = path
    copy = dict(claims)
    if rest:
        inner = copy.get(name)
        copy[name] = _changed(inner if isinstance(inner, Mapping) else {}, tuple(rest), value)
    elif value is ABSENT:
        copy.pop(name, None)
    else:
        copy[name] = value
    return copy


def variations(
    node: Node, definitions: Mapping[str, Program], schemas: Collection[ClaimSchema] = ()
) -> Iterator[Variation]:
    """
    Yield values of claims that a condition may tell apart, the likeliest first.

    Args:
        node: The condition.
        definitions: Those that it uses; of tables, their keys are tried.
        schemas: Those of the tokens; the values that they list are tried.
    """
    seen: set[tuple[Path, str]] = set()
    for path, value in (
        *_values(node),
        *_keys(node, definitions),
        *_listed(node, schemas),
    ):
        key = (path, repr(value))
        if path and key not in seen:
            seen.add(key)
            yield Variation(path, value)


def _values(node: Node) -> Iterator[tuple[Path, object]]:
    for part in walk(node):
        for operand, literal in _comparisons(part):
            yield from _around(_claim(operand), literal.value)
        if isinstance(part, Has):
            path = path_of(part.operand)
            if path is not None and path[0] == "claims":
                yield (*path[1:], part.field), "x"
                yield (*path[1:], part.field), ABSENT
    for path in references(node):
        if path[0] == "claims" and len(path) > 1:
            yield path[1:], ABSENT
            yield path[1:], "another"
            yield path[1:], True
            yield path[1:], False


def _listed(node: Node, schemas: Collection[ClaimSchema]) -> Iterator[tuple[Path, object]]:
    """Yield the examples and the enumerations of the claims that a condition reads."""
    for path in references(node):
        for schema in schemas if path[0] == "claims" else ():
            claim = schema.claim(path[1:])
            for one in () if claim is None else (*claim.examples, *claim.values.enum):
                yield path[1:], one
    for part in walk(node):
        for operand, literal in _comparisons(part):
            path = _claim(operand)
            known = [claim for schema in schemas if (claim := schema.claim(path)) is not None]
            made = _LANGUAGES.get(part.function if isinstance(part, Call) else "==")
            if path and known and made is not None and isinstance(literal.value, str):
                yield from (
                    (path, one) for one in _told_apart(known[0].values, made(literal.value))
                )


_LANGUAGES: Final[Mapping[str, Callable[[str], Nfa | None]]] = {
    "==": lambda text: languages.literals([text]),
    "startsWith": languages.prefixed,
    "endsWith": languages.suffixed,
    "contains": languages.containing,
    "matches": language_of,
}
"""The texts that a comparison with a literal is true of, by its function."""


def _told_apart(values: Values, language: Nfa | None) -> Iterator[str]:
    """Yield a possible value that a test is false of, and one that it is true of."""
    if language is None or not values.limited:
        return
    try:
        found = (
            languages.find_outside(values.language, language),
            languages.find_common(values.language, language),
        )
    except UncomparableError:
        return
    yield from (one for one in found if one is not None)


def sampled(keys: Iterable[str]) -> tuple[str, ...]:
    """
    Return the keys of a table that are tried: all of a small one.

    Of a large one they lie at equal distances, the first and the last among them.  So the same
    table has the same keys in every run, and entries at its end are tried too.
    """
    listed = tuple(keys)
    if len(listed) <= MAX_KEYS:
        return listed
    last = len(listed) - 1
    return tuple(listed[number * last // (MAX_KEYS - 1)] for number in range(MAX_KEYS))


def _keys(node: Node, definitions: Mapping[str, Program]) -> Iterator[tuple[Path, object]]:
    """Yield keys of the tables that claims are looked up in."""
    for part in walk(node):
        match part:
            case Index(operand=operand, index=key) | Binary(operator="in", left=key, right=operand):
                used = definitions.get(definition_of(operand) or "")
                held = () if used is None or used.table is None else used.table
                yield from ((_claim(key), one) for one in sampled(held))
            case _:
                pass


def _comparisons(node: Node) -> Iterator[tuple[Node, Constant]]:
    """Yield what a part compares with literals, with each of them."""
    match node:
        case Binary(left=left, right=Constant() as literal):
            yield left, literal
        case Binary(left=Constant() as literal, right=right):
            yield right, literal
        case Binary(operator="in", left=left, right=ListLiteral(items=items)):
            yield from ((left, item) for item in items if isinstance(item, Constant))
        case Call(target=target, arguments=arguments) if target is not None:
            yield from ((target, one) for one in arguments if isinstance(one, Constant))
        case _:
            pass


def _claim(node: Node) -> Path:
    """Return the claim that an operand is, or from which it is computed; empty for none."""
    for part in walk(node):
        path = path_of(part)
        if path is not None and path[0] == "claims" and len(path) > 1:
            return path[1:]
    return ()


def _around(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    """Yield a literal and its neighbours."""
    yield path, value
    if isinstance(value, bool) or value is None:
        yield path, not value
    elif isinstance(value, str):
        for other in (f"{value}-x", f"x{value}", value[:-1], value.swapcase()):
            yield path, other
    elif isinstance(value, int | float):
        yield path, value + 1
        yield path, value - 1
