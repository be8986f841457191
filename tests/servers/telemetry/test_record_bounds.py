"""S5: what a stranger sends does not make a decision record of any size."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest

from regauth import schemas
from regauth.engine.tokens.keys import PrivateKey
from regauth.policytests.replay.records import read_record
from regauth.servers.telemetry.decision_log import DecisionLog
from regauth.servers.telemetry.record_bounds import (
    MAX_ERRORS,
    MAX_MALFORMED,
    MAX_MALFORMED_LENGTH,
    MAX_RECORD,
    MIN_ACCESSES,
)
from tests.servers.desk import SERVICE, basic, compiled, make_desk, pem_keys, policy_text


def grants(number: int, condition: str) -> str:
    return "".join(
        f"  - name: g{one}\n"
        f"    when: {condition}\n"
        "    repositories: ['**']\n"
        "    actions: [pull, push, delete]\n"
        for one in range(number)
    )


def record_of(
    folder: Path, key: PrivateKey, policy: str, scopes: list[str]
) -> tuple[dict[str, Any], int, int]:
    """Return the record of one request, its bytes and those that were sent."""
    desk = make_desk(folder, policy_text(pem_keys(key), policy), key)
    log = folder / "decisions.jsonl"
    desk.observer.decisions = DecisionLog(log)
    form = urlencode({"service": SERVICE, "grant_type": "password", "scope": scopes}, doseq=True)
    token = desk.token(environment="production")
    result = desk.client.simulate_post(
        "/auth/token",
        body=form,
        headers={**basic("github", token), "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert result.status_code == 200, result.text
    line = log.read_bytes()
    record = json.loads(line)
    jsonschema.validate(record, schemas.load("decision-log"))
    return record, len(line), len(form) + len(token)


SCOPES = [f"repository:a{number}:pull,push,delete" for number in range(100)]


def test_s5_an_error_that_is_the_same_for_every_access_stands_in_the_record_once(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    policy = grants(40, "int(claims.environment) > 1")
    record, written, sent = record_of(tmp_path, private_keys["rsa"], policy, SCOPES)

    assert [one["source"] for one in record["errors"]] == [f"g{one}" for one in range(40)]
    assert len(record["accesses"]) == 300
    assert not any("errors" in one for one in record["accesses"])
    assert "cut" not in record
    assert written < 15 * sent


def test_s5_errors_have_a_bound_and_a_replay_decides_without_them(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    policy = grants(40, "int(claims.environment + scope.name) > 1")
    record, written, sent = record_of(tmp_path, private_keys["rsa"], policy, SCOPES)
    errors = [error for one in record["accesses"] for error in one.get("errors", [])]

    assert len(errors) == MAX_ERRORS
    assert record["cut"] == ["errors"]
    assert len(record["accesses"]) == 300
    assert written < 15 * sent
    assert not read_record(json.dumps(record).encode()).cut


def test_s5_a_record_that_is_too_long_is_cut_and_says_so(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    actions = ",".join("abcdefghijklmnopqrst")
    scopes = [f"repository:{number:02}{'é' * 500}:{actions}" for number in range(15)]
    policy = grants(3, "int(claims.environment) > 1")
    record, written, _ = record_of(tmp_path, private_keys["rsa"], policy, scopes)

    assert written <= MAX_RECORD
    assert record["cut"] == ["accesses", "asked", "errors"]
    assert len(record["accesses"]) == len(record["asked"]) == MIN_ACCESSES
    assert record["claims"]["environment"] == "production"
    assert read_record(json.dumps(record).encode()).cut


def test_scope_from_challenge_what_was_left_out_is_in_the_record_and_bounded(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    scopes = ["repository::pull", "\x1b[31m" + "é" * 500, *["x"] * 90, "repository:a:pull"]
    record, _, _ = record_of(tmp_path, private_keys["rsa"], grants(1, "'true'"), scopes)

    assert record["asked"] == ["repository:a:pull"]
    assert record["malformed"][0] == "repository::pull"
    assert len(record["malformed"]) == MAX_MALFORMED
    assert max(map(len, record["malformed"])) == MAX_MALFORMED_LENGTH
    assert read_record(json.dumps(record).encode()).asked == ("repository:a:pull",)


@pytest.mark.parametrize("cut", ["errors", None, [1], {}])
def test_s5_a_record_whose_cut_is_no_list_is_none(
    tmp_path: Path, private_keys: dict[str, PrivateKey], cut: object
) -> None:
    record, _, _ = record_of(tmp_path, private_keys["rsa"], grants(1, "'true'"), SCOPES[:1])

    with pytest.raises(ValueError, match="`cut` is not a list"):
        read_record(json.dumps({**record, "cut": cut}).encode())


def test_s5_what_a_shadow_policy_would_have_said_is_bounded_too(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    key = private_keys["rsa"]
    failing = grants(40, "int(claims.environment + scope.name) > 1")
    desk = make_desk(tmp_path, policy_text(pem_keys(key), failing), key)
    shadow = compiled(policy_text(pem_keys(key), failing))
    state = desk.service.state
    desk.service.state = type(state)(state.policy, state.signer, shadow)
    log = tmp_path / "decisions.jsonl"
    desk.observer.decisions = DecisionLog(log)
    assert desk.ask(desk.token(environment="x"), *SCOPES).status_code == 200
    record = json.loads(log.read_bytes())

    jsonschema.validate(record, schemas.load("decision-log"))
    assert record["cut"] == record["shadow"]["cut"] == ["errors"]
    assert len(log.read_bytes()) <= MAX_RECORD
