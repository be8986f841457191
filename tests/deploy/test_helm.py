"""The chart: its values against its schema, and what helm renders against Kubernetes' API."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.server_file import read_settings
from tests.e2e.programs import TOKEN_SERVER, run

from .objects import loose_ends, misshapen, name, read, unsafe

Values = dict[str, Any]
Render = Callable[..., list[dict[str, Any]]]
POLICY = "version: 1\n"


@pytest.fixture(scope="module")
def chart(repository: Path) -> Path:
    return repository / "deploy" / "helm"


@pytest.fixture
def values(chart: Path) -> Values:
    found: Values = yaml.safe_load((chart / "values.yaml").read_text())
    found["policy"]["files"] = {"policy.yaml": POLICY}
    return found


@pytest.fixture(scope="module")
def schema(chart: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((chart / "values.schema.json").read_text())
    return found


@pytest.fixture
def render(chart: Path, values: Values, tmp_path: Path) -> Render:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")

    def rendered(**proxy: object) -> list[dict[str, Any]]:
        values["proxy"] |= proxy
        (tmp_path / "values.yaml").write_text(json.dumps(values))
        done = run(
            [
                *(helm, "template", "prod", chart, "--values", tmp_path / "values.yaml"),
                *("--kube-version", "1.32.0"),
            ]
        )
        assert done.returncode == 0, done.stderr
        return read(done.stdout)

    return rendered


def test_the_schema_is_one_and_takes_the_default_values_with_a_policy(
    schema: dict[str, Any], values: Values
) -> None:
    jsonschema.Draft7Validator.check_schema(schema)

    assert [] == list(jsonschema.Draft7Validator(schema).iter_errors(values))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one["policy"].update(existingConfigMap="policy"),
        lambda one: one["policy"].update(files={"policy.yaml": ""}),
        lambda one: one["policy"].update(files={"../policy.yaml": POLICY}),
        lambda one: one["keys"].update(existingSecret=""),
        lambda one: one["keys"].update(signingKey="-----BEGIN PRIVATE KEY-----"),
        lambda one: one.update(tokenserver={}),
        lambda one: one["tokenServer"]["image"].update(tag="latest"),
        lambda one: one["tokenServer"]["image"].update(tag="0.1"),
        lambda one: one["tokenServer"]["image"].update(tag=""),
        lambda one: one["tokenServer"]["image"].update(digest="sha256:0"),
        lambda one: one["tokenServer"]["configuration"].pop("issuer"),
        lambda one: one["tokenServer"]["configuration"].update(policy="elsewhere"),
        lambda one: one["tokenServer"]["configuration"].update(signing={"keyFile": "x"}),
        lambda one: one["tokenServer"]["autoscaling"].update(minReplicas=0),
        lambda one: one["tokenServer"]["autoscaling"].update(cpuUtilization="70%"),
        lambda one: one["tokenServer"]["resources"].pop("limits"),
        lambda one: one["tokenServer"]["resources"]["requests"].update(memory="1 GB"),
        lambda one: one["proxy"].update(enabled="true"),
        lambda one: one["proxy"].update(upstream="https://registry"),
        lambda one: one["proxy"].update(realm="http://registry.example.com/auth/token"),
        lambda one: one["proxy"].update(realm='https://x/"\ninjected: true'),
        lambda one: one["proxy"].update(upstreamLabels={}),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(
    schema: dict[str, Any], values: Values, change: Callable[[Values], object]
) -> None:
    before = copy.deepcopy(values)
    change(values)

    assert before != values
    assert [] != list(jsonschema.Draft7Validator(schema).iter_errors(values))


def test_every_value_is_described(schema: dict[str, Any]) -> None:
    def bare(value: object, path: str) -> list[str]:
        if not isinstance(value, dict):
            return []
        result = []
        for key, about in value.get("properties", {}).items():
            if isinstance(about, dict) and "$ref" not in about and "type" in about:
                result += [] if about.get("description") else [f"{path}.{key}"]
                result += bare(about, f"{path}.{key}")
        return result

    without = {".tokenServer.configuration.signing"}  # what cannot be said there is all it is for
    assert without == set(bare(schema, ""))


def test_the_chart_s_version_is_the_project_s(chart: Path, repository: Path) -> None:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())

    assert about["version"] == about["appVersion"]
    assert f'version = "{about["version"]}"' in (repository / "pyproject.toml").read_text()


@pytest.mark.e2e
@pytest.mark.parametrize("enabled", [False, True])
def test_what_is_rendered_is_sound(render: Render, enabled: bool) -> None:
    things = render(enabled=enabled)

    assert [] == [one for thing in things for one in (*misshapen(thing), *unsafe(thing))]
    assert [] == loose_ends(things)
    assert enabled == ("Deployment/prod-registry-proxy" in map(name, things))
    assert all(one["metadata"]["name"].startswith("prod-") for one in things)


@pytest.mark.e2e
def test_what_is_rendered_is_what_kustomize_installs(render: Render, repository: Path) -> None:
    rendered = {name(one).replace("prod-", ""): one for one in render(enabled=True)}
    for part in ("token-server", "proxy"):
        for file in ("workload", "service", "scaling", "network"):
            text = (repository / "deploy" / "kubernetes" / part / f"{file}.yaml").read_text()
            for plain in read(text):
                ours = rendered[name(plain)]
                assert plain["kind"] == ours["kind"]
                if plain["kind"] != "Deployment":
                    assert set(plain.get("spec", {})) == set(ours.get("spec", {}))
                    continue
                pods = [one["spec"]["template"]["spec"] for one in (plain, ours)]
                for pod in pods:
                    for box in pod["containers"]:
                        box.pop("image")
                assert pods[0]["containers"] == pods[1]["containers"]
                assert pods[0]["securityContext"] == pods[1]["securityContext"]


@pytest.mark.e2e
def test_a_monitor_reads_a_port_that_its_pods_have(render: Render, values: Values) -> None:
    values["monitoring"] |= {"enabled": True, "labels": {"release": "prometheus"}}
    things = {name(one): one for one in render(enabled=True)}
    service = things["ServiceMonitor/prod-token-server"]
    pods = things["PodMonitor/prod-registry-proxy"]

    [endpoint] = service["spec"]["endpoints"]
    ports = [one["name"] for one in things["Service/prod-token-server"]["spec"]["ports"]]
    assert endpoint["port"] in ports
    assert (
        service["spec"]["selector"]["matchLabels"].items()
        <= things["Service/prod-token-server"]["metadata"]["labels"].items()
    )
    [endpoint] = pods["spec"]["podMetricsEndpoints"]
    template = things["Deployment/prod-registry-proxy"]["spec"]["template"]
    ports = [
        port["name"] for box in template["spec"]["containers"] for port in box.get("ports", ())
    ]
    assert endpoint["port"] in ports
    assert pods["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [open_to_all] = things["NetworkPolicy/prod-registry-proxy"]["spec"]["ingress"]
    assert {"port": endpoint["port"]} in open_to_all["ports"]
    for one in (service, pods):
        assert one["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.e2e
def test_named_namespaces_have_a_role_each_and_there_is_no_cluster_role(
    render: Render, values: Values
) -> None:
    values["controller"]["enabled"] = True
    values["controller"]["configuration"]["select"] = {"namespaces": ["team-a", "team-b"]}
    things = render()
    roles = [one for one in things if one["kind"] == "Role"]
    [policy] = [one for one in things if one["kind"] == "ValidatingAdmissionPolicy"]
    expressions = [one["expression"] for one in policy["spec"]["validations"]]

    assert not [one for one in things if one["kind"].startswith("ClusterRole")]
    assert [one["metadata"]["namespace"] for one in roles][:2] == ["team-a", "team-b"]
    assert '!(true) || (request.namespace in ["team-a","team-b"])' in expressions


@pytest.mark.e2e
def test_the_rendered_configurations_are_understood(render: Render, tmp_path: Path) -> None:
    data: dict[str, str] = {}
    for one in render(enabled=True):
        data |= one.get("data", {}) if one["kind"] == "ConfigMap" else {}
    assert {"server.yaml", "policy.yaml", "proxy.yaml", "nginx.conf"} == set(data)
    assert run([*TOKEN_SERVER, "keys", "new", tmp_path / "keys"]).returncode == 0
    shutil.copy(tmp_path / "keys" / "root.crt", tmp_path / "root.crt")
    for file, text in data.items():
        (tmp_path / file).write_text(text)

    assert POLICY == data["policy.yaml"]
    listen = read_settings(tmp_path / "server.yaml").listen
    assert ["*:5001", "*:5003"] == [str(one) for one in listen]
    assert "127.0.0.1:5002" == str(*read_proxy_settings(tmp_path / "proxy.yaml").listen)


@pytest.mark.e2e
def test_k14_helm_lints_the_chart_with_its_own_values(chart: Path) -> None:
    """It failed: the default values, which name no policy, were not as the schema says."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")
    done = run([helm, "lint", "--strict", "--kube-version", "1.32.0", chart])

    assert done.returncode == 0, done.stdout + done.stderr


def test_k14_the_default_values_are_as_the_schema_says(chart: Path, schema: Values) -> None:
    defaults = yaml.safe_load((chart / "values.yaml").read_text())

    assert [] == list(jsonschema.Draft7Validator(schema).iter_errors(defaults))


@pytest.mark.e2e
def test_helm_lints_the_chart_strictly(chart: Path, tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")
    (tmp_path / "policy.yaml").write_text(POLICY)
    policy = rf"policy.files.policy\.yaml={tmp_path / 'policy.yaml'}"
    done = run([helm, "lint", "--strict", "--kube-version", "1.32.0", chart, "--set-file", policy])

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_helm_refuses_to_install_without_a_policy(chart: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed: go install helm.sh/helm/v3/cmd/helm@latest")
    done = run([helm, "template", "prod", chart, "--kube-version", "1.32.0"])

    assert done.returncode != 0
    assert "policy.files or policy.existingConfigMap must name the policy" in done.stderr
