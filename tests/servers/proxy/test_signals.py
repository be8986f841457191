"""The proxy as a process, and the signals that it takes."""

import http.client
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.forkserver.programs import forked
from tests.servers.process import PATIENCE, Running

from .standing import ISSUER, REALM, SERVICE, Received, Signing, make_signing, registry
from .test_policy import POLICY, make_folder

COMMAND = forked("registry-auth-proxy")
OWN_PROCESS = (sys.executable, "-m", "regauth.servers.commands.registry_auth_proxy")


def test_signals_are_taken_as_soon_as_it_says_that_it_listens(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    folder = tmp_path / "site"
    make_folder(folder, POLICY)
    file = folder / "proxy.yaml"
    file.write_text(file.read_text() + "listen: 127.0.0.1:0\n")
    proxy = start("--config", file, command=COMMAND)
    for _ in range(100):
        proxy.process.send_signal(signal.SIGHUP)
    reloaded = proxy.wait_for(lambda event: event["event"] == "reloaded")
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, PATIENCE)) as connection:
        connection.request("HEAD", "/healthz")
        status = connection.getresponse().status

    assert str(reloaded["policy"]).startswith("sha256:")
    assert (status, proxy.end()) == (200, 0)
    assert proxy.events[-1]["event"] == "ended"


@pytest.mark.parametrize("pushing", [False, True], ids=["pull", "push"])
def test_o8_a_transfer_that_is_under_way_when_sigterm_comes_is_not_cut(
    tmp_path: Path, start: Callable[..., Running], *, pushing: bool
) -> None:
    """Half of a layer passes before the signal, the other half after no new client is let in."""
    signing, ended = make_signing(tmp_path), threading.Event()
    half = 1024 * 1024
    got: list[int] = []

    def slow(handler: BaseHTTPRequestHandler, received: Received) -> None:
        if received.method == "PATCH":
            got.append(len(received.body))
        handler.send_response(200)
        handler.send_header("Content-Length", "0" if pushing else str(2 * half))
        handler.end_headers()
        if not pushing:
            handler.wfile.write(b"a" * half)
            assert ended.wait(PATIENCE)
            handler.wfile.write(b"b" * half)

    with registry(slow) as upstream:
        host = upstream.url.removeprefix("http://")
        proxy = start(
            *(host, "--registry-insecure", "--token-realm", REALM, "--token-service", SERVICE),
            *("--token-issuer", ISSUER, "--token-root-cert-bundle", signing.bundle),
            *("--listen-address", "127.0.0.1:0"),
            command=COMMAND,
        )
        with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as client:
            client.sendall(_head(pushing=pushing, length=2 * half, token=signing))
            answer = b""
            if pushing:
                client.sendall(b"a" * half)
            while not pushing and b"aaaa" not in answer:
                answer += client.recv(65536)
            proxy.process.send_signal(signal.SIGTERM)
            proxy.wait_for(lambda event: event["event"] == "ending")
            assert _refuses(proxy.port)
            ended.set()
            if pushing:
                client.sendall(b"b" * half)
            while piece := client.recv(65536):
                answer += piece
        code = proxy.process.wait(PATIENCE)

    assert code == 0
    assert answer.startswith(b"HTTP/1.1 200")
    if pushing:
        assert got == [2 * half]
    else:
        assert len(answer.partition(b"\r\n\r\n")[2]) == 2 * half


def _refuses(port: int) -> bool:
    """Connect until the port is closed, which it is a moment after the signal."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            continue
    return False


def _head(*, pushing: bool, length: int, token: Signing) -> bytes:
    digest = "sha256:" + "a" * 64
    target = "blobs/uploads/u1" if pushing else f"blobs/{digest}"
    lines = [
        f"{'PATCH' if pushing else 'GET'} /v2/acme/app/{target} HTTP/1.1",
        "Host: registry.example.com",
        "Connection: close",
        f"Authorization: Bearer {token.token('repository:acme/app:pull,push')}",
        *([f"Content-Length: {length}"] if pushing else []),
    ]
    return "\r\n".join((*lines, "", "")).encode()
