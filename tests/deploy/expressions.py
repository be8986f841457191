"""What the alerts and the dashboard ask Prometheus for: metrics, labels and values of labels."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

OURS: Final = "token_server|registry_proxy|kube_controller"
ADDED: Final = frozenset(("instance", "job"))
"""Labels that Prometheus adds to what it reads."""

_SELECTOR: Final = re.compile(rf"\b((?:{OURS})_[a-z_]+)(?:\{{([^}}]*)\}})?")
_MATCHER: Final = re.compile(r'([a-z_]+)(=|!=)"([^"]*)"')
_BY: Final = re.compile(r"\bby \(([a-z_, ]*)\)")
_TOLD: Final = re.compile(r"\$labels\.([a-z_]+)|\{\{([a-z_]+)\}\}")


@dataclass(frozen=True)
class Asked:
    """One expression, and the texts that name labels of its result."""

    title: str
    expression: str
    texts: tuple[str, ...]

    @property
    def metrics(self) -> set[str]:
        """The metrics of ours that it names."""
        return {name for name, _ in _SELECTOR.findall(self.expression)}

    @property
    def programs(self) -> set[str]:
        """The programs whose metrics it names, by the beginning of their names."""
        return set(re.findall(rf"\b({OURS})_", self.expression))

    @property
    def matchers(self) -> set[tuple[str, str, str]]:
        """Metric, label and value of each matcher for equal values."""
        return {
            (metric, label, value)
            for metric, listed in _SELECTOR.findall(self.expression)
            for label, operator, value in _MATCHER.findall(listed)
            if operator == "="
        }

    @property
    def labels(self) -> set[str]:
        """The labels that it groups, compares or shows, without those that Prometheus adds."""
        grouped = {
            one.strip() for listed in _BY.findall(self.expression) for one in listed.split(",")
        }
        compared = {
            label
            for _, listed in _SELECTOR.findall(self.expression)
            for label, _, _ in _MATCHER.findall(listed)
        }
        told = {one or two for text in self.texts for one, two in _TOLD.findall(text)}
        return (grouped | compared | told) - ADDED


def asked(monitoring: Path) -> Iterator[Asked]:
    """Yield every expression of the alerts and of the dashboard that is about our metrics."""
    for file in sorted(monitoring.glob("*.rules.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                texts = tuple(rule["annotations"].values())
                yield Asked(rule["alert"], rule["expr"], texts)
    for panel in json.loads((monitoring / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield Asked(panel["title"], target["expr"], (target["legendFormat"],))


class Scrape:
    """What a program showed at `/metrics`."""

    def __init__(self, page: str) -> None:
        self.labels: dict[str, set[str]] = {}
        self.values: set[tuple[str, str, str]] = set()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                self.labels.setdefault(sample.name, set()).update(sample.labels)
                self.values |= {(sample.name, *pair) for pair in sample.labels.items()}

    def lacks(self, one: Asked) -> list[str]:
        """Return the metrics, labels and values of an expression that are not in it."""
        absent = [name for name in sorted(one.metrics) if name not in self.labels]
        absent += [
            f"{name}{{{label}}}"
            for name in sorted(one.metrics - set(absent))
            for label in sorted(one.labels - self.labels[name])
        ]
        return absent + [
            f"{name}{{{label}={value!r}}}"
            for name, label, value in sorted(one.matchers - self.values)
        ]
