"""
Challenges: what a server asks a client to authenticate with.

What lives here: writing and reading the values of `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC
7617 and RFC 6750 for the schemes; distribution docs/spec/auth/token.md).  Not here: credentials
that answer a challenge (`upstream.credentials`), and a judgement of the realm that a challenge
names (`upstream.realms`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_TEXT: Final = 16 * 1024
"""Characters that are read; whoever answers for a registry chooses how many it sends."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_BLANKS: Final = re.compile(r"[ \t]*", re.ASCII)
_BETWEEN: Final = re.compile(r"[ \t,]*", re.ASCII)
"""Between the members of a list; some may be empty (RFC 9110, section 5.6.1.2)."""
_SCHEME: Final = re.compile(rf"({_WORD})(?:[ \t]+|(?=,)|\Z)", re.ASCII)
_PARAMETER: Final = re.compile(
    rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD})(?=[ \t,]|\Z))', re.ASCII | re.DOTALL
)
_TOKEN68: Final = re.compile(r"([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|\Z))", re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge."""

    scheme: str
    """In lower case: `basic`, `bearer`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""

    @property
    def realm(self) -> str:
        """Its realm; of a Bearer challenge that is the token endpoint's address."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """The service that tokens are to be for; empty if it names none."""
        return self.parameters.get("service", "")


def basic_challenge(realm: str) -> str:
    """Return a challenge for a user name and a password (RFC 7617)."""
    return f'Basic realm="{realm}", charset="UTF-8"'


def bearer_challenge(realm: str, service: str, scope: str = "", error: str = "") -> str:
    """
    Return a challenge for a registry token.

    Args:
        realm: The token endpoint's address.
        service: The `aud` of tokens.
        scope: The scopes that the request needs, with a space between two.
        error: Why the request's token is not good enough (RFC 6750, section 3.1).
    """
    given = {"realm": realm, "service": service, "scope": scope, "error": error}
    # No space after a comma, as Distribution writes it.
    return "Bearer " + ",".join(f'{name}="{value}"' for name, value in given.items() if value)


def read_challenges(text: str | Sequence[str] | None) -> list[Challenge]:
    """
    Read all challenges of an answer, in their order.

    One field may hold several challenges, and a header may have several fields; both are the same
    list (RFC 9110, sections 5.3 and 11.6.1).  A field is read up to its first fault.  A challenge
    that gives a parameter twice is left out: two readers could take different values of it.

    Args:
        text: The value of `WWW-Authenticate`, or of each such field.
    """
    fields = (text,) if isinstance(text, str) else text or ()
    return [one for value in fields for one in _read_field(value[:MAX_TEXT])]


def strongest(challenges: Sequence[Challenge]) -> Challenge | None:
    """
    Return the challenge to answer, or None when none is understood.

    A Bearer token serves for one repository and some minutes, Basic credentials for everything, so
    Bearer comes first (RFC 9110, section 11.6.1: the strongest one that is understood).
    """
    for scheme in ("bearer", "basic"):
        for one in challenges:
            if one.scheme == scheme and (one.realm or scheme != "bearer"):
                return one
    return None


def _read_field(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = _skip(_BETWEEN, text, 0)
    while (scheme := _SCHEME.match(text, at)) is not None:
        parameters, at, whole = _read_parameters(text, scheme.end())
        if parameters is not None:
            found.append(Challenge(scheme[1].lower(), parameters))
        if not whole:
            break
    return found


def _read_parameters(text: str, at: int) -> tuple[dict[str, str] | None, int, bool]:
    """Return the parameters of a challenge, where they end, and whether what follows is a list."""
    token = _TOKEN68.match(text, at)
    # `Negotiate abc==` has one opaque token instead of parameters; `Basic, Bearer realm=...` has
    # neither: there the next scheme follows a comma, which `_TOKEN68` never begins with.
    if token is not None:
        return {}, _skip(_BETWEEN, text, token.end()), True
    parameters: dict[str, str] = {}
    repeated, comma = False, True
    at = _skip(_BLANKS, text, at)
    while True:
        following = _skip(_BETWEEN, text, at)
        comma = comma or "," in text[at:following]
        match = _PARAMETER.match(text, following)
        if match is None or not comma:
            break
        name = match[1].lower()
        repeated = repeated or name in parameters
        quoted = match[2]
        parameters[name] = match[3] if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at, comma = match.end(), False
    whole = following == len(text) or comma
    return None if repeated else parameters, following, whole


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
