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


def codes(case: dict[str, Any]) -> list[str]:
    """Return the codes of everything that `check` says of a case's policy."""
    policy = {"version": 1, "services": ["registry.example.com"], **case["policy"]}
    return [one.code for one in compile_policy({"policy.yaml": json.dumps(policy)}).problems]


@pytest.mark.parametrize("case", CASES["bad"], ids=lambda case: case["name"])
def test_a_known_mistake_is_found(case: dict[str, Any]) -> None:
    assert set(case["codes"]) <= set(codes(case))


@pytest.mark.parametrize("case", CASES["good"], ids=lambda case: case["name"])
def test_a_good_policy_is_silent(case: dict[str, Any]) -> None:
    assert codes(case) == []


def test_there_are_enough_of_both() -> None:
    assert min(map(len, CASES.values())) >= 20
