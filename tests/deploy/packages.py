"""
The controller in the two packages of `deploy`: the kustomize folder and the chart.

What lives here: which of the manifests' objects each has in which file, and what the chart leaves
to its values.  Not here: the objects; there is one source of them, and these are its texts.
"""

import re
from dataclasses import replace
from typing import Final

from regauth.controller.installing.admission import admission
from regauth.controller.installing.monitoring import alert_groups, monitoring
from regauth.controller.installing.permissions import (
    namespaced_permissions,
    permissions,
    service_account,
)
from regauth.controller.installing.pod_admission import STABLE_SINCE, pod_admission
from regauth.controller.installing.workload import (
    SETTINGS,
    deployment,
    disruption_budget,
    network_policy,
)
from regauth.controller.installing.yaml_blocks import to_yaml
from regauth.controller.naming import MANAGER
from regauth.controller.observing.cluster import Object
from regauth.controller.settings import Attachment, ControllerSettings, Memory, Selection

POLICY_MAP: Final = "token-server-policy"
"""The ConfigMap with the policy in the kustomize folder: the token server has the same."""
MADE: Final = (
    "# Made by tests/deploy/test_one_source.py from what `kube-controller manifests` prints.\n"
)

MODES: Final = (
    (Memory.SECRETS, Attachment.ACCOUNTS),
    (Memory.CONFIG_MAPS, Attachment.ACCOUNTS),
    (Memory.CONFIG_MAPS, Attachment.PODS),
)
"""What the controller may be set to, each with rights of its own."""

_NAMESPACE: Final = "the-namespace"
_NAMED: Final = "the-named-namespace"
_IMAGE: Final = "the-image:0.0.0"
_POLICY: Final = "the-policy"
_POD: Final = "      serviceAccountName: regauth-controller\n"
_POD_VALUES: Final = """\
      {{- with .Values.controller.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with .Values.controller.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.controller.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
"""
_SERVED: Final = (
    '{{ ternary "admissionregistration.k8s.io/v1" "admissionregistration.k8s.io/v1beta1"'
    ' (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") }}'
)
_LABELS: Final = f"  labels:\n    app.kubernetes.io/name: {MANAGER}\n"
_MONITOR_LABELS: Final = """\
    {{- with .Values.monitoring.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
"""
_RESOURCES: Final = re.compile(r"(?m)^          resources:\n(?:            .*\n)+")


def kustomize_files(settings: ControllerSettings, image: str, namespace: str) -> dict[str, str]:
    """Return the files of the kustomize folder that hold objects, by their names."""
    paths = {SETTINGS: SETTINGS}
    files: dict[str, list[Object]] = {
        "rights.yaml": [service_account(settings, namespace), *permissions(settings, namespace)],
        "admission.yaml": admission(settings, namespace),
        "workload.yaml": [deployment(settings, image, namespace, paths, POLICY_MAP)],
        "scaling.yaml": [disruption_budget(settings, namespace)],
        "network.yaml": [network_policy(settings, namespace)],
        "monitoring/monitoring.yaml": monitoring(settings, namespace),
    }
    return {name: f"{MADE}{to_yaml(objects)}\n" for name, objects in files.items()}


def chart_template(settings: ControllerSettings) -> str:
    """
    Return the chart's template of the controller.

    Args:
        settings: Those that the chart's values have by default.
    """
    common = [
        service_account(settings, _NAMESPACE),
        deployment(settings, _IMAGE, _NAMESPACE, {SETTINGS: SETTINGS}, _POLICY),
        disruption_budget(settings, _NAMESPACE),
        network_policy(settings, _NAMESPACE),
    ]
    named = replace(settings, selection=Selection(namespaces=(_NAMED,)))
    parts = [
        f"{{{{- if .Values.controller.enabled }}}}\n{_NAMESPACES}\n{MADE}{_CONFIGURATION}",
        "---\n" + _with_values(to_yaml(common), settings),
    ]
    for number, (memory, attachment) in enumerate(MODES):
        condition = _condition(memory, attachment)
        parts.append(f"{{{{- {'else if' if number else 'if'} {condition} }}}}")
        moded = [replace(one, memory=memory, attach_to=attachment) for one in (settings, named)]
        parts.append(_with_values(_rights(*moded), settings))
    parts += ["{{- end }}", "{{- if .Values.monitoring.enabled }}"]
    parts.append("---\n" + _with_values(_monitors(settings), settings))
    return "\n".join([*parts, "{{- end }}", "{{- end }}\n"])


def _monitors(settings: ControllerSettings) -> str:
    """Return the monitors; in their annotations Prometheus has templates, which helm must leave."""
    text = re.sub(
        r"\{\{ (\$[a-z.]+) \}\}", r'{{ "{{ \1 }}" }}', to_yaml(monitoring(settings, _NAMESPACE))
    )
    text = text.replace('interval: "30s"', "interval: {{ .Values.monitoring.interval }}")
    return text.replace(_LABELS, _LABELS + _MONITOR_LABELS)


def alert_rules() -> str:
    """Return the file of alerts for Prometheus without its operator."""
    return f"{MADE}{to_yaml([{'groups': alert_groups()}])}\n"


def _rights(everywhere: ControllerSettings, named: ControllerSettings) -> str:
    """Return the roles and policies, with what named namespaces change of them."""
    roles = namespaced_permissions(named, _NAMESPACE)
    both = [permissions(one, _NAMESPACE) for one in (everywhere, named)]
    own = both[1][len(roles) :]
    admissions = [to_yaml([*own, *_admission(one)]) for one in (everywhere, named)]
    return "\n".join(
        [
            "{{- if $namespaces }}",
            "{{- range $namespaces }}",
            "---\n" + to_yaml(roles),
            "{{- end }}",
            "{{- else }}",
            "---\n" + to_yaml(both[0][: -len(own)]),
            "{{- end }}",
            "---\n" + _either(*admissions),
        ]
    )


def _admission(settings: ControllerSettings) -> list[Object]:
    found = admission(settings, _NAMESPACE)
    if settings.attach_to == Attachment.PODS:
        found += pod_admission(settings, STABLE_SINCE)
    return found


def _either(everywhere: str, named: str) -> str:
    """Return a text with both versions of each line that differs."""
    lines = []
    for one, other in zip(everywhere.splitlines(), named.splitlines(), strict=True):
        if one == other:
            lines.append(one)
        else:
            lines += ["{{- if $namespaces }}", other, "{{- else }}", one, "{{- end }}"]
    return "\n".join(lines)


def _condition(memory: Memory, attachment: Attachment) -> str:
    values = ".Values.controller.configuration"
    return (
        f'and (eq ({values}.memory | default "secrets") "{memory}")'
        f' (eq ({values}.attachTo | default "accounts") "{attachment}")'
    )


_NAMESPACES: Final = (
    '{{- $namespaces := dig "select" "namespaces" list .Values.controller.configuration }}'
)
_CONFIGURATION: Final = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {MANAGER}
  namespace: {{{{ .Release.Namespace }}}}
data:
  {SETTINGS}: |
    policy: policy
    election: {{namespace: {{{{ .Release.Namespace }}}}}}
    {{{{- toYaml .Values.controller.configuration | nindent 4 }}}}
"""


def _with_values(text: str, settings: ControllerSettings) -> str:
    """Put the chart's values in the places of what stands for them."""
    audiences = ", ".join(f'\\"{one.audience}\\"' for one in settings.registries)
    seconds = str(int(settings.registries[0].token_duration.total_seconds()))
    digest = "{{ toYaml .Values.controller.configuration | sha256sum }}"
    changes = {
        f"[{audiences}]": '{{ .Values.controller.audiences | toJson | replace "\\"" "\\\\\\"" }}',
        f"<= {seconds})": "<= {{ int .Values.controller.maxTokenSeconds }})",
        f"for {seconds} seconds": "for {{ int .Values.controller.maxTokenSeconds }} seconds",
        f'"{_IMAGE}"': '{{ include "regauth.image" .Values.controller.image | quote }}',
        _NAMESPACE: "{{ $.Release.Namespace }}",
        f'[\\"{_NAMED}\\"]': '{{ $namespaces | toJson | replace "\\"" "\\\\\\"" }}',
        _NAMED: "{{ . }}",
        f"name: {_POLICY}": "name: {{ .Values.policy.existingConfigMap | default (printf"
        ' "%s-policy" .Release.Name) }}',
        _POD: _POD + _POD_VALUES,
        '"kubernetes.io/hostname"': "{{ .Values.controller.spread.topologyKey | quote }}",
        ": ScheduleAnyway": ": {{ .Values.controller.spread.whenUnsatisfiable }}",
        "    metadata:\n      labels:\n": "    metadata:\n      annotations:\n"
        f"        regauth/configuration: {digest}\n      labels:\n",
    }
    for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
        head = f'apiVersion: "admissionregistration.k8s.io/v1"\nkind: {kind}\n'
        changes[head] = head.replace('"admissionregistration.k8s.io/v1"', _SERVED)
    for before, after in changes.items():
        text = text.replace(before, after)
    resources = "          resources: {{- toYaml .Values.controller.resources | nindent 12 }}\n"
    return _RESOURCES.sub(lambda _: resources, text)
