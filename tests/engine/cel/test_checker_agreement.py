"""
Our checker against Google's C++ checker, on random expressions over typed variables.

What must hold: both accept or both refuse, except for what the policy language leaves out on
purpose; and nothing is accepted here that the C++ checker refuses.
"""

import re
from collections import Counter

import pytest

from regauth.engine.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    Declarations,
    ListType,
    MapType,
    compile_expression,
)
from regauth.engine.source.problems import Severity
from tests.generated import share

from .generating import Typed
from .oracles import Cpp
from .test_differential import SEED

pytestmark = pytest.mark.slow

NAMES = {
    "s": "STRING",
    "t": "STRING",
    "i": "INT",
    "d": "DOUBLE",
    "b": "BOOL",
    "l": "LIST_STRING",
    "z": "LIST_STRING",
    "m": "MAP_DYN",
    "now": "TIMESTAMP",
    "span": "DURATION",
    "x": "DYN",
    "c": "MAP_DYN",
    "n": "NULL",
}
TYPES = {
    "STRING": STRING,
    "INT": INT,
    "DOUBLE": DOUBLE,
    "BOOL": BOOL,
    "LIST_STRING": ListType(STRING),
    "MAP_DYN": MapType(DYN),
    "TIMESTAMP": TIMESTAMP,
    "DURATION": DURATION,
    "DYN": DYN,
    "NULL": NULL,
}
DECLARED = Declarations({name: TYPES[of] for name, of in NAMES.items()})

# What is refused here alone, by the words it is refused with.
ON_PURPOSE = re.compile(
    r"a list holds values of one type"
    r"|not an RFC 3339|not a duration|the string is not|the timestamp is not|does not fit into"
    r"|(string|int|duration)\(\) does not take \((null|duration|int)\)"
    r"|null has no order|.* null are never equal|null and .* never equal|.* does not take \(.*null"
    r"|the two results have different types: .*null"
    r"|a list is indexed by an int"
)


@pytest.mark.fuzz
def test_both_checkers_accept_the_same_expressions() -> None:
    cpp, generator = Cpp(NAMES), Typed(SEED)
    counts: Counter[str] = Counter()
    different: list[tuple[str, str]] = []
    for _ in range(share(4000)):
        text = generator.expression()
        findings = compile_expression(text, DECLARED, DYN).findings
        refused = [f.message for f in findings if f.severity is Severity.ERROR]
        accepted, reason = cpp.accepts(text)
        if accepted is not bool(refused):
            counts[f"both {'accept' if accepted else 'refuse'}"] += 1
        elif refused and all(map(ON_PURPOSE.match, refused)):
            counts["refused here on purpose"] += 1
        else:
            different.append((text, str(refused or reason)))

    assert different == []
    assert counts["both accept"] > share(1000)
    assert counts["both refuse"] > share(1000)
    assert counts["refused here on purpose"] < counts.total() * 0.05
