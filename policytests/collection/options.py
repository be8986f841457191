"""
The options that only policytest has.

What lives here: the table.  Not here: how the command line calls them (`arguments`), what they do
(`recorder`), and anything that takes time to import: every pytest run of the environment loads this
module.
"""

from typing import Any, Final

OPTIONS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "accept-widening",
        {"metavar": "REASON", "help": "let --snapshot-update widen access; the reason is kept"},
    ),
    (
        "cov-fail-under",
        {
            "metavar": "N",
            "type": float,
            "help": "fail when less than N %% of the policy is covered",
        },
    ),
    ("mutate", {"action": "store_true", "help": "try every mutant of the policy on the cases"}),
    (
        "min-mutation-score",
        {"metavar": "N", "type": float, "help": "fail when less than N %% of mutants are noticed"},
    ),
    (
        "format",
        {
            "metavar": "FORMAT[=FILE]",
            "action": "append",
            "default": [],
            "help": "also report as json, junit, github, sarif, tap, markdown, lcov or cobertura",
        },
    ),
    ("html", {"metavar": "FILE", "help": "write one self-contained HTML report"}),
    (
        "usage-log",
        {
            "metavar": "[FOLDER=]LOG",
            "action": "append",
            "default": [],
            "help": "show in the HTML report what this decision log, that of the policy in FOLDER, "
            "never used, and near refusals",
        },
    ),
    ("front", {"action": "store_true", "help": "report as the policytest command does"}),
)
"""The options that only policytest has, by their names on the command line."""
