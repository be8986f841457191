"""
The Common Expression Language of policies: parsed by cel-python, checked and evaluated here.

What lives here: the public names.  Not here: code.

`compile_expression` turns a text into a `Program`, or into findings that say what is wrong and
where.  The subset, its limits and its deliberate differences from the specification are described
in docs/cel.md.
"""

from regauth.engine.cel.checks.checking import Checked, Declarations, check_node
from regauth.engine.cel.checks.compiling import Compiled, compile_expression, compile_node
from regauth.engine.cel.checks.lookups import Lookup, unguarded_lookups
from regauth.engine.cel.checks.tables import compile_table
from regauth.engine.cel.evaluation.budget import STEPS, request_budget
from regauth.engine.cel.evaluation.causes import Atom, atoms_of, can_be_true, failing_atoms
from regauth.engine.cel.evaluation.program import Program
from regauth.engine.cel.evaluation.tracing import Trace
from regauth.engine.cel.library.types import (
    ADDRESS,
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    Field,
    ListType,
    MapType,
    RecordType,
    Type,
)
from regauth.engine.cel.library.values import Duration, Timestamp, timestamp
from regauth.engine.cel.syntax.analysis import Part
from regauth.engine.cel.syntax.errors import CelError, CelErrorCode, Finding, FindingCode
from regauth.engine.cel.syntax.nodes import Node, Table, TableValue
from regauth.engine.cel.syntax.unparsing import unparse

__all__ = [
    "ADDRESS",
    "BOOL",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "NULL",
    "STEPS",
    "STRING",
    "TIMESTAMP",
    "Atom",
    "CelError",
    "CelErrorCode",
    "Checked",
    "Compiled",
    "Declarations",
    "Duration",
    "Field",
    "Finding",
    "FindingCode",
    "ListType",
    "Lookup",
    "MapType",
    "Node",
    "Part",
    "Program",
    "RecordType",
    "Table",
    "TableValue",
    "Timestamp",
    "Trace",
    "Type",
    "atoms_of",
    "can_be_true",
    "check_node",
    "compile_expression",
    "compile_node",
    "compile_table",
    "failing_atoms",
    "request_budget",
    "timestamp",
    "unguarded_lookups",
    "unparse",
]
