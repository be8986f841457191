"""
The controller's installation has one source: `regauth.controller.installing`.

The kustomize folder and the chart's template are texts made from it; `pytest tests/deploy
--golden-update` writes them.  The chart's template is compared again as objects, with the chart's
own values put in by hand, so that nothing is lost in the placeholders.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from regauth.controller.configuration import read_configuration
from regauth.controller.installing.admission import admission
from regauth.controller.installing.monitoring import monitoring
from regauth.controller.installing.permissions import permissions, service_account
from regauth.controller.installing.pod_admission import pod_admission
from regauth.controller.installing.workload import (
    SETTINGS,
    deployment,
    disruption_budget,
    network_policy,
)
from regauth.controller.settings import Attachment, ControllerSettings, Memory, Selection

from .objects import read
from .packages import MODES, POLICY_MAP, alert_rules, chart_template, kustomize_files

NAMESPACE = "registry-auth"
IMAGE = "kube-controller:0.1.0"
Object = dict[str, Any]
Golden = Callable[[Path, str], None]


@pytest.fixture
def settings(repository: Path, tmp_path: Path) -> ControllerSettings:
    """The settings of the kustomize folder, which the chart has by default too."""
    kubernetes = repository / "deploy" / "kubernetes"
    shutil.copy(kubernetes / "controller" / SETTINGS, tmp_path)
    shutil.copytree(kubernetes / "example" / "policy", tmp_path / "policy")
    return read_configuration(tmp_path / SETTINGS).settings


@pytest.fixture
def values(repository: Path) -> Object:
    text = (repository / "deploy" / "helm" / "values.yaml").read_text()
    found: Object = yaml.safe_load(text)
    return found


def test_the_kustomize_folder_has_what_manifests_prints(
    repository: Path, settings: ControllerSettings, golden: Golden
) -> None:
    folder = repository / "deploy" / "kubernetes" / "controller"
    for name, text in kustomize_files(settings, IMAGE, NAMESPACE).items():
        golden(folder / name, text)


def test_the_chart_has_what_manifests_prints(
    repository: Path, settings: ControllerSettings, golden: Golden
) -> None:
    golden(
        repository / "deploy" / "helm" / "templates" / "controller.yaml", chart_template(settings)
    )


def test_the_file_of_alerts_has_what_manifests_prints(repository: Path, golden: Golden) -> None:
    golden(repository / "deploy" / "monitoring" / "kube-controller.rules.yaml", alert_rules())


def rendered(
    template: str, values: Object, mode: tuple[Memory, Attachment], named: str
) -> list[Object]:
    """
    Put the chart's values into the template, as far as it goes without helm.

    Args:
        template: Its text.
        values: Those of the chart.
        mode: How the controller is set.
        named: The one namespace that it is to look at; empty for all.
    """
    mine = values["controller"]
    image = mine["image"]
    expressions = {
        ".Release.Namespace": NAMESPACE,
        "$.Release.Namespace": NAMESPACE,
        ".": named,
        ".Values.controller.spread.topologyKey | quote": mine["spread"]["topologyKey"],
        ".Values.controller.spread.whenUnsatisfiable": mine["spread"]["whenUnsatisfiable"],
        '$namespaces | toJson | replace "\\"" "\\\\\\""': json.dumps([named]).replace('"', '\\"'),
        'include "regauth.image" .Values.controller.image | quote': f"{image['repository']}:{image['tag']}",
        "int .Values.controller.maxTokenSeconds": str(mine["maxTokenSeconds"]),
        '.Values.policy.existingConfigMap | default (printf "%s-policy" .Release.Name)': "prod-policy",
        "toYaml .Values.controller.configuration | sha256sum": "0",
        "- toYaml .Values.controller.resources | nindent 12": json.dumps(mine["resources"]),
        '.Values.controller.audiences | toJson | replace "\\"" "\\\\\\""': json.dumps(mine["audiences"]).replace('"', '\\"'),
        "- toYaml .Values.controller.configuration | nindent 4": "",
        ".Values.monitoring.interval": values["monitoring"]["interval"],
    }  # fmt: skip
    taken: list[bool] = []
    lines = []
    for line in template.splitlines():
        control = re.fullmatch(r"\s*\{\{- (if|else if|else|range|with|end|\$)(.*)\}\}", line)
        if control is None:
            lines += [line] if all(taken) else []
            continue
        word, condition = control[1], control[2]
        if word == "$":
            continue
        before = taken.pop() if word in ("end", "else", "else if") else False
        if word == "end":
            continue
        if word == "else" or "$namespaces" in condition:
            taken.append(not before if word == "else" else bool(named))
            continue
        modes = re.findall(r'\) "(\w+)"\)', condition)
        taken.append(tuple(modes) == mode if modes else word == "if")
    text = "\n".join(lines)
    text = re.sub(r'\{\{ "\{\{ (\$[a-z.]+) \}\}" \}\}', r"<<\1>>", text)
    text = re.sub(r"\{\{ ternary (\"[^\"]+\") .*? \}\}", r"\1", text)
    text = re.sub(r"\{\{ ?(.*?) ?\}\}", lambda found: expressions[found[1].strip()], text)
    return read(text.replace("<<", "{{ ").replace(">>", " }}"))


@pytest.mark.parametrize("named", ["", "team-a"])
@pytest.mark.parametrize("mode", MODES)
def test_the_chart_s_objects_are_the_manifests_objects(
    repository: Path,
    settings: ControllerSettings,
    values: Object,
    mode: tuple[Memory, Attachment],
    named: str,
) -> None:
    template = (repository / "deploy" / "helm" / "templates" / "controller.yaml").read_text()
    image = "{repository}:{tag}".format(**values["controller"]["image"])
    selection = Selection(namespaces=(named,) if named else ())
    moded = replace(settings, memory=mode[0], attach_to=mode[1], selection=selection)
    expected = [
        service_account(moded, NAMESPACE),
        deployment(moded, image, NAMESPACE, {SETTINGS: SETTINGS}, "prod-policy"),
        disruption_budget(moded, NAMESPACE),
        network_policy(moded, NAMESPACE),
        *permissions(moded, NAMESPACE),
        *admission(moded, NAMESPACE),
        *(pod_admission(moded, (1, 36)) if mode[1] == Attachment.PODS else ()),
        *monitoring(moded, NAMESPACE),
    ]
    config, *found = rendered(template, values, mode, named)
    pod = found[1]["spec"]["template"]
    assert pod["metadata"].pop("annotations") == {"regauth/configuration": 0}

    assert config["kind"] == "ConfigMap"
    assert found == expected


def test_the_chart_s_values_are_the_settings(settings: ControllerSettings, values: Object) -> None:
    """Audiences and life stand twice: helm cannot read the policy."""
    mine = values["controller"]
    (registry,) = mine["configuration"]["registries"]

    assert mine["audiences"] == [one.audience for one in settings.registries]
    assert mine["maxTokenSeconds"] == settings.registries[0].token_duration.total_seconds()
    assert (registry["host"], registry["provider"]) == (
        settings.registries[0].host,
        settings.registries[0].provider,
    )
    container = deployment(settings, IMAGE, NAMESPACE, {}, POLICY_MAP)["spec"]["template"]["spec"]
    assert mine["resources"] == container["containers"][0]["resources"]


@pytest.mark.parametrize(
    "change",
    [
        {"configuration": {"registries": []}},
        {"configuration": {"policy": "elsewhere"}},
        {"audiences": []},
        {"maxTokenSeconds": 599},
        {"unknown": 1},
        {"tolerations": {}},
    ],
)
def test_values_that_make_no_controller_are_refused(
    repository: Path, values: Object, change: Object
) -> None:
    schema = json.loads((repository / "deploy" / "helm" / "values.schema.json").read_text())
    checker = jsonschema.Draft7Validator(schema)
    values["policy"]["files"] = {"policy.yaml": "version: 1\n"}
    assert [] == list(checker.iter_errors(values))
    values["controller"] |= change

    assert [] != list(checker.iter_errors(values))
