"""`policytest why --request`: a decision of a log, then and now."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from regauth.policytests.cli import main
from tests.policytests.replay.test_replay import Production, production

__all__ = ["production"]


def why(site: Production, request: str, *words: str | Path) -> tuple[int, str, str]:
    code = main(["why", "--request", request, *map(str, words)])
    output = site.capture.readouterr()
    return code, output.out, output.err


def allowed(record: dict[str, Any]) -> set[str]:
    return {
        f"{one['type']}{'(' + one['class'] + ')' if one.get('class') else ''}"
        f":{one['name']}:{one['action']}"
        for one in record.get("accesses", ())
        if one["allowed"]
    }


def test_every_request_is_explained_as_it_was_decided(production: Production) -> None:
    policy = production.folder / "policy"
    for record in production.records():
        code, told, errors = why(
            production, record["requestId"], production.log, "--policy", policy
        )
        then, _, now = told.partition("\nNOW, by the same policy, as of then:\n")

        assert (code, errors) == (0, "")
        assert then.startswith(f"{production.log}:")
        assert f"THEN, by the policy {record['policy']}" in then
        if record["outcome"] == "refused":
            known = f"REFUSED {record['reason']}" in now or "before its claims" in now
            assert known, told
            assert f"the login is refused: {record['reason']}" in then
        else:
            granted = {
                line.strip().partition(": ALLOWED")[0]
                for line in now.splitlines()
                if ": ALLOWED" in line
            }
            assert granted == allowed(record), told


def test_another_policy_says_what_it_decides_now(production: Production) -> None:
    changed = production.changed(("repositories: [acme/frozen]", "repositories: [acme/app]"))
    first = production.records()[0]
    code, told, _ = why(production, first["requestId"], production.log, "--policy", changed)

    assert code == 0
    assert "  repository:acme/app:push: allowed by `push-own-repository`" in told
    assert "  repository:acme/app:push: REFUSED by the denial frozen" in told
    assert "NOW, by sha256:" in told


def test_every_line_with_the_id_is_shown_of_all_logs(
    production: Production, tmp_path: Path
) -> None:
    lines = production.log.read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines]
    for record in records[:3]:
        record["requestId"] = "the-same"
    packed = tmp_path / "rotated"
    packed.write_bytes(gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in records)))
    torn = tmp_path / "torn.jsonl"
    torn.write_text('{"requestId": "the-same", "ver')
    words = (packed, production.log, torn, "--policy", production.folder / "policy")
    code, told, _ = why(production, "the-same", *words)

    assert code == 0
    assert told.count("THEN, by") == 3
    assert f"{torn}:1: it has the id and is no decision record" in told


def test_a_log_without_claims_shows_then_and_says_why_not_now(production: Production) -> None:
    records = production.records()
    first = {name: value for name, value in records[0].items() if name != "claims"}
    production.log.write_text(json.dumps(first) + "\n")
    changed = production.changed()
    code, told, _ = why(production, first["requestId"], production.log, "--policy", changed)

    assert code == 0
    assert "allowed by `push-own-repository`" in told
    assert "it is not decided again: it the log was written without claims" not in told
    assert "not decided again: the log was written without claims" in told


@pytest.mark.parametrize(
    ("request_id", "said"),
    [("nothing-like-it", "no line of"), ("a b", "is not the id of a request")],
)
def test_an_id_that_no_line_has_is_said(production: Production, request_id: str, said: str) -> None:
    policy = production.folder / "policy"
    code, told, errors = why(production, request_id, production.log, "--policy", policy)

    assert (code, told) == (4, "")
    assert said in errors


def test_a_question_without_logs_or_scopes_is_a_usage_error(production: Production) -> None:
    policy = ("--policy", production.folder / "policy")
    nowhere = why(production, "some-id", production.folder / "missing", *policy)
    code = main(["why", "main"])

    assert nowhere[0] == 4
    assert "No such file" in nowhere[2]
    assert code == 4
    assert "SCOPES" in production.capture.readouterr().err


def test_what_could_not_be_read_of_a_log_is_said(production: Production, tmp_path: Path) -> None:
    first = production.records()[0]["requestId"]
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(production.log.read_bytes())[:-40])
    words = ("--policy", production.folder / "policy")
    found = why(production, first, torn, production.log, *words)
    missed = why(production, "nothing-like-it", torn, *words)

    assert found[0] == 0
    assert "\nnot read, so more may have the id:\n" in found[1]
    assert found[1].splitlines()[-1].startswith(f"{torn}:")
    assert (missed[0], missed[1]) == (4, "")
    assert "no line of" in missed[2]
    assert "the rest of the file cannot be read" in missed[2]
