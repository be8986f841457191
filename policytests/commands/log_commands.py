"""
The commands that say what logs tell about a policy: `usage`, `tighten` and `suggest`.

What lives here: their arguments and their help.
Not here: what they do (`usage`), and the other commands (`group`).
"""

from pathlib import Path
from typing import Final

import click

from .help import EXAMPLES

_LOGGED_POLICY: Final = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    default=Path("policy"),
    help="The policy's folder (default: ./policy).",
)
_SINCE: Final = click.option(
    "--since",
    metavar="DURATION",
    help="Count only the requests of the last DURATION, such as 90d.",
)


def _example(name: str) -> str:
    return "\b\n" + "\n".join(f"  {line}" for line in EXAMPLES[name])


@click.command(epilog=_example("usage"))
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@_LOGGED_POLICY
@_SINCE
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html"]),
    default="text",
    show_default=True,
    help="How the report is written.",
)
def usage(logs: tuple[str, ...], **options: object) -> None:
    """Show which grants, actions, patterns and providers the requests of decision logs used.

    LOG is a file, plain or gzip, or - for standard input; logs of several servers count together.
    """
    from .usage import show_usage

    raise SystemExit(show_usage(logs, options))


@click.command(epilog=_example("tighten"))
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@_LOGGED_POLICY
@_SINCE
@click.option(
    "--names",
    type=click.IntRange(min=0, max=20),
    default=5,
    show_default=True,
    help="The most names that take the place of a pattern with wildcards; 0 keeps such patterns.",
)
@click.option(
    "--values",
    type=click.IntRange(min=0, max=20),
    default=3,
    show_default=True,
    help="The most values of a claim that become a condition; 0 adds no condition.",
)
@click.option("--any-age", is_flag=True, help="Treat every grant as older than the log.")
@click.option("--write", is_flag=True, help="Write the change, unless a suite fails.")
def tighten(logs: tuple[str, ...], **options: object) -> None:
    """Show the narrowest change of the grants that still allows what decision logs show.

    It removes unused grants, actions, patterns, tags, providers and alternatives of conditions. If
    few workloads used a grant, its condition names their ids, unless a test expects others. It
    keeps grants that expire, or that are younger than the log.
    """
    from .usage import Tightening

    raise SystemExit(Tightening.of(options).run(logs))


@click.command(epilog=_example("suggest"))
@click.argument("sources", nargs=-1, required=True, metavar="LOG|TOKENS|SUITE...")
@_SINCE
@click.option(
    "--asks",
    multiple=True,
    metavar="SCOPE",
    help="What tokens of TOKENS ask for (default: to pull and push the images of their own name).",
)
@click.option(
    "--service",
    default="",
    help="The registry's service for TOKENS (default: the host of their audience).",
)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write DIR/policy/policy.yaml and DIR/suggested.policytest.yaml; never over a file.",
)
def suggest(sources: tuple[str, ...], **options: object) -> None:
    """Draft a first policy that allows what decision logs show, or what tokens ask for.

    It is for a server that has allowed everything so far. Conditions compare ids that the issuer
    gives, never values that people choose. `policytest check` warns until the draft's first line is
    gone.

    LOG is a decision log, plain or gzip, or - for standard input. TOKENS is a file of JWTs, or of
    their claims as JSON; nobody verifies them, and no token is shown. SUITE ends in
    .policytest.yaml.
    """
    from .usage import run_suggest

    raise SystemExit(run_suggest(sources, options))
