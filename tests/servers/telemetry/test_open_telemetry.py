"""Traces and decisions at a real OTLP receiver, and whose trace context is believed."""

import base64
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from regauth.engine.files import ConfigurationError
from regauth.servers.commands.token_server import main as token_server
from regauth.servers.configuration.proxy_settings import UpstreamSettings
from regauth.servers.configuration.server_file import read_settings
from regauth.servers.configuration.settings import OpenTelemetrySettings, Settings
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.open_telemetry import OpenTelemetryError
from regauth.servers.token.assembly import Assembly, assemble
from tests.servers.proxy.standing import LOOPBACK, plain, registry, standing

from .collector import Collector, collecting

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACE_PARENT = f"00-{TRACE}-{PARENT}-01"
ASKED = "/auth/token?service=registry.example.com&scope=repository:acme/app:pull,push"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("otel") / "site"
    done = CliRunner().invoke(token_server, ["init", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@dataclass
class Server:
    """A token server in memory."""

    assembly: Assembly
    settings: Settings
    jwt: str

    def ask(self, target: str = ASKED, **headers: str) -> tuple[int, Any]:
        """Ask once, as a WSGI server does; return status and body."""
        path, _, query = target.partition("?")
        pair = base64.b64encode(f"sample:{self.jwt}".encode()).decode()
        said: list[str] = []
        answer = self.assembly.application(
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_URI": target,
                "REMOTE_ADDR": "127.0.0.1",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "5001",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_HOST": "localhost:5001",
                "HTTP_AUTHORIZATION": f"Basic {pair}",
                "wsgi.url_scheme": "http",
                "wsgi.input": sys.stdin.buffer,
                "wsgi.errors": sys.stderr,
                **headers,
            },
            lambda status, _, *more: said.append(status),
        )
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return int(said[0][:3]), json.loads(body) if body else None

    def flush(self) -> None:
        assert self.assembly.telemetry is not None
        self.assembly.telemetry.flush()


@contextmanager
def serving(
    site: Path, tmp_path: Path, told: OpenTelemetrySettings, **more: object
) -> Iterator[Server]:
    given: dict[str, Any] = {
        "decision_log": tmp_path / "decisions.jsonl",
        "open_telemetry": told,
        **more,
    }
    settings = replace(read_settings(site / "server.yaml"), **given)
    jwt = CliRunner().invoke(token_server, ["sample-jwt", str(site)]).stdout.strip()
    with (tmp_path / "log").open("w") as log:
        assembly = assemble(settings, load_state(settings), EventLog("json", "info", log.fileno()))
        try:
            yield Server(assembly, settings, jwt)
        finally:
            for one in (assembly.observer.decisions, assembly.telemetry):
                assert one is not None
                one.close()


def test_a_request_has_a_span(site: Path, tmp_path: Path, collector: Collector) -> None:
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url)) as server:
        status, _ = server.ask(HTTP_USER_AGENT="docker/28.3.3")
        server.flush()

    [span] = collector.spans
    assert (status, span["http.response.status_code"]) == (200, 200)
    assert span["name"] == "GET /auth/"
    assert span["service"] == "token-server"
    assert span["client.address"] == "127.0.0.1"
    assert span["user_agent.original"] == "docker/28.3.3"
    event = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert span["regauth.request_id"] == event["request_id"]
    assert collector.records == []


def test_no_token_and_no_query_leave_the_process(
    site: Path, tmp_path: Path, collector: Collector
) -> None:
    told = OpenTelemetrySettings(collector.url, decisions=True)
    with serving(site, tmp_path, told) as server:
        for target in (ASKED, f"/auth/token/{server.jwt}", f"{ASKED}&account={server.jwt}"):
            server.ask(target, HTTP_USER_AGENT=server.jwt)
        server.flush()

        sent = b"".join(collector.bodies)
        assert len(collector.spans) == 3
        for part in server.jwt.split("."):
            assert part.encode() not in sent
        assert b"scope=" not in sent


def test_probes_have_no_span(site: Path, tmp_path: Path, collector: Collector) -> None:
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url)) as server:
        assert server.ask("/healthz")[0] == 200
        server.flush()

    assert collector.bodies == []


def test_a_failure_of_the_server_is_an_error_and_a_refusal_is_none(
    site: Path, tmp_path: Path, collector: Collector
) -> None:
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url)) as server:
        assert server.ask("/auth/token?service=another.example.com")[0] in (400, 401)
        server.assembly.service.answer = None
        assert server.ask()[0] == 500
        server.flush()

    assert [span["status"] for span in collector.spans] == [0, 2]


def test_a_trusted_proxy_s_trace_goes_on(site: Path, tmp_path: Path, collector: Collector) -> None:
    trusted = {"trusted_proxies": (ip_network("127.0.0.1/32"),)}
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url), **trusted) as server:
        server.ask(
            HTTP_TRACEPARENT=TRACE_PARENT,
            HTTP_TRACESTATE="vendor=stranger",
            HTTP_BAGGAGE="user=stranger",
        )
        server.flush()

    [span] = collector.spans
    assert (span["trace"], span["parent"], span["state"]) == (TRACE, PARENT, "")
    assert b"stranger" not in b"".join(collector.bodies)


def test_nobody_else_can_join_a_trace_or_decide_that_one_is_sampled(
    site: Path, tmp_path: Path, collector: Collector
) -> None:
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url)) as server:
        server.ask(HTTP_TRACEPARENT=TRACE_PARENT)
        server.flush()
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url, sample_ratio=0.0)) as server:
        server.ask(HTTP_TRACEPARENT=TRACE_PARENT)
        server.flush()

    [span] = collector.spans
    assert span["trace"] != TRACE
    assert span["parent"] == ""


@pytest.mark.parametrize(
    "said",
    ["", "00", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-x", "é" * 55, "00-" + "z" * 52],
)  # fmt: skip
def test_a_trace_that_cannot_be_read_is_none(
    site: Path, tmp_path: Path, collector: Collector, said: str
) -> None:
    trusted = {"trusted_proxies": (ip_network("127.0.0.1/32"),)}
    with serving(site, tmp_path, OpenTelemetrySettings(collector.url), **trusted) as server:
        assert server.ask(HTTP_TRACEPARENT=said)[0] == 200
        server.flush()

    [span] = collector.spans
    assert span["trace"] != TRACE
    assert span["parent"] == ""


@pytest.mark.parametrize("claims", [False, True])
def test_a_decision_is_a_log_record_of_its_trace(
    site: Path, tmp_path: Path, collector: Collector, claims: bool
) -> None:
    told = OpenTelemetrySettings(collector.url, decisions=True, claims=claims)
    with serving(site, tmp_path, told, answer_cache=0.0) as server:
        server.ask()
        server.ask("/auth/token?service=another.example.com&scope=repository:acme/app:pull")
        server.flush()

    written = [json.loads(one) for one in (tmp_path / "decisions.jsonl").read_text().splitlines()]
    assert [one["outcome"] for one in written] == ["issued", "refused"]
    assert [one["event"] for one in collector.records] == ["regauth.decision"] * 2
    assert [one["severity"] for one in collector.records] == ["INFO", "WARN"]
    assert [one["trace"] for one in collector.records] == [one["trace"] for one in collector.spans]
    for sent, kept in zip(collector.records, written, strict=True):
        expected = kept if claims else {name: one for name, one in kept.items() if name != "claims"}
        assert sent["body"] == expected
    assert ("claims" in written[0], "claims" in str(collector.records[0])) == (True, claims)


def test_a_record_that_otlp_has_no_form_for_is_sent_as_text(
    site: Path, tmp_path: Path, collector: Collector
) -> None:
    """Half of a surrogate pair, which a client can send, must not fail the request."""
    told = OpenTelemetrySettings(collector.url, decisions=True)
    with serving(site, tmp_path, told) as server:
        decisions = server.assembly.observer.decisions
        assert decisions is not None
        decisions.append({"outcome": "refused", "account": "\ud800", "claims": {"sub": "x"}})
        server.flush()

    [record] = collector.records
    assert record["body"] == r'{"outcome":"refused","account":"\ud800"}'
    assert json.loads((tmp_path / "decisions.jsonl").read_text())["account"] == "\ud800"


def test_a_collector_that_is_away_costs_no_request(site: Path, tmp_path: Path) -> None:
    told = OpenTelemetrySettings("http://127.0.0.1:9", decisions=True)
    with serving(site, tmp_path, told, answer_cache=0.0) as server:
        answers = [server.ask()[0] for _ in range(20)]

    assert answers == [200] * 20
    assert len((tmp_path / "decisions.jsonl").read_text().splitlines()) == 20


def test_the_registry_gets_the_trace_of_the_proxy_and_nothing_else(
    tmp_path: Path, collector: Collector
) -> None:
    """A client's own headers of tracing never reach the registry."""
    told = OpenTelemetrySettings(collector.url)
    with registry(plain(body=b"{}")) as upstream:
        for trusted in ((), LOOPBACK):
            with standing(
                tmp_path,
                UpstreamSettings(upstream.url),
                open_telemetry=told,
                trusted_proxies=trusted,
            ) as proxy:
                reply = proxy.ask(
                    "GET", "/v2/acme/app/tags/list", "repository:acme/app:pull",
                    traceparent=TRACE_PARENT, tracestate="a=stranger", baggage="a=stranger",
                )  # fmt: skip
                assert reply.status == 200
    received = [one for one in upstream.received if one.target.endswith("/tags/list")]
    spans = [one for one in collector.spans if one["name"] == "GET /v2/"]

    assert [one["service"] for one in spans] == ["registry-auth-proxy"] * 2
    assert [one["trace"] == TRACE for one in spans] == [False, True]
    for got, span in zip(received, spans, strict=True):
        assert got.headers["traceparent"][:-2] == f"00-{span['trace']}-{span['id']}-"
        assert {"tracestate", "baggage"} & set(got.headers) == set()


def test_without_it_a_proxy_sends_no_trace(tmp_path: Path) -> None:
    with (
        registry(plain(body=b"{}")) as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url), trusted_proxies=LOOPBACK) as proxy,
    ):
        target = "/v2/acme/app/tags/list"
        proxy.ask("GET", target, "repository:acme/app:pull", traceparent=TRACE_PARENT)

    assert all("traceparent" not in one.headers for one in upstream.received)


def test_without_the_extra_the_message_says_which(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert importlib.util.find_spec("opentelemetry") is not None
    with (
        pytest.raises(OpenTelemetryError, match=r"jwt-registry-auth\[otel\]"),
        serving(site, tmp_path, OpenTelemetrySettings("http://127.0.0.1:4318")),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{endpoint: collector:4318}", "the endpoint is not an address"),
        ("{endpoint: 'http://user:password@collector'}", "the endpoint is not an address"),
        ("{endpoint: 'http://collector?key=1'}", "the endpoint is not an address"),
        ("{}", "endpoint"),
        ("{endpoint: 'http://collector', sampleRatio: 2}", "`sampleRatio` is a number from 0 to 1"),
        ("{endpoint: 'http://collector', decisions: true}", "`decisionLog`"),
        ("{endpoint: 'http://collector', claims: true}", "`claims` needs `decisions`"),
        ("{endpoint: 'http://collector', metrics: true}", "metrics"),
    ],
)
def test_a_wrong_setting_is_told_at_its_place(
    site: Path, tmp_path: Path, text: str, what: str
) -> None:
    file = tmp_path / "server.yaml"
    given = (site / "server.yaml").read_text()
    lines = [one for one in given.splitlines() if not one.startswith("decisionLog")]
    file.write_text("\n".join([*lines, f"openTelemetry: {text}", ""]))
    with pytest.raises(ConfigurationError) as caught:
        read_settings(file)

    [problem] = caught.value.problems
    assert what in problem.message
    assert problem.location.line == len(lines) + 1
