"""
The command `policytest`.

What lives here: what the command line means.  What must not: running tests, which is pytest's, and
the commands beside them, each in a module of its own.

Without a command, everything goes to pytest as it is; options that only policytest has are given
to the plugin under its own names, so that they never clash with another plugin's.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    from .options import translated

    return run_tests(translated(words))


def run_tests(words: Sequence[str]) -> int:
    """Run the suites through pytest."""
    import pytest  # noqa: PLC0415 - help and other commands do without

    return int(pytest.main(["--continue-on-collection-errors", "--policytest-front", *words]))
