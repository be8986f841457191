"""
Tables: maps that a policy writes as YAML, for expressions to look up.

What lives here: the type of a table, and making a program of one.  Not here: reading it from the
policy (`regauth.engine.compiler.tables`), and which look-ups are guarded (`lookups`).
"""

from collections.abc import Mapping
from functools import reduce
from typing import Final

from regauth.engine.cel.evaluation.program import Program, make
from regauth.engine.cel.library.types import BOOL, INT, NOTHING, STRING, ListType, MapType, Type
from regauth.engine.cel.library.types import common as common_type
from regauth.engine.cel.syntax.nodes import Table, TableValue

_TYPES: Final[Mapping[type, Type]] = {bool: BOOL, int: INT, str: STRING}


def value_type(value: TableValue) -> Type:
    """Return the type of a value of a table."""
    if isinstance(value, list):
        return ListType(STRING if value else NOTHING)
    return _TYPES[type(value)]


def common_value_type(known: Type | None, value: TableValue) -> Type | None:
    """Return the type of the values before and of one more, or None where there is none."""
    given = value_type(value)
    return given if known is None else common_type(known, given)


def table_type(node: Table) -> MapType:
    """Return the type of a table."""
    types = map(value_type, node.entries.values())
    value = reduce(lambda one, other: common_type(one, other) or one, types)
    return MapType(value, frozenset(node.entries))


def compile_table(entries: Mapping[str, TableValue]) -> Program:
    """
    Make the program of a table, whose value is the table itself.

    Raises:
        ValueError: It is empty, or its values have different types.
    """
    known: Type | None = None
    for value in entries.values():
        known = common_value_type(known, value)
        if known is None:
            raise ValueError("the values of a table have one type")
    if known is None:
        raise ValueError("a table has an entry")
    node = Table(0, 0, dict(entries))
    return make("", node, table_type(node), {})
