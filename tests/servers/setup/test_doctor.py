"""What the doctor says of answers that no registry gives when it is asked to; real ones are in
tests/e2e."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.servers.local_http import Answer, Provider
from tests.servers.process import run


def answering(headers: bytes) -> Callable[[socket.socket], None]:
    """Return what sends a challenge with these headers, which http.server would add its own to."""
    head = b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="http://localhost:1/",service="s"\r\n'

    def send(connection: socket.socket) -> None:
        connection.sendall(head + headers + b"Content-Length: 0\r\n\r\n")

    return send


@pytest.mark.parametrize(
    ("date", "said"),
    [
        (lambda now: format_datetime(now, usegmt=True), "ok    the clocks agree"),
        (
            lambda now: format_datetime(now - timedelta(minutes=5), usegmt=True),
            "WRONG the registry's clock says ",
        ),
        (
            lambda now: format_datetime(now + timedelta(minutes=5), usegmt=True),
            "WRONG the registry's clock says ",
        ),
        (lambda now: format_datetime(now.replace(tzinfo=None)), "ok    the clocks agree"),
        (lambda _: "yesterday", "ok    the registry does not tell its time"),
        (lambda _: "", "ok    the registry does not tell its time"),
    ],
    ids=["right", "behind", "ahead", "of an unknown zone", "nonsense", "none"],
)
def test_clocks_are_compared(
    folder: Path, provider: Provider, date: Callable[[datetime], str], said: str
) -> None:
    header = f"Date: {date(datetime.now(UTC))}\r\n".encode()
    provider.answers["/v2/"] = Answer(raw=answering(header))
    done = run("doctor", provider.url, "--config", folder / "server.yaml")

    assert said in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, "there is no token server behind the realm"
