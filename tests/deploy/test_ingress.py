"""The chart's Ingress: what it leads to, and that whoever asks through it is known by its address."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.e2e.programs import require, run, running
from tests.ports import free_ports

from .objects import loose_ends, misshapen, name, read

Values = dict[str, Any]
CLIENT = "203.0.113.7"
INGRESS = {"enabled": True, "tlsSecret": "certificate", "trustedProxies": ["127.0.0.0/8"]}


@pytest.fixture
def chart(repository: Path) -> Path:
    return repository / "deploy" / "helm"


@pytest.fixture
def values(chart: Path) -> Values:
    found: Values = yaml.safe_load((chart / "values.yaml").read_text())
    found["policy"]["files"] = {"policy.yaml": "version: 1\n"}
    found["ingress"] |= INGRESS
    return found


def rendered(chart: Path, values: Values, folder: Path) -> dict[str, Any]:
    require("helm", extra=True)
    (folder / "values.yaml").write_text(json.dumps(values))
    command = ("helm", "template", "prod", chart, "--values", folder / "values.yaml")
    done = run([*command, "--kube-version", "1.34.0"])
    assert done.returncode == 0, done.stderr
    things = read(done.stdout)
    assert [one for thing in things for one in misshapen(thing)] == []
    assert loose_ends(things) == []
    return {name(one): one for one in things}


@pytest.mark.parametrize(
    "change",
    [
        {"trustedProxies": []},
        {"trustedProxies": ["the ingress"]},
        {"tlsSecret": ""},
        {"host": "https://registry.example.com"},
        {"unknown": 1},
    ],
)
def test_an_ingress_that_would_hide_clients_or_has_no_tls_is_refused(
    chart: Path, values: Values, change: Values
) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    checker = jsonschema.Draft7Validator(schema)
    assert list(checker.iter_errors(values)) == []
    values["ingress"] |= change

    assert list(checker.iter_errors(values)) != []


@pytest.mark.e2e
@pytest.mark.parametrize(("proxy", "path"), [(True, "/"), (False, "/auth")])
def test_it_leads_to_the_proxy_or_to_the_token_endpoint_alone(
    chart: Path, values: Values, tmp_path: Path, proxy: bool, path: str
) -> None:
    values["proxy"]["enabled"] = proxy
    things = rendered(chart, values, tmp_path)
    spec = things["Ingress/prod-registry-auth"]["spec"]
    [one] = spec["rules"][0]["http"]["paths"]
    service = things[f"Service/{one['backend']['service']['name']}"]
    server = yaml.safe_load(things["ConfigMap/prod-token-server"]["data"]["server.yaml"])

    assert spec["tls"] == [{"hosts": ["registry.example.com"], "secretName": "certificate"}]
    assert one["path"] == path
    assert one["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    assert server["trustedProxies"] == ["127.0.0.0/8"]


@pytest.mark.e2e
def test_what_the_settings_say_comes_before_the_ingress_s(
    chart: Path, values: Values, tmp_path: Path
) -> None:
    values["tokenServer"]["configuration"]["trustedProxies"] = ["10.1.0.0/16"]
    things = rendered(chart, values, tmp_path)
    server = yaml.safe_load(things["ConfigMap/prod-token-server"]["data"]["server.yaml"])

    assert server["trustedProxies"] == ["10.1.0.0/16"]


@pytest.mark.e2e
@pytest.mark.parametrize("part", ["tokenServer", "proxy", "controller"])
def test_each_part_has_values_for_where_its_pods_run(
    chart: Path, values: Values, tmp_path: Path, part: str
) -> None:
    for other in ("proxy", "controller"):
        values[other]["enabled"] = True
    toleration = {"key": "dedicated", "operator": "Exists"}
    values[part] |= {
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "infra"},
        "tolerations": [toleration],
        "spread": {
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
        },
    }
    things = rendered(chart, values, tmp_path)
    names = {"tokenServer": "prod-token-server", "proxy": "prod-registry-proxy"}
    pod = things[f"Deployment/{names.get(part, 'regauth-controller')}"]["spec"]["template"]
    [spread] = pod["spec"]["topologySpreadConstraints"]

    assert pod["spec"]["priorityClassName"] == "system-cluster-critical"
    assert pod["spec"]["nodeSelector"] == {"pool": "infra"}
    assert pod["spec"]["tolerations"] == [toleration]
    assert spread["topologyKey"] == "topology.kubernetes.io/zone"
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    labels = pod["metadata"]["labels"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


class _Recorder(BaseHTTPRequestHandler):
    said: str | None = None

    def do_GET(self) -> None:
        type(self).said = self.headers["X-Forwarded-For"]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _token_server() -> Iterator[tuple[int, type[_Recorder]]]:
    """Run what tells whom it was told to be asked by."""
    recorder = type("Recorder", (_Recorder,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], recorder
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("trusted", "known"), [("127.0.0.0/8", CLIENT), ("10.0.0.0/8", "127.0.0.1")]
)
def test_nginx_goes_by_the_address_that_a_trusted_ingress_says(
    chart: Path, values: Values, tmp_path: Path, trusted: str, known: str
) -> None:
    """The address that the client itself writes before it counts in no case."""
    require("nginx")
    values["proxy"]["enabled"] = True
    values["ingress"]["trustedProxies"] = [trusted]
    things = rendered(chart, values, tmp_path)
    text = things["ConfigMap/prod-registry-proxy-nginx"]["data"]["nginx.conf"]
    port, metrics = free_ports(2)
    with _token_server() as (tokens, recorder):
        changed = (
            text.replace("prod-token-server:80", f"127.0.0.1:{tokens}")
            .replace("server registry:5000", f"server 127.0.0.1:{tokens}")
            .replace("listen 8080", f"listen 127.0.0.1:{port}")
            .replace("listen 8081", f"listen 127.0.0.1:{metrics}")
            .replace("/tmp/", f"{tmp_path}/")
            .replace("/dev/stderr", str(tmp_path / "error.log"))
        )
        (tmp_path / "nginx.conf").write_text(f"daemon off;\n{changed}")
        nginx = ("nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf")
        with (
            running(nginx, port, tmp_path / "nginx.log"),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection,
        ):
            fields = {"X-Forwarded-For": f"192.0.2.1, {CLIENT}"}
            connection.request("GET", "/auth/token", headers=fields)
            assert connection.getresponse().status == 200

    assert recorder.said == known
