"""Every error of the proxy names its request: in the body, in the header and in the log."""

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from regauth.servers.configuration.proxy_settings import (
    BodyLimits,
    FileKeys,
    TokenSettings,
    UpstreamSettings,
)
from tests.servers.full_disk import no_file_larger_than
from tests.servers.local_http import Provider

from .standing import (
    ISSUER,
    PATIENCE,
    REALM,
    SERVICE,
    Behaviour,
    Received,
    Reply,
    plain,
    read_reply,
    registry,
    standing,
)

PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
TAGS, UPLOAD = "/v2/acme/app/tags/list", "/v2/acme/app/blobs/uploads/u1"
Where = Literal["away", "distrusted", "late"]
"""Where nobody is; a registry whose certificate nobody trusts; one that never answers."""

Settings = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A request that fails, how it is sent, and what is around it."""

    status: int
    raw: bytes = b""
    ask: tuple[str, str, tuple[str, ...], bytes] = ("GET", TAGS, (PULL,), b"")
    behaviour: Behaviour | Where | None = None
    settings: Settings = lambda _: {}
    within: Callable[[], AbstractContextManager[None]] = nullcontext


def speaks_nonsense(handler: Any, _: Received) -> None:  # noqa: ANN401 - the registry's
    handler.wfile.write(b"nonsense\r\n\r\n")
    handler.close_connection = True


def keys_that_are_away(folder: Path) -> dict[str, Any]:
    keys = FileKeys(folder / "absent.json")
    return {"token": TokenSettings(SERVICE, ISSUER, keys, REALM)}


def host(line: str) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


READ: Final = 0.2
"""Seconds that the proxy waits for its registry here."""
LIMITS: Final = BodyLimits(max_body=1000)
CHALLENGE: Final = 'Bearer realm="https://auth.example.com/auth/token",service="other"'
CASES: Final = {
    "malformed": Case(400, b"NONSENSE\r\n\r\n"),
    "a field without a colon": Case(400, b"GET /v2/ HTTP/1.1\r\nHost: x\r\nbad field\r\n\r\n"),
    "no path of the API": Case(404, host("GET /v2/acme/app/unknown/x")),
    "a method that is none": Case(405, host(f"BREW {TAGS}")),
    "no token": Case(401, host("GET /v2/")),
    "a token without the access": Case(401, ask=("GET", TAGS, ("",), b"")),
    "a body over the limit": Case(
        413,
        ask=("PATCH", UPLOAD, (PUSH,), b"x" * 1001),
        settings=lambda _: {"limits": LIMITS},
    ),
    "fields over the limit": Case(431, host("GET /v2/")[:-2] + b"X: " + b"x" * 70_000 + b"\r\n\r\n"),
    "a transfer coding that is none": Case(
        501, b"PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n"
    ),
    "no room for the body": Case(
        507,
        ask=("PATCH", UPLOAD, (PUSH,), b"x" * 4 * 1024 * 1024),
        settings=lambda folder: {"limits": BodyLimits(spool=folder)},
        within=lambda: no_file_larger_than(1024 * 1024),
    ),
    "a registry that is away": Case(502, behaviour="away"),
    "a registry whose certificate is not trusted": Case(502, behaviour="distrusted"),
    "a registry that speaks nonsense": Case(502, behaviour=speaks_nonsense),
    "a registry that refuses the proxy": Case(
        502, behaviour=plain(401, b"{}", WWW_Authenticate=CHALLENGE)
    ),
    "a registry that is late": Case(504, behaviour="late"),
    "keys that cannot be had": Case(503, settings=keys_that_are_away),
}  # fmt: skip


def answered(case: Case, folder: Path, url: str) -> tuple[Reply, list[dict[str, object]]]:
    """Return the answer, and the lines of the log."""
    upstream = UpstreamSettings(url, read_seconds=READ)
    with standing(folder, upstream, **case.settings(folder)) as proxy:
        method, target, scopes, body = case.ask
        with case.within():
            reply = (
                read_reply(proxy.say(case.raw))
                if case.raw
                else proxy.ask(method, target, *scopes, body=body)
            )
        lines = proxy.log.read_text().splitlines()
    return reply, [json.loads(line) for line in lines]


def waiting_for(over: threading.Event) -> Behaviour:
    """Have a registry say nothing until something is over."""

    def wait(*_: object) -> None:
        over.wait(PATIENCE)

    return wait


@contextmanager
def site_of(case: Case, distrusted: str) -> Iterator[str]:
    """Have what the case says at the address of the registry, and ignore a full disk's signal."""
    ignored, over = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), threading.Event()
    try:
        if case.behaviour == "away":
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                yield f"http://127.0.0.1:{nobody.getsockname()[1]}"
        elif case.behaviour == "distrusted":
            yield distrusted
        else:
            behaviour = waiting_for(over) if case.behaviour == "late" else case.behaviour or plain()
            with registry(behaviour) as there:
                yield there.url
    finally:
        over.set()
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_error_says_the_id_of_its_request(
    tmp_path: Path, tls_provider: tuple[Provider, Path], case: Case
) -> None:
    with site_of(case, tls_provider[0].url) as url:
        reply, log = answered(case, tmp_path, url)
    [error] = json.loads(reply.body)["errors"]
    request_id = error["detail"]["requestId"]

    assert reply.status == case.status
    assert reply.header("X-Request-Id") == request_id
    named = [line for line in log if request_id in (line.get("request_id"), line.get("requestId"))]
    assert named, log


def test_an_error_of_the_registry_keeps_its_body_and_has_one_id(tmp_path: Path) -> None:
    """The registry's own id would be taken for that of this proxy's log."""
    body = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
    with registry(plain(404, body, X_Request_Id="of-the-registry")) as upstream:
        reply, log = answered(Case(404), tmp_path, upstream.url)
        [got] = [one for one in upstream.received if one.target == TAGS]

    request_id = reply.header("X-Request-Id")
    assert (reply.status, reply.body) == (404, body)
    assert request_id != "of-the-registry"
    assert got.headers["x-request-id"] == request_id
    assert [line["event"] for line in log if line.get("request_id") == request_id] == ["passed"]
