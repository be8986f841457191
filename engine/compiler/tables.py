"""
Tables in `definitions`: maps from text to values of one type.

What lives here: reading a table from the policy, and what is wrong with one.  Not here: the type of
a table (`cel.checks.tables`), look-ups that can miss (`lints.lookups`), and how large a table may
be (the policy's JSON Schema).
"""

from typing import Final

from regauth.engine.cel import Program, TableValue, compile_table
from regauth.engine.cel.checks.tables import common_value_type, value_type
from regauth.engine.cel.library.types import Type
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode
from regauth.engine.source.problems import Problems

_KINDS: Final = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}


def read_table(node: MappingNode, problems: Problems) -> Program | None:
    """Read a table, or report what is wrong with it."""
    entries: dict[str, TableValue] = {}
    known: Type | None = None
    good = not node.unfit
    for entry in node.entries.values():
        good &= _is_text_key(entry.key, problems)
        value = _value(entry.value)
        common = common_value_type(known, value)
        if common is None:
            good = False
            problems.error(
                entry.value.location,
                "wrong-type",
                f"the values of a table have one type: those above are {known},"
                f" this is {value_type(value)}",
                "make a table for each type, or quote what is text",
            )
        else:
            known = common
            entries[entry.key.text] = value
    return compile_table(entries) if good and entries else None


def _is_text_key(key: ScalarNode, problems: Problems) -> bool:
    if isinstance(key.value, str):
        return True
    problems.error(
        key.location,
        "wrong-type",
        f"a key of a table is text; `{key.text}` is {_KINDS[type(key.value)]}",
        f'quote it: "{key.text}"',
    )
    return False


def _value(node: Node) -> TableValue:
    """Return a value that the schema lets pass: a scalar, or a list of texts."""
    plain = node.plain()
    if isinstance(plain, list):
        return [str(item) for item in plain]
    if isinstance(plain, bool | int):
        return plain
    return str(plain)
