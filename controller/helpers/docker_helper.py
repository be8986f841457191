"""
`docker-credential-regauth`: a docker credential helper that gives a fresh JWT at each `get`.

What lives here: the protocol of docker's credential helpers, which docker, podman, skopeo, crane
and oras speak.  Not here: where tokens come from (`regauth.controller.helpers.token_sources`), and
the question of `why` (`regauth.controller.helpers.why`).

Source: github.com/docker/docker-credential-helpers, README.md, "Development", and
credentials/credentials.go.  Errors go to standard output with exit code 1; the words for "not
found" are fixed there, and clients go on without credentials when they read them.

Nothing is stored.  `docker login` ends with `store`; it is answered with success when what it
would store is what `get` gives anyway, and with an error otherwise.

`why REGISTRY/REPOSITORY[:TAG] [push]` is for people and jobs, and not of docker's protocol.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

from .helper_configuration import default_path, find_registry, read_configuration
from .strict_input import HELP, HelperError, is_one_line, read_bounded, read_object
from .token_sources import SOURCES

NOT_FOUND: Final = "credentials not found in native keychain"
"""credentials/error.go, `errCredentialsNotFoundMessage`."""

REFRESH_TOKEN_USER: Final = "<token>"  # noqa: S105 - a user name
"""The user name by which docker stores the refresh token that a token server gave it."""

_USAGE: Final = "usage: docker-credential-regauth get|store|erase|list|version|why"
_HELP: Final = f"""\
{_USAGE}

  get, store, erase, list   for docker, podman and skopeo, which write to standard input what they
                            ask about; put the helper into `credHelpers` of their configuration
  why REGISTRY/REPOSITORY[:TAG] [push]
                            say why this job's token does not get that access
  version                   print the version

$REGAUTH_CREDENTIAL_HELPER_CONFIG or ~/.config/regauth/credential-helper.json says where tokens
come from."""
_STORED: Final = {"ServerURL", "Username", "Secret"}


def main() -> None:
    """Run the command on standard input and output."""
    code, text = answer(sys.argv[1:], sys.stdin.buffer, os.environ)
    try:
        sys.stdout.write(f"{text}\n" if text else "")
        sys.stdout.flush()
    except (OSError, ValueError):
        code = 1  # nobody reads the answer
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def answer(
    arguments: list[str], stdin: BinaryIO, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Return the exit code and what goes to standard output."""
    if arguments in HELP:
        return 0, _HELP
    asks_why = arguments[:1] == ["why"]
    action = _ACTIONS.get(arguments[0]) if len(arguments) == 1 else None
    if action is None and not asks_why:
        return 1, _USAGE
    try:
        if action is not None:
            return 0, action(stdin, environment)
        from .why import why  # noqa: PLC0415 - clients wait for `get`, which asks nobody

        return why(arguments[1:], environment)
    except HelperError as error:
        return 1, str(error)
    except (OSError, RuntimeError, ValueError, KeyboardInterrupt) as error:
        # A traceback may show a token; the kind of the error does not.
        return 1, f"docker-credential-regauth failed: {type(error).__name__}"


def _get(stdin: BinaryIO, environment: Mapping[str, str]) -> str:
    address = read_bounded(stdin, "the server address").strip()
    if not address:
        raise HelperError("no credentials server URL")
    found = find_registry(read_configuration(default_path(environment)), address)
    if found is None:
        raise HelperError(NOT_FOUND)
    _, registry = found
    token = SOURCES[registry.source](registry.options, environment)
    return json.dumps({"ServerURL": address, "Username": registry.username, "Secret": token.text})


def _store(stdin: BinaryIO, environment: Mapping[str, str]) -> str:
    given = read_object(read_bounded(stdin, "the credentials"), "the credentials")
    if set(given) != _STORED or not all(isinstance(value, str) for value in given.values()):
        raise HelperError("the credentials need ServerURL, Username and Secret")
    address, username = str(given["ServerURL"]), str(given["Username"])
    found = find_registry(read_configuration(default_path(environment)), address)
    if found is None or username not in (found[1].username, REFRESH_TOKEN_USER):
        raise HelperError("this helper stores no password; it gives a fresh token at each use")
    return ""


def _erase(stdin: BinaryIO, _environment: Mapping[str, str]) -> str:
    if not is_one_line(read_bounded(stdin, "the server address").strip()):
        raise HelperError("no credentials server URL")
    return ""


def _list(_stdin: BinaryIO, environment: Mapping[str, str]) -> str:
    registries = read_configuration(default_path(environment))
    return json.dumps({name: registry.username for name, registry in registries.items()})


def _version(_stdin: BinaryIO, _environment: Mapping[str, str]) -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and `get` does not need it

    return f"docker-credential-regauth {version('jwt-registry-auth')}"


_ACTIONS: Final[Mapping[str, Callable[[BinaryIO, Mapping[str, str]], str]]] = {
    "get": _get,
    "store": _store,
    "erase": _erase,
    "list": _list,
    "version": _version,
}

if __name__ == "__main__":
    main()
