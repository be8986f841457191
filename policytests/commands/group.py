"""
The commands beside the tests.

What lives here: their arguments and their help.  Not here: what they do.  Each command has a module
of its own in this folder, which is imported when it is needed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import click

from .help import EXAMPLES
from .log_commands import suggest, tighten, usage

_FORMATS: Final = click.Choice(["text", "json", "github", "sarif"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Test registry policies."""


main.add_command(usage)
main.add_command(tighten)
main.add_command(suggest)


def _example(name: str) -> str:
    return "\b\n" + "\n".join(f"  {line}" for line in EXAMPLES[name])


@main.command(epilog=_example("check"))
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-f", "--format", "form", type=_FORMATS, default="text", help="The format of the output."
)
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--explain", metavar="CODE", help="Only show what a code means.")
@click.option("--prove", is_flag=True, help="Also find what changes nothing, by proof.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=60_000_000,
    show_default=True,
    help="The most steps of the solver for --prove, for each policy.",
)
def check(folders: tuple[Path, ...], form: str, explain: str | None, **options: object) -> None:
    """Show what is wrong, or looks wrong, with policies (default: ./policy)."""
    if explain is not None:
        from regauth.policytests.reports.codes import explain as show

        raise SystemExit(show(explain))
    from .check import check_folders

    proving = cast("int", options["steps"]) if options["prove"] else None
    strict = bool(options["strict"])
    raise SystemExit(
        check_folders(folders or (Path("policy"),), form, strict=strict, proving=proving)
    )


Command = TypeVar("Command", bound=Callable[..., None])


_PATH: Final = click.Path(path_type=Path)
_SUITE: Final = click.option("--suite", type=_PATH, help="Take tokens from this suite.")
_SERVICE: Final = click.option("--service", help="The service; default: the policy's only one.")


def _asking(function: Command) -> Command:
    """Add the options of a question about one token."""
    for option in (
        _SUITE,
        click.option("--client", help="The address that the token is used from."),
        click.option("--policy", type=_PATH, help="Ask this policy."),
        click.option("--keys", type=_PATH, help="JWK set to verify a real token with."),
        click.option(
            "--at",
            metavar="TIME",
            help="The time of the request; default: a real token's own time.",
        ),
        _SERVICE,
        click.option("--provider", help="The provider to log in as."),
    ):
        function = option(function)
    return function


@main.command(epilog=_example("why"))
@click.argument("words", nargs=-1, required=True, metavar="TOKEN SCOPES...")
@click.option("--request", metavar="ID", help="Explain this request of the LOGs named instead.")
@_asking
def why(words: tuple[str, ...], request: str | None, **options: object) -> None:
    """Explain one decision step by step.

    TOKEN is the name of a suite's token, a file with a JWT, or - for standard input. A scope is
    `repository:NAME:ACTIONS`, or short: `acme/app:push`, `acme/app:v1:push`, `acme/app`.

    With --request ID, name decision logs instead: LOG... (plain, gzip, or - for standard input).
    Every line with the id is shown, as it was decided and as the policy decides it now.
    """
    from . import answers, questions, recorded

    asked = questions.Options.of(options)
    if request is not None:
        raise SystemExit(answers.show(recorded.why_recorded(asked, request, words)))
    if len(words) == 1:
        raise click.UsageError("Missing argument 'SCOPES...'.", click.get_current_context())
    raise SystemExit(answers.show(answers.why(asked, words[0], words[1:])))


@main.command(epilog=_example("can"))
@click.argument("token")
@click.argument("repositories", nargs=-1)
@_asking
def can(token: str, repositories: tuple[str, ...], **options: object) -> None:
    """Show everything that a token can do.

    A repository is a name, with a tag where the policy asks for one: `acme/app:v1`. Others are
    `repository(CLASS):NAME` and `registry:catalog`.
    """
    from . import answers, questions

    raise SystemExit(answers.show(answers.can(questions.Options.of(options), token, repositories)))


@main.command(epilog=_example("profiles"))
@click.option("--policy", type=_PATH, help="Also list those of this policy's own claim schemas.")
def profiles(policy: Path | None) -> None:
    """List the profiles of sample tokens."""
    from . import answers, samples

    raise SystemExit(answers.show(samples.list_profiles(policy)))


@main.command(epilog=_example("token"))
@click.argument("name")
@_SUITE
@click.option(
    "--policy", type=_PATH, help="Also look for profiles in this policy's own claim schemas."
)
def token(name: str, **options: object) -> None:
    """Show what a sample token holds, and where each value comes from.

    NAME is the name of a suite's token, or of a profile: `github-actions/tag`.
    """
    from . import answers, questions, samples

    raise SystemExit(answers.show(samples.show_token(questions.Options.of(options), name)))


@main.command("who-can", epilog=_example("who-can"))
@click.argument("action", type=click.Choice(["pull", "push", "delete"]))
@click.argument("repository")
@_SUITE
@click.option("--policy", type=_PATH, help="Ask this policy, without the tokens of suites.")
@_SERVICE
def who_can(action: str, repository: str, **options: object) -> None:
    """Show who may do something, for every possible token, and which tokens of suites may.

    For each grant that gives the access, it shows what a token must hold, as short as a proof
    allows, and an example. Without suites it asks the policy in ./policy.
    """
    from . import answers, questions, who_can

    asked = questions.Options.of(options)
    raise SystemExit(answers.show(who_can.who_can(asked, action, repository)))


@main.command(epilog=_example("replay"))
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    default=Path("policy"),
    help="Decide with this policy (default: ./policy).",
)
@click.option(
    "--at",
    metavar="recorded|now|TIME",
    default="recorded",
    help="The time at which grants and denials decide.  Logins keep their own time.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "github"]),
    default="text",
    help="The format of the output.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    help="Differences shown of each kind; 0: all.",
)
@click.option("--accept-widening", metavar="REASON", help="Accept new access, for this reason.")
@click.option(
    "--accept-undecided",
    metavar="REASON",
    help="Accept what cannot be decided again, for this reason.",
)
@click.option("--fail-on-narrowing", is_flag=True, help="End with 1 when access is lost.")
@click.option(
    "--suite",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a suite of the requests that were decided the same.",
)
def replay(logs: tuple[str, ...], **options: object) -> None:
    """Decide a token server's decision log again: who gains what, who loses what, and why.

    LOG is a file, plain or gzip, or - for standard input. Exit codes: 0 nobody gains access, 12 new
    access, 13 new access cannot be excluded, 10 the policy does not compile.
    """
    from .replay import Replaying

    raise SystemExit(Replaying.of(options).run(logs))


@main.command(epilog=_example("diff"))
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option(
    "--policy",
    type=_PATH,
    multiple=True,
    help="The policy's folder, or one that holds several (default: policy).",
)
@click.option(
    "-f",
    "--format",
    "formats",
    metavar="FORMAT[=FILE]",
    multiple=True,
    help="text, json, markdown, github or html; default: text.",
)
@click.option("--at", metavar="TIME", help="The preferred time of examples.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Differences shown of each kind; 0: all.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=60_000_000,
    show_default=True,
    help="The most steps of the solver for each direction.  What remains is not excluded.",
)
@click.option("--accept-widening", metavar="REASON", help="Accept new access, for this reason.")
@click.option(
    "--accept-undecided", metavar="REASON", help="Accept what is not excluded, for this reason."
)
@click.option("--fail-on-narrowing", is_flag=True, help="End with 1 when access is lost.")
@click.option("--explain", is_flag=True, help="Show how each answer came about.")
def diff(base: str | None, head: str | None, **options: object) -> None:
    """Show who gains and who loses access by a change, for every possible token.

    BASE and HEAD are git revisions or folders. BASE defaults to the merge base with the main
    branch, HEAD to the working tree. "Proved none" is a proof. Exit codes: 0 nobody gains access,
    12 new access, 13 new access is not excluded, 10 a policy does not compile, 4 there is nothing
    to compare.
    """
    from .diff import Diffing

    raise SystemExit(Diffing.of(options).run(base, head))


@main.command(epilog=_example("init"))
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--issuer",
    "--profile",
    "issuer",
    metavar="NAME",
    default="github-actions",
    show_default=True,
    help="Whose tokens the policy is about: a known issuer, as in a provider's `claims`.",
)
def init(folder: Path, issuer: str) -> None:
    """Write a policy, a suite for it and a CI job to begin with."""
    from .init import initialise

    raise SystemExit(initialise(folder, issuer))


@main.command(epilog=_example("schema"))
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file.")
def schema(name: str | None, output: Path | None) -> None:
    """Print a JSON Schema for an editor; without a name, list them."""
    from .init import print_schema

    raise SystemExit(print_schema(name, output))


@main.command(epilog=_example("migrate"))
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--service", required=True, help="The token protocol's `service` value.")
@click.option("--audience", required=True, help="The audience that tokens must have.")
@click.option(
    "--issuer", multiple=True, metavar="NAME=URL", help="The issuer of a provider with static keys."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file.")
def migrate(
    config: Path, service: str, audience: str, issuer: tuple[str, ...], output: Path | None
) -> None:
    """Turn the Go proof of concept's configuration into a policy."""
    from .migrate import migrate_file

    raise SystemExit(migrate_file(config, service, audience, issuer, output))


@main.command(epilog=_example("hostile"))
@click.option("--list", "listing", is_flag=True, help="List every forgery.")
@click.option("--server", metavar="URL", help="The token endpoint of a running server.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM key of an issuer it trusts.")
@click.option("--key-id", help="The key's id in the issuer's key set.")
@click.option(
    "--suite", type=click.Path(path_type=Path), help="The suite with the tokens to forge."
)
def hostile(**options: object) -> None:
    """Send every forgery to a running token server; each must be refused."""
    from .hostile import run_hostile

    raise SystemExit(run_hostile(options))


@main.command(epilog=_example("completion"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise SystemExit(4)
    click.echo(completer(main, {}, "policytest", "_POLICYTEST_COMPLETE").source())
