"""Tokens that a grant shortens: what is signed, announced, kept and written down."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.telemetry.decision_log import DecisionLog
from tests.servers.desk import NOW, Desk, make_desk, pem_keys, policy_text

SCOPE = "repository:acme/app:pull,push"


@pytest.fixture
def make(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Callable[[str], Desk]:
    def desk(lifetime: str) -> Desk:
        text = policy_text(pem_keys(private_keys["rsa"])).replace(
            "    actions: [pull, push]\n",
            f"    actions: [pull, push]\n    tokenLifetime: {lifetime}\n",
        )
        return make_desk(tmp_path, text, private_keys["rsa"])

    return desk


def validity(desk: Desk, *scopes: str) -> tuple[int, int]:
    result = desk.ask(desk.token(), *scopes)
    issued = int(desk.times[-1].timestamp())
    return result.json["expires_in"], desk.claims(result)["exp"] - issued


def test_a_grant_shortens_what_is_signed_and_announced(make: Callable[[str], Desk]) -> None:
    desk = make("2m")

    assert validity(desk, SCOPE) == (120, 120)
    assert validity(desk, "repository:acme/other:pull") == (300, 300)
    # The whole organisation may pull, without a limit: of an access the longest holds.
    assert validity(desk, "repository:acme/app:pull") == (300, 300)
    assert validity(desk, "repository:acme/other:pull", SCOPE) == (120, 120)


def test_a_grant_never_lengthens(make: Callable[[str], Desk]) -> None:
    assert validity(make("1h"), SCOPE) == (300, 300)


def test_a_token_is_given_again_with_what_is_left_of_its_own(make: Callable[[str], Desk]) -> None:
    desk = make("63s")
    token = desk.token()
    first = desk.ask(token, SCOPE)
    desk.times.append(NOW + timedelta(seconds=2))
    second = desk.ask(token, SCOPE)
    desk.times.append(NOW + timedelta(seconds=4))  # 59 seconds would be left
    third = desk.ask(token, SCOPE)

    assert first.json["token"] == second.json["token"] != third.json["token"]
    assert [one.json["expires_in"] for one in (first, second, third)] == [63, 61, 63]


def test_the_shortest_token_is_never_given_again(make: Callable[[str], Desk]) -> None:
    desk = make("60s")
    token = desk.token()

    assert desk.ask(token, SCOPE).json["token"] != desk.ask(token, SCOPE).json["token"]
    other = "repository:acme/other:pull"
    assert desk.ask(token, other).json["token"] == desk.ask(token, other).json["token"]


def test_the_record_says_both_lifetimes(make: Callable[[str], Desk], tmp_path: Path) -> None:
    desk = make("2m")
    desk.observer.decisions = DecisionLog(tmp_path / "decisions.jsonl")
    validity(desk, SCOPE)
    validity(desk, "repository:acme/other:pull")
    desk.observer.decisions.close()
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]

    assert [(one["lifetime"], one["maxLifetime"]) for one in records] == [(120, 300), (300, 300)]
