"""
Whether a document conforms to a schema, and nothing more.

What lives here: the JSON Schema keywords that our schemas use (2020-12, Core and Validation),
compiled once into functions.  Nearly every document conforms, and this tells it hundreds of times
faster than a validator that also says what is wrong.  Not here: what is wrong, which jsonschema
says (`schema`).  The tests hold the two equal.

Where this cannot tell as jsonschema would, it says so (`Unsure`), and jsonschema is asked: an
answer is never guessed, neither for a keyword that is not known here nor for an odd value.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from regauth import schemas

Test = Callable[[Any], bool]

ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "$comment", "$defs", "title", "description", "examples", "default"}
)
"""Keywords that say nothing about validity; those of our own begin with `x-`."""


class Unsure(Exception):  # noqa: N818 - no error: somebody else can tell
    """This module cannot tell whether a document conforms."""


def conforms(document: object, schema: str) -> bool:
    """
    Tell whether a plain document conforms to the schema of that name.

    Raises:
        Unsure: It cannot be told here.
    """
    test = _compiled(schema)
    if test is None:
        raise Unsure
    return test(document)


@cache
def _compiled(schema: str) -> Test | None:
    try:
        return compile_schema(schemas.load(schema))
    except Unsure:
        return None


def compile_schema(root: Mapping[str, Any]) -> Test:
    """
    Compile a schema.

    Raises:
        Unsure: It has a keyword that is not known here.
    """
    return _TestCompiler(root).test(root)


class _TestCompiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._references: dict[str, Test] = {}

    def test(self, schema: Any) -> Test:
        if isinstance(schema, bool):
            return lambda _: schema
        tests = []
        for keyword, value in schema.items():
            if keyword in ANNOTATIONS or keyword.startswith("x-") or keyword in _BESIDE:
                continue
            make = _KEYWORDS.get(keyword)
            if make is None:
                raise Unsure
            tests.append(make(self, value, schema))
        if len(tests) == 1:
            return tests[0]
        return lambda value: all(test(value) for test in tests)

    def reference(self, name: str) -> Test:
        """Return the test of `#/$defs/NAME`, which can be about itself."""
        parts = name.split("/")
        if parts[:2] != ["#", "$defs"] or len(parts) != 3:  # noqa: PLR2004 - `#`, `$defs` and the name
            raise Unsure

        def later(value: object) -> bool:
            return self._references[name](value)

        if name not in self._references:
            self._references[name] = later
            self._references[name] = self.test(self._root["$defs"][parts[2]])
            return self._references[name]
        return later


Make = Callable[[_TestCompiler, Any, Mapping[str, Any]], Test]

_BESIDE: Final = frozenset({"then", "else"})
"""Keywords that another one of the same schema reads."""


def _is_number(value: object) -> bool:
    # In Python true equals 1; in JSON it is not a number.
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Test]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _type(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    if isinstance(value, str):
        return _TYPES[value]
    tests = [_TYPES[name] for name in value]
    return lambda given: any(test(given) for test in tests)


def _one_of_values(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    """`enum`; texts, whole numbers, booleans and null, which Python compares as JSON does."""
    if not all(one is None or type(one) in (str, int, bool) for one in value):
        raise Unsure
    known = {(type(one), one) for one in value}

    def test(given: object) -> bool:
        if given is not None and type(given) not in (str, int, bool):
            # 1.0 is 1; lists and mappings are none of these values.
            if isinstance(given, float):
                raise Unsure
            return False
        return (type(given), given) in known

    return test


def _const(compiler: _TestCompiler, value: Any, schema: Mapping[str, Any]) -> Test:
    return _one_of_values(compiler, [value], schema)


def _pattern(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    search = re.compile(value).search
    return lambda given: not isinstance(given, str) or search(given) is not None


def _size(kind: type[str | list[Any] | dict[str, Any]], fits: Callable[[int, int], bool]) -> Make:
    def make(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
        return lambda given: not isinstance(given, kind) or fits(len(given), value)

    return make


def _bound(fits: Callable[[Any, Any], bool]) -> Make:
    def make(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
        return lambda given: not _is_number(given) or fits(given, value)

    return make


def _unique(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    def test(given: object) -> bool:
        if not value or not isinstance(given, list):
            return True
        if not all(isinstance(item, str) for item in given):
            raise Unsure  # 1 and 1.0 are one value, 1 and true are two
        return len(set(given)) == len(given)

    return test


def _items(compiler: _TestCompiler, value: Any, schema: Mapping[str, Any]) -> Test:
    test, first = compiler.test(value), len(schema.get("prefixItems", ()))
    return lambda given: not isinstance(given, list) or all(test(one) for one in given[first:])


def _first_items(compiler: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    tests = [compiler.test(one) for one in value]
    return lambda given: (
        not isinstance(given, list)
        or all(test(one) for test, one in zip(tests, given, strict=False))
    )


def _properties(compiler: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    tests = {name: compiler.test(one) for name, one in value.items()}

    def test(given: object) -> bool:
        if not isinstance(given, dict):
            return True
        return all(tests[name](one) for name, one in given.items() if name in tests)

    return test


def _other_properties(compiler: _TestCompiler, value: Any, schema: Mapping[str, Any]) -> Test:
    known, test = frozenset(schema.get("properties", ())), compiler.test(value)
    return lambda given: (
        not isinstance(given, dict)
        or all(test(one) for name, one in given.items() if name not in known)
    )


def _names(compiler: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    test = compiler.test(value)
    return lambda given: not isinstance(given, dict) or all(map(test, given))


def _required(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    return lambda given: not isinstance(given, dict) or all(name in given for name in value)


def _dependent(_: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    return lambda given: (
        not isinstance(given, dict)
        or all(other in given for name in value if name in given for other in value[name])
    )


def _counting(fits: Callable[[int, int], bool]) -> Make:
    """Combine the tests of a list: how many pass, and how many there are, tell the outcome."""

    def make(compiler: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
        tests = [compiler.test(one) for one in value]
        return lambda given: fits(sum(test(given) for test in tests), len(tests))

    return make


def _not(compiler: _TestCompiler, value: Any, __: Mapping[str, Any]) -> Test:
    test = compiler.test(value)
    return lambda given: not test(given)


def _if(compiler: _TestCompiler, value: Any, schema: Mapping[str, Any]) -> Test:
    condition = compiler.test(value)
    then, other = (compiler.test(schema.get(name, True)) for name in ("then", "else"))
    return lambda given: then(given) if condition(given) else other(given)


def _least(given: int, bound: int) -> bool:
    return given >= bound


def _most(given: int, bound: int) -> bool:
    return given <= bound


_KEYWORDS: Final[Mapping[str, Make]] = {
    "$ref": lambda compiler, value, _: compiler.reference(value),
    "type": _type,
    "enum": _one_of_values,
    "const": _const,
    "pattern": _pattern,
    "minLength": _size(str, _least),
    "maxLength": _size(str, _most),
    "minItems": _size(list, _least),
    "maxItems": _size(list, _most),
    "minProperties": _size(dict, _least),
    "maxProperties": _size(dict, _most),
    "minimum": _bound(_least),
    "maximum": _bound(_most),
    "exclusiveMinimum": _bound(lambda given, bound: given > bound),
    "uniqueItems": _unique,
    "items": _items,
    "prefixItems": _first_items,
    "properties": _properties,
    "additionalProperties": _other_properties,
    "propertyNames": _names,
    "required": _required,
    "dependentRequired": _dependent,
    "allOf": _counting(lambda passed, number: passed == number),
    "anyOf": _counting(lambda passed, _: passed > 0),
    "oneOf": _counting(lambda passed, _: passed == 1),
    "not": _not,
    "if": _if,
}
