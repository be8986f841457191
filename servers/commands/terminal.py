"""
What the server's commands say on a terminal.

What lives here: how problems, refusals and tokens are shown, and the exit codes.  Not here: making
them (`regauth.engine.source.problems`, `setup.token_client`).
"""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import click

if TYPE_CHECKING:  # the engine is for commands that do something; `--help` is not one of them
    from regauth.engine.source.problems import Problem

LINES: Final = "\n"
"""Characters that a message may hold beside printable ones."""

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_POLICY: Final = 10


def fail(message: str, code: int = EXIT_USAGE) -> NoReturn:
    """Say what is wrong and end; control characters that a peer has written are escaped."""
    from regauth.engine.source.foreign_text import visible

    click.echo(f"token-server: {visible(message, keep=LINES)}", err=True)
    sys.exit(code)


@contextmanager
def startup_errors_shown(program: str = "token-server") -> Iterator[None]:
    """Show why a program cannot start, and end: with 10 for an error in the policy, else with 2."""
    from regauth.engine.source.foreign_text import visible
    from regauth.engine.source.startup import Fault, StartupError

    try:
        yield
    except StartupError as error:
        if error.problems:
            _show_problems(error.problems, error.sources)
        else:
            click.echo(f"{program}: {visible(str(error), keep=LINES)}", err=True)
        sys.exit(EXIT_POLICY if error.fault is Fault.POLICY else EXIT_USAGE)


def _show_problems(problems: "tuple[Problem, ...]", sources: Mapping[str, str]) -> None:
    from regauth.engine.source.problems import Severity
    from regauth.engine.source.rendering import render_text, wants_color

    color = wants_color(os.environ, terminal=sys.stderr.isatty())
    click.echo(render_text(problems, sources, color=color), err=True, color=color)
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    click.echo(f"\n{errors} error{'s' * (errors != 1)}; nothing is served", err=True)


def shown_token(token: str) -> str:
    """
    Return a token's header and claims as JSON, with certificates shortened.

    Raises:
        ValueError: The token is no JWT.
    """
    try:
        header, claims = (_part(part) for part in token.split(".")[:2])
    except (ValueError, TypeError) as error:
        raise ValueError("the server's token is no JWT; --raw shows it as it is") from error
    if isinstance(chain := header.get("x5c"), list):
        header["x5c"] = [f"{str(one)[:24]}..." for one in chain]
    return json.dumps({"header": header, "claims": claims}, indent=2)


def _part(text: str) -> dict[str, object]:
    decoded = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    if not isinstance(decoded, dict):
        raise TypeError("a part of a token is a JSON object")
    return decoded
