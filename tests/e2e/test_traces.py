"""A trace through a real nginx, the proxy with its token server, and the registry."""

import base64
import http.client
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.pem import load_private_key
from regauth.servers.setup.sample import sample_claims, sample_token
from tests.ports import free_ports
from tests.servers.local_http import Answer, Provider, serve
from tests.servers.proxy.standing import Registry, registry
from tests.servers.telemetry.collector import Collector, collecting

from .programs import TOKEN_SERVER, require, run, running
from .standing import PROXY

pytestmark = pytest.mark.e2e

SERVICE = "registry.example.com"
SCOPE = "repository:acme/app:pull,push"
STRANGER = "127.0.0.2"
"""Another machine: the proxy trusts 127.0.0.1 alone, from where nginx asks."""

THEIRS, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OF_NGINX = "b7ad6b7169203331"
SAID = {
    "traceparent": f"00-{THEIRS}-{PARENT}-01",
    "tracestate": "vendor=stranger",
    "baggage": "user=stranger",
}
"""What a client says of tracing."""

CONFIGURATION = """\
upstream: {{url: "{upstream}"}}
token: {{autoRedirect: true, service: {service}, issuer: registry-token-issuer}}
embedded: true
policy: policy
signing: {{keyFolder: keys}}
listen: 127.0.0.1:{port}
trustedProxies: [127.0.0.1]
openTelemetry: {{endpoint: "{collector}"}}
"""

NGINX = """\
user {user};
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{proxy};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
            # As `otel_trace_context inject;` of a module that Debian does not have.
            proxy_set_header traceparent "00-$request_id-{parent}-01";
        }}
    }}
}}
"""


@dataclass
class Traced:
    """All that a trace passes, and what came where."""

    folder: Path
    nginx: int
    proxy: int
    upstream: Registry
    issuer: Provider
    collector: Collector

    def get(
        self, port: int, target: str, source: str = "127.0.0.1", **headers: str
    ) -> tuple[int, str, bytes]:
        """Ask as a client that says something of tracing; return status, request id and body."""
        where = http.client.HTTPConnection("127.0.0.1", port, 30, (source, 0))
        with closing(where) as connection:
            connection.request("GET", target, headers={**SAID, "Host": SERVICE, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers["X-Request-Id"], answer.read()

    def log_in(self, port: int, source: str = "127.0.0.1") -> tuple[str, str]:
        """Exchange a job's token; return the id of the request and the registry's token."""
        claims = sample_claims("acme/app", "refs/heads/main", "push")
        jwt = sample_token(self.folder, claims, datetime.now(UTC), timedelta(minutes=5))
        pair = base64.b64encode(f"sample:{jwt}".encode()).decode()
        target = f"/auth/token?service={SERVICE}&scope={SCOPE}"
        status, request, body = self.get(port, target, source, Authorization=f"Basic {pair}")
        assert status == 200, body
        return request, str(json.loads(body)["token"])

    def list_tags(self, port: int, token: str, source: str = "127.0.0.1") -> str:
        target = "/v2/acme/app/tags/list"
        status, request, _ = self.get(port, target, source, Authorization=f"Bearer {token}")
        assert status == 200
        return request


def trust_over_http(folder: Path, issuer: Provider) -> None:
    """Have the policy fetch the keys of its provider."""
    private = load_private_key((folder / "sample" / "issuer.key").read_bytes())
    keys = jwks([(private.public_key(), "", "RS256")])
    issuer.answers["/keys"] = Answer(json.dumps(keys).encode())
    file = folder / "policy" / "policy.yaml"
    head, _, rest = file.read_text().partition("    keys:\n")
    _, _, rules = rest.partition("    rules:\n")
    address = issuer.url.replace("localhost", "127.0.0.1")
    file.write_text(f'{head}    keys: {{jwksUri: "{address}/keys"}}\n    rules:\n{rules}')


def configure(folder: Path, ports: tuple[int, int], upstream: str, collector: str) -> None:
    """Write what nginx and the proxy read."""
    nginx, proxy = ports
    user = "root" if os.geteuid() == 0 else "nobody"
    (folder / "proxy.yaml").write_text(
        CONFIGURATION.format(upstream=upstream, service=SERVICE, port=proxy, collector=collector)
    )
    (folder / "nginx.conf").write_text(
        NGINX.format(user=user, folder=folder, port=nginx, proxy=proxy, parent=OF_NGINX)
    )


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    """Everything but the programs, which a test runs and ends, so that all spans have come."""
    require("nginx")
    folder, ports = tmp_path / "site", free_ports(2)
    made = run([*TOKEN_SERVER, "init", folder])
    assert made.returncode == 0, made.stderr
    with ExitStack() as stack:
        upstream = stack.enter_context(registry())
        issuer = stack.enter_context(serve())
        collector = stack.enter_context(collecting())
        trust_over_http(folder, issuer)
        configure(folder, (ports[0], ports[1]), upstream.url, collector.url)
        yield Traced(folder, ports[0], ports[1], upstream, issuer, collector)


def test_a_trace_goes_from_nginx_to_the_registry_and_to_no_issuer(traced: Traced) -> None:
    folder = traced.folder
    with running([*PROXY, "--config", folder / "proxy.yaml"], traced.proxy, folder / "proxy.log"):
        nginx = ["nginx", "-p", folder, "-c", folder / "nginx.conf"]
        with running(nginx, traced.nginx, folder / "nginx.log"):
            login, token = traced.log_in(traced.nginx)
            asked = traced.list_tags(traced.nginx, token)
            _, other = traced.log_in(traced.proxy, STRANGER)
            traced.list_tags(traced.proxy, other, STRANGER)
    by_nginx, by_stranger = [
        one.headers for one in traced.upstream.received if one.target.endswith("/tags/list")
    ]
    spans = [span for span in traced.collector.spans if span["parent"] == OF_NGINX]
    roots = [span for span in traced.collector.spans if span["parent"] == ""]
    [last] = [span for span in spans if span["trace"] == asked]

    # nginx's id of a request is the id of its trace here, and the id of the request in our logs.
    assert [span["trace"] for span in spans] == [login, asked]
    assert by_nginx["traceparent"] == f"00-{asked}-{last['id']}-01"
    assert by_stranger["traceparent"][:-3] == f"00-{roots[1]['trace']}-{roots[1]['id']}"
    assert len(roots) == 2
    assert not {login, asked, THEIRS} & {root["trace"] for root in roots}
    for headers in (by_nginx, by_stranger):
        assert not {"tracestate", "baggage"} & headers.keys()
    assert b"stranger" not in b"".join(traced.collector.bodies)
    assert {span["state"] for span in traced.collector.spans} == {""}
    assert traced.issuer.requests
    for _, fields in traced.issuer.requests:
        assert not SAID.keys() & fields.keys()
