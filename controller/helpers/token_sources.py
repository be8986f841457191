"""
Where the docker credential helper gets a fresh JWT from.

What lives here: one function for each kind of place a job runs in.  Not here: which registry gets
which (`helper_configuration`), and keeping any token.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from .passed_token import PassedToken, read_token
from .strict_input import MAX_BYTES, HelperError, read_file, read_object

Options = Mapping[str, object]
Environment = Mapping[str, str]
Source = Callable[[Options, Environment], PassedToken]

COMMAND_SECONDS: Final = 30.0
"""How long a command may take to print a token."""

_SPIFFE: Final = "spiffe://"


def github_actions(options: Options, environment: Environment) -> PassedToken:
    """
    Ask GitHub Actions for the job's token.

    Source: GitHub Docs, "OpenID Connect reference", "Methods for requesting the OIDC token".
    """
    from urllib.parse import quote  # noqa: PLC0415 - the other sources need no network

    from .asking_https import get  # noqa: PLC0415 - as above

    url = environment.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
    key = environment.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
    if not url or not key:
        raise HelperError(
            "GitHub Actions gives this job no token: write `permissions: {id-token: write}`"
        )
    joint = "&" if "?" in url else "?"
    address = f"{url}{joint}audience={quote(str(options['audience']), safe='')}"
    what = "the token service of GitHub Actions"
    answer = read_object(get(address, {"Authorization": f"Bearer {key}"}, what), what)
    value = answer.get("value")
    if not isinstance(value, str):
        raise HelperError(f"{what} answered without a token")
    return read_token(value, "the token of GitHub Actions", time.time())


def gitlab(options: Options, environment: Environment) -> PassedToken:
    """
    Read the variable that a GitLab job's `id_tokens` names.

    Source: GitLab Docs, "OpenID Connect (OIDC) Authentication Using ID Tokens".
    """
    name = str(options["variable"])
    if name not in environment:
        raise HelperError(
            f"GitLab gives this job no ${name}: write `id_tokens: {{{name}: {{aud: ...}}}}`"
        )
    return read_token(environment[name], f"${name}", time.time())


def from_environment(options: Options, environment: Environment) -> PassedToken:
    """Read an environment variable."""
    name = str(options["variable"])
    if name not in environment:
        raise HelperError(f"${name} is not set")
    return read_token(environment[name], f"${name}", time.time())


def from_file(options: Options, _environment: Environment) -> PassedToken:
    """Read a file that somebody else keeps fresh, such as a projected service account token."""
    path = str(options["path"])
    return read_token(read_file(path, "the token file"), f"the token in {path}", time.time())


def spiffe(options: Options, environment: Environment) -> PassedToken:
    """
    Read a JWT-SVID from the file that spiffe-helper keeps fresh.

    Source: SPIFFE JWT-SVID, section 3.1: `sub` is the SPIFFE ID.
    """
    token = from_file(options, environment)
    if not token.subject.startswith(_SPIFFE):
        raise HelperError(f"the token in {options['path']} is not a JWT-SVID: no SPIFFE ID in it")
    return token


def from_command(options: Options, environment: Environment) -> PassedToken:
    """Run a command, without a shell, and read what it prints."""
    import subprocess  # noqa: PLC0415 - the other sources start nothing

    command = options["command"]
    assert isinstance(command, list)  # noqa: S101 - the reader of the configuration says so
    name = str(command[0])
    try:
        done = subprocess.run(  # noqa: S603 - the user's own configuration names the command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
            env=_with_absolute_path(environment),
        )
    except subprocess.TimeoutExpired:
        raise HelperError(f"the command {name!r} took over {COMMAND_SECONDS:g} s") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no command"
        raise HelperError(f"the command {name!r} cannot be run: {reason}") from None
    if done.returncode:
        raise HelperError(f"the command {name!r} ended with {done.returncode}")
    if len(done.stdout) > MAX_BYTES:
        raise HelperError(f"the command {name!r} printed more than {MAX_BYTES} bytes")
    text = done.stdout.decode("ascii", "replace")
    return read_token(text, f"what the command {name!r} printed", time.time())


def _with_absolute_path(environment: Environment) -> dict[str, str]:
    """
    Return the environment with the absolute entries of PATH alone.

    An empty or a relative entry is a folder of the current directory, which is a checkout that
    others write.
    """
    changed = dict(environment)
    entries = changed.pop("PATH", os.defpath).split(os.pathsep)
    kept = [entry for entry in entries if os.path.isabs(entry)]  # noqa: PTH117 - starts faster
    # An empty PATH is the current directory too.
    changed["PATH"] = os.pathsep.join(kept) or os.defpath
    return changed


SOURCES: Final[Mapping[str, Source]] = {
    "githubActions": github_actions,
    "gitlab": gitlab,
    "environment": from_environment,
    "file": from_file,
    "spiffe": spiffe,
    "command": from_command,
}
"""Every source by the name that a configuration gives it."""
