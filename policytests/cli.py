"""
The command `policytest`.

What lives here: what the command line means.  Not here: running tests, which is pytest's
(`plugin`), and the commands beside them (`commands`).

Without a command, everything goes to pytest as it is; options that only policytest has are given
to the plugin under its own names, so that they never clash with another plugin's.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from .exit_codes import INTERRUPTED, USAGE

COMMANDS: Final = (
    *(
        "check",
        "why",
        "can",
        "who-can",
        "diff",
        "replay",
        "usage",
        "tighten",
        "suggest",
        "init",
        "schema",
        "migrate",
        "hostile",
    ),
    *("profiles", "token", "completion"),
)
"""The first words that are not a path."""

LIBRARIES: Final = ("click", "pytest", "syrupy", "urllib3")
"""The import names of what the extra `policytest` of pyproject.toml brings."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    if missing := ", ".join(name for name in LIBRARIES if find_spec(name) is None):
        sys.stderr.write(
            f"policytest: {missing} not installed; "
            "run: pip install 'jwt-registry-auth[policytest]'\n"
        )
        return USAGE
    try:
        return _main(arguments)
    except BrokenPipeError:
        # The reader of the output has gone, as `head` does: drop the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except OSError as error:
        from regauth.engine.source.foreign_text import visible

        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"policytest: {visible(f'{place}{error.strerror or error}')}\n")
        return USAGE


def _main(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["-h"], ["--help"]):
        from regauth.policytests.commands.help import HELP

        sys.stdout.write(HELP)
        return 0
    if words in (["-V"], ["--version"]):
        from importlib.metadata import version

        sys.stdout.write(f"policytest {version('jwt-registry-auth')}\n")
        return 0
    if "_POLICYTEST_COMPLETE" in os.environ or (words and words[0] in COMMANDS):
        return _command(words)
    if words and (meant := _misspelt(words[0])):
        sys.stderr.write(f"policytest: there is no {words[0]!r} here; did you mean `{meant}`?\n")
        return USAGE
    from regauth.policytests.collection.arguments import OptionError, translated

    try:
        return run_tests(translated(words))
    except OptionError as error:
        sys.stderr.write(f"policytest: {error}\n")
        return USAGE


def _misspelt(word: str) -> str:
    """Return the command that a first word looks like, when it is neither one nor a path."""
    if word.startswith("-") or os.path.lexists(word.partition("::")[0]):
        return ""
    from regauth.engine.source.nearest import nearest

    return nearest(word, COMMANDS) or ""


def _command(words: Sequence[str]) -> int:
    import click

    from regauth.policytests.commands.group import main as group

    try:
        code = group.main(
            list(words),
            prog_name="policytest",
            complete_var="_POLICYTEST_COMPLETE",
            standalone_mode=False,  # the command's exit codes are not pytest's
        )
    except click.ClickException as error:
        error.show()
        return USAGE
    except click.Abort:
        sys.stderr.write("policytest: interrupted\n")
        return INTERRUPTED
    except SystemExit as end:
        code = end.code
    return code if isinstance(code, int) else int(code is not None)


def run_tests(words: Sequence[str]) -> int:
    """Run the suites through pytest."""
    import pytest

    return int(pytest.main(["--continue-on-collection-errors", "--policytest-front", *words]))
