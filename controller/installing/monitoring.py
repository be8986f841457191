"""
What Prometheus's operator needs: a PodMonitor, and alerts on the controller's metrics.

What lives here: which conditions alert whom, and where Prometheus finds the metrics.  Not here: the
metrics (`regauth.controller.measures`).

Source: prometheus-operator's API reference, monitoring.coreos.com/v1.
"""

from dataclasses import dataclass
from typing import Final

from regauth.controller.observing.cluster import Object
from regauth.controller.settings import ControllerSettings

from .objects import head, labels_of

MONITORING: Final = "monitoring.coreos.com/v1"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `docs/runbook.md` has a section of its name."""

    name: str
    expression: str
    lasting: str
    """For how long the expression must hold."""
    severity: str
    summary: str
    description: str


ALERTS: Final = (
    Alert(
        "KubeControllerTokensExpired",
        "max(kube_controller_expired) > 0",
        "1m",
        "critical",
        "Pull secrets hold expired tokens.",
        "Pods whose secret has an expired token cannot pull.",
    ),
    Alert(
        "KubeControllerTokensNotRenewed",
        "min(kube_controller_soonest_expiry_timestamp_seconds > 0) - time() < 120",
        "1m",
        "critical",
        "A token is about to expire.",
        "A token expires within two minutes and has not been renewed.",
    ),
    Alert(
        "KubeControllerHasNoLeader",
        "absent(kube_controller_leader == 1)",
        "5m",
        "critical",
        "No controller leads.",
        "No token is renewed, and no new service account gets one.",
    ),
    Alert(
        "KubeControllerIsBlind",
        "max by (kind) (kube_controller_watch_age_seconds) > 360",
        "1m",
        "warning",
        "The controller does not hear the API server.",
        "The API server has told nothing of {{ $labels.kind }} for six minutes.",
    ),
    Alert(
        "KubeControllerFails",
        "max(kube_controller_failing) > 0",
        "15m",
        "warning",
        "Service accounts cannot be dealt with.",
        "The log of the controller says which accounts fail, and why.",
    ),
    Alert(
        "KubeControllerContested",
        'max by (state) (kube_controller_accounts{state!="failed"}) > 0',
        "1h",
        "warning",
        "Something is in the way of pull secrets.",
        "{{ $value }} service accounts are in the state {{ $labels.state }}.",
    ),
    Alert(
        "KubeControllerSlow",
        "max(kube_controller_queue_wait_seconds) > 300",
        "5m",
        "warning",
        "Service accounts wait.",
        "The next service account has waited for more than five minutes.",
    ),
    Alert(
        "KubeControllerNotReloaded",
        "max(kube_controller_reload_failed) > 0",
        "5m",
        "warning",
        "The new settings or policy have errors.",
        "The controller goes on with the old ones; its log says what is wrong.",
    ),
    Alert(
        "KubeControllerClockWrong",
        "max(abs(kube_controller_clock_offset_seconds)) > 30",
        "15m",
        "warning",
        "Two clocks differ.",
        "The clocks of the controller and of the API server differ by {{ $value }} seconds.",
    ),
)

_RUNBOOK: Final = "https://github.com/OWNER/jwt-registry-auth/blob/main/docs/runbook.md"
_INTERVAL: Final = "30s"


def alert_groups() -> list[Object]:
    """Return the groups of rules, for a PrometheusRule or a file of Prometheus itself."""
    rules = [
        {
            "alert": one.name,
            "expr": one.expression,
            "for": one.lasting,
            "labels": {"severity": one.severity},
            "annotations": {
                "summary": one.summary,
                "description": one.description,
                "runbook_url": f"{_RUNBOOK}#{one.name.lower()}",
            },
        }
        for one in ALERTS
    ]
    return [{"name": "kube-controller", "rules": rules}]


def monitoring(settings: ControllerSettings, namespace: str) -> list[Object]:
    """Return the PodMonitor and the PrometheusRule."""
    endpoint = {"port": "http", "path": "/metrics", "interval": _INTERVAL}
    monitor = {
        "selector": {"matchLabels": labels_of(settings)},
        "podMetricsEndpoints": [endpoint],
    }
    return [
        {**head(MONITORING, "PodMonitor", settings, namespace), "spec": monitor},
        {
            **head(MONITORING, "PrometheusRule", settings, namespace),
            "spec": {"groups": alert_groups()},
        },
    ]
