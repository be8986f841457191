"""
How large an expression may be, and how much it may do: one place for every bound.

What lives here: numbers with their units and reasons.  Not here: the checks themselves (`scanning`,
`reading`).

Steps are counted in `regauth.engine.cel.evaluation.budget`, and what a request costs in
`regauth.engine.decisions.decide`.
"""

from typing import Final

TEXT_BYTES: Final = 4096
"""Bytes of an expression in UTF-8."""

LEVELS: Final = 24
"""Operators inside operators; a chain of `&&` or of `||` is one level, however long."""

BRACKETS: Final = 32
"""Brackets inside brackets, redundant ones included: what parsers of CEL must be able to do."""

NODES: Final = 200
"""Operators, names and calls of one expression; elements of a literal list do not count."""

COMPREHENSIONS: Final = 2
"""Macros that walk a list (`all`, `exists`, `map`...) inside one another."""

EXPANDED_NODES: Final = 2_000
"""Like NODES, with every `defs.NAME` counted as what it stands for."""

EXPANDED_LEVELS: Final = 60
"""Like LEVELS, with every `defs.NAME` counted as what it stands for."""

STEPS: Final = 200_000
"""Nodes evaluated inside macros in one evaluation: some tens of milliseconds."""

REQUEST_STEPS: Final = 2_000_000
"""Steps of all evaluations of one login, or of one decision: some hundred milliseconds."""

CHARACTERS_PER_STEP: Final = 32
"""Characters that a string function reads or writes for one step."""

MATCHED_PER_STEP: Final = 16
"""Characters that a regular expression reads for one step."""

STRING: Final = 65_536
"""Characters of a string that an expression builds."""

LIST: Final = 16_384
"""Elements of a list that an expression builds."""

PATTERN_SIZE: Final = 2_000
"""Instructions of a compiled regular expression; bounds the memory a match can ask for."""

TABLE_ENTRIES: Final = 10_000
"""Entries of a table."""

TABLE_TEXT: Final = 1_024
"""Characters of a key of a table, and of a text that it holds."""

TABLE_ITEMS: Final = 100
"""Items of a list that a table holds."""
