"""From text to tree: shape, positions, literals, limits, and what is refused."""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import celpy
import pytest

import regauth.engine.cel as package
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import RejectedError
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Index,
    ListLiteral,
    Logic,
    Name,
    Select,
    Unary,
    path_of,
    walk,
)
from regauth.engine.cel.syntax.parsing import parse


def refused(text: str) -> tuple[str, str, str]:
    """The code, the stretch of text and the message of what is wrong."""
    with pytest.raises(RejectedError) as caught:
        parse(text)
    finding = caught.value.finding
    return finding.code, text[finding.start : finding.end], finding.message


def test_the_shape_of_the_parsers_tree_is_the_one_that_is_read() -> None:
    """One expression with every rule; a new cel-python that builds other trees fails here."""
    text = 'a.b["c"].f(1, x) in [g(2.5, null)] && !(-i < 3 || h()) ? has(q.r) : l.all(v, "s" != v)'
    tree = celpy.Environment().compile(text)
    rules: list[str] = []
    for rule in tree.iter_subtrees_topdown():
        children = [
            str(child.data) if hasattr(child, "data") else str(child.type)
            for child in rule.children
        ]
        if children and (len(children) > 1 or rule.data in ("literal", "ident", "list_lit")):
            rules.append(f"{rule.data}({', '.join(children)})")

    assert rules == [
        "expr(conditionalor, conditionalor, expr)",
        "conditionaland(conditionaland, relation)",
        "relation(relation_in, addition)",
        "member_dot_arg(member, IDENT, exprlist)",
        "member_index(member, expr)",
        "member_dot(member, IDENT)",
        "ident(IDENT)",
        "literal(STRING_LIT)",
        "exprlist(expr, expr)",
        "literal(INT_LIT)",
        "ident(IDENT)",
        "list_lit(exprlist)",
        "ident_arg(IDENT, exprlist)",
        "exprlist(expr, expr)",
        "literal(FLOAT_LIT)",
        "literal(NULL_LIT)",
        "unary(unary_not, unary)",
        "conditionalor(conditionalor, conditionaland)",
        "relation(relation_lt, addition)",
        "unary(unary_neg, unary)",
        "ident(IDENT)",
        "literal(INT_LIT)",
        "ident_arg(IDENT, exprlist)",
        "member_dot(member, IDENT)",
        "ident(IDENT)",
        "member_dot_arg(member, IDENT, exprlist)",
        "ident(IDENT)",
        "exprlist(expr, expr)",
        "ident(IDENT)",
        "relation(relation_ne, addition)",
        "literal(STRING_LIT)",
        "ident(IDENT)",
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("true", Constant),
        ("claims", Name),
        ("claims.sub", Select),
        ("claims.as", Select),
        ('claims["sub"]', Index),
        ("[1, 2,\n3]", ListLiteral),
        ("!a", Unary),
        ("-a", Unary),
        ("a - 1", Binary),
        ("a -1", Binary),
        ("inner in a", Binary),
        ("a && b", Logic),
        ("a ? b : c", Conditional),
        ("size(a)", Call),
        ("a.size()", Call),
        ("has(a.b)", Has),
        ("a.exists(x, x == 1)", Comprehension),
        ("((a)).b // why", Select),
    ],
)
def test_every_kind_of_expression_is_read(text: str, kind: type) -> None:
    assert kind is type(parse(text))


def test_every_node_knows_its_stretch_of_the_text() -> None:
    text = ' true && (claims.a == "x" || !has( claims . b )) && l.all(v, v > -1) ? [1][0] : - x '
    found = {(type(node).__name__, text[node.start : node.end]) for node in walk(parse(text))}

    assert found == {
        ("Conditional", text.strip()),
        ("Logic", 'true && (claims.a == "x" || !has( claims . b )) && l.all(v, v > -1)'),
        ("Constant", "true"),
        ("Logic", 'claims.a == "x" || !has( claims . b )'),
        ("Binary", 'claims.a == "x"'),
        ("Select", "claims.a"),
        ("Name", "claims"),
        ("Constant", '"x"'),
        ("Unary", "!has( claims . b )"),
        ("Has", "has( claims . b )"),
        ("Comprehension", "l.all(v, v > -1)"),
        ("Name", "l"),
        ("Binary", "v > -1"),
        ("Name", "v"),
        ("Constant", "-1"),
        ("Index", "[1][0]"),
        ("ListLiteral", "[1]"),
        ("Constant", "1"),
        ("Constant", "0"),
        ("Unary", "- x"),
        ("Name", "x"),
    }


def test_chains_are_flat_but_brackets_keep_their_groups() -> None:
    chain, grouped = parse("a && b && c"), parse("(a && b) && c")

    assert isinstance(chain, Logic)
    assert isinstance(grouped, Logic)
    assert [3, 2] == [len(chain.operands), len(grouped.operands)]


def test_a_path_is_the_same_with_dots_and_with_subscripts() -> None:
    assert ("claims", "kubernetes.io", "pod", "name") == path_of(
        parse('claims["kubernetes.io"].pod["name"]')
    )
    assert path_of(parse("claims.groups[0]")) is None


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"\a\b\f\n\r\t\v\\\'\"\?\`"', "\a\b\f\n\r\t\v\\'\"?`"),
        (r'"\x41\X42\u00e9\U0001F600\101"', "ABé😀A"),
        (r"r'\d+\n'", r"\d+\n"),
        (r'R"a\\"', "a\\\\"),
        ('"""a"b"""', 'a"b'),
        ("'''it's'''", "it's"),
        ('""', ""),
        ('"// not a comment"', "// not a comment"),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("-9223372036854775808", -(2**63)),
        ("- 9223372036854775808", -(2**63)),
        ("9223372036854775807", 2**63 - 1),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("-1e-2", -0.01),
        ("null", None),
        ("false", False),
    ],
)
def test_literals_have_the_value_the_specification_gives(literal: str, value: object) -> None:
    node = parse(literal)

    assert isinstance(node, Constant)
    assert (type(value), value) == (type(node.value), node.value)


@pytest.mark.parametrize(
    ("text", "code", "where", "message"),
    [
        ("", "cel-syntax", "", "the expression is empty"),
        ("  ", "cel-syntax", "  ", "the expression is empty"),
        ("a ==", "cel-syntax", "=", "the expression is not complete"),
        ("a b", "cel-syntax", "b", "'b' cannot stand here"),
        ("a = 1", "cel-syntax", "=", "'=' cannot stand here"),
        ("a\n&& b\nother", "cel-syntax", "other", "'other' cannot stand here"),
        ("(a", "cel-syntax", "(", "'(' is never closed"),
        ("a)", "cel-syntax", ")", "')' closes nothing"),
        ("[a)", "cel-syntax", ")", "')' closes nothing"),
        ('"a', "cel-syntax", '"', "the string is never closed"),
        ('"a\\"', "cel-syntax", '"', "the string is never closed"),
        ('"a\n"', "cel-syntax", '"a', "the string is never closed on its line"),
        ("if", "cel-syntax", "if", "'if' is a reserved word of CEL"),
        ("return(1)", "cel-syntax", "return(1)", "'return' is a reserved word of CEL"),
        ("l.all(for, true)", "cel-syntax", "for", "'for' is a reserved word of CEL"),
        ("9223372036854775808", "cel-syntax", "9223372036854775808", "the number does not fit into 64 bits"),
        ("1.", "cel-syntax", "1.", "a digit is missing after the point"),
        ("1e999", "cel-syntax", "1e999", "the number is too large for a double"),
        ("has(a)", "cel-syntax", "has(a)", "has() asks for one member, as in has(claims.environment)"),
        ('has(a["b"])', "cel-syntax", 'has(a["b"])', "has() asks for one member, as in has(claims.environment)"),
        ("l.all(x)", "cel-syntax", "all(x)", "all() needs a name for the element and what to ask of it"),
        ("l.all(x.y, true)", "cel-syntax", "all(x.y, true)", "all() needs a name for the element and what to ask of it"),
        ("'\ud800'", "cel-syntax", "'\ud800'", "a lone surrogate is not a character"),
        ("1u", "cel-unsupported", "1u", "unsigned numbers are not part of the policy language"),
        ("b'x'", "cel-unsupported", "b'", "bytes literals are not part of the policy language"),
        ("a == br'x'", "cel-unsupported", "br'", "bytes literals are not part of the policy language"),
        ("{'a': 1}", "cel-unsupported", "{'a': 1}", "map literals are not part of the policy language"),
        ("{}", "cel-unsupported", "{}", "map literals are not part of the policy language"),
        ("a.B{c: 1}", "cel-unsupported", "a.B{c: 1}", "message literals are not part of the policy language"),
        (".a", "cel-unsupported", ".a", "names that begin with a dot are not part of the policy language"),
        (".a(1)", "cel-unsupported", ".a(1)", "names that begin with a dot are not part of the policy language"),
        ('"\\q"', "cel-unsupported", "\\q", "CEL has no escape '\\q' here"),
        ('"x\\u12"', "cel-unsupported", "\\u", "CEL has no escape '\\u' here"),
        ('"\\ud800"', "cel-unsupported", "\\u", "CEL has no escape '\\u' here"),
        ('"\\400"', "cel-unsupported", "\\4", "CEL has no escape '\\4' here"),
        ('"""a\nb"""', "cel-unsupported", '"""a', "a string over several lines is not part of the policy language"),
        (r'r"\" + "x"', "cel-unsupported", r'r"\"', "a raw string cannot end with a backslash here"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_where_it_stands(
    text: str, code: str, where: str, message: str
) -> None:
    assert (code, where, message) == refused(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * 4097, "the expression is longer than 4096 bytes"),
        ('"' + "é" * 2048 + '"', "the expression is longer than 4096 bytes"),
        ("(" * 33 + "a" + ")" * 33, "brackets nest deeper than 32 levels"),
        ("!" * 25 + "a", "the expression nests deeper than 24 levels"),
        ("-" * 4000 + "a", "the expression nests deeper than 24 levels"),
        ("a" + ".b" * 25, "the expression nests deeper than 24 levels"),
        ("a" + " + a" * 25, "the expression nests deeper than 24 levels"),
        ("a ? a : " * 25 + "a", "the expression nests deeper than 24 levels"),
        (" && ".join(["a"] * 200), "the expression has more than 200 operators, names and calls"),
        ("l.all(x, l.all(y, l.all(z, true)))", "more than 2 macros inside one another"),
    ],
)
def test_what_is_over_a_limit_is_refused(text: str, message: str) -> None:
    code, _, found = refused(text)

    assert ("cel-limit", message) == (code, found)


@pytest.mark.parametrize(
    "text",
    [
        "a" + " + a" * 24,
        "a" + ".b" * 24,
        "a ? a : " * 24 + "a",
        "(" * 32 + "a" + ")" * 32,
        " && ".join(["a"] * 199),
        f"a in [{', '.join(['1'] * 1000)}]",
        "l.all(x, l.all(y, true)) && l.all(x, l.all(y, true))",
    ],
)
def test_what_is_just_inside_a_limit_is_read(text: str) -> None:
    assert len(text) < limits.TEXT_BYTES
    parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '"' + r"\n" * 2000,
        '"""' + r"\n" * 2000,
        "r'" + r"\n" * 2000 + r"\'",
        "'" * 4001,
        '"' * 4001,
        "(" * 4000,
        "[" * 4000,
        "1" * 4000,
        "." * 4000,
        "//" * 2000,
        "a\r" * 2000,
        "\\" * 4000,
        "\x00",
        "\ud800",
    ],
)
def test_no_text_takes_long_or_raises_anything_else(text: str) -> None:
    """cel-python's lexer alone would take exponential time for the first three."""
    assert refused(text)[0].startswith("cel-")


@pytest.mark.slow
def test_importing_cel_python_leaves_the_process_as_it_was() -> None:
    """The recursion limit stays, and celpy does not log claims."""
    code = (
        "import logging, sys; sys.setrecursionlimit(1234);"
        "from regauth.engine.cel.syntax import grammar; grammar._from_cel_python();"
        "print(sys.getrecursionlimit(), logging.getLogger('celpy').level, 'celpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1234", str(logging.CRITICAL), "True"]


@pytest.mark.slow
def test_nothing_but_the_parser_of_cel_python_is_used() -> None:
    """Its compiled runner swaps results between threads, its interpreter is lax."""
    used: set[str] = set()
    for path in Path(str(package.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("celpy"):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used |= {node.attr} if node.value.id == "celpy" else set()

    assert used == {"CELParser"}
