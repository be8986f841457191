"""`/auth/why`: what a caller learns about its own token, and from whom it is kept."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import falcon.testing
import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import Rate, Rates
from regauth.servers.telemetry.metrics import Metrics
from tests.servers.desk import (
    ANONYMOUS,
    SERVICE,
    Desk,
    basic,
    make_desk,
    pem_keys,
    policy_text,
    reason_of,
)

pytestmark = pytest.mark.usefixtures("each_host")

PUSH = "repository:acme/app:push"
BRANCH = {"ref": "refs/heads/feature"}
DENIAL = """
denials:
  - name: release-freeze
    repositories: ["acme/app", "other/**"]
    actions: [push]
"""
HIDDEN = """  - name: production
    when: claims.environment == "production"
    repositories: ["acme/app", "prod/**"]
    actions: [pull, push, delete]
"""


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    return stand(tmp_path, private_keys, HIDDEN)


def stand(
    folder: Path, private_keys: dict[str, PrivateKey], more: str = "", **settings: object
) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]), more)
    return make_desk(folder, text, private_keys["rsa"], **settings)


def why(desk: Desk, token: str | None, *scopes: str, **form: str) -> falcon.testing.Result:
    headers = {} if token is None else basic("github", token)
    return desk.client.simulate_post(
        "/auth/why",
        headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
        body=urlencode({"service": SERVICE, "scope": " ".join(scopes), **form}),
    )


def test_a_job_reads_which_of_its_claims_stood_against_which_grant(desk: Desk) -> None:
    result = why(desk, desk.token(**BRANCH), PUSH)

    assert result.status_code == 200
    assert result.headers["cache-control"] == "no-store"
    assert result.json == {
        "login": "accepted",
        "provider": "github",
        "subject": "repo:acme/app:ref:refs/heads/main",
        "accesses": [
            {
                "access": PUSH,
                "allowed": False,
                "why": "no-grant",
                "nearest": [
                    {
                        "grant": "push-own-repository",
                        "read": [
                            {"claim": "ref", "yours": "refs/heads/feature", "satisfied": False},
                            {"claim": "repository", "yours": "acme/app", "satisfied": True},
                        ],
                    },
                    {
                        "grant": "pull-own-organisation",
                        "read": [{"claim": "repository_owner", "yours": "acme", "satisfied": True}],
                    },
                ],
            }
        ],
        "requestId": result.headers["x-request-id"],
    }
    assert "refs/heads/main" not in result.text.replace(result.json["subject"], "")


def test_an_allowed_access_says_that_and_no_more(desk: Desk) -> None:
    [access] = why(desk, desk.token(), PUSH).json["accesses"]

    assert access == {"access": PUSH, "allowed": True, "why": "granted"}


def test_a_grant_that_the_caller_does_not_know_of_is_not_told(desk: Desk) -> None:
    named = why(desk, desk.token(**BRANCH), "repository:prod/app:pull", PUSH, "repository:no:pull")
    first, _, third = named.json["accesses"]

    assert "production" not in named.text
    assert "environment" not in named.text
    assert {**first, "access": ""} == {**third, "access": ""}
    assert third == {
        "access": "repository:no:pull",
        "allowed": False,
        "why": "no-grant",
        "nearest": [],
    }


def test_a_denial_is_said_where_a_grant_would_allow_and_is_never_named(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    desk = stand(tmp_path, private_keys, DENIAL)
    result = why(desk, desk.token(), PUSH, "repository:other/app:push")
    whys = [(one["why"], one["nearest"]) for one in result.json["accesses"]]

    assert whys == [("denied", []), ("no-grant", [])]
    assert "freeze" not in result.text


def test_the_level_conditions_publishes_the_policy(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    desk = stand(tmp_path, private_keys, HIDDEN + DENIAL, explain="conditions")
    result = why(desk, desk.token(**BRANCH), "repository:acme/app:delete", PUSH)
    deleting, pushing = result.json["accesses"]

    assert pushing["why"], pushing["denial"] == ("denied", "release-freeze")
    assert deleting["nearest"] == [
        {
            "grant": "production",
            "read": [{"claim": "environment", "satisfied": False}],
            "parts": [{"condition": 'claims.environment == "production"', "satisfied": False}],
        }
    ]


def test_off_is_as_if_there_were_no_such_path(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    desk = stand(tmp_path, private_keys, explain="off")
    nowhere = desk.client.simulate_post("/nowhere")
    result = why(desk, desk.token(), PUSH)

    assert (result.status_code, nowhere.status_code) == (404, 404)
    assert result.json["errors"][0]["message"] == nowhere.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"aud": "https://other.example.com"}, "wrong-audience"),
        ({"repository_owner_id": "2"}, "rule:our-organisation"),
    ],
)
def test_a_refused_login_says_what_the_token_endpoint_says(
    desk: Desk, changes: dict[str, Any], reason: str
) -> None:
    token = desk.token(**changes)
    asked, told = desk.ask(token, PUSH), why(desk, token, PUSH)
    errors = [one.json["errors"][0] for one in (asked, told)]

    assert (told.status_code, reason_of(told)) == (401, reason)
    assert reason_of(asked) == reason
    assert errors[0]["message"] == errors[1]["message"]
    assert told.headers["www-authenticate"] == asked.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "github"}, 200),
        ({"grant_type": "refresh_token"}, 200),
        ({"username": "github"}, 200),
        ({"grant_type": "authorization_code"}, 404),
    ],
)
def test_it_takes_the_forms_of_the_token_endpoint(
    desk: Desk, form: dict[str, str], status: int
) -> None:
    field = "refresh_token" if form.get("grant_type") == "refresh_token" else "password"
    result = why(desk, None, PUSH, **form, **{field: desk.token()})

    assert result.status_code == status


def test_nobody_in_particular_is_told_of_no_grant(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    desk = stand(tmp_path, private_keys, ANONYMOUS)
    result = why(desk, None, "repository:public/app:pull", PUSH)

    assert (result.json["login"], result.json["subject"]) == ("anonymous", "")
    assert [one["why"] for one in result.json["accesses"]] == ["granted", "no-grant"]
    assert result.json["accesses"][1]["nearest"] == []


def test_it_gives_no_token_and_keeps_nothing(desk: Desk) -> None:
    token = desk.token()
    result = why(desk, token, PUSH, access_type="offline")
    logins = desk.service._logins._entries

    assert "token" not in result.json
    assert len(logins) == len(desk.service._anew._entries) == 0


def test_questions_and_token_requests_count_against_one_limit(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    rates = Rates(identity=Rate(0.01, 2), failures=Rate(0.01, 1))
    desk = stand(tmp_path, private_keys, rates=rates)
    token = desk.token()
    statuses = [
        desk.ask(token, PUSH).status_code,
        *(why(desk, token, PUSH).status_code for _ in "ab"),
    ]
    failed = [why(desk, "nonsense", PUSH).status_code, desk.ask("nonsense", PUSH).status_code]

    assert statuses == [200, 200, 429]
    assert failed == [401, 429]


def test_a_question_is_logged_and_counted_without_the_token(
    tmp_path: Path, private_keys: dict[str, PrivateKey], each_host: str
) -> None:
    desk = stand(tmp_path, private_keys)
    desk.observer.metrics = Metrics()
    token = desk.token(**BRANCH)
    result = why(desk, token, PUSH)
    why(desk, "nonsense", PUSH)
    answered, refused = desk.events()

    assert answered | {"time": "", "milliseconds": 0, "agent": ""} == {
        "event": "why",
        "level": "info",
        "time": "",
        "agent": "",
        "milliseconds": 0,
        "outcome": "answered",
        "status": 200,
        "provider": "github",
        "service": SERVICE,
        "subject": "repo:acme/app:ref:refs/heads/main",
        "told": [f"{PUSH} no-grant"],
        "grants": ["pull-own-organisation", "push-own-repository"],
        "request_id": result.json["requestId"],
        **({} if each_host == "memory" else {"client": "127.0.0.1"}),
    }
    assert (refused["event"], refused["outcome"]) == ("why", "refused")
    assert refused["reason"] == "malformed-token"
    assert token.split(".")[1] not in desk.log.read_text()
    page = desk.observer.metrics.page().decode()
    assert 'token_server_why_requests_total{outcome="answered"} 1.0' in page
    assert 'token_server_why_requests_total{outcome="refused"} 1.0' in page
    assert "token_server_requests_total{" not in page


def test_a_form_that_is_none_is_told_so(desk: Desk) -> None:
    result = desk.client.simulate_post(
        "/auth/why", body="{}", headers=basic("github", desk.token())
    )
    missing = why(desk, desk.token(), PUSH, service="")

    assert (result.status_code, reason_of(result)) == (400, "bad-request")
    assert (missing.status_code, reason_of(missing)) == (400, "bad-request")
    assert desk.client.simulate_get("/auth/why").status_code == 405
