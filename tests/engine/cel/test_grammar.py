"""The tables of the parser are those of cel-python's grammar, and only ever used for it."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lark
import pytest
from celpy.celparser import CELParser
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.cel.syntax import grammar
from regauth.engine.cel.syntax.errors import RejectedError
from regauth.engine.cel.syntax.nodes import Node
from regauth.engine.cel.syntax.reading import TRANSPARENT, read_tree
from regauth.engine.cel.syntax.scanning import scan
from tests.generated import share

from .generating import Untyped

TABLES = Path("engine/cel/syntax") / grammar.TABLES

EXPRESSIONS = (
    'claims.ref == "refs/heads/main" && claims.event_name in ["push", true]',
    "has(claims.a.b) ? !claims.a : -1 + 2u * 0x1F % 3.5e1 >= duration('1h')",
    "[1, 2].exists(x, x > 1) || {'a': 1}['a'] != null // end",
    "a.b(c)(d)",
    'r\'\\d\' + """x\ny"""',
    ".a.b{c: 1}",
    "trueish == truefalse && true",
)


def worked_out(text: bytes) -> lark.Lark:
    """Return the parser as cel-python makes it, but for `debug`, which tables of numbers lack."""
    return lark.Lark(
        text.decode(),
        parser="lalr",
        start="expr",
        g_regex_flags=re.MULTILINE,
        propagate_positions=True,
        maybe_placeholders=False,
        priority="invert",
    )


def terminals(parser: lark.Lark) -> list[tuple[object, ...]]:
    return sorted((one.name, str(one.pattern), one.priority) for one in parser.terminals)


def alike(ours: lark.Lark, theirs: lark.Lark) -> bool:
    """Tell whether two parsers are the same but for how their states are numbered."""
    tables = [parser.parser.parser._parse_table for parser in (ours, theirs)]
    states = [table.states for table in tables]
    pairs = [tuple(table.start_states["expr"] for table in tables)]
    seen = dict(pairs)
    for mine, other in pairs:
        if {*states[0][mine]} != {*states[1][other]}:
            return False
        for token, (action, target) in states[0][mine].items():
            same_action, same_target = states[1][other][token]
            if str(action) != str(same_action):
                return False
            if not isinstance(target, int):
                if (target, target.alias, target.order) != (
                    same_target,
                    same_target.alias,
                    same_target.order,
                ):
                    return False
            elif target not in seen:
                seen[target] = same_target
                pairs.append((target, same_target))
            elif seen[target] != same_target:
                return False
    return (
        len(seen) == len(states[0]) == len(states[1])
        and terminals(ours) == terminals(theirs)
        and set(ours.lexer_conf.ignore) == set(theirs.lexer_conf.ignore)
        and seen[tables[0].end_states["expr"]] == tables[1].end_states["expr"]
    )


def test_the_tables_are_those_of_the_grammar(repository: Path, pytestconfig: pytest.Config) -> None:
    """They are written anew by `--golden-update`, after an update of lark or cel-python."""
    text = grammar.grammar_text()
    assert text is not None
    made = worked_out(text)
    if pytestconfig.getoption("--golden-update") and grammar.load() is cel_python():
        data, memo = made.memo_serialize([lark.lexer.TerminalDef, lark.grammar.Rule])
        head = {"lark": lark.__version__, "grammar": grammar.digest(text)}
        tables = json.dumps({**head, "data": data, "memo": memo}, separators=(",", ":"))
        (repository / TABLES).write_text(tables + "\n", encoding="utf-8")

    assert grammar.load() is not cel_python()
    assert alike(grammar.load(), made)


def test_parsers_of_other_languages_are_not_alike() -> None:
    text = grammar.grammar_text()
    assert text is not None
    made = worked_out(text)

    assert alike(made, worked_out(text))
    for changed in (text.replace(b'"<"', b'"<<"'), text.replace(b"0x", b"0y")):
        assert changed != text
        assert not alike(made, worked_out(changed))


def outcome(parser: lark.Lark, text: str) -> object:
    try:
        return parser.parse(text)
    except lark.exceptions.UnexpectedInput as error:
        return type(error), error.line, error.column, getattr(error, "token", None)


def cel_python() -> lark.Lark:
    CELParser()
    return CELParser.CEL_PARSER


def places(tree: object) -> object:
    if isinstance(tree, lark.Tree):
        meta = tree.meta
        where = () if meta.empty else (meta.start_pos, meta.end_pos, meta.line, meta.column)
        return tree.data, where, [places(child) for child in tree.children]
    if isinstance(tree, lark.Token):
        return tree.type, str(tree), tree.start_pos, tree.end_pos
    return tree


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_it_parses_as_cel_python_does(text: str) -> None:
    assert places(outcome(grammar.load(), text)) == places(outcome(cel_python(), text))


@pytest.mark.fuzz
def test_it_parses_everything_as_cel_python_does(
    explore: Callable[[Callable[[], None], int], None],
) -> None:
    ours, theirs = grammar.load(), cel_python()
    words = st.sampled_from(
        [word for text in EXPRESSIONS for word in re.findall(r"\w+|\W", text)]
        + ["&&", "||", "==", '"a"', "in", "?", ":", "é", "\n"]
    )

    @given(
        st.one_of(
            st.lists(words, max_size=12).map("".join), st.lists(words, max_size=8).map(" ".join)
        )
    )
    def holds(text: str) -> None:
        assert places(outcome(ours, text)) == places(outcome(theirs, text))

    explore(holds, 300)


def read(parser: lark.Lark, text: str) -> object:
    """Return the tree of our own, or what is wrong, and where."""
    try:
        return read_tree(parser.parse(text), scan(text))
    except RejectedError as error:
        return error.finding
    except lark.exceptions.LarkError as error:
        return type(error), str(error)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_tree_without_links_is_read_alike_and_leaves_cel_python_s_parser_alone(text: str) -> None:
    before = places(outcome(cel_python(), text))
    for parser in (grammar.load(), cel_python()):
        assert read(grammar.short(parser, TRANSPARENT), text) == read(parser, text)

    assert places(outcome(cel_python(), text)) == before


@pytest.mark.fuzz
def test_random_expressions_whole_and_cut_are_read_alike_without_links() -> None:
    whole = grammar.load()
    short = grammar.short(whole, TRANSPARENT)
    draw, generator = random.Random(1), Untyped(1)
    found = []
    for _ in range(share(500)):
        text = generator.expression()
        at, to = sorted(draw.choices(range(len(text) + 1), k=2))
        for one in (text, text[:at] + draw.choice(["", ")", "(", "||", "!", " true"]) + text[to:]):
            found.append(read(whole, one))
            assert found[-1] == read(short, one), one
    trees = sum(isinstance(one, Node) for one in found)
    assert share(500) <= trees < len(found) - share(100)


@pytest.mark.parametrize("changed", ["lark", "grammar"])
def test_tables_of_another_grammar_or_lark_are_not_used(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if changed == "lark":
        monkeypatch.setattr(lark, "__version__", "0.0.1")
    else:
        monkeypatch.setattr(grammar, "grammar_text", lambda: b"expr: /x/")

    assert grammar.load() is cel_python()


@pytest.mark.slow
def test_importing_does_not_import_cel_python() -> None:
    code = "import sys, regauth.engine.cel; print('celpy' in sys.modules, sys.getrecursionlimit())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", str(1000)]
