"""
Lints of values: what a claim can never be, and what it always is.

What lives here: comparisons and tests of claims with literals that the issuer's claim schema
decides.  Not here: which claim an operand is (`operands`).

A comparison that no token satisfies is an error where that opens something: in a denial, which then
denies nothing, and where a grant or a rule asks that it be false.  Elsewhere it is a warning: a
grant that never matches lets nobody in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

from regauth.engine import languages
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Constant,
    ListLiteral,
    Logic,
    Node,
    definition_of,
    walk,
)
from regauth.engine.issuers import Claim, Values, nearest, nearest_beginning
from regauth.engine.issuers.values import language_of
from regauth.engine.languages import Nfa
from regauth.engine.source.problems import Severity

from .conjunctions import said_by
from .operands import Operand, items_of, operand_of, written
from .subject import Condition, LintFinding

_GLOBS: Final = "*?"
_TESTS: Final[Mapping[str, tuple[str, Callable[[str], Nfa | None]]]] = {
    "startsWith": ("begins with", languages.prefixed),
    "endsWith": ("ends with", languages.suffixed),
    "contains": ("contains", languages.containing),
    "matches": ("matches", language_of),
}
"""The functions that ask a text about a literal: how a message says it, and what satisfies them."""


@dataclass(frozen=True, slots=True)
class _Test:
    """One literal that a claim is compared with; `verb` says how."""

    node: Node
    operand: Operand
    literal: Constant
    verb: str
    language: Nfa | None
    admits: bool | None
    """Whether it lets something through by holding; None where that is unknown."""

    @property
    def text(self) -> str:
        return self.literal.value if isinstance(self.literal.value, str) else ""


def value_findings(condition: Condition) -> Iterator[tuple[str, LintFinding]]:
    """Return what is found about every literal that a claim is compared with, with its code."""
    for test in _tests(condition):
        if _has_glob(test):
            yield "glob-in-comparison", _glob_in_comparison(test, condition)
        elif not _is_possible(test):
            yield "impossible-value", _impossible_value(test, condition)
        elif test.verb != "is" and _is_certain(test):
            yield "always-true", _always_true(test)
    for found in _every_value(condition):
        yield "always-true", found


def _every_value(condition: Condition) -> Iterator[LintFinding]:
    """Alternatives, or a list, of all values that a claim can have."""
    for node in walk(condition.program.node):
        is_list = isinstance(node, Binary) and node.operator == "in"
        if not is_list and not (isinstance(node, Logic) and node.operator == "||"):
            continue
        said = list(said_by(node, condition.program.definitions))
        if len(said) != 1 or not said[0].options:
            continue
        texts = [one for one in said[0].options if isinstance(one, str)]
        claims = [schema.claim(said[0].path) for schema in condition.claims]
        if len(texts) > 1 and all(map(partial(_is_one_of, texts), claims)):
            name = written(("claims", *said[0].path))
            yield LintFinding(
                f"this is always true: `{name}` has no value that is not here",
                "remove it, or ask for fewer values",
                node.start,
                node.end,
            )


def _is_one_of(texts: Sequence[str], claim: Claim | None) -> bool:
    """Whether a claim can be nothing but one of some texts."""
    if claim is None or not claim.values.limited:
        return False
    if any(isinstance(one, str) and one not in texts for one in claim.examples):
        return False  # before a language is made of the texts
    return claim.is_always_in(languages.literals(texts))


def is_never_true(condition: Condition, part: Node) -> bool:
    """Whether a comparison or a test holds for no token, by the claim schemas."""
    tests = list(_tests_of(condition, part, None))
    return bool(tests) and not any(_is_possible(test) for test in tests)


def _impossible_value(test: _Test, condition: Condition) -> LintFinding:
    """A literal that a claim can never equal, begin with, end with, contain or match."""
    said = "equals" if test.verb == "is" else test.verb
    message = f"`{test.operand.name}` never {said} {_quoted(test)}"
    return _finding(test, condition, message, _meant(test))


def _glob_in_comparison(test: _Test, condition: Condition) -> LintFinding:
    """A `*` where the text is compared as it is written."""
    how = "`==` and `in` compare" if test.verb == "is" else "the test compares"
    message = f"a wildcard has no meaning here: {how} {_quoted(test)} as it is written"
    return _finding(test, condition, message, _without_glob(test))


def _always_true(test: _Test) -> LintFinding:
    """A test that every token of the issuer passes."""
    return LintFinding(
        f"this is always true: `{test.operand.name}` always {test.verb} {_quoted(test)}",
        "remove it, or ask for more of the value",
        test.node.start,
        test.node.end,
    )


def _tests(condition: Condition) -> Iterator[_Test]:
    for part, admits in condition.parts:
        flipped = isinstance(part, Binary) and part.operator == "!=" and admits is not None
        yield from _tests_of(condition, part, not admits if flipped else admits)


def _tests_of(condition: Condition, part: Node, admits: bool | None) -> Iterator[_Test]:  # noqa: FBT001 - a value
    if isinstance(part, Binary) and part.operator in ("==", "!=", "in"):
        yield from _comparisons(condition, part, admits)
    elif isinstance(part, Call) and part.function in _TESTS and part.target is not None:
        yield from _calls(condition, part, admits)


def _comparisons(condition: Condition, part: Binary, admits: bool | None) -> Iterator[_Test]:  # noqa: FBT001 - a value
    sides = [(part.left, part.right), (part.right, part.left)]
    if part.operator == "in":
        sides = sides[:1]
        if isinstance(part.left, Constant):
            items = items_of(condition, part.right)
            if items is not None:
                yield _equality(part, items, part.left, admits)
            return
    if part.operator == "in":
        yield from _keys(condition, part, admits)
    for side, other in sides:
        literals = _literals(other)
        operand = operand_of(condition, side) if literals else None
        if operand is not None:
            for literal in literals:
                yield _equality(literal, operand, literal, admits)


def _keys(condition: Condition, part: Binary, admits: bool | None) -> Iterator[_Test]:  # noqa: FBT001 - a value
    """Yield the first key of a table that a claim can never equal, at the table's name."""
    definition = condition.program.definitions.get(definition_of(part.right) or "")
    table = None if definition is None else definition.table
    operand = operand_of(condition, part.left) if table is not None else None
    if table is None or operand is None:
        return
    for key in table:
        literal = Constant(part.right.start, part.right.end, key)
        test = _equality(part.right, operand, literal, admits)
        if _has_glob(test) or not _is_possible(test):
            yield test
            return


def _equality(node: Node, operand: Operand, literal: Constant, admits: bool | None) -> _Test:  # noqa: FBT001 - a value
    text = literal.value
    language = _just(text) if isinstance(text, str) else None
    return _Test(node, operand, literal, "is", language, admits)


@lru_cache(maxsize=256)
def _just(text: str) -> Nfa:
    """Return the language of one text; the grants of a policy ask for the same few."""
    return languages.literals([text])


def _calls(condition: Condition, part: Call, admits: bool | None) -> Iterator[_Test]:  # noqa: FBT001 - a value
    literal = part.arguments[0] if part.arguments else None
    operand = operand_of(condition, part.target) if part.target is not None else None
    if operand is None or not isinstance(literal, Constant) or not isinstance(literal.value, str):
        return
    verb, make = _TESTS[part.function]
    yield _Test(part, operand, literal, verb, make(literal.value), admits)


def _literals(node: Node) -> list[Constant]:
    """Return the literals of a comparison's other side, null and computed values left out."""
    if isinstance(node, Constant):
        return [] if node.value is None else [node]
    if isinstance(node, ListLiteral):
        return [item for item in node.items if isinstance(item, Constant)]
    return []


def _is_possible(test: _Test) -> bool:
    operand = test.operand
    if not operand.limited:
        return True
    if test.verb == "is" and not operand.changed:
        return any(values.can_equal(test.literal.value) for values in operand.values)
    if test.language is None or _example_passes(test):
        return True
    return operand.can_be_in(test.language)


def _is_certain(test: _Test) -> bool:
    if not test.text:
        return True  # each text begins with, ends with, contains and matches the empty one
    if test.language is None or not test.operand.limited or _example_fails(test):
        return False
    return test.operand.is_always_in(test.language)


def _examples(operand: Operand) -> Iterator[str]:
    for claim in operand.claims:
        yield from (one for one in claim.examples if isinstance(one, str))


def _example_passes(test: _Test) -> bool:
    """Whether a known value answers at once, before languages are compared."""
    if test.language is None or test.operand.changed:
        return False
    return any(example in test.language for example in _examples(test.operand))


def _example_fails(test: _Test) -> bool:
    if test.language is None or test.operand.changed:
        return False
    return any(example not in test.language for example in _examples(test.operand))


def _has_glob(test: _Test) -> bool:
    """
    Whether a literal is written as if it were a pattern.

    A `*` in an equality always is; otherwise a sign is one that the claim can never have.
    """
    if test.verb == "matches" or not any(sign in test.text for sign in _GLOBS):
        return False
    if test.verb == "is" and "*" in test.text:
        return True
    plain = replace(test.operand, changed=())
    signs = [sign for sign in _GLOBS if sign in test.text]
    return plain.limited and not any(plain.can_be_in(languages.containing(sign)) for sign in signs)


def _finding(test: _Test, condition: Condition, message: str, hint: str) -> LintFinding:
    opens = (condition.denial or test.admits is False) and not _is_possible(test)
    severity = Severity.ERROR if opens else Severity.WARNING
    return LintFinding(message, hint, test.node.start, test.node.end, severity)


def _quoted(test: _Test) -> str:
    value = test.literal.value
    return repr(value) if isinstance(value, str) else str(value).lower()


def _meant(test: _Test) -> str:
    """Say which values were probably meant, or which there are, whatever provider comes first."""
    found = {_near(test, values) for values in test.operand.values} - {None, test.text}
    if found:
        return f"did you mean {' or '.join(sorted(map(repr, found)))}?"
    return f"it is {' or '.join(sorted({one.described() for one in test.operand.values}))}"


def _near(test: _Test, values: Values) -> str | None:
    """Return the nearest possible text, as it stands in the condition."""
    for function in test.operand.changed:
        changed = test.text.lower() if function == "lowerAscii" else test.text.upper()
        if changed != test.text:
            return changed
    if test.verb == "is":
        return nearest(values, test.literal.value)
    return nearest_beginning(values, test.text) if test.verb == "begins with" else None


def _without_glob(test: _Test) -> str:
    text = test.text
    before, _, after = text.partition("*")
    is_list = test.operand.claims[0].type == "list"
    name = "one" if is_list else test.operand.name
    said, hint = "use a pattern", f"{name}.matches(...)"
    if test.verb == "is" and before and not after and "?" not in before:
        said, hint = "ask for the beginning", f"{name}.startsWith({before!r})"
    asked = f"{test.operand.name}.exists(one, {hint})" if is_list else hint
    return f"{said}: {asked}" + (", from ^ to $" if said == "use a pattern" else "")


VALUE_CODES: Final = ("impossible-value", "glob-in-comparison", "always-true")
"""The codes of what `value_findings` finds."""
