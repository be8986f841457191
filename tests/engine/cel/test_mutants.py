"""
Every mistake that is easily made when CEL is evaluated in Python is noticed.

What must hold: each mutant below, put in place of the right code, is killed by the comparison with
the C++ library or by the cases of strict equality.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from regauth.engine.cel import CelError, Program
from regauth.engine.cel.evaluation import comprehensions, lowering
from regauth.engine.cel.evaluation.lowering import LOWERINGS, lower
from regauth.engine.cel.library import operators, values
from regauth.engine.cel.library.functions import FUNCTIONS
from regauth.engine.cel.library.operators import ARITHMETIC, COMPARISONS
from regauth.engine.cel.library.overloads import Function, Overload
from regauth.engine.cel.library.regex import compile_pattern
from regauth.engine.cel.library.values import Value
from regauth.engine.cel.syntax import parsing, reading
from regauth.engine.cel.syntax.errors import CelErrorCode
from regauth.engine.cel.syntax.nodes import Comprehension, Conditional, Has, Index, Logic, Unary
from tests.generated import share

from .generating import Untyped
from .oracles import Cpp, Outcome, evaluate, ours, same
from .test_differential import NOW, SEED, SPAN, errors

pytestmark = pytest.mark.slow

Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, Patch] = {}


@dataclass(frozen=True)
class Sample:
    """An expression, variables, and what must come of it."""

    text: str
    variables: dict[str, Any]
    wanted: Outcome


def mutant(patch: Patch) -> Patch:
    MUTANTS[patch.__name__.strip("_")] = patch
    return patch


def strict(text: str, **claims: Value) -> Sample:
    return Sample(text, {"c": claims}, Outcome(error=CelErrorCode.MISMATCH))


STRICT = (
    strict("c.a == 1", a=True),
    strict("1 == c.a", a="1"),
    strict('c.a != "x"', a=1),
    strict('c.a != "x"', a=["x"]),
    strict('!(c.a == "x")', a=False),
    strict('c.a in ["x", "y"]', a=1),
    strict("c.a in [1, 2]", a=True),
    strict("c.a in c.b", a="x", b=["y", 1]),
    strict("c.a == c.b", a=["x", 1], b=["x", "1"]),
    strict("c.a == c.b", a={"k": 1}, b={"k": "1"}),
    strict("c.a in c.b", a=1, b={"1": 1}),
    strict('"x" in [c.a]', a={}),
)


def _function(name: str, member: Callable[..., Any], *more: Callable[..., Any]) -> Function:
    """A function with the overloads of the right one, computed otherwise."""
    right = FUNCTIONS[name]
    made = [*(member,) * (len(right.overloads) - len(more)), *more]
    overloads = [
        Overload(overload.parameters, overload.result, apply)
        for overload, apply in zip(right.overloads, made, strict=True)
    ]
    return Function(right.name, tuple(overloads), right.member, right.free)


def _arithmetic(sign: str, ints: Callable[[int, int], int]) -> Function:
    right = ARITHMETIC[sign]
    overloads = (Overload(right.overloads[0].parameters, right.overloads[0].result, ints),)
    return Function(right.name, overloads + right.overloads[1:])


@mutant
def _bool_equals_int(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(COMPARISONS, "==", operator.eq)


@mutant
def _unequal_kinds_are_different(patch: pytest.MonkeyPatch) -> None:
    def differ(left: Value, right: Value) -> bool:
        try:
            return not values.equal(left, right)
        except CelError:
            return True

    patch.setitem(COMPARISONS, "!=", differ)


@mutant
def _null_is_of_a_kind(patch: pytest.MonkeyPatch) -> None:
    def equal(left: Value, right: Value) -> bool:
        if (left is None) != (right is None):
            raise CelError(CelErrorCode.MISMATCH, "null")
        return values.equal(left, right)

    patch.setitem(COMPARISONS, "==", equal)


@mutant
def _lists_do_not_absorb(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        values, "_all_equal", lambda pairs: all(values.equal(left, right) for left, right in pairs)
    )


@mutant
def _elements_do_not_absorb(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        values, "_element", lambda item, box: any(values.equal(item, other) for other in box)
    )


@mutant
def _in_finds_substrings(patch: pytest.MonkeyPatch) -> None:
    def contained(item: Value, box: Value) -> bool:
        if type(item) is str and type(box) is str:
            return item in box
        return values.contained(item, box)

    patch.setitem(COMPARISONS, "in", contained)


@mutant
def _numbers_compare_exactly(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(COMPARISONS, "<", lambda a, b: values.ordered(a, b) and a < b)
    patch.setitem(COMPARISONS, ">=", lambda a, b: values.ordered(a, b) and a >= b)


@mutant
def _everything_has_an_order(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(COMPARISONS, "<", operator.lt)


@mutant
def _not_takes_anything(patch: pytest.MonkeyPatch) -> None:
    right = LOWERINGS[Unary]

    def lowered(node: Value, scope: Value) -> Value:
        if node.operator == "-":
            return right(node, scope)
        operand = lower(node.operand, scope)
        return lambda frame: not operand(frame)

    patch.setitem(LOWERINGS, Unary, lowered)


def _logic(combine: Callable[[Any, list[Any]], Any]) -> Patch:
    def patched(patch: pytest.MonkeyPatch) -> None:
        def lowered(node: Value, scope: Value) -> Value:
            operands = [lower(operand, scope) for operand in node.operands]
            return lambda frame: combine(
                node.operator, [lambda operand=operand: operand(frame) for operand in operands]
            )

        patch.setitem(LOWERINGS, Logic, lowered)

    return patched


def _by_truthiness(sign: str, operands: list[Any]) -> Value:
    if sign == "&&":
        return all(operand() for operand in operands)
    return any(operand() for operand in operands)


def _as_python_does(sign: str, operands: list[Any]) -> Value:
    value = None
    for operand in operands:
        value = operand()
        if type(value) is not bool:
            raise CelError(CelErrorCode.TYPE, "not a bool")
        if value is (sign == "||"):
            return value
    return value


def _errors_are_false(sign: str, operands: list[Any]) -> Value:
    def value(operand: Value) -> Value:
        try:
            return operand() is True
        except CelError:
            return False

    return (all if sign == "&&" else any)(value(operand) for operand in operands)


MUTANTS["logic_by_truthiness"] = _logic(_by_truthiness)
MUTANTS["logic_does_not_absorb"] = _logic(_as_python_does)
MUTANTS["logic_takes_errors_for_false"] = _logic(_errors_are_false)


@mutant
def _conditional_by_truthiness(patch: pytest.MonkeyPatch) -> None:
    def lowered(node: Value, scope: Value) -> Value:
        test, yes, no = (lower(part, scope) for part in (node.test, node.yes, node.no))
        return lambda frame: yes(frame) if test(frame) else no(frame)

    patch.setitem(LOWERINGS, Conditional, lowered)


@mutant
def _index_as_python_does(patch: pytest.MonkeyPatch) -> None:
    def lowered(node: Value, scope: Value) -> Value:
        operand, index = lower(node.operand, scope), lower(node.index, scope)

        def item(frame: Value) -> Value:
            try:
                return operand(frame)[index(frame)]
            except (LookupError, TypeError):
                raise CelError(CelErrorCode.TYPE, "no index") from None

        return item

    patch.setitem(LOWERINGS, Index, lowered)


@mutant
def _lists_count_from_the_end(patch: pytest.MonkeyPatch) -> None:
    right = lowering._list_position
    patch.setattr(
        lowering,
        "_list_position",
        lambda node, at, size: (
            at + size if type(at) is int and -size <= at < 0 else right(node, at, size)
        ),
    )


@mutant
def _has_swallows_errors(patch: pytest.MonkeyPatch) -> None:
    def lowered(node: Value, scope: Value) -> Value:
        operand = lower(node.operand, scope)

        def has(frame: Value) -> bool:
            try:
                return node.field in operand(frame)
            except (CelError, TypeError):
                return False

        return has

    patch.setitem(LOWERINGS, Has, lowered)


@mutant
def _macros_walk_strings(patch: pytest.MonkeyPatch) -> None:
    def entrance(_node: Value, key: str, source: Value, _cost: int) -> Value:
        return lambda frame: (list(source(frame)), {**frame, key: None})

    patch.setattr(comprehensions, "_entrance", entrance)


@mutant
def _macros_share_a_frame(patch: pytest.MonkeyPatch) -> None:
    right = LOWERINGS[Comprehension]

    def lowered(node: Value, scope: Value) -> Value:
        body = lower(
            node.body,
            scope.__class__(
                scope.definitions, scope.weights, {**scope.local, node.variable: "@0:shared"}
            ),
        )
        if node.kind != "exists":
            return right(node, scope)
        source = lower(node.source, scope)

        def exists(frame: Value) -> bool:
            elements = source(frame)
            if type(elements) is not list:
                raise CelError(CelErrorCode.TYPE, "not a list")
            found = False
            for element in elements:
                frame["@0:shared"] = element
                found = found or body(frame) is True
            return found

        return exists

    patch.setitem(LOWERINGS, Comprehension, lowered)


def _quantifier(combine: Callable[[list[Any]], Any]) -> Value:
    def made(_node: Value, key: str, enter: Value, body: Value) -> Value:
        def quantifier(frame: Value) -> Value:
            elements, inner = enter(frame)
            return combine([lambda e=element: body({**inner, key: e}) for element in elements])

        return quantifier

    return made


@mutant
def _exists_does_not_absorb(patch: pytest.MonkeyPatch) -> None:
    combine = _quantifier(lambda bodies: _as_python_does("||", bodies) or False)
    patch.setitem(comprehensions.MACROS, "exists", combine)


@mutant
def _all_by_truthiness(patch: pytest.MonkeyPatch) -> None:
    combine = _quantifier(lambda bodies: all(body() for body in bodies))
    patch.setitem(comprehensions.MACROS, "all", combine)


@mutant
def _exists_one_absorbs(patch: pytest.MonkeyPatch) -> None:
    def count(bodies: list[Any]) -> bool:
        found = 0
        for body in bodies:
            try:
                found += body() is True
            except CelError:
                continue
        return found == 1

    patch.setitem(comprehensions.MACROS, "exists_one", _quantifier(count))


@mutant
def _sums_do_not_overflow(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ARITHMETIC, "+", _arithmetic("+", operator.add))


@mutant
def _products_do_not_overflow(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ARITHMETIC, "*", _arithmetic("*", operator.mul))


@mutant
def _signs_do_not_overflow(patch: pytest.MonkeyPatch) -> None:
    right = operators.NEGATE.overloads
    overloads = (Overload(right[0].parameters, right[0].result, operator.neg), right[1])
    patch.setattr(lowering, "NEGATE", Function("'-'", overloads))


@mutant
def _division_rounds_down(patch: pytest.MonkeyPatch) -> None:
    def divide(left: int, right: int) -> int:
        operators.divide_ints(left, right)
        return left // right

    patch.setitem(ARITHMETIC, "/", _arithmetic("/", divide))


@mutant
def _remainders_have_the_right_sign(patch: pytest.MonkeyPatch) -> None:
    def remainder(left: int, right: int) -> int:
        operators.remainder(left, right)
        return left % right

    patch.setitem(ARITHMETIC, "%", _arithmetic("%", remainder))


@mutant
def _remainder_of_the_smallest_int(patch: pytest.MonkeyPatch) -> None:
    def remainder(left: int, right: int) -> int:
        return 0 if right == -1 else operators.remainder(left, right)

    patch.setitem(ARITHMETIC, "%", _arithmetic("%", remainder))


@mutant
def _literals_keep_escapes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reading, "decode_string", lambda literal, _start: literal.strip("r\"'"))


@mutant
def _size_in_bytes(patch: pytest.MonkeyPatch) -> None:
    def size(value: Value) -> int:
        return len(value.encode()) if type(value) is str else len(value)

    patch.setitem(FUNCTIONS, "size", _function("size", size))


@mutant
def _lower_all_letters(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(FUNCTIONS, "lowerAscii", _function("lowerAscii", str.lower))


@mutant
def _substring_as_a_slice(patch: pytest.MonkeyPatch) -> None:
    made = _function("substring", lambda text, start, end=None: text[start:end])
    patch.setitem(FUNCTIONS, "substring", made)


@mutant
def _matches_the_whole(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lowering, "compile_pattern", lambda text: compile_pattern(f"^(?:{text})$"))


@mutant
def _minutes_round_down(patch: pytest.MonkeyPatch) -> None:
    right = FUNCTIONS["getMinutes"].overloads
    made = _function("getMinutes", right[0].apply, lambda span: span.nanoseconds // (60 * 10**9))
    patch.setitem(FUNCTIONS, "getMinutes", made)


@mutant
def _months_count_from_one(patch: pytest.MonkeyPatch) -> None:
    right = FUNCTIONS["getMonth"].overloads[0].apply
    patch.setitem(FUNCTIONS, "getMonth", _function("getMonth", lambda *args: right(*args) + 1))


@mutant
def _strings_become_ints_as_python_does(patch: pytest.MonkeyPatch) -> None:
    right = FUNCTIONS["int"].overloads
    made = _function("int", int, right[3].apply)
    patch.setitem(FUNCTIONS, "int", made)


@mutant
def _bools_are_written_as_python_does(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(FUNCTIONS, "string", _function("string", str))


PITFALLS = (
    "-(c.min) == 0",
    "c.min % -1 == 0",
    "c.min / -1 == 0",
    "c.max + 1 > 0",
    "c.max * 2 > 0",
    "-7 / 2 == -3 && -7 % 2 == -1",
    "c.max < 9223372036854775808.0",
    "9007199254740993 >= 9007199254740992.0 && !(c.odd > 9007199254740992.0)",
    'size(c.text) == 3 && "é".size() == 1',
    'c.text.lowerAscii() == "aÉb"',
    'string(c.yes) == "true"',
    "now.getMonth() == 10",
    'duration("-90s").getMinutes() == -1',
    'int("1_0") == 10',
    '"abc".substring(2, 1) == ""',
    "[1, 2][-1] == 2",
    "[1, 2][c.yes] == 2",
    'c.text.all(letter, letter != "z")',
    'c.text["x"] == "y" || true',
    "has(c.missing.member) || true",
    "!has(c.missing.member)",
    "[0, 2].exists(n, 1 / n == 0) && [1, 0].exists(n, 1 / n == 1)",
    "[2, 0].exists_one(n, 1 / n == 0)",
    "[1, 0].all(n, 1 / n == 1)",
    "c.yes || c.missing",
    "c.missing || c.yes",
    "!c.yes && c.missing",
    "c.missing && !c.yes",
    "c.max && false",
    "c.max && c.yes",
    "!c.max",
    "c.max ? true : false",
    "c.none == c.text",
    "c.none != c.text",
    '"A" in c.text',
    r'"\x41\u0042\103" == "ABC"',
    'c.text.matches("É")',
    "c.yes < 2",
    "[c.text].all(one, one)",
    "c.max in [c.text, c.max]",
    '[c.max, c.text] != [c.text, "x"]',
    r'"\x41" in c.text.split("É")',
    "[1, 2].exists(n, [2, 3].exists(m, m == n)) && [1].all(n, [5].exists(n, n == 5) && n == 1)",
)
"""One expression for each pitfall, in case no random one meets it; the C++ library judges."""

CLAIMS = {
    "min": -(2**63),
    "max": 2**63 - 1,
    "odd": 2**53 + 1,
    "text": "AÉb",
    "yes": True,
    "none": None,
}


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Random expressions with what the C++ library says, where we agree with it."""
    cpp, generator = Cpp(), Untyped(SEED + 1)
    found = [*STRICT]
    given = [(text, CLAIMS) for text in PITFALLS]
    given += [(generator.expression(), generator.claims()) for _ in range(share(3000))]
    for text, claims in given:
        variables = {"c": claims, "now": NOW, "span": SPAN}
        theirs = cpp.evaluate(text, variables)
        if not _deliberate(ours(text), variables, theirs):
            found.append(Sample(text, variables, theirs))
    return found


def _deliberate(program: Program, variables: dict[str, Any], theirs: Outcome) -> bool:
    if theirs.error or not evaluate(program, variables).error:
        return False
    return not set(errors(program.trace(variables))).isdisjoint(
        {CelErrorCode.MISMATCH, CelErrorCode.LIMIT, "int-of-bool"}
    )


def _kills(samples: list[Sample]) -> Iterator[Sample]:
    for sample in samples:
        given = evaluate(ours(sample.text), sample.variables)
        failed = bool(given.error) != bool(sample.wanted.error)
        wrong = not given.error and not same(given.value, sample.wanted.value)
        if failed or wrong or given.error == CelErrorCode.INTERNAL:
            yield sample


def test_the_right_code_is_not_killed(samples: list[Sample]) -> None:
    assert next(_kills(samples), None) is None


@pytest.fixture
def parsed_anew() -> Iterator[None]:
    """Parse each sample by the mutant, and what comes after it by the right code."""
    parsing._parse_shape.cache_clear()
    yield
    parsing._parse_shape.cache_clear()


@pytest.mark.usefixtures("parsed_anew")
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_the_mutant_is_killed(
    name: str, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[name](monkeypatch)

    assert next(_kills(samples), None) is not None
