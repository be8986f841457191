"""
`regauth-credential-provider`: a kubelet image credential provider plugin.

What lives here: the exec protocol of `credentialprovider.kubelet.k8s.io/v1` with the pod's service
account token in the request (KEP-4412), and the exchange of that token for a password at registries
that want one (`--exchange`).  Not here: decisions, which the token server makes
(`regauth.servers.token`), and its configuration on the nodes (`installing.plugin`).

Source: Kubernetes documentation, "Configure a kubelet image credential provider", and the API
reference of CredentialProviderRequest and CredentialProviderResponse.  The kubelet decodes the
answer strictly: a field it does not know refuses it.  Errors go to standard error, which the
kubelet logs, with exit code 1; the pull then goes on without credentials.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from .passed_token import PassedToken, read_token
from .strict_input import HELP, HelperError, is_one_line, read_bounded, read_object

API_VERSION: Final = "credentialprovider.kubelet.k8s.io/v1"
MAX_CACHE_SECONDS: Final = 3600

_USAGE: Final = (
    "usage: regauth-credential-provider --registry=HOST [--registry=HOST...] --username=NAME"
    " [--exchange=URL] [--ca-file=PEM]"
)
_HELP: Final = f"""\
{_USAGE}

  --registry=HOST   a registry that gets the pod's token as its password
  --username=NAME   the user name there: the provider's name in the policy
  --exchange=URL    the registry's address that gives a password in exchange for the token
  --ca-file=PEM     the certificate authorities of that address

The kubelet runs this program, and writes its CredentialProviderRequest to standard input."""
_ONCE: Final = ("username", "exchange", "ca-file")


@dataclass(frozen=True)
class PluginArguments:
    """What the `args` of the kubelet's CredentialProviderConfig say."""

    registries: frozenset[str]
    username: str
    exchange: str | None = None
    ca_file: str | None = None


def main() -> None:
    """Answer the request on standard input."""
    try:
        is_help = sys.argv[1:] in HELP
        text = _HELP if is_help else answer(sys.argv[1:], sys.stdin.buffer, time.time())
    except HelperError as error:
        _fail(str(error))
    except (OSError, RuntimeError, ValueError, KeyboardInterrupt) as error:
        # A traceback may show the token; the kind of the error does not.
        _fail(type(error).__name__)
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads the answer
        sys.exit(1)


def _fail(message: str) -> None:
    sys.stderr.write(f"regauth-credential-provider: {message}\n")
    sys.exit(1)


def answer(arguments: list[str], stdin: BinaryIO, now: float) -> str:
    """
    Return the response to the request on standard input.

    Raises:
        HelperError: The arguments or the request are wrong, or the exchange failed.
    """
    choices = read_arguments(arguments)
    image, text = _request(stdin)
    registry = image.partition("/")[0]
    if registry not in choices.registries:
        raise HelperError(
            f"the kubelet asks for {registry!r}, which no --registry names: compare `matchImages`"
        )
    token = read_token(text, "serviceAccountToken", now)
    password, seconds = token.text, _cache_seconds(token, now)
    if choices.exchange is not None:
        password, most = _exchanged(choices.exchange, choices, token)
        seconds = min(seconds, most)
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "kind": "CredentialProviderResponse",
            "cacheKeyType": "Registry",
            "cacheDuration": f"{seconds}s",
            "auth": {registry: {"username": choices.username, "password": password}},
        }
    )


def read_arguments(arguments: list[str]) -> PluginArguments:
    """
    Read the arguments; each is `--name=value`.

    Raises:
        HelperError: One is unknown, empty or missing.
    """
    given: dict[str, str] = {}
    registries: list[str] = []
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not is_one_line(value):
            raise HelperError(f"{argument!r}: {_USAGE}")
        if name == "registry":
            registries.append(value)
        elif name in _ONCE and name not in given:
            given[name] = value
        else:
            raise HelperError(f"{argument!r}: {_USAGE}")
    username = given.get("username", "")
    if not registries or not username or ":" in username:
        raise HelperError(f"--registry and --username are needed; {_USAGE}")
    return PluginArguments(
        frozenset(registries), username, given.get("exchange"), given.get("ca-file")
    )


def _request(stdin: BinaryIO) -> tuple[str, str]:
    """Return the image and the token.  Fields that a newer kubelet may send are ignored."""
    request = read_object(read_bounded(stdin, "the request"), "the request")
    if request.get("apiVersion") != API_VERSION:
        raise HelperError(
            f"the request is not of {API_VERSION}; the kubelet's config names another"
        )
    if request.get("kind") != "CredentialProviderRequest":
        raise HelperError("the request is not a CredentialProviderRequest")
    image, token = request.get("image"), request.get("serviceAccountToken")
    if not isinstance(image, str) or not is_one_line(image):
        raise HelperError("the request names no image")
    if not isinstance(token, str) or not token:
        raise HelperError("the request has no serviceAccountToken; write `tokenAttributes`")
    return image, token


def _cache_seconds(token: PassedToken, now: float) -> int:
    """Let the kubelet keep a token for half of what is left of it."""
    if token.expires is None:
        return 0
    return int(min((token.expires - now) / 2, MAX_CACHE_SECONDS))


def _exchanged(url: str, choices: PluginArguments, token: PassedToken) -> tuple[str, int]:
    """
    Exchange the token for a password: a GET with Basic credentials whose answer has `token`.

    That is how Quay federates robot accounts, and the form of the Distribution token protocol.
    """
    import base64  # noqa: PLC0415 - a plugin that passes the token through needs no network

    from .asking_https import get  # noqa: PLC0415 - as above

    basic = base64.b64encode(f"{choices.username}:{token.text}".encode()).decode("ascii")
    what = "the exchange"
    headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
    body = read_object(get(url, headers, what, choices.ca_file), what)
    found = body.get("token") or body.get("access_token")
    if not isinstance(found, str) or not is_one_line(found):
        raise HelperError("the exchange answered without a token")
    return found, _life(body)


def _life(body: Mapping[str, object]) -> int:
    """Return half of what the answer says of its token's life; none when it says nothing."""
    seconds = body.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
        return 0
    return seconds // 2


if __name__ == "__main__":
    main()
