"""Policies with known mistakes are found, and good ones stay silent: `trust_policies.yaml`."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.engine import compile_policy

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    Path(__file__).with_name("trust_policies.yaml").read_text("utf-8")
)
POLICIES = Path(__file__).parents[3] / "policy"


def codes(case: dict[str, Any]) -> list[str]:
    """Return the codes of everything that `check` says of a case's policy."""
    policy = {"version": 1, "services": ["registry.example.com"], **case["policy"]}
    return [one.code for one in compile_policy({"policy.yaml": json.dumps(policy)}).problems]


@pytest.mark.parametrize("case", CASES["bad"] + CASES["written"], ids=lambda case: case["name"])
def test_a_known_mistake_is_found(case: dict[str, Any]) -> None:
    assert set(case["codes"]) <= set(codes(case))


@pytest.mark.parametrize("case", CASES["bad"], ids=lambda case: case["name"])
def test_a_mistake_says_where_its_idea_comes_from(case: dict[str, Any]) -> None:
    assert case["source"].startswith("https://")


@pytest.mark.parametrize("case", CASES["good"], ids=lambda case: case["name"])
def test_a_good_policy_is_silent(case: dict[str, Any]) -> None:
    assert codes(case) == []


@pytest.mark.parametrize(
    "folder", [one for one in sorted(POLICIES.iterdir()) if one.is_dir()], ids=lambda one: one.name
)
def test_a_reference_policy_is_silent(folder: Path) -> None:
    files = {file.name: file.read_text("utf-8") for file in folder.glob("*.yaml")}
    assert compile_policy(files).problems == ()


def test_there_are_enough_of_both() -> None:
    assert len(CASES["bad"]) >= 20
    assert len(CASES["good"]) >= 20
