"""
Two fronts in a row, TLS outside and plain HTTP inside: rows O3, O7 and `location-scheme`.

The inner front is each nginx file that is shipped, with the addresses of the test, and once our
proxy before a plain nginx by the recipe in Distribution's documentation.
"""

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from regauth.engine.policy.policy import RemoteAccess
from regauth.servers.http_client.fetching import Bounds, ask
from tests.ports import free_ports

from .conftest import Site
from .decisions import NO_PUSH, PULL, PUSH, Decision
from .images import layer_content, write_image
from .programs import require, run, running
from .standing import PROXY, SERVICE, bare_registry
from .test_behind_tls import _certificate

pytestmark = pytest.mark.e2e

CONTENT = b"through two fronts\n"
USER = "root" if os.geteuid() == 0 else "nobody"

OUTER = """\
user USER;
daemon off;
pid FOLDER/outer.pid;
error_log FOLDER/outer-error.log;
events {}
http {
    access_log off;
    TEMPORARY
    server {
        listen 127.0.0.1:TLS ssl;
        ssl_certificate FOLDER/tls.crt;
        ssl_certificate_key FOLDER/tls.key;
        client_max_body_size 0;
        proxy_request_buffering off;
        proxy_http_version 1.1;
        large_client_header_buffers 4 32k;
        merge_slashes off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        location / { proxy_pass http://127.0.0.1:INNER; }
        location = /auth/token { proxy_pass http://127.0.0.1:TOKENS; }
    }
}
"""
"""What an Ingress does: it ends TLS, and says so."""

PLAIN = """\
user USER;
daemon off;
pid FOLDER/plain.pid;
error_log FOLDER/plain-error.log;
events {}
http {
    access_log off;
    TEMPORARY
    server {
        listen 127.0.0.1:PLAIN;
        client_max_body_size 0;
        chunked_transfer_encoding on;
        location /v2/ {
            proxy_pass http://127.0.0.1:REGISTRY;
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 900;
        }
    }
}
"""


@dataclass(frozen=True)
class Inner:
    """What an inner front is built from."""

    folder: Path
    site: Site
    registry: int
    decisions: int
    port: int
    tls: int
    deploy: Path


def _temporary(folder: Path) -> str:
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{name}_temp_path {folder}/{name};" for name in names)


@contextmanager
def nginx(folder: Path, name: str, text: str, port: int) -> Iterator[None]:
    (folder / f"{name}.conf").write_text(text)
    command = ["nginx", "-p", folder, "-c", folder / f"{name}.conf", "-g", "daemon off;"]
    if "daemon off" in text:
        command = command[:-2]
    with running(command, port, folder / f"{name}.log"):
        yield


def _decisions(inner: Inner, shipped: str) -> tuple[str | Path, ...]:
    """Write the shipped proxy.yaml with the test's addresses; return the command that serves it."""
    bundle = str(inner.site.folder / "keys" / "root.crt")
    text = re.sub(r"rootCertBundle: \S+", f"rootCertBundle: {bundle}", shipped)
    text = text.replace("127.0.0.1:5002", f"127.0.0.1:{inner.decisions}")
    text = text.replace(
        "https://registry.example.com/auth/token", f"https://localhost:{inner.tls}/auth/token"
    )
    (inner.folder / "proxy.yaml").write_text(text)
    return (*PROXY, "--config", inner.folder / "proxy.yaml")


def _shipped(inner: Inner, conf: str, proxy: str, stack: ExitStack) -> None:
    ports = {5000: inner.port, 5001: inner.registry, 5002: inner.decisions, 5003: inner.site.port}
    for old, new in ports.items():
        conf = conf.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    conf = conf.replace("server registry:5000;", f"server 127.0.0.1:{inner.registry};")
    conf = conf.replace("server token-server:80;", f"server 127.0.0.1:{inner.site.port};")
    conf = conf.replace("listen 8080;", f"listen 127.0.0.1:{inner.port};")
    conf = conf.replace("/tmp/", f"{inner.folder}/inner-")
    conf = conf.replace("/dev/stderr", f"{inner.folder}/inner-error.log")
    if "events" not in conf:
        conf = (
            f"user USER; pid {inner.folder}/inner.pid; events {{}}\n"
            f"error_log {inner.folder}/inner-error.log;\n"
            f"http {{ access_log off; {_temporary(inner.folder / 'inner')}\n{conf}\n}}\n"
        ).replace("USER", USER)
        (inner.folder / "inner").mkdir()
    else:
        conf = f"user {USER};\n{conf}"
    stack.enter_context(
        running(_decisions(inner, proxy), inner.decisions, inner.folder / "decisions.log")
    )
    stack.enter_context(nginx(inner.folder, "inner", conf, inner.port))


def registry_conf(inner: Inner, stack: ExitStack) -> None:
    folder = inner.deploy / "nginx"
    _shipped(inner, (folder / "registry.conf").read_text(), (folder / "proxy.yaml").read_text(), stack)  # fmt: skip


def kustomize(inner: Inner, stack: ExitStack) -> None:
    folder = inner.deploy / "kubernetes" / "proxy"
    _shipped(inner, (folder / "nginx.conf").read_text(), (folder / "proxy.yaml").read_text(), stack)


def chart(inner: Inner, stack: ExitStack) -> None:
    """The chart's files, with its values put in as helm does, and without an Ingress."""
    text = (inner.deploy / "helm" / "templates" / "proxy.yaml").read_text()
    ingress = r"\{\{- if \.Values\.ingress\.enabled \}\}.*?recursive on;\n\{\{- end \}\}\n"
    text, found = re.subn(ingress, "", text, flags=re.DOTALL)
    assert found == 1
    values = {
        "{{ .Values.proxy.upstream }}": "registry:5000",
        "{{ .Release.Name }}-token-server": "token-server",
        "{{ .Values.proxy.realm | quote }}": "https://registry.example.com/auth/token",
        "{{ .Values.proxy.service | quote }}": SERVICE,
        "{{ .Values.tokenServer.configuration.issuer | quote }}": "registry-token-issuer",
    }
    for given, value in values.items():
        assert given in text
        text = text.replace(given, value)
    parts = dict(
        re.findall(r'\{\{- define "regauth\.(\w+)" -\}\}\n(.*?)\{\{- end -\}\}', text, re.DOTALL)
    )
    assert "{{" not in parts["nginx"] + parts["proxy"]
    _shipped(inner, parts["nginx"], parts["proxy"], stack)


def proxy_before_plain_nginx(inner: Inner, stack: ExitStack) -> None:
    """Our proxy, which trusts the outer front, before a registry behind a plain nginx."""
    text = PLAIN.replace("TEMPORARY", _temporary(inner.folder / "inner"))
    text = text.replace("FOLDER", str(inner.folder)).replace("USER", USER)
    text = text.replace("PLAIN", str(inner.decisions)).replace("REGISTRY", str(inner.registry))
    (inner.folder / "inner").mkdir()
    stack.enter_context(nginx(inner.folder, "plain", text, inner.decisions))
    (inner.folder / "proxy.yaml").write_text(
        f"token:\n  realm: https://localhost:{inner.tls}/auth/token\n  service: {SERVICE}\n"
        f"  issuer: registry-token-issuer\n"
        f"  rootCertBundle: {inner.site.folder}/keys/root.crt\n"
        f"upstream: {{url: 'http://127.0.0.1:{inner.decisions}'}}\n"
        f"listen: 127.0.0.1:{inner.port}\ntrustedProxies: [127.0.0.1]\n"
    )
    command = (*PROXY, "--config", inner.folder / "proxy.yaml")
    stack.enter_context(running(command, inner.port, inner.folder / "proxy.log"))


INNER: list[Callable[[Inner, ExitStack], None]] = [
    registry_conf,
    kustomize,
    chart,
    proxy_before_plain_nginx,
]


@dataclass(frozen=True)
class Fronts:
    site: Site
    tls: int
    certificates: Path

    def copy(self, decision: Decision, source: str, target: str) -> "tuple[int, str]":
        """Copy with skopeo, over TLS alone, as the decision's job."""
        side = "dest" if target.startswith("docker:") else "src"
        where = f"localhost:{self.tls}/{decision.repository}:1"
        done = run(
            [
                *("skopeo", "--insecure-policy", "copy", f"--{side}-cert-dir", self.certificates),
                *(f"--{side}-creds", f"sample:{self.site.jwt(decision.job)}"),
                *(one.replace("REGISTRY", where) for one in (source, target)),
            ]
        )
        return done.returncode, done.stderr


@pytest.fixture(scope="module", params=INNER, ids=lambda one: one.__name__)
def fronts(
    request: pytest.FixtureRequest,
    site: Site,
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
) -> Iterator[Fronts]:
    require("nginx", "docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("fronts")
    decisions, port, tls = free_ports(3)
    ca = _certificate(folder)
    with ExitStack() as stack:
        registry = stack.enter_context(bare_registry(folder / "registry"))
        inner = Inner(folder, site, registry, decisions, port, tls, repository / "deploy")
        request.param(inner, stack)
        (folder / "outer").mkdir()
        text = OUTER.replace("TEMPORARY", _temporary(folder / "outer"))
        text = text.replace("FOLDER", str(folder)).replace("USER", USER).replace("TLS", str(tls))
        text = text.replace("INNER", str(port)).replace("TOKENS", str(site.port))
        stack.enter_context(nginx(folder, "outer", text, tls))
        certificates = folder / "certificates"
        certificates.mkdir()
        shutil.copy(ca, certificates / "ca.crt")
        yield Fronts(site, tls, certificates)


def test_o3_a_push_and_a_pull_go_through_both_fronts_by_tls_alone(
    fronts: Fronts, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    write_image(image, "1", CONTENT)

    code, said = fronts.copy(PUSH, f"oci:{image}:1", "docker://REGISTRY")
    assert code == 0, said
    code, said = fronts.copy(PULL, "docker://REGISTRY", f"oci:{tmp_path / 'pulled'}:1")
    assert code == 0, said
    assert layer_content(tmp_path / "pulled") == CONTENT


def test_o3_what_the_policy_does_not_grant_is_refused_there_too(
    fronts: Fronts, tmp_path: Path
) -> None:
    write_image(tmp_path, "1", CONTENT)

    code, said = fronts.copy(NO_PUSH, f"oci:{tmp_path}:1", "docker://REGISTRY")
    assert code != 0
    assert "denied" in said or "unauthorized" in said, said


def test_o3_the_challenge_names_the_realm_that_the_client_can_reach(fronts: Fronts) -> None:
    place = RemoteAccess(ca_file=str(fronts.certificates / "ca.crt"))
    reply = ask(f"https://localhost:{fronts.tls}/v2/", place, Bounds(), {})

    assert reply.status == 401
    realm = f'realm="https://localhost:{fronts.tls}/auth/token"'
    assert realm in reply.headers["www-authenticate"]


@pytest.mark.parametrize("shipped", [registry_conf, kustomize, chart], ids=lambda one: one.__name__)
def test_o7_a_decision_that_hangs_is_refused_within_seconds(
    site: Site,
    tmp_path: Path,
    repository: Path,
    shipped: Callable[[Inner, ExitStack], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decision endpoint takes the connection and says nothing."""
    require("nginx", "docker-registry")
    port, registry = free_ports(2)
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        decisions = silent.getsockname()[1]
        inner = Inner(tmp_path, site, registry, decisions, port, 1, repository / "deploy")
        sleeping = ("sleep", "600")
        monkeypatch.setattr(f"{__name__}._decisions", lambda *_: sleeping)
        shipped(inner, stack)
        url = f"http://127.0.0.1:{port}/v2/"
        reply = ask(url, RemoteAccess(), Bounds(seconds=20), {"Authorization": "Bearer x"})

    assert reply.status == 500
