"""Rows O8 and O9: a proxy that can be observed and drained, and passes bytes as they come."""

import json
import re
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from regauth.servers.configuration.proxy_settings import (
    BodyLimits,
    FileKeys,
    ProxySettings,
    TokenSettings,
    UpstreamSettings,
)
from regauth.servers.http_client.pool import UpstreamError
from regauth.servers.proxy.measures import ProxyMetrics
from regauth.servers.proxy.readiness import LOOK_SECONDS, REPEAT_SECONDS, UpstreamState
from regauth.servers.telemetry.event_log import EventLog
from tests.servers.full_disk import no_file_larger_than

from .standing import (
    ISSUER,
    PATIENCE,
    REALM,
    SERVICE,
    Received,
    Registry,
    Standing,
    plain,
    registry,
    standing,
)

DIGEST = "sha256:" + "a" * 64
PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
BLOB, TAGS = f"/v2/acme/app/blobs/{DIGEST}", "/v2/acme/app/tags/list"
UPLOAD = "/v2/acme/app/blobs/uploads/u1"


def metrics(proxy: Standing) -> dict[str, float]:
    """Return every sample of `/metrics` by its name and labels."""
    page = proxy.ask("GET", "/metrics").body.decode()
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def events(proxy: Standing, name: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in proxy.log.read_text().splitlines())
    return [line for line in lines if line["event"] == name]


def test_o8_a_proxy_drains_for_five_minutes_and_waits_as_long_as_nginx_for_an_upstream() -> None:
    assert ProxySettings.__dataclass_fields__["drain"].default == 300.0
    assert UpstreamSettings("http://x").read_seconds == 900.0


@pytest.mark.parametrize("shipped", ["helm/templates/proxy.yaml", "kubernetes/proxy/workload.yaml"])
def test_o8_kubernetes_waits_longer_than_the_proxy_drains(repository: Path, shipped: str) -> None:
    text = (repository / "deploy" / shipped).read_text()
    [seconds] = re.findall(r"terminationGracePeriodSeconds: (\d+)", text)

    assert int(seconds) > ProxySettings.__dataclass_fields__["drain"].default


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_o8_the_first_bytes_of_a_slow_upstream_pass_at_once(
    proxy: Standing, upstream: Registry, chunked: bool
) -> None:
    """The upstream sends nothing more until the client has seen what it sent."""
    seen = threading.Event()

    def slow(handler: BaseHTTPRequestHandler, got: Received) -> None:
        if got.target == "/v2/":
            plain()(handler, got)
            return
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "10")))  # fmt: skip
        handler.end_headers()
        for part in (b"first", b"after"):
            handler.wfile.write(b"5\r\n" + part + b"\r\n" if chunked else part)
            assert seen.wait(PATIENCE)
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")

    upstream.behaviour = slow
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as connection:
        connection.sendall(
            f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {proxy.signing.token(PULL)}\r\n\r\n".encode()
        )
        answer = b""
        while b"first" not in answer:
            piece = connection.recv(65536)
            assert piece, answer
            answer += piece
        seen.set()
        while piece := connection.recv(65536):
            answer += piece

    assert answer.index(b"first") < answer.index(b"after")


def test_o8_a_spool_without_room_is_507_with_an_event_and_serves_on(
    tmp_path: Path, upstream: Registry
) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with standing(
            tmp_path, UpstreamSettings(upstream.url), limits=BodyLimits(spool=tmp_path)
        ) as proxy:
            with no_file_larger_than(1024 * 1024):
                reply = proxy.ask("PATCH", UPLOAD, PUSH, body=b"x" * 4 * 1024 * 1024)
            small = proxy.ask("PATCH", UPLOAD, PUSH, body=b"x")
            [event] = events(proxy, "connection-turned-away")
    finally:
        signal.signal(signal.SIGXFSZ, before)

    assert (reply.status, small.status) == (507, 200)
    assert event["why"] == "spool-full"
    assert [len(one.body) for one in upstream.received if one.method == "PATCH"] == [1]


def test_o9_requests_bytes_decisions_and_the_upstream_are_counted(
    proxy: Standing, upstream: Registry
) -> None:
    upstream.behaviour = plain(200, b"0123456789")
    proxy.ask("GET", BLOB, PULL)
    proxy.ask("PATCH", UPLOAD, PUSH, body=b"x" * 7)
    proxy.ask("GET", TAGS)
    proxy.ask("DELETE", BLOB, PULL)
    proxy.ask("BREW", TAGS, PULL)
    proxy.ask("GET", "/authorize", PULL, X_Original_Method="GET", X_Original_URI=TAGS)
    found = metrics(proxy)

    assert found['registry_proxy_requests_total{kind="blob",method="GET",status="200"}'] == 1
    assert found['registry_proxy_requests_total{kind="upload",method="PATCH",status="200"}'] == 1
    assert found['registry_proxy_requests_total{kind="none",method="GET",status="401"}'] == 1
    assert not any("BREW" in name for name in found), "clients make no labels"
    assert found['registry_proxy_bytes_total{direction="in"}'] == 7
    assert found['registry_proxy_bytes_total{direction="out"}'] == 20
    assert found['registry_proxy_decisions_total{asked_by="proxy",reason="allowed"}'] == 2
    assert found['registry_proxy_decisions_total{asked_by="proxy",reason="no-token"}'] == 1
    assert found['registry_proxy_decisions_total{asked_by="gateway",reason="allowed"}'] == 1
    assert found["registry_proxy_upstream_seconds_count"] == 2
    assert found["registry_proxy_upstream_usable"] == 1
    assert found["registry_proxy_token_keys_usable"] == 1
    assert found["registry_proxy_open_requests"] == 0


def test_o9_no_name_of_a_repository_or_a_subject_is_a_label(
    proxy: Standing, upstream: Registry
) -> None:
    del upstream
    proxy.ask("GET", TAGS, PULL)
    page = proxy.ask("GET", "/metrics").body

    assert b"acme" not in page
    assert b"someone" not in page


def test_o9_a_registry_that_is_away_is_seen_in_readiness_metrics_and_log(tmp_path: Path) -> None:
    with registry() as upstream, standing(tmp_path, UpstreamSettings(upstream.url)) as proxy:
        ready = proxy.ask("GET", "/readyz")
        assert (ready.status, json.loads(ready.body)["upstream"]) == (200, {"usable": True})
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with standing(tmp_path, UpstreamSettings(away)) as proxy:
            assert proxy.ask("GET", "/healthz").status == 200
            for _ in range(3):
                assert proxy.ask("GET", TAGS, PULL).status == 502
            ready = proxy.ask("GET", "/readyz")
            found = metrics(proxy)
            down = events(proxy, "upstream-down")

    assert ready.status == 503
    assert not json.loads(ready.body)["upstream"]["usable"]
    assert found["registry_proxy_upstream_usable"] == 0
    assert found['registry_proxy_upstream_failures_total{why="unusable"}'] == 3
    assert found["registry_proxy_open_requests"] == 0
    assert len(down) == 1


def test_o9_a_registry_that_fails_is_not_ready(tmp_path: Path) -> None:
    with (
        registry(plain(503)) as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url)) as proxy,
    ):
        assert proxy.ask("GET", "/readyz").status == 503
        upstream.behaviour = plain(401)


def test_o9_a_decision_endpoint_is_ready_when_it_can_verify(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text("{")
    token = TokenSettings(SERVICE, ISSUER, FileKeys(file), REALM)
    with standing(tmp_path, None, token=token) as proxy:
        broken = proxy.ask("GET", "/readyz")
        found = metrics(proxy)
        file.write_text('{"keys": []}')

    assert (broken.status, json.loads(broken.body)["status"]) == (503, "unavailable")
    assert found["registry_proxy_token_keys_usable"] == 0
    assert "upstream" not in json.loads(broken.body)


class Looked:
    """A registry whose state a test chooses, and a clock."""

    def __init__(self, log: Path) -> None:
        self.now, self.looks, self.away = 1000.0, 0, ""
        self.log = log
        stream = log.open("ab")
        self.state = UpstreamState(
            self._look, EventLog("json", "info", stream.fileno()), ProxyMetrics(), lambda: self.now
        )
        self._stream = stream

    def _look(self) -> None:
        self.looks += 1
        if self.away:
            raise UpstreamError(self.away)

    def lines(self) -> list[tuple[str, object]]:
        parsed = map(json.loads, self.log.read_text().splitlines())
        return [(line["event"], line.get("more", line.get("seconds"))) for line in parsed]

    def close(self) -> None:
        self._stream.close()


@pytest.fixture
def looked(tmp_path: Path) -> Iterator[Looked]:
    made = Looked(tmp_path / "log")
    yield made
    made.close()


def test_o9_readiness_looks_at_the_registry_once_an_interval(looked: Looked) -> None:
    assert [looked.state.problem() for _ in range(10)] == [""] * 10
    looked.away = "gone"
    assert (looked.state.problem(), looked.looks) == ("", 1)
    looked.now += LOOK_SECONDS
    assert (looked.state.problem(), looked.looks) == ("gone", 2)
    looked.state.answered()
    assert (looked.state.problem(), looked.looks) == ("", 2), "a request saw that it answers"


def test_o9_an_outage_is_one_line_an_interval_and_one_at_its_end(looked: Looked) -> None:
    for _ in range(500):
        looked.state.failed("gone")
        looked.now += REPEAT_SECONDS / 250
    looked.state.answered()
    looked.state.answered()

    assert looked.lines() == [
        ("upstream-down", None),
        ("upstream-down", 249),
        ("upstream-up", 2 * REPEAT_SECONDS),
    ]
