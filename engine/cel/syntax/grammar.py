"""
The parser of cel-python's grammar, ready in milliseconds.

What lives here: making the one `lark.Lark`.  Working out the parser's tables from the grammar takes
lark longer than checking a policy does, so `grammar.json` holds them, written by lark itself from
the grammar of cel-python; a test writes it and holds it equal.  They are used for exactly the
grammar and the lark that they were made of; for any other the tables are worked out anew.
Not here: parsing (`parsing`).

Only the grammar of cel-python is used.  Its runners are slow (InterpretedRunner) or wrong under
threads (CompiledRunner), and it has other values.
"""

import copy
import hashlib
import json
import logging
import sys
from collections.abc import Iterable
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final

import lark
from lark.grammar import Rule

GRAMMAR: Final = "cel.lark"
"""The file of cel-python that holds the grammar."""

TABLES: Final = "grammar.json"


def load() -> lark.Lark:
    """Return the parser."""
    text = grammar_text()
    if text is not None:
        made = json.loads(
            files(__package__).joinpath(TABLES).read_bytes(), object_pairs_hook=_numbered
        )
        if made.get("lark") == lark.__version__ and made.get("grammar") == digest(text):
            # What the stand-alone parsers call that lark generates.
            ready: Any = lark.Lark._load_from_dict  # noqa: SLF001 - there is no public name
            parser: lark.Lark = ready(
                made["data"],
                made["memo"],
                lexer_callbacks={"IDENT": _literal},
                propagate_positions=True,
            )
            return parser
    return _from_cel_python()


def short(parser: lark.Lark, transparent: frozenset[str]) -> lark.Lark:
    """
    Return the same parser, whose tree leaves out what says nothing.

    In the grammar a name is a primary, a member, a unary, and so on up to an expression: nine
    trees inside one another, each with its place, of which `reading` uses the innermost.  Making
    the others is more than half of a parse.  A rule of `transparent` that consists of one other
    rule gives that rule's tree instead of its own.
    """
    frontend, tables = copy.copy(parser.parser), copy.copy(parser.parser.parser)
    driver = copy.copy(tables.parser)
    driver.callbacks = {
        rule: _only_child if _is_link(rule, transparent) else made
        for rule, made in driver.callbacks.items()
    }
    tables.parser, frontend.parser = driver, tables
    shorter = copy.copy(parser)
    shorter.parser = frontend
    return shorter


def _is_link(rule: Rule, transparent: frozenset[str]) -> bool:
    """Tell whether a rule of lark only says that one thing is also another."""
    if rule.alias or rule.origin.name not in transparent or len(rule.expansion) != 1:
        return False
    return not rule.expansion[0].is_term


def _only_child(children: list[object]) -> object:
    return children[0]


def grammar_text() -> bytes | None:
    """Return the grammar of cel-python without importing it; None where that cannot be done."""
    spec = find_spec("celpy")
    read = getattr(spec.loader, "get_data", None) if spec is not None else None
    if spec is None or read is None or not spec.submodule_search_locations:
        return None
    try:
        text: bytes = read(f"{spec.submodule_search_locations[0]}/{GRAMMAR}")
    except OSError:
        return None
    return text


def digest(text: bytes) -> str:
    """Return the digest by which the tables name the grammar that they were made of."""
    return hashlib.sha256(text).hexdigest()


def _numbered(pairs: Iterable[tuple[str, Any]]) -> dict[str | int, Any]:
    """Make an object of JSON; lark's numbers are keys, which JSON has as text."""
    return {int(name) if name.isdigit() else name: value for name, value in pairs}


def _literal(token: lark.Token) -> lark.Token:
    """Tell literals from identifiers, as cel-python does: the grammar cannot."""
    return lark.Token("BOOL_LIT", token.value) if token.value in ("true", "false") else token


def _from_cel_python() -> lark.Lark:
    """Let cel-python make the parser, and undo what importing it does to the process."""
    before = sys.getrecursionlimit()
    # It logs whole expressions and claims at DEBUG.
    logging.getLogger("celpy").setLevel(logging.CRITICAL)
    try:
        from celpy.celparser import CELParser  # noqa: PLC0415 - half a second, seldom needed

        CELParser()
        parser: Any = CELParser.CEL_PARSER
        made: lark.Lark = parser
        return made
    finally:
        sys.setrecursionlimit(before)
