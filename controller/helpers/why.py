"""
`docker-credential-regauth why`: asks a token server why an access is refused, with the job's token.

What lives here: finding the token server by the registry's challenge, the question to `/auth/why`,
and its answer as text.
Not here: where tokens come from (`regauth.controller.helpers.token_sources`).

The token goes where any client of the registry sends it: to the realm of its challenge, over TLS.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from .asking_https import LOOPBACK, HttpsAnswer, ask
from .helper_configuration import default_path, find_registry, read_configuration
from .strict_input import HelperError, is_one_line, read_object
from .token_sources import SOURCES

USAGE: Final = "usage: docker-credential-regauth why REGISTRY[/REPOSITORY[:TAG]] [pull|push|delete]"

ALLOWED: Final = 0
REFUSED: Final = 2
"""The exit code when an access is refused; 1 is for what cannot be asked."""

_ACTIONS: Final = {"pull": "pull", "push": "pull,push", "delete": "delete"}
_PLACE: Final = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_PARAMETER: Final = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"', re.ASCII)
_TOKEN_PATHS: Final = ("/auth/token", "/v2/token", "/token", "/auth")
_WHY: Final = "/auth/why"
_MAX_CHALLENGE: Final = 8 * 1024
_MAX_TEXT: Final = 2000
"""Characters of a text of the answer; a condition of a grant can be long."""
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500

_SAID: Final = {
    "granted": "allowed",
    "no-grant": "refused: no grant allows it",
    "denied": "refused: a denial keeps it from this job",
    "depends-on-reference": "depends on the tag or digest; ask with REPOSITORY:TAG",
    "depends-on-new-tag": "allowed while the tag does not exist yet",
}


def why(arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """
    Return the exit code and what is told.

    Raises:
        HelperError: The question cannot be asked, or there is no answer.
    """
    if not 1 <= len(arguments) <= len(("place", "action")):
        raise HelperError(USAGE)
    asked, action = arguments[0], arguments[1] if len(arguments) > 1 else "pull"
    scheme, address, place = _split(asked)
    if not address or action not in _ACTIONS or (place and _PLACE.fullmatch(place) is None):
        raise HelperError(USAGE)
    # The tag is no part of a configured name.
    name = f"{address}/{place.partition(':')[0]}" if place else address
    found = find_registry(read_configuration(default_path(environment)), name)
    if found is None:
        raise HelperError(f"the configuration {default_path(environment)} has no {address}")
    realm, service = _challenge(f"{scheme}://{address}")
    registry = found[1]
    token = SOURCES[registry.source](registry.options, environment)
    scope = f"repository:{place}:{_ACTIONS[action]}" if place else ""
    form = {"service": service, "scope": scope}
    pair = base64.b64encode(f"{registry.username}:{token.text}".encode()).decode()
    answer = ask(
        "POST",
        why_address(realm),
        {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        "the token server",
        body=urlencode(form),
    )
    # Whatever the server repeats of what it was sent goes into logs and summaries.
    answer = answer._replace(text=answer.text.replace(token.text, "[the token]"))
    actions = _ACTIONS[action].split(",") if place else []
    return _tell(answer, f"{address}/{place}".rstrip("/"), actions)


def _split(asked: str) -> tuple[str, str, str]:
    """Return scheme, host and the rest of what was asked; a loopback registry is plain HTTP."""
    scheme, joint, rest = asked.rpartition("://")
    address, _, place = rest.partition("/")
    if not joint:
        scheme = "http" if address.rpartition(":")[0] in LOOPBACK else "https"
    return scheme, address, place


def _challenge(registry: str) -> tuple[str, str]:
    """Return the realm and the service that a registry's challenge names."""
    answer = ask("GET", f"{registry}/v2/", {}, "the registry")
    challenge = answer.headers.get("WWW-Authenticate", "")[:_MAX_CHALLENGE]
    parameters = dict(_PARAMETER.findall(challenge))
    realm, service = parameters.get("realm", ""), parameters.get("service", "")
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERRORS:
        raise HelperError(
            f"the registry {registry} has no answer now (it answered {answer.status})"
        )
    if answer.status != _UNAUTHORIZED:
        raise HelperError(
            f"{registry} asks for no token (it answered {answer.status}); is it a registry?"
        )
    if not challenge.lower().startswith("bearer "):
        raise HelperError(f"the registry {registry} asks for another login than a token")
    if not is_one_line(realm) or not is_one_line(service):
        raise HelperError(f"the challenge of the registry {registry} names no token server")
    return realm, service


def why_address(realm: str) -> str:
    """Return where a token server answers why, by the address of its token endpoint."""
    parts = urlsplit(realm)
    path = parts.path.rstrip("/")
    ending = next((one for one in _TOKEN_PATHS if path.endswith(one)), "")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix(ending) if ending else ''}{_WHY}"


def _tell(answer: HttpsAnswer, place: str, actions: list[str]) -> tuple[int, str]:
    if answer.status == _NOT_FOUND:
        raise HelperError("the token server does not say why: it has no /auth/why, or it is off")
    if answer.status not in (_OK, _UNAUTHORIZED, _FORBIDDEN):
        # 429, 503 and what a front answers by itself say nothing about the login.
        raise HelperError("\n".join(_no_answer(answer)))
    document = _object(answer)
    if answer.status != _OK:
        if not _text(_detail(document), "reason"):  # a gateway's own page
            raise HelperError("\n".join(_no_answer(answer)))
        return REFUSED, "\n".join(_refused(document, place))
    accesses = [one for one in _listed(document, "accesses") if isinstance(one, dict)]
    if not _is_whole(document, accesses, actions):
        raise HelperError(
            f"the token server does not say why: what answered {answer.status} is no answer of "
            f"{_WHY}; is something else at that address?"
        )
    lines = [
        f"{place}: logged in as {_text(document, 'provider')}, {_text(document, 'subject')}",
        *(line for access in accesses for line in _access(access)),
        f"request {_text(document, 'requestId')}",
    ]
    refused = any(
        access.get("allowed") is not True
        and access.get("why") not in ("depends-on-reference", "depends-on-new-tag")
        for access in accesses
    )
    return (REFUSED if refused else ALLOWED), "\n".join(lines)


def _is_whole(
    document: Mapping[str, object], accesses: list[dict[str, object]], actions: list[str]
) -> bool:
    """Tell whether it is an answer of `/auth/why` that speaks of every action that was asked."""
    told = {_text(one, "access").rpartition(":")[2] for one in accesses if _text(one, "why")}
    return _text(document, "login") in ("accepted", "anonymous") and told >= set(actions)


def _first_error(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the first error in an error body of Distribution's form."""
    errors = (one for one in _listed(document, "errors") if isinstance(one, dict))
    return next(errors, {})


def _detail(document: Mapping[str, object]) -> Mapping[str, object]:
    detail = _first_error(document).get("detail")
    return detail if isinstance(detail, dict) else {}


def _object(answer: HttpsAnswer) -> Mapping[str, object]:
    """Return the JSON object of an answer; a page of something else has no members."""
    try:
        return read_object(answer.text, "the answer")
    except HelperError:
        return {}


def _no_answer(answer: HttpsAnswer) -> Iterator[str]:
    """Say that there is no answer now, and what is known of the reason."""
    document = _object(answer)
    message = _text(_first_error(document), "message")
    yield f"the token server does not say why: it answered {answer.status}" + (
        f" ({message})" if message else ""
    )
    seconds = answer.headers.get("Retry-After", "")
    if seconds.isascii() and seconds.isdigit():
        yield f"try again in {seconds[:6]} seconds"
    if request := _text(_detail(document), "requestId"):
        yield f"request {request}"


def _refused(document: Mapping[str, object], place: str) -> Iterator[str]:
    """Say what an error of Distribution's form says."""
    message, known = _text(_first_error(document), "message"), _detail(document)
    yield f"{place}: the login is refused: {message} ({_text(known, 'reason')})"
    yield f"request {_text(known, 'requestId')}"


def _access(access: Mapping[str, object]) -> Iterator[str]:
    reason = _text(access, "why")
    said = _SAID.get(reason, "refused")
    yield f"{_text(access, 'access')}: {said} ({reason})"
    if denial := _text(access, "denial"):
        yield f"  the denial {denial}"
    for grant in _listed(access, "nearest"):
        if isinstance(grant, dict):
            yield from _grant(grant)


def _grant(grant: Mapping[str, object]) -> Iterator[str]:
    read = [one for one in _listed(grant, "read") if isinstance(one, dict)]
    fits = all(one.get("satisfied") is True for one in read)
    other = ": every claim that it reads fits; it lacks something else" if fits else ""
    yield f"  the grant {_text(grant, 'grant')}{other}"
    for one in read:
        mark = "ok" if one.get("satisfied") is True else "NO"
        # JSON in ASCII: whoever names a branch must not write lines into a terminal.
        value = f"is {json.dumps(one['yours'])}" if "yours" in one else "is not in the token"
        yield f"    {mark}  {_text(one, 'claim')} {value}"
    for part in _listed(grant, "parts"):
        if isinstance(part, dict):
            mark = "ok" if part.get("satisfied") is True else "NO"
            yield f"    {mark}  {' '.join(_text(part, 'condition').split())}"


def _text(document: Mapping[str, object], name: str) -> str:
    """Return a text of an answer as it may go to a terminal."""
    value = document.get(name, "")
    text = value[:_MAX_TEXT] if isinstance(value, str) else ""
    return "".join(one if one.isprintable() and one.isascii() else "?" for one in text)


def _listed(document: Mapping[str, object], name: str) -> list[object]:
    value = document.get(name)
    return value if isinstance(value, list) else []
