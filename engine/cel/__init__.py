"""
The Common Expression Language of policies: parsed by cel-python, checked and evaluated here.

What lives here: the public names.  What must not: code.

`compile_expression` turns a text into a `Program`, or into findings that say what is wrong and
where.  The subset, its limits and its deliberate differences from the specification are described
in docs/cel.md.
"""

from .analysis import Part
from .checking import Checked, Declarations, check_node
from .compiling import Compiled, compile_expression, compile_node
from .errors import CelError, ErrorCode, Finding, FindingCode
from .nodes import Node
from .program import Program
from .tracing import Trace
from .types import (
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
from .unparsing import unparse
from .values import Duration, Timestamp, timestamp

__all__ = [
    "BOOL",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "NULL",
    "STRING",
    "TIMESTAMP",
    "CelError",
    "Checked",
    "Compiled",
    "Declarations",
    "Duration",
    "ErrorCode",
    "Field",
    "Finding",
    "FindingCode",
    "ListType",
    "MapType",
    "Node",
    "Part",
    "Program",
    "RecordType",
    "Timestamp",
    "Trace",
    "Type",
    "check_node",
    "compile_expression",
    "compile_node",
    "timestamp",
    "unparse",
]
