"""`controller.yaml`: what it can say, and what is said about what it cannot."""

from datetime import timedelta
from pathlib import Path

import pytest

from regauth.controller.configuration import Configuration, read_configuration
from regauth.controller.kube_controller import _configuration
from regauth.controller.settings import Election, Registry, RequestLimits, Selection
from regauth.engine.source.configuration_file import ConfigurationError

POLICY = """\
version: 1
services: [registry.example.com, other.example.com]
providers:
  cluster: {issuer: https://kubernetes.default.svc, audience: [https://registry.example.com], claims: kubernetes}
  several: {issuer: https://other.example.com, audience: [b, a], claims: kubernetes}
"""
MINIMAL = "policy: policy\nregistries: [{host: registry.example.com, provider: cluster}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.yaml").write_text(POLICY)
    return tmp_path


def read(folder: Path, text: str) -> Configuration:
    (folder / "controller.yaml").write_text(text)
    return read_configuration(folder / "controller.yaml")


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    return [
        f"{one.location.line}:{one.location.column} {one.code}: {one.message}"
        for one in caught.value.problems
    ]


def test_what_is_not_said_has_a_default(folder: Path) -> None:
    settings = read(folder, MINIMAL).settings

    assert settings.registries == (
        Registry(
            "registry.example.com",
            "registry.example.com",
            "cluster",
            "cluster",
            "https://registry.example.com",
            timedelta(hours=12),
        ),
    )
    assert (settings.selection, settings.limits, settings.election) == (
        Selection(),
        RequestLimits(),
        Election(),
    )
    assert (settings.instance, settings.listen) == ("default", ("0.0.0.0", 8080))


def test_everything_can_be_said(folder: Path) -> None:
    text = """\
policy: policy
instance: second
registries:
  - {host: "mirror.example.com:5000/team", provider: several, service: other.example.com, audience: a, tokenDuration: 90m}
select: {optIn: true, namespaceLabels: {team: blue}, kubeNamespaces: true}
limits: {perSecond: 5, burst: 7, workers: 1}
election: {namespace: ops, name: lease, duration: 30s}
listen: 127.0.0.1:9000
"""
    configuration = read(folder, text)
    settings = configuration.settings

    assert settings.registries == (
        Registry(
            "mirror.example.com:5000/team",
            "other.example.com",
            "several",
            "several",
            "a",
            timedelta(minutes=90),
        ),
    )
    assert settings.selection == Selection(
        opt_in=True, namespace_labels={"team": "blue"}, kube_namespaces=True
    )
    assert settings.limits == RequestLimits(5, 7, 1)
    assert settings.election == Election(
        "ops", "lease", timedelta(seconds=30), timedelta(seconds=10)
    )
    assert (settings.instance, settings.listen) == ("second", ("127.0.0.1", 9000))
    assert configuration.entitlements.policy is not None


def test_election_can_be_switched_off(folder: Path) -> None:
    assert read(folder, MINIMAL + "election: {enabled: false}\n").settings.election is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["1:1 missing-key: the file is empty"]),
        ("policy: policy\n", ["1:1 missing-key: `registries` is missing"]),
        ("policy: policy\nregistries: []\n", ["2:1 wrong-value: `registries` is empty"]),
        (MINIMAL + "more: 1\n", ["3:1 unknown-key: unknown key `more`"]),
        (MINIMAL.replace("cluster", "clutser"), ["2:53 wrong-value: the policy has no provider 'clutser'"]),
        (MINIMAL.replace("registry.e", "e"), ["2:21 wrong-value: the policy has no service 'example.com'"]),
        (MINIMAL.replace("cluster", "several"), ["2:53 wrong-value: the provider 'several' has several audiences"]),
        (MINIMAL.replace("cluster", "cluster, audience: x"), ["2:72 wrong-value: it is no audience of the provider 'cluster'"]),
        (MINIMAL.replace("cluster", "cluster, tokenDuration: 5m"), ["2:77 wrong-value: 5m is out of bounds"]),
        (MINIMAL + "listen: '*:99999'\n", ["3:9 wrong-value: 99999 is not a port; the highest is 65535"]),
        (MINIMAL + "select: {namespaces: []}\n", ["3:10 wrong-value: `namespaces` is empty"]),
        (MINIMAL + "select: {namespaces: [a, a]}\n", ["3:10 wrong-value: `namespaces` names something twice"]),
        (MINIMAL + "select: {namespaces: [a, kube-system]}\n", ["3:26 wrong-value: 'kube-system' belongs to the cluster itself"]),
        (MINIMAL + "select: {namespaces: [a], namespaceLabels: {b: c}}\n", ["3:44 wrong-value: with `namespaces` the controller may not read the labels of namespaces"]),
        (MINIMAL + "instance: A b\n", ["3:11 wrong-value: an instance is a word of at most 32 lower-case letters, digits and `-`"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(folder: Path, text: str, said: list[str]) -> None:
    assert said == problems(folder, text)


def test_namespaces_can_be_named(folder: Path) -> None:
    text = MINIMAL + "select: {namespaces: [team-a, kube-dns], kubeNamespaces: true}\n"
    selection = read(folder, text).settings.selection

    assert selection == Selection(kube_namespaces=True, namespaces=("team-a", "kube-dns"))


def test_a_policy_that_is_wrong_is_shown_with_its_own_file(folder: Path) -> None:
    (folder / "policy" / "policy.yaml").write_text(
        POLICY.replace("claims: kubernetes", "claims: kubernets", 1)
    )
    with pytest.raises(ConfigurationError) as caught:
        read(folder, MINIMAL)

    assert {one.location.file for one in caught.value.problems} == {
        str(folder / "policy" / "policy.yaml")
    }


def test_a_policy_that_cannot_be_read_is_said_where_it_is_named(folder: Path) -> None:
    (said,) = problems(folder, MINIMAL.replace("policy: policy", "policy: elsewhere"))

    assert said.startswith("1:9 policy-unreadable: ")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it cannot be read: No such file"):
        read_configuration(tmp_path / "controller.yaml")


def test_what_has_changed_is_read_again_and_what_is_wrong_leaves_it_as_it_was(
    folder: Path,
) -> None:
    read(folder, MINIMAL)
    policy = folder / "policy" / "policy.yaml"
    options = {
        "config": folder / "controller.yaml",
        "registry_host": None,
        "registry_username": None,
    }
    before, reload = _configuration(options)

    assert reload() is None
    policy.write_text("nonsense: true")
    with pytest.raises(ConfigurationError, match="`version` is missing"):
        reload()
    policy.write_text(POLICY + "# changed\n")
    after = reload()
    assert after is not None
    assert after.settings == before.settings
    assert after.entitlements.policy != before.entitlements.policy
    assert reload() is None


def test_k4_each_policy_for_a_cluster_bounds_the_age_of_tokens() -> None:
    """The documented one had no `maxTokenAge`: a token of 136 years was good for as long."""
    root = Path(__file__).parent.parent.parent
    texts = {
        str(file): text
        for pattern in ("docs/**/*.md", "policy/**/*.yaml", "deploy/**/*.yaml")
        for file in root.glob(pattern)
        for text in file.read_text().split("```")
        if "\n    claims: kubernetes\n" in text
    }

    assert len(texts) >= 4
    assert [file for file, text in texts.items() if "maxTokenAge:" not in text] == []


def test_pods_are_given_secrets_only_where_a_config_map_says_who_has_one(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="write `memory: configMaps`"):
        read(folder, MINIMAL + "attachTo: pods\n")
    found = read(folder, MINIMAL + "attachTo: pods\nmemory: configMaps\n")

    assert (found.settings.attach_to, found.settings.memory) == ("pods", "configMaps")
    assert not found.entitlements.attach


def test_a_policy_that_asks_from_where_is_refused(folder: Path) -> None:
    """A workload asks from many addresses, which the controller cannot know."""
    grant = "{name: near, when: 'client == client', repositories: [a/b], actions: [pull]}"
    policy = folder / "policy" / "policy.yaml"
    policy.write_text(f"{POLICY}grants: [{grant}]\n")
    with pytest.raises(ConfigurationError) as caught:
        read(folder, MINIMAL)
    (problem,) = caught.value.problems

    assert problem.code == "client-unknown"
    assert problem.location.file == str(policy)
    assert "`near` reads" in problem.message
