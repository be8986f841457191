"""
The login that the controller writes, from a real kube-apiserver to a real registry.

One policy for the controller and for the token server, which reads the cluster's keys from the
API server as it does in a pod.  Needs `KUBEBUILDER_ASSETS`; `make test-kube` says how to get them.
"""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controller.installation import token_of
from tests.controller.kube_apiserver import ISSUER, KubeApiServer
from tests.forkserver.programs import forked

from .conftest import Site
from .decisions import MAIN
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, free_ports, require, run, running

pytestmark = pytest.mark.e2e

CONTENT = b"hello from a pull secret\n"
CONTROLLER = forked("kube-controller")
COPY = ("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
CLUSTER = f"""\
  cluster:
    issuer: {ISSUER}
    audience: https://registry.example.com
    keys: {{jwksUri: SERVER/openid/v1/jwks, caFile: CA, bearerTokenFile: TOKEN}}
    claims: kubernetes
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
    """A cluster and a registry that know one policy, and an image in each of two namespaces."""

    api: KubeApiServer
    site: Site

    def image(self, namespace: str) -> str:
        return f"docker://{self.site.registry}/{namespace}/app:1"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    require("docker-registry", "skopeo")
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip("KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd")
    (tmp_path / "kube").mkdir()
    api = KubeApiServer(tmp_path / "kube")
    try:
        for namespace in ("team-a", "token-server"):
            api.create("namespaces", namespace)
            api.create("serviceaccounts", "builder", namespace)
        api.create("serviceaccounts", "stranger", "team-a")
        site = prepared(api, tmp_path)
        serve = [*TOKEN_SERVER, "--config", site.folder / "server.yaml"]
        registry = ["docker-registry", "serve", site.folder / "registry.yml"]
        with (
            running(serve, site.port, site.folder / "token-server.log"),
            running(registry, site.registry_port, site.folder / "registry.log"),
        ):
            (tmp_path / "in").mkdir()
            write_image(tmp_path / "in", "1", CONTENT)
            for namespace in ("team-a", "team-b"):
                login = f"--dest-creds=sample:{site.jwt(MAIN)}"
                image = Place(api, site).image(namespace)
                pushed = run([*COPY, login, f"oci:{tmp_path / 'in'}:1", image])
                assert pushed.returncode == 0, pushed.stderr + site.log
            yield Place(api, site)
    finally:
        api.close()


def prepared(api: KubeApiServer, folder: Path) -> Site:
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
    places = {"SERVER": api.upstream, "CA": api.ca_file, "TOKEN": str(folder / "token")}
    cluster = CLUSTER
    for name, value in places.items():
        cluster = cluster.replace(name, value)
    policy.write_text(f"{before}\n{cluster}")
    (site.folder / "controller.yaml").write_text(
        "policy: policy\nregistries:\n"
        f"  - {{host: '{site.registry}', service: registry.example.com, provider: cluster}}\n"
    )
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
        "users": [{"name": "u", "user": {"token": api.bearer}}],
    }
    (site.folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    return site


def test_a_pod_s_image_is_pulled_with_the_secret_and_another_namespace_s_is_not(
    place: Place, tmp_path: Path
) -> None:
    folder = place.site.folder
    done = run(
        [
            *(*CONTROLLER, "--config", folder / "controller.yaml"),
            *("--kubeconfig", folder / "kubeconfig", "--once"),
        ]
    )
    assert done.returncode == 0, done.stderr
    secret = place.api.get("secrets", "builder-pull-secret", "team-a")
    assert secret is not None
    content = base64.b64decode(secret["data"][".dockerconfigjson"])
    (tmp_path / "auth.json").write_bytes(content)
    pulled, refused = (
        run(
            [*COPY, place.image(namespace), f"oci:{tmp_path / namespace}:1"],
            REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"),
        )
        for namespace in ("team-a", "team-b")
    )

    assert pulled.returncode == 0, pulled.stderr + place.site.log
    assert layer_content(tmp_path / "team-a") == CONTENT
    assert refused.returncode != 0
    assert "denied" in refused.stderr or "unauthorized" in refused.stderr, refused.stderr
    assert place.api.get("secrets", "stranger-pull-secret", "team-a") is None
    account = place.api.get("serviceaccounts", "builder", "team-a")
    assert account is not None
    assert account["imagePullSecrets"] == [{"name": "builder-pull-secret"}]
