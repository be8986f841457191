"""The manifests: what the API server is asked, and nothing else, is permitted."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.controller.configuration import read_configuration
from regauth.controller.installing.manifests import (
    ManifestError,
    controller_manifests,
)
from regauth.controller.installing.plugin import kubelet_configuration, plugin_manifests
from regauth.controller.installing.yaml_blocks import to_yaml
from regauth.controller.observing.inventory import KINDS
from tests.controller.conftest import run_main

POLICY = """\
version: 1
# A comment: with "quotes", a colon and a\ttab.
services: [registry.example.com, other.example.com]
providers:
  cluster: {issuer: https://kubernetes.default.svc, audience: [https://registry.example.com], claims: kubernetes}
  second: {issuer: https://two.example.com, audience: [https://other.example.com], claims: kubernetes}
"""
SETTINGS = """\
policy: policy
registries:
  - {host: registry.example.com, provider: cluster}
  - {host: mirror.example.com, provider: cluster, service: registry.example.com}
  - {host: other.example.com, provider: second}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text(POLICY)
    (tmp_path / "controller.yaml").write_text(SETTINGS)
    return tmp_path / "controller.yaml"


@pytest.fixture
def made(file: Path) -> list[dict[str, Any]]:
    return controller_manifests(read_configuration(file).settings, file, "regauth:1", "regauth")


@pytest.fixture
def in_namespaces(file: Path) -> list[dict[str, Any]]:
    file.write_text(SETTINGS + "select: {namespaces: [team-a, team-b]}\n")
    return controller_manifests(read_configuration(file).settings, file, "regauth:1", "regauth")


def test_named_namespaces_have_a_role_each_and_there_is_no_cluster_role(
    made: list[dict[str, Any]], in_namespaces: list[dict[str, Any]]
) -> None:
    roles = [one for one in in_namespaces if one["kind"] == "Role"]
    bindings = [one for one in in_namespaces if one["kind"] == "RoleBinding"]
    whole = only(made, "ClusterRole")["rules"]

    assert not [one for one in in_namespaces if one["kind"].startswith("ClusterRole")]
    expected = [
        ("team-a", "regauth-controller-accounts"),
        ("team-b", "regauth-controller-accounts"),
        ("regauth", "regauth-controller"),
    ]
    for listed in (roles, bindings):
        named = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in listed]
        assert named == expected
    for role in roles[:2]:
        assert role["rules"] == [
            rule
            for rule in whole
            if rule.get("resources") != ["namespaces"] and "nonResourceURLs" not in rule
        ]
    account = {"kind": "ServiceAccount", "name": "regauth-controller", "namespace": "regauth"}
    assert [one["subjects"] for one in bindings] == [[account]] * 3


def test_a_controller_of_named_namespaces_is_held_to_them_by_the_admission_policy(
    in_namespaces: list[dict[str, Any]],
) -> None:
    """Its account may be given more rights by mistake, such as those of the ClusterRole before."""
    policy = only(in_namespaces, "ValidatingAdmissionPolicy")["spec"]
    expressions = [one["expression"] for one in policy["validations"]]

    assert '!(true) || (request.namespace in ["team-a", "team-b"])' in expressions


def only(made: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in made if one["kind"] == kind]
    return found


def test_there_is_everything_that_it_needs_and_in_order(made: list[dict[str, Any]]) -> None:
    assert [one["kind"] for one in made] == [
        "Namespace", "ServiceAccount", "ConfigMap", "ClusterRole", "ClusterRoleBinding",
        "Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Deployment",
        "PodDisruptionBudget", "NetworkPolicy",
    ]  # fmt: skip


def test_what_is_permitted_is_what_the_controller_asks_for(made: list[dict[str, Any]]) -> None:
    rules = only(made, "ClusterRole")["rules"]
    allowed = {
        (resource, verb)
        for rule in rules
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }

    assert allowed == {
        *((kind, verb) for kind in KINDS for verb in ("list", "watch")),
        ("serviceaccounts", "patch"),
        ("serviceaccounts/token", "create"),
        *(("secrets", verb) for verb in ("create", "patch", "delete")),
        ("events", "create"),
    }
    assert [rule["nonResourceURLs"] for rule in rules if "nonResourceURLs" in rule] == [
        ["/openid/v1/jwks"]
    ]
    assert only(made, "Role")["rules"][1]["resourceNames"] == ["regauth-controller"]
    assert "*" not in str(rules)


def test_the_pod_sees_settings_and_policy_where_the_settings_say(
    made: list[dict[str, Any]], file: Path, tmp_path: Path
) -> None:
    data = only(made, "ConfigMap")["data"]
    pod = only(made, "Deployment")["spec"]["template"]["spec"]
    volume = pod["volumes"][0]
    for item in volume["configMap"]["items"]:
        place = tmp_path / "mounted" / item["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(data[item["key"]])
    mounted = read_configuration(tmp_path / "mounted" / "controller.yaml")

    assert mounted.settings.registries == read_configuration(file).settings.registries
    assert pod["containers"][0]["command"] == [
        "kube-controller",
        "--config=/etc/regauth/controller.yaml",
    ]
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/etc/regauth"


def test_the_lease_must_be_where_the_permission_is(file: Path) -> None:
    with pytest.raises(ManifestError, match="the Lease is in 'regauth'"):
        controller_manifests(read_configuration(file).settings, file, "regauth:1", "elsewhere")


@pytest.mark.parametrize("listen", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_endpoints_must_be_where_the_kubelet_reaches_them(file: Path, listen: str) -> None:
    file.write_text(f"{SETTINGS}listen: '{listen}'\n")
    with pytest.raises(ManifestError, match="the kubelet cannot reach the probes"):
        controller_manifests(read_configuration(file).settings, file, "regauth:1", "regauth")


def test_tokens_are_admitted_for_the_registries_audiences_alone(made: list[dict[str, Any]]) -> None:
    spec = only(made, "ValidatingAdmissionPolicy")["spec"]
    binding = only(made, "ValidatingAdmissionPolicyBinding")

    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConditions"][0]["expression"] == (
        'request.userInfo.username == "system:serviceaccount:regauth:regauth-controller"'
    )
    assert spec["validations"][0]["expression"] == (
        '!(request.?subResource.orValue("") == "token") || (object.spec.audiences.size() > 0 && object.spec.audiences.all(one, one in'
        ' ["https://other.example.com", "https://registry.example.com"]))'
    )
    assert binding["spec"] == {"policyName": "regauth-controller", "validationActions": ["Deny"]}
    name = only(made, "ValidatingAdmissionPolicy")["metadata"]["name"]
    assert name == binding["spec"]["policyName"]


def test_a_policy_elsewhere_is_an_error(file: Path) -> None:
    inner = file.parent / "inner"
    inner.mkdir()
    (inner / "controller.yaml").write_text(
        file.read_text().replace("policy: policy", "policy: ../policy")
    )
    with pytest.raises(ManifestError, match="move the policy there"):
        controller_manifests(
            read_configuration(inner / "controller.yaml").settings,
            inner / "controller.yaml",
            "i",
            "regauth",
        )


def test_each_audience_has_a_provider_and_kubelets_may_request_them_all(file: Path) -> None:
    settings = read_configuration(file).settings
    config = kubelet_configuration(settings, (1, 34))
    role, binding = plugin_manifests(settings)

    assert [(one["name"], one["matchImages"], one["args"], one["tokenAttributes"]) for one in config["providers"]] == [
        (
            "regauth-credential-provider", ["other.example.com"], ["--registry=other.example.com", "--username=second"],
            {"serviceAccountTokenAudience": "https://other.example.com", "cacheType": "Token", "requireServiceAccount": True},
        ),
        (
            "regauth-credential-provider-2", ["registry.example.com", "mirror.example.com"],
            ["--registry=registry.example.com", "--registry=mirror.example.com", "--username=cluster"],
            {"serviceAccountTokenAudience": "https://registry.example.com", "cacheType": "Token", "requireServiceAccount": True},
        ),
    ]  # fmt: skip
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["https://other.example.com", "https://registry.example.com"],
            "verbs": ["request-serviceaccounts-token-audience"],
        }
    ]
    assert [one["name"] for one in binding["subjects"]] == ["system:nodes"]


def test_the_yaml_says_what_the_objects_say(made: list[dict[str, Any]]) -> None:
    odd = {
        "a": [], "b": {}, "c": [[1, [2]], {"x": None}], "on": "yes", "d": "- a\n", "e": " a\n", "f": "a\n\n", "g": "", "h": "a: b #",
        "i": True, "j": "é\u2028", "k": "a \nb\n", "l": "1", "m": "x\ny", "n": "/", "o": "a-b/c", "p": "-",
    }  # fmt: skip

    assert [*made, odd] == list(yaml.safe_load_all(to_yaml([*made, odd])))


def test_the_command_prints_them(file: Path) -> None:
    arguments = ("manifests", "--config", str(file))
    installed = run_main(*arguments, "--image", "regauth:1")
    plugin, kubelet = (
        run_main(*arguments, "--plugin"),
        run_main(*arguments, "--kubelet", "v1.34.2"),
    )

    for one in (installed, plugin, kubelet):
        assert one.exit_code == 0, one.stderr
    assert len(list(yaml.safe_load_all(installed.stdout))) == 12
    assert yaml.safe_load(kubelet.stdout)["kind"] == "CredentialProviderConfig"


def test_k14_what_is_printed_for_kubectl_is_for_the_api_alone(file: Path) -> None:
    """`kubectl apply` ended with 1: the kubelets' file is no object of the API."""
    printed = run_main("manifests", "--config", str(file), "--plugin").stdout
    kinds = [one["kind"] for one in yaml.safe_load_all(printed)]

    assert kinds == ["ClusterRole", "ClusterRoleBinding"]


@pytest.mark.parametrize(("version", "there"), [((1, 33), False), ((1, 34), True), ((1, 36), True)])
def test_k10_a_kubelet_gets_the_fields_that_it_knows(
    file: Path, version: tuple[int, int], there: bool
) -> None:
    """The kubelet of 1.33 did not start with `cacheType`; test_kubelet_plugin.py asks its code."""
    config = kubelet_configuration(read_configuration(file).settings, version)

    assert {"cacheType" in one["tokenAttributes"] for one in config["providers"]} == {there}


@pytest.mark.parametrize("version", ["1.32", "1", "new", "1.x", "", "-1.34"])
def test_k10_a_version_without_the_feature_is_an_error(file: Path, version: str) -> None:
    done = run_main("manifests", "--config", str(file), "--kubelet", version)

    assert done.exit_code == 2
    assert "--kubelet is a version such as 1.34, from 1.33 on" in done.stderr


def test_the_controller_s_image_must_be_named(file: Path) -> None:
    done = run_main("manifests", "--config", str(file))

    assert (done.exit_code, "--image IMAGE" in done.stderr) == (2, True)


def places(made: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return what each object is called, as the API tells them apart."""
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in made
    }


def test_k5_a_second_instance_takes_nothing_from_the_first(
    file: Path, made: list[dict[str, Any]]
) -> None:
    """It replaced the first one's ClusterRoleBinding, and with it the first one's rights."""
    file.write_text(f"{SETTINGS}instance: mirror\n")
    settings = read_configuration(file).settings
    second = controller_manifests(settings, file, "regauth:1", "regauth")
    both = places(made) & places(second)
    plugins = [plugin_manifests(settings)]
    file.write_text(SETTINGS)
    plugins.append(plugin_manifests(read_configuration(file).settings))

    assert both == {("Namespace", "", "regauth")}
    assert not places(plugins[0]) & places(plugins[1])
    deployments = [only(one, "Deployment") for one in (made, second)]
    selected = [one["spec"]["selector"]["matchLabels"] for one in deployments]
    assert selected[0] != selected[1]
    leases = [only(one, "Role")["rules"][1]["resourceNames"] for one in (made, second)]
    assert leases == [["regauth-controller"], ["regauth-controller-mirror"]]


def validation(made: list[dict[str, Any]], message: str) -> str:
    spec = only(made, "ValidatingAdmissionPolicy")["spec"]
    (found,) = [one for one in spec["validations"] if one["message"] == message]
    expression: str = found["expression"]
    return expression


def test_k4_tokens_are_bounded_in_life_and_in_what_they_are_bound_to(
    made: list[dict[str, Any]],
) -> None:
    """A stolen token minted tokens for 136 years, bound to any Secret."""
    life = validation(made, "tokens live for 43200 seconds at most")
    bound = validation(made, "tokens are bound to the pull secret of their account")

    assert "object.spec.?expirationSeconds.orValue(3600) <= 43200" in life
    assert '== request.name + "-pull-secret"' in bound
    assert 'boundObjectRef.uid.orValue("") != ""' in bound


PODS = "attachTo: pods\nmemory: configMaps\n"


@pytest.fixture
def for_pods(file: Path) -> list[dict[str, Any]]:
    file.write_text(SETTINGS + PODS)
    return controller_manifests(read_configuration(file).settings, file, "regauth:1", "regauth")


def test_k15_where_the_state_is_in_config_maps_no_secret_can_be_read(
    for_pods: list[dict[str, Any]],
) -> None:
    """Whoever took the controller over read every Secret of the cluster."""
    rules = only(for_pods, "ClusterRole")["rules"]
    verbs = {
        (resource, verb): rule.get("resourceNames")
        for rule in rules
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }

    assert {verb for resource, verb in verbs if resource == "secrets"} == {
        "create", "patch", "delete",
    }  # fmt: skip
    for verb in ("list", "patch"):
        assert verbs["configmaps", verb] == ["regauth-controller.pull-secrets"]
    written = validation(for_pods, "only the ConfigMap of the controller is written")
    assert 'request.name == "regauth-controller.pull-secrets"' in written


def test_k3_pods_get_the_secret_of_an_account_that_has_one(for_pods: list[dict[str, Any]]) -> None:
    """A pod with pull secrets of its own got none of its account's."""
    policy = only(for_pods, "MutatingAdmissionPolicy")
    binding = only(for_pods, "MutatingAdmissionPolicyBinding")

    assert policy["apiVersion"] == "admissionregistration.k8s.io/v1"
    assert policy["spec"]["failurePolicy"] == "Ignore"
    assert [one["name"] for one in policy["spec"]["matchConditions"]] == [
        "has-a-pull-secret", "is-not-long", "is-not-there", "is-no-system-namespace",
    ]  # fmt: skip
    assert binding["spec"] == {
        "policyName": policy["metadata"]["name"],
        "paramRef": {
            "name": "regauth-controller.pull-secrets",
            "parameterNotFoundAction": "Allow",
        },
    }
    assert ("serviceaccounts", "patch") not in {
        (resource, verb)
        for rule in only(for_pods, "ClusterRole")["rules"]
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(("version", "api"), [("1.34", "v1beta1"), ("1.36", "v1"), ("1.40", "v1")])
def test_k3_the_policy_for_pods_is_of_the_version_that_is_served(
    file: Path, version: str, api: str
) -> None:
    file.write_text(SETTINGS + PODS)
    done = run_main("manifests", "--config", str(file), "--image", "i:1", "--kubernetes", version)
    found = {
        one["apiVersion"]
        for one in yaml.safe_load_all(done.stdout)
        if one["kind"].startswith("MutatingAdmissionPolicy")
    }

    assert found == {f"admissionregistration.k8s.io/{api}"}


def test_k5_instances_for_pods_share_nothing_either(
    file: Path, for_pods: list[dict[str, Any]]
) -> None:
    file.write_text(f"{SETTINGS}{PODS}instance: pods\n")
    second = controller_manifests(read_configuration(file).settings, file, "regauth:1", "regauth")

    assert places(for_pods) & places(second) == {("Namespace", "", "regauth")}


def test_the_command_prints_what_prometheus_s_operator_needs(file: Path) -> None:
    done = run_main("manifests", "--config", str(file), "--monitoring", "--namespace", "there")
    monitor, rule = yaml.safe_load_all(done.stdout)

    assert (monitor["kind"], rule["kind"]) == ("PodMonitor", "PrometheusRule")
    assert {one["metadata"]["namespace"] for one in (monitor, rule)} == {"there"}
