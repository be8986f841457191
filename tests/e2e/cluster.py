"""
A cluster and a registry that know one policy: a real kube-apiserver, token server and registry.

The token server reads the cluster's keys from the API server as it does in a pod.
"""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controller.installation import token_of
from tests.controller.kube_apiserver import ISSUER, KubeApiServer
from tests.controller.listening import Object
from tests.forkserver.programs import forked
from tests.ports import free_ports

from .conftest import Site
from .decisions import MAIN
from .images import write_image
from .programs import TOKEN_SERVER, require, run, running

CONTROLLER = forked("kube-controller")
COPY = ("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
CONTENT = b"hello from a pull secret\n"
CLUSTER = f"""\
  cluster:
    issuer: {ISSUER}
    audience: https://registry.example.com
    keys: {{jwksUri: SERVER/openid/v1/jwks, caFile: CA, bearerTokenFile: TOKEN}}
    claims: kubernetes
    MORE
grants:
  - {{name: push, providers: [sample], repositories: ["**"], actions: [pull, push]}}
  - name: pull-own-namespace
    providers: [cluster]
    when: claims["kubernetes.io"].serviceaccount.name != "stranger"
    repositories: ['${{claims["kubernetes.io"].namespace}}/**']
    actions: [pull]
"""


@dataclass(frozen=True)
class Place:
    """The servers, and images in two namespaces: tags from 1 on in each."""

    api: KubeApiServer
    site: Site

    def image(self, namespace: str, tag: int = 1) -> str:
        return f"{self.site.registry}/{namespace}/app:{tag}"

    def log_in(self, token: str) -> None:
        """Write the kubeconfig by which the controller reaches the API server."""
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": self.api.url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
            "users": [{"name": "u", "user": {"token": token}}],
        }
        (self.site.folder / "kubeconfig").write_text(json.dumps(kubeconfig))

    def controller(self, *options: str) -> list[str | Path]:
        """Return the command of the controller."""
        folder = self.site.folder
        config = ("--config", folder / "controller.yaml")
        return [*CONTROLLER, *config, "--kubeconfig", folder / "kubeconfig", *options]

    def login(self, account: str, namespace: str = "team-a") -> tuple[str, str] | None:
        """Return user name and password of an account's pull secret, if it has one with both."""
        secret = self.api.get("secrets", f"{account}-pull-secret", namespace)
        return None if secret is None else login_of(secret, self.site.registry)


def login_of(secret: Object, registry: str) -> tuple[str, str] | None:
    """Return the login that a secret has for a registry."""
    content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    found = content["auths"].get(registry)
    return None if found is None else (found["username"], found["password"])


@contextmanager
def standing_place(
    folder: Path, images: int = 1, provider: str = "", lifetime: str = "5m"
) -> Iterator[Place]:
    """
    Run everything until the block ends.

    Args:
        folder: Where it lives.
        images: How many there are in each namespace.
        provider: A line that is added to the policy's provider for the cluster.
        lifetime: Of registry tokens.
    """
    require("docker-registry", "skopeo")
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd")
    (folder / "kube").mkdir()
    api = KubeApiServer(folder / "kube")
    try:
        for namespace in ("team-a", "token-server", "regauth"):
            api.create("namespaces", namespace)
        for namespace in ("team-a", "token-server"):
            api.create("serviceaccounts", "builder", namespace)
        api.create("serviceaccounts", "stranger", "team-a")
        site = prepared(api, folder, provider, lifetime)
        place = Place(api, site)
        place.log_in(api.bearer)
        serve = [*TOKEN_SERVER, "--config", site.folder / "server.yaml"]
        registry = ["docker-registry", "serve", site.folder / "registry.yml"]
        with (
            running(serve, site.port, site.folder / "token-server.log"),
            running(registry, site.registry_port, site.folder / "registry.log"),
        ):
            for tag in range(1, images + 1):
                push(place, folder / f"in-{tag}", tag)
            yield place
    finally:
        api.close()


def push(place: Place, folder: Path, tag: int) -> None:
    """Push an image that shares no blob with the others, to both namespaces."""
    folder.mkdir()
    write_image(folder, "1", CONTENT + b"%d" % tag)
    for namespace in ("team-a", "team-b"):
        login = f"--dest-creds=sample:{place.site.jwt(MAIN)}"
        pushed = run([*COPY, login, f"oci:{folder}:1", f"docker://{place.image(namespace, tag)}"])
        assert pushed.returncode == 0, pushed.stderr + place.site.log


def prepared(api: KubeApiServer, folder: Path, provider: str, lifetime: str) -> Site:
    """Write the policy of both, and the settings of the controller."""
    port, registry_port = free_ports(2)
    site = Site(folder / "site", port, registry_port)
    ports = ("--port", str(port), "--registry-port", str(registry_port))
    made = run([*TOKEN_SERVER, "init", site.folder, *ports])
    assert made.returncode == 0, made.stderr
    (folder / "token").write_text(token_of(api, "token-server", "builder"))
    policy = site.folder / "policy" / "policy.yaml"
    before, grants, _ = policy.read_text().partition("\ngrants:\n")
    assert grants
    token = str(folder / "token")
    places = {"SERVER": api.upstream, "CA": api.ca_file, "TOKEN": token, "MORE": provider}
    cluster = CLUSTER
    for name, value in places.items():
        cluster = cluster.replace(name, value)
    policy.write_text(f"{before}\n{cluster}")
    server = site.folder / "server.yaml"
    server.write_text(server.read_text().replace("tokenLifetime: 5m", f"tokenLifetime: {lifetime}"))
    (site.folder / "controller.yaml").write_text(
        "policy: policy\nregistries:\n"
        f"  - {{host: '{site.registry}', service: registry.example.com, provider: cluster}}\n"
    )
    return site
