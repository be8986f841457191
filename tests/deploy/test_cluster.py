"""
A real API server takes everything that is installed, and would run its pods.

Nothing is stored but the namespace: each object is applied by a server-side dry run, in which an
unknown field is an error, and each Deployment's pod once more as a pod, which is when Pod Security
is enforced.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controller.kube_apiserver import KubeApiServer
from tests.docs.pages import blocks, pages
from tests.e2e.programs import run
from tests.forkserver.programs import forked

from .objects import kustomized, name, read

pytestmark = [pytest.mark.e2e, pytest.mark.kube]

NAMESPACE = "registry-auth"
EXAMPLE = Path("deploy", "kubernetes", "example")
Object = dict[str, Any]
DryRun = Callable[[Object], str]


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApiServer]:
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nonexistent"))
    if not (assets / "kube-apiserver").is_file() or not (assets / "etcd").is_file():
        pytest.skip(
            "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd: see `make test-kube`"
        )
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; on Debian: apt-get install -y kubernetes-client")
    found = KubeApiServer(tmp_path_factory.mktemp("cluster"), accounts=False)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def kubectl(server: KubeApiServer, repository: Path) -> Callable[..., str]:
    """Call kubectl; return what it complains about."""

    def called(thing: Object, *options: str) -> str:
        done = run(
            [
                *("kubectl", f"--server={server.upstream}", f"--token={server.bearer}"),
                *("--insecure-skip-tls-verify", "--kubeconfig=/dev/null", "apply", "--filename=-"),
                *("--server-side", "--validate=strict", "--field-manager=test", *options),
            ],
            json.dumps(thing),
        )
        # A warning is on the standard error, and one of ours would be news.
        return done.stderr

    namespace = repository / EXAMPLE / "namespace.yaml"
    assert "" == called(yaml.safe_load(namespace.read_text()))
    return called


@pytest.fixture
def dry_run(kubectl: Callable[..., str]) -> DryRun:
    return lambda thing: kubectl(thing, "--dry-run=server")


def chart(repository: Path, tmp_path: Path) -> list[Object]:
    """Return what `helm install` of the chart with a proxy applies."""
    if shutil.which("helm") is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@v3.22.0")
    values = {"policy": {"files": {"policy.yaml": "version: 1\n"}}, "proxy": {"enabled": True}}
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    options = ("--kube-version", "1.32.0", "--values", tmp_path / "values.yaml")
    done = run(["helm", "template", "prod", repository / "deploy" / "helm", *options])
    assert done.returncode == 0, done.stderr
    found = read(done.stdout)
    for one in found:
        one["metadata"]["namespace"] = NAMESPACE
    return found


def controller(repository: Path, tmp_path: Path) -> list[Object]:
    """Return what `kube-controller manifests` prints."""
    kubernetes = repository / "deploy" / "kubernetes"
    shutil.copy(kubernetes / "controller" / "controller.yaml", tmp_path)
    shutil.copytree(kubernetes / "example" / "policy", tmp_path / "policy")
    program = [*forked("kube-controller"), "manifests"]
    config = ["--config", tmp_path / "controller.yaml", "--namespace", NAMESPACE]
    done = run([*program, *config, "--image", "kube-controller:0.1.0"])
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def shown(repository: Path, kubectl: Callable[..., str]) -> list[Object]:
    """Return what pages show of Kubernetes' own kinds; their namespaces are made."""
    found = [
        one
        for page in pages(repository / "docs")
        for block in blocks(page)
        if block.language == "yaml" and "\nkind: " in block.text
        for one in read(block.text)
        if one["apiVersion"] in {"v1", "apps/v1", "rbac.authorization.k8s.io/v1"}
    ]
    for namespace in {
        one["metadata"]["namespace"] for one in found if "namespace" in one["metadata"]
    }:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        assert "" == kubectl(made)
    return found


@pytest.fixture(params=["example", "chart", "controller"])
def things(request: pytest.FixtureRequest, repository: Path, tmp_path: Path) -> list[Object]:
    match request.param:
        case "example":
            return kustomized(repository / EXAMPLE)
        case "chart":
            return chart(repository, tmp_path)
    return controller(repository, tmp_path)


def as_pod(thing: Object) -> Object:
    """Return the pod that a Deployment makes."""
    template = thing["spec"]["template"]
    metadata = {**template["metadata"], "name": "one", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_the_server_takes_every_object(dry_run: DryRun, things: list[Object]) -> None:
    assert len(things) > 5
    assert {} == {name(one): said for one in things if (said := dry_run(one))}


def test_the_server_takes_what_pages_show(
    kubectl: Callable[..., str], dry_run: DryRun, repository: Path
) -> None:
    things = shown(repository, kubectl)

    assert {"Pod", "ServiceAccount", "ClusterRole"} <= {one["kind"] for one in things}
    assert {} == {name(one): said for one in things if (said := dry_run(one))}


def test_the_server_would_run_every_pod(dry_run: DryRun, things: list[Object]) -> None:
    deployments = [one for one in things if one["kind"] == "Deployment"]

    assert deployments
    assert {} == {name(one): said for one in deployments if (said := dry_run(as_pod(one)))}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda spec: spec.update(serviceAcountName="x"), "not declared in schema"),
        (lambda spec: spec["containers"][0].update(image=""), "Required value"),
        (lambda spec: spec["containers"][0].pop("securityContext"), "violates PodSecurity"),
        (lambda spec: spec["securityContext"].update(runAsNonRoot=False), "violates PodSecurity"),
        (
            lambda spec: spec["volumes"].append({"name": "a", "hostPath": {"path": "/"}}),
            "PodSecurity",
        ),
    ],
)
def test_what_it_would_not_take_is_noticed(
    dry_run: DryRun, repository: Path, change: Callable[[Object], object], complaint: str
) -> None:
    (thing,) = (
        one for one in kustomized(repository / EXAMPLE) if name(one) == "Deployment/token-server"
    )
    pod = as_pod(thing)
    change(pod["spec"])

    assert complaint in dry_run(pod)
