"""
The command `policytest`.

What lives here: what the command line means.  What must not: running tests, which is pytest's, and
the commands beside them (`commands`).

Without a command, everything goes to pytest as it is; options that only policytest has are given
to the plugin under its own names, so that they never clash with another plugin's.
"""

import os
import sys
from collections.abc import Sequence

COMMANDS = (
    *("check", "why", "can", "who-can", "replay", "init", "schema", "migrate", "hostile"),
    "completion",
)
"""The first words that are no path."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        from .sentences import HELP  # noqa: PLC0415 - help needs nothing else

        sys.stdout.write(HELP)
        return 0
    if words in (["-V"], ["--version"]):
        from importlib.metadata import version  # noqa: PLC0415 - nothing else needs it

        sys.stdout.write(f"policytest {version('jwt-registry-auth')}\n")
        return 0
    if words == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415 - on demand

        sys.stdout.write(f"policytest {version('jwt-registry-auth')}\n")
        return 0
    if "_POLICYTEST_COMPLETE" in os.environ or (words and words[0] in COMMANDS):
        return _command(words)
    from .options import OptionError, translated  # noqa: PLC0415 - on demand

    try:
        return run_tests(translated(words))
    except OptionError as error:
        sys.stderr.write(f"policytest: {error}\n")
        return 4


def _command(words: Sequence[str]) -> int:
    from .commands import main as group  # noqa: PLC0415 - tests do without

    try:
        group.main(list(words), prog_name="policytest", complete_var="_POLICYTEST_COMPLETE")
    except SystemExit as end:
        code = end.code
        if code == 2:  # noqa: PLR2004 - click's wrong usage, which is pytest's 4
            return 4
        return code if isinstance(code, int) else int(code is not None)
    return 0


def run_tests(words: Sequence[str]) -> int:
    """Run the suites through pytest."""
    import pytest  # noqa: PLC0415 - help and other commands do without

    return int(pytest.main(["--continue-on-collection-errors", "--policytest-front", *words]))
