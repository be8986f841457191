"""
What a schema refuses is an error in a suite too: each value and breach that is written down.

The records are those of `tests/engine/issuers/refused`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import coherent
from regauth.policytests.execution.run import SuiteError
from tests.engine.issuers.breaking import put, sets_of
from tests.engine.issuers.test_loosened import recorded
from tests.engine.issuers.test_wrong_values import with_value
from tests.policytests.conftest import Repository

NAMES = [name for name in schemas.claims_names() if name != "generic"]
TIMES = frozenset({"exp", "iat", "nbf", "aud"})
"""Claims that a suite gives each token, so that it is good when it is used."""
MAX_VALUES = 2
"""How many refused values of a claim are tried here; the engine's tests try all."""


def wrong_values(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Yield what is wrong, and the claims of a token with it, and those that it leaves out."""
    schema = known_schema(name)
    paths = {claim.name: path for path, claim in schema.claims.items()}
    for called, about in recorded(name)["claims"].items():
        path = paths[called]
        for value in about.get("refused", [])[:MAX_VALUES]:
            if path[:-1] and schema.claims[path[:-1]].type == "list":
                continue
            whole = with_value(schema, path, [value] if about["type"] == "list" else value)
            yield called, {path[0]: whole[path[0]]}, []


def wrong_relations(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    for called, found in recorded(name)["relations"].items():
        for one in found:
            given = json.loads(json.dumps(sets_of(name)[one["set"]]))
            if "value" in one:
                put(given, tuple(one["claim"]), one["value"])
            else:
                given.pop(one["claim"][0])
            missing = [] if "value" in one else [one["claim"][0]]
            yield called, {key: value for key, value in given.items() if key not in TIMES}, missing


def told(house: Repository, name: str, tokens: list[tuple[dict[str, Any], list[str]]]) -> set[int]:
    """Return which of the tokens are reported as impossible, by their numbers."""
    issuer = coherent(known_schema(name), {}).get("iss", "https://issuer.example.com")
    provider = {"issuer": issuer, "audience": "me", "claims": name}
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"ci": provider},
        "grants": [{"name": "all", "repositories": ["**"], "actions": ["pull"]}],
    }
    house.write("policy/policy.yaml", json.dumps(policy))
    lines = []
    for at, (claims, missing) in enumerate(tokens):
        left_out = {"without": missing} if missing else {}
        lines.append(f"  t{at}: {json.dumps({'profile': name, 'claims': claims, **left_out})}")
    grid = "\n".join(f"      t{at} a A" for at in range(len(tokens)))
    text = "\n".join(["at: 2026-11-01T12:00:00Z", "tokens:", *lines])
    tests = f"tests:\n  - name: grid\n    grid: |\n      token repository pull\n{grid}\n"
    with pytest.raises(SuiteError) as caught:
        house.load(tests, text)
    return {
        one.location.line - 3 for one in caught.value.problems if one.code == "impossible-claim"
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_value_is_an_error_of_the_suite(name: str, house: Repository) -> None:
    wrong = list(wrong_values(name))
    found = told(house, name, [(claims, missing) for _, claims, missing in wrong])
    assert {wrong[at][0] for at in range(len(wrong)) if at not in found} == set()


@pytest.mark.parametrize(
    "name", [name for name in NAMES if any(True for _ in wrong_relations(name))]
)
def test_a_broken_relation_is_an_error_of_the_suite(name: str, house: Repository) -> None:
    wrong = list(wrong_relations(name))
    found = told(house, name, [(claims, missing) for _, claims, missing in wrong])
    assert {wrong[at][0] for at in range(len(wrong)) if at not in found} == set()
