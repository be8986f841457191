"""
Alerts, dashboard and monitors: they name metrics that there are, and each alert has its runbook.

`tests/deploy/alerts` has for each alert a time that it fires and a time that it must not;
promtool decides.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.controller.measures import Measures
from regauth.servers.proxy.measures import ProxyMetrics
from regauth.servers.telemetry.metrics import Metrics
from tests.e2e.programs import run

ALERTS = Path(__file__).parent / "alerts"


@pytest.fixture(scope="module")
def monitoring(repository: Path) -> Path:
    return repository / "deploy" / "monitoring"


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    """Every series that the three programs show, counters by their names with `_total`."""
    registries = [one()._registry for one in (Metrics, ProxyMetrics, Measures)]
    found = set()
    for registry in registries:
        for family in registry.collect():
            endings = {
                "counter": ("_total",),
                "histogram": ("_bucket", "_count", "_sum"),
            }.get(family.type, ("",))
            found |= {f"{family.name}{ending}" for ending in endings}
    return found


def rules(monitoring: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(monitoring.glob("*.rules.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def named(expression: str) -> set[str]:
    """Return the metrics of ours that an expression names."""
    prefixes = "token_server|registry_proxy|kube_controller"
    return set(re.findall(rf"\b(?:{prefixes})_[a-z_]+", expression))


def test_each_alert_is_about_metrics_that_there_are(monitoring: Path, metrics: set[str]) -> None:
    found = list(rules(monitoring))

    assert len({rule["alert"] for _, rule in found}) == len(found) > 15
    for file, rule in found:
        names = named(rule["expr"])
        assert names or rule["expr"].startswith("up{"), (file, rule["alert"])
        assert names - metrics == set(), rule["alert"]


def test_each_alert_says_what_to_do(monitoring: Path, repository: Path) -> None:
    """The address in an alert is a section of the runbook, and each section is an alert's."""
    page = (repository / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    alerts = {rule["alert"] for _, rule in rules(monitoring)}

    assert alerts == sections
    for _, rule in rules(monitoring):
        about = rule["annotations"]
        assert {"summary", "description", "runbook_url"} == set(about)
        assert about["runbook_url"].endswith(f"/docs/runbook.md#{rule['alert'].lower()}")
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["for"]


def test_the_dashboard_shows_metrics_that_there_are(monitoring: Path, metrics: set[str]) -> None:
    board = json.loads((monitoring / "dashboard.json").read_text(encoding="utf-8"))
    panels = [one for one in board["panels"] if one["type"] != "row"]

    assert len({one["id"] for one in board["panels"]}) == len(board["panels"])
    shown = set()
    for panel in panels:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        for target in panel["targets"]:
            names = named(target["expr"])
            assert names, panel["title"]
            assert names - metrics == set(), panel["title"]
            shown |= names
    unseen = {
        name
        for name in metrics - shown
        if not name.endswith(("_count", "_sum")) and not name.startswith("kube_controller")
    }
    assert unseen == {"registry_proxy_log_lines_dropped"}


def test_each_alert_has_a_time_that_it_fires_and_one_that_it_must_not(monitoring: Path) -> None:
    tested = [
        test["name"]
        for file in sorted(ALERTS.glob("*.test.yaml"))
        for test in yaml.safe_load(file.read_text())["tests"]
    ]
    wanted = {
        f"{rule['alert']} {what}" for _, rule in rules(monitoring) for what in ("fires", "is quiet")
    }

    assert sorted(wanted) == sorted(tested)


@pytest.mark.e2e
@pytest.mark.parametrize("name", sorted(one.name for one in ALERTS.glob("*.test.yaml")))
def test_promtool_agrees(name: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian's prometheus")
    done = run([promtool, "test", "rules", ALERTS / name])

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_promtool_accepts_the_rules(monitoring: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian's prometheus")
    done = run([promtool, "check", "rules", *sorted(monitoring.glob("*.rules.yaml"))])

    assert done.returncode == 0, done.stdout + done.stderr
