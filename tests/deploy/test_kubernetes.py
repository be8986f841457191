"""The manifests of deploy/kubernetes: as they stand, and as kustomize puts them together."""

import copy
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.engine import compile_policy
from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.server_file import read_settings
from tests.e2e.programs import TOKEN_SERVER, run, running
from tests.forkserver.programs import forked
from tests.ports import free_ports

from .objects import kustomized, loose_ends, misshapen, name, read, unsafe

Change = Callable[[dict[str, Any]], object]
PARTS = ("token-server", "proxy", "controller")
EXPECTED = {
    "token-server": {
        "Deployment/token-server",
        "HorizontalPodAutoscaler/token-server",
        "NetworkPolicy/token-server",
        "PodDisruptionBudget/token-server",
        "Service/token-server",
        "ServiceAccount/token-server",
    },
    "proxy": {
        "Deployment/registry-proxy",
        "HorizontalPodAutoscaler/registry-proxy",
        "NetworkPolicy/registry-proxy",
        "PodDisruptionBudget/registry-proxy",
        "Service/registry-proxy",
        "ServiceAccount/registry-proxy",
    },
    "controller": {
        "ClusterRole/regauth-controller",
        "ClusterRoleBinding/regauth-controller",
        "Deployment/regauth-controller",
        "NetworkPolicy/regauth-controller",
        "PodDisruptionBudget/regauth-controller",
        "Role/regauth-controller",
        "RoleBinding/regauth-controller",
        "ServiceAccount/regauth-controller",
        "ValidatingAdmissionPolicy/regauth-controller",
        "ValidatingAdmissionPolicyBinding/regauth-controller",
    },
}


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "deploy" / "kubernetes"


def part(folder: Path, which: str) -> list[dict[str, Any]]:
    """Return the objects that a part's kustomization names, as they stand."""
    kustomization = yaml.safe_load((folder / which / "kustomization.yaml").read_text())
    return [
        one
        for file in kustomization["resources"]
        for one in read((folder / which / file).read_text())
    ]


@pytest.fixture
def deployment(folder: Path) -> dict[str, Any]:
    (found,) = [one for one in part(folder, "token-server") if one["kind"] == "Deployment"]
    return copy.deepcopy(found)


@pytest.mark.parametrize("which", PARTS)
def test_each_object_is_as_the_api_defines_it(folder: Path, which: str) -> None:
    things = part(folder, which)

    assert EXPECTED[which] == {name(one) for one in things}
    assert [] == [complaint for one in things for complaint in misshapen(one)]


@pytest.mark.parametrize("which", PARTS)
def test_nothing_runs_as_root_or_unpinned_or_holds_a_secret(folder: Path, which: str) -> None:
    assert [] == [complaint for one in part(folder, which) for complaint in unsafe(one)]


@pytest.mark.parametrize("which", PARTS)
def test_what_is_referred_to_is_there(folder: Path, which: str) -> None:
    assert [] == loose_ends(part(folder, which))


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def box(deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod(deployment)["containers"][0]
    return found


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda one: pod(one).update(runAsRoot=True), "there is no field 'runAsRoot'"),
        (lambda one: box(one).update(imagePullPolcy="Always"), "there is no field 'imagePullPolcy'"),
        (lambda one: one["spec"].update(replicas="2"), "'2' is not a whole number"),
        (lambda one: one["spec"].update(replicas=True), "True is not a whole number"),
        (lambda one: box(one).update(args="--config"), "'--config' is not a list"),
        (lambda one: box(one)["ports"][0].pop("containerPort"), "containers[0].ports[0]: "),
        (lambda one: one["spec"].pop("selector"), "Deployment.spec: "),
        (lambda one: box(one).update(env=[{"name": "A", "value": 1}]), "1 is not of the type str"),
        (lambda one: box(one).update(securityContext=[]), "[] is not a mapping"),
        (lambda one: one.update(apiVersion="apps/v1beta1"), "there is no such kind here"),
        (lambda one: one.update(kind="Deploymnt"), "there is no such kind here"),
    ],
)  # fmt: skip
def test_each_misshape_is_seen(deployment: dict[str, Any], change: Change, complaint: str) -> None:
    change(deployment)
    found = misshapen(deployment)

    assert any(complaint in one for one in found), found


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda one: pod(one)["securityContext"].update(runAsNonRoot=False), "may run as root"),
        (lambda one: pod(one)["securityContext"].update(runAsUser=0), "may run as root"),
        (lambda one: pod(one)["securityContext"].pop("seccompProfile"), "no seccomp profile"),
        (lambda one: pod(one).update(hostNetwork=True), "not apart from its node"),
        (lambda one: pod(one)["volumes"].append({"name": "x", "hostPath": {}}), "folder of its node"),
        (lambda one: box(one).update(image="token-server"), "is not pinned"),
        (lambda one: box(one).update(image="token-server:latest"), "is not pinned"),
        (lambda one: box(one).update(image="token-server:1"), "is not pinned"),
        (lambda one: box(one)["securityContext"].pop("readOnlyRootFilesystem"), "not confined"),
        (lambda one: box(one)["securityContext"].update(privileged=True), "not confined"),
        (lambda one: box(one)["resources"].pop("requests"), "nothing is requested"),
        (lambda one: box(one)["resources"].pop("limits"), "its memory has no limit"),
        (lambda one: box(one)["resources"]["limits"].update(memory="1 GB"), "is not a quantity"),
        (lambda one: box(one).pop("readinessProbe"), "there is no readinessProbe"),
        (
            lambda one: box(one).update(env=[{"name": "REGISTRY_TOKEN", "value": "x"}]),
            "holds a secret",
        ),
        (lambda one: one.update(kind="Secret"), "is no secret"),
    ],
)  # fmt: skip
def test_each_danger_is_seen(deployment: dict[str, Any], change: Change, complaint: str) -> None:
    change(deployment)
    found = unsafe(deployment)

    assert any(complaint in one for one in found), found


@pytest.mark.parametrize("key", ["apiGroups", "resources", "verbs"])
def test_a_right_to_everything_is_seen(folder: Path, key: str) -> None:
    role = next(one for one in part(folder, "controller") if one["kind"] == "ClusterRole")
    role["rules"][0][key] = ["*"]

    assert ["a right to everything"] == unsafe(role)


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("Service", lambda one: one["spec"].update(selector={}), "selects no pod"),
        ("Service", lambda one: one["spec"]["selector"].update(a="b"), "selects no pod"),
        ("PodDisruptionBudget", lambda one: one["spec"].update(selector={}), "selects no pod"),
        ("NetworkPolicy", lambda one: one["spec"].update(podSelector={}), "selects no pod"),
        (
            "HorizontalPodAutoscaler",
            lambda one: one["spec"]["scaleTargetRef"].update(name="x"),
            "which there is not",
        ),
        ("ServiceAccount", lambda one: one["metadata"].update(name="x"), "which there is not"),
        ("Deployment", lambda one: pod(one)["volumes"].pop(), "mounts other volumes"),
        ("Deployment", lambda one: box(one)["ports"].clear(), "asks the port 'probes'"),
    ],
)
def test_each_loose_end_is_seen(folder: Path, kind: str, change: Change, complaint: str) -> None:
    things = copy.deepcopy(part(folder, "token-server"))
    change(next(one for one in things if one["kind"] == kind))
    found = loose_ends(things)

    assert any(complaint in one for one in found), found


def test_the_example_s_policy_is_the_tested_one(folder: Path, repository: Path) -> None:
    example = (folder / "example" / "policy" / "policy.yaml").read_bytes()

    assert (repository / "policy" / "kubernetes" / "policy.yaml").read_bytes() == example
    assert () == compile_policy({"policy.yaml": example}).problems


def mounted(source: Path, target: Path) -> None:
    """Lay files out as the kubelet mounts a ConfigMap or Secret: links, so that all change at once."""
    data = target / "..2026_11_01_12_00_00.1"
    data.mkdir(parents=True)
    for file in source.iterdir():
        if file.name != "root.key":
            shutil.copy(file, data / file.name)
            (data / file.name).chmod(0o440)
            (target / file.name).symlink_to(Path("..data", file.name))
    (target / "..data").symlink_to(data.name)


def test_the_token_server_serves_from_what_is_mounted(folder: Path, tmp_path: Path) -> None:
    """With the Secret's files alone: the authority's key, root.key, stays with whoever rotates."""
    port, probes = free_ports(2)
    assert run([*TOKEN_SERVER, "keys", "new", tmp_path / "made"]).returncode == 0
    mounted(tmp_path / "made", tmp_path / "keys")
    mounted(folder / "example" / "policy", tmp_path / "policy")
    text = (folder / "token-server" / "server.yaml").read_text()
    assert '["*:5001", "*:5003"]' in text
    own = text.replace('"*:5001", "*:5003"', f'"127.0.0.1:{port}", "127.0.0.1:{probes}"')
    (tmp_path / "server.yaml").write_text(own)
    command = [*TOKEN_SERVER, "--config", tmp_path / "server.yaml"]
    with running(command, port, tmp_path / "log"):
        healthy = folder.parent / "healthy.py"
        done = [run([sys.executable, "-I", healthy, str(one)]) for one in (port, probes)]

    assert [0, 0] == [one.returncode for one in done]


def test_the_proxy_s_configuration_is_understood(folder: Path, tmp_path: Path) -> None:
    assert run([*TOKEN_SERVER, "keys", "new", tmp_path / "keys"]).returncode == 0
    shutil.copy(tmp_path / "keys" / "root.crt", tmp_path / "root.crt")
    shutil.copy(folder / "proxy" / "proxy.yaml", tmp_path / "proxy.yaml")
    settings = read_proxy_settings(tmp_path / "proxy.yaml")

    assert ["127.0.0.1:5002"] == [str(address) for address in settings.listen]


def test_the_servers_agree_with_each_other_and_with_the_manifests(folder: Path) -> None:
    server = yaml.safe_load((folder / "token-server" / "server.yaml").read_text())
    proxy = yaml.safe_load((folder / "proxy" / "proxy.yaml").read_text())
    policy = yaml.safe_load((folder / "example" / "policy" / "policy.yaml").read_text())
    nginx = (folder / "proxy" / "nginx.conf").read_text()

    assert server["issuer"] == proxy["token"]["issuer"]
    assert policy["services"] == [proxy["token"]["service"]]
    assert f"server {proxy['listen']}" in nginx
    (box_,) = [
        pod(one)["containers"]
        for one in part(folder, "token-server")
        if one["kind"] == "Deployment"
    ]
    assert server["listen"] == [f"*:{one['containerPort']}" for one in box_[0]["ports"]]


def test_the_kubelet_asks_the_token_server_where_no_client_waits(folder: Path) -> None:
    """Connections that wait to be accepted in a storm would keep its probes waiting."""
    things = part(folder, "token-server")
    [box_] = [pod(one)["containers"][0] for one in things if one["kind"] == "Deployment"]
    [service] = [one for one in things if one["kind"] == "Service"]
    [network] = [one for one in things if one["kind"] == "NetworkPolicy"]
    offered = {one["targetPort"] for one in service["spec"]["ports"]}
    admitted = {one["port"] for one in network["spec"]["ingress"][0]["ports"]}
    probed = {
        box_[probe]["httpGet"]["port"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert {"probes"} == probed
    assert {"http"} == offered == admitted


def test_nginx_does_what_the_tested_configuration_does(folder: Path, repository: Path) -> None:
    """Beside addresses and /healthz, it is deploy/nginx/registry.conf, which runs in a test."""
    plain = (repository / "deploy" / "nginx" / "registry.conf").read_text()
    ours, metrics = (folder / "proxy" / "nginx.conf").read_text().split("    # The metrics of")
    assert re.findall(r"location [^{]*", metrics) == ["location = /metrics ", "location / "]

    def locations(text: str) -> list[str]:
        return [
            re.sub(r"\s+", " ", one)
            for one in re.findall(r"location [^{]*\{[^}]*\}", text)
            if "/healthz" not in one
        ]

    assert len(locations(plain)) > 2
    assert locations(plain) == locations(ours)


def test_nginx_accepts_its_configuration(folder: Path, tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install -y nginx-light")
    text = (folder / "proxy" / "nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/")
    for service in ("registry:5000", "token-server:80"):
        assert service in text
        text = text.replace(f"server {service}", "server 127.0.0.1:5999")
    (tmp_path / "nginx.conf").write_text(text)
    done = run([nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"])

    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_kustomize_puts_the_example_together(folder: Path) -> None:
    things = kustomized(folder / "example")

    assert [] == [one for thing in things for one in (*misshapen(thing), *unsafe(thing))]
    assert [] == loose_ends(things)
    assert {"registry-auth"} == {
        one["metadata"]["namespace"]
        for one in things
        if one["kind"] not in {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    }
    names = {one["metadata"]["name"] for one in things if one["kind"] == "ConfigMap"}
    used = {
        volume["configMap"]["name"]
        for one in things
        if one["kind"] == "Deployment"
        for volume in pod(one)["volumes"]
        if "configMap" in volume
    }
    assert used - names == {"registry-proxy-trust"}
    assert names <= used
    images = [
        box_["image"]
        for one in things
        if one["kind"] == "Deployment"
        for box_ in pod(one)["containers"]
    ]
    assert 3 == sum(image.startswith("registry.example.com/regauth/") for image in images)


def test_the_controller_may_do_what_its_own_manifests_ask_for(folder: Path, tmp_path: Path) -> None:
    """`kube-controller manifests` is the other way to install it; the rights are the same."""
    shutil.copy(folder / "controller" / "controller.yaml", tmp_path)
    shutil.copytree(folder / "example" / "policy", tmp_path / "policy")
    program = [*forked("kube-controller"), "manifests"]
    config = ["--config", tmp_path / "controller.yaml", "--namespace", "registry-auth"]
    done = run([*program, *config, "--image", "kube-controller:0.1.0"])
    assert done.returncode == 0, done.stderr
    own = {name(one): one for one in read(done.stdout)}

    for one in part(folder, "controller"):
        if one["kind"] in {"ClusterRole", "Role"}:
            assert own[name(one)]["rules"] == one["rules"]
        if one["kind"] in {"ClusterRoleBinding", "RoleBinding"}:
            assert own[name(one)]["roleRef"] == one["roleRef"]
            assert own[name(one)]["subjects"] == one["subjects"]
        if one["kind"].startswith("ValidatingAdmissionPolicy"):
            assert own[name(one)]["spec"] == one["spec"]


def test_server_yaml_is_a_configuration(folder: Path) -> None:
    settings = read_settings(folder / "token-server" / "server.yaml")

    assert "registry-token-issuer" == settings.issuer
