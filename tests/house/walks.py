"""
The runs whose walks docs/architecture.md shows.

`python -m tests.house.walks NAME FOLDER` makes one of them and prints it as JSON.  Each has an
interpreter of its own: what an earlier run has in its caches is not walked again.
"""

import base64
import http.client
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from docs.rooms import arrows
from regauth.controller.kube_controller import main as kube_controller
from regauth.engine import compile_policy
from regauth.engine.files import read_policy_folder
from regauth.policytests.cli import main as policytest
from regauth.servers.commands.token_server import main as token_server
from regauth.servers.configuration.proxy_settings import UpstreamSettings
from regauth.servers.configuration.server_file import read_settings
from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.token.assembly import assemble
from tests.controller.api_server import ApiServer
from tests.servers.proxy.standing import plain, registry, standing

from .walking import Walk, walked

Imports = Mapping[str, frozenset[str]]

GRANT = """\
version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    claims: kubernetes
    keys: {jwks: {keys: [{kty: OKP, crv: Ed25519, kid: k, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]}}
    rules: [{name: ours, check: 'claims["kubernetes.io"].namespace == "team-a"'}]
grants:
  - name: pull
    repositories: ["acme/**"]
    actions: [pull]
"""
SUITE = """\
policy: policy
at: 2026-11-01T12:00:00Z
tokens:
  ours: {profile: kubernetes/pod, claims: {kubernetes.io: {namespace: team-a}}}
tests:
  - name: pull only
    grid: |
      token  repository  pull  push
      ours   acme/app    A     .
"""


@contextmanager
def serving(app: Callable[..., Any]) -> Iterator[int]:
    """Serve an application until the block ends; yields the port."""
    [listener] = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(app, [listener], threads=1)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join()


def a_jwt_to_a_token(folder: Path, imports: Imports) -> Walk:
    """From a client's connection to the registry token in its answer."""
    CliRunner().invoke(token_server, ["init", str(folder / "site")], catch_exceptions=False)
    jwt = CliRunner().invoke(token_server, ["sample-jwt", str(folder / "site")]).stdout.strip()
    settings = read_settings(folder / "site" / "server.yaml")
    pair = base64.b64encode(f"sample:{jwt}".encode()).decode()
    asked = "/auth/token?service=registry.example.com&scope=repository:acme/app:pull"
    with (folder / "log").open("w") as log:
        assembly = assemble(settings, load_state(settings), EventLog("json", "info", log.fileno()))
        with walked(imports) as walk, serving(assembly.application) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            walk.begin()
            connection.request("GET", asked, headers={"Authorization": f"Basic {pair}"})
            answer = connection.getresponse()
            text = json.load(answer)
            walk.end()
            connection.close()
        assembly.close()

    assert text["scope"] == "repository:acme/app:pull"
    return walk


def a_blob_through_the_proxy(folder: Path, imports: Imports) -> Walk:
    """From a client's connection to the last byte of the registry's blob."""
    with (
        registry(plain(body=b"x" * 4096)) as upstream,
        walked(imports) as walk,
        standing(folder, UpstreamSettings(upstream.url)) as proxy,
    ):
        token = proxy.signing.token("repository:acme/app:pull")
        asked = (
            f"GET /v2/acme/app/blobs/sha256:{'a' * 64} HTTP/1.1\r\nHost: registry.example.com\r\n"
        )
        walk.begin()
        reply = proxy.say(
            f"{asked}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
        )
        walk.end()

    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert reply.endswith(b"x" * 4096)
    return walk


def a_yaml_file_to_a_policy(folder: Path, imports: Imports) -> Walk:
    """From a folder on disk to the policy that servers share."""
    (folder / "policy").mkdir()
    (folder / "policy" / "policy.yaml").write_text(GRANT)
    with walked(imports) as walk:
        compilation = compile_policy(read_policy_folder(folder / "policy"))

    assert compilation.policy is not None, compilation.problems
    return walk


def a_suite_to_a_report(folder: Path, imports: Imports) -> Walk:
    """From the command line to the report in JSON."""
    (folder / "policy").mkdir()
    (folder / "policy" / "policy.yaml").write_text(GRANT)
    (folder / "acme.policytest.yaml").write_text(SUITE)
    report = folder / "report.json"
    with walked(imports) as walk:
        code = policytest(
            [str(folder), f"--format=json={report}", f"--rootdir={folder}", "-pno:cacheprovider", "-pno:xdist"]
        )  # fmt: skip

    assert code == 0
    assert json.loads(report.read_text())
    return walk


def an_account_to_a_secret(folder: Path, imports: Imports) -> Walk:
    """From a service account in the cluster to its pull secret."""
    (folder / "policy").mkdir()
    (folder / "policy" / "policy.yaml").write_text(GRANT)
    (folder / "controller.yaml").write_text(
        "policy: policy\nregistries: [{host: registry.example.com, provider: cluster, tokenDuration: 1h}]\n"
    )
    api = ApiServer(datetime.now(UTC).timestamp)
    try:
        api.create("namespaces", "team-a")
        api.create("serviceaccounts", "builder", "team-a")
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": api.url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
            "users": [{"name": "u", "user": {"token": api.bearer}}],
        }
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        files = [
            "--config",
            str(folder / "controller.yaml"),
            "--kubeconfig",
            str(folder / "kubeconfig"),
        ]
        with walked(imports) as walk:
            done = CliRunner().invoke(kube_controller, [*files, "--once"])
    finally:
        api.close()

    assert done.exit_code == 0, done.output
    assert [one["metadata"]["name"] for one in api.all("secrets")] == ["builder-pull-secret"]
    return walk


WALKS = (
    a_jwt_to_a_token,
    a_blob_through_the_proxy,
    a_yaml_file_to_a_policy,
    a_suite_to_a_report,
    an_account_to_a_secret,
)


def main() -> None:
    """Make the walk that the arguments name, in a folder, and print it as JSON."""
    name, folder = sys.argv[1:]
    [make] = [one for one in WALKS if one.__name__ == name]
    walk = make(Path(folder), arrows())
    sys.stdout.write(json.dumps({"table": walk.table(), "returns": [*walk.returns]}))


if __name__ == "__main__":
    main()
