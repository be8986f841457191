"""Readiness, metrics, the published key set, the decision log, the shadow policy."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regauth import schemas
from regauth.engine.policy.policy import RemoteAccess
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.jwt import parse, verify
from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.servers.http_client.fetching import Bounds, FetchedDocument, FetchError
from regauth.servers.provider_keys.cache import KeyTimes
from regauth.servers.provider_keys.providers import KeyHosting
from regauth.servers.telemetry.decision_log import DecisionLog
from tests.servers.desk import (
    ANONYMOUS,
    NOW,
    SERVICE,
    Desk,
    basic,
    compiled,
    make_desk,
    pem_keys,
    policy_text,
)
from tests.servers.full_disk import no_file_larger_than

DOWN = '\n      jwksUri: "http://127.0.0.1:9/keys"'


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]), ANONYMOUS)
    return make_desk(tmp_path, text, private_keys["rsa"])


@pytest.fixture
def decisions(desk: Desk, tmp_path: Path) -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Give the desk a decision log and return what reads it."""
    file = tmp_path / "decisions.jsonl"
    desk.observer.decisions = DecisionLog(file)
    yield lambda: [json.loads(line) for line in file.read_text().splitlines()]
    desk.observer.decisions.close()


def test_the_published_keys_verify_what_is_issued(desk: Desk) -> None:
    result = desk.client.simulate_get("/.well-known/jwks.json")
    token = parse(desk.ask(desk.token()).json["token"])
    keys = parse_jwks(result.content)

    assert result.headers["content-type"] == "application/jwk-set+json"
    assert result.headers["cache-control"] == "public, max-age=300"
    assert verify(token, keys, ("ES256",)) == token.claims
    assert not {"d", "k", "p", "q"} & set(result.json["keys"][0])


def test_a_server_whose_keys_are_in_its_policy_is_ready(desk: Desk) -> None:
    result = desk.client.simulate_get("/readyz")
    expires = desk.service.state.signer.expires

    assert result.status_code == 200
    assert expires is not None
    assert result.json == {
        "status": "ready",
        "policy": desk.service.state.policy.hash,
        "certificateExpires": expires.isoformat(),
        "providers": {"github": {"usable": True}},
    }


def test_a_server_that_cannot_verify_any_token_is_not_ready_and_says_why(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    desk = make_desk(tmp_path, policy_text(DOWN), private_keys["rsa"])
    desk.ask(desk.token())
    result = desk.client.simulate_get("/readyz")

    assert result.status_code == 503
    assert result.json["status"] == "unavailable"
    assert "connection refused" in result.json["providers"]["github"]["problem"]


def test_every_record_is_of_the_published_form(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]]
) -> None:
    desk.service.state = replace(desk.service.state, shadow=desk.service.state.policy)
    desk.ask(desk.token(), "repository:acme/app:pull,push", "registry:catalog:*", account="x")
    desk.ask(desk.token(repository_owner_id="7"), "repository:acme/app:pull")
    desk.ask("nonsense", client_id="docker")
    desk.ask(None, "repository:public/a:pull")
    validator = Draft202012Validator(schemas.load("decision-log"))

    assert len(decisions()) == 4
    assert [] == [error.message for one in decisions() for error in validator.iter_errors(one)]


def test_a_record_says_who_got_what_by_which_grant(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]]
) -> None:
    result = desk.ask(desk.token(), "repository:acme/app:push", "repository:globex/app:pull")
    record = decisions()[0]

    assert record["provider"] == "github"
    assert record["subject"] == "repo:acme/app:ref:refs/heads/main"
    assert record["policy"] == desk.service.state.policy.hash
    assert record["jti"] == desk.claims(result)["jti"]
    assert record["requestId"] == result.headers["x-request-id"]
    assert isinstance(record["claims"], dict)
    assert record["claims"]["repository"] == "acme/app"
    assert record["accesses"] == [
        {
            "type": "repository",
            "name": "acme/app",
            "action": "push",
            "allowed": True,
            "why": "granted",
            "source": "push-own-repository",
        },
        {
            "type": "repository",
            "name": "globex/app",
            "action": "pull",
            "allowed": False,
            "why": "no-grant",
        },
    ]


def test_a_record_says_who_asked_and_what_the_shadow_policy_says(
    desk: Desk,
    decisions: Callable[[], list[dict[str, object]]],
    private_keys: dict[str, PrivateKey],
) -> None:
    failing = 'denials:\n  - name: frozen\n    when: claims.none == "x"\n    repositories: ["**"]\n'
    failing += "    actions: [pull]\n"
    text = policy_text(pem_keys(private_keys["rsa"])).replace("    claims: github-actions\n", "")
    desk.service.state = replace(desk.service.state, shadow=compiled(text + failing))
    desk.client.simulate_get(
        "/auth/token",
        params={
            "service": SERVICE,
            "scope": "repository:acme/app:pull",
            "account": "someone",
            "client_id": "docker",
        },
        headers={**basic("github", desk.token()), "User-Agent": "docker/28"},
        remote_addr="192.0.2.7",
    )
    desk.service.state = replace(desk.service.state, shadow=None)
    token = desk.token()
    for _ in range(2):
        desk.ask(token)
    first, second, third = decisions()
    said = {"client": "192.0.2.7", "agent": "docker/28", "account": "someone", "clientId": "docker"}
    shadow = first["shadow"]

    assert {name: first.get(name) for name in said} == said
    assert isinstance(shadow, dict)
    assert shadow["accesses"][0]["allowed"] is False
    assert shadow["errors"][0]["source"] == "frozen"
    assert (second.get("reused"), third.get("reused")) == (None, True)
    assert second["jti"] == third["jti"]


def test_claims_can_be_left_out(desk: Desk, tmp_path: Path) -> None:
    desk.observer.decisions = DecisionLog(tmp_path / "d", claims=False)
    desk.ask(desk.token())
    desk.observer.decisions.close()

    assert "claims" not in json.loads((tmp_path / "d").read_text())


def test_no_record_holds_a_token(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]]
) -> None:
    token = desk.token()
    issued = desk.ask(token, account=token[:900], client_id=token[:900]).json["token"]
    written = json.dumps(decisions())

    assert not any(part[:40] in written for part in (*token.split("."), *issued.split(".")))


def test_a_log_that_was_moved_away_is_begun_anew(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]], tmp_path: Path
) -> None:
    desk.ask(desk.token())
    (tmp_path / "decisions.jsonl").rename(tmp_path / "decisions.jsonl.1")
    desk.ask(desk.token())

    assert len(decisions()) == 1
    assert len((tmp_path / "decisions.jsonl.1").read_text().splitlines()) == 1


def test_a_full_disk_stops_no_request_and_is_counted(desk: Desk) -> None:
    desk.observer.decisions = DecisionLog(Path("/dev/full"))
    result = desk.ask(desk.token())
    desk.observer.decisions.close()

    assert result.status_code == 200
    assert desk.observer.decisions.dropped == 1


def test_a_record_that_was_cut_off_spoils_no_other(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]], tmp_path: Path
) -> None:
    desk.ask(desk.token())
    with no_file_larger_than((tmp_path / "decisions.jsonl").stat().st_size + 10):
        desk.ask("nonsense")
    desk.ask(desk.token())
    lines = (tmp_path / "decisions.jsonl").read_text().splitlines()

    assert [len(lines), len(lines[1])] == [3, 10]
    assert json.loads(lines[0])["outcome"] == json.loads(lines[2])["outcome"] == "issued"
    assert desk.observer.decisions is not None
    assert desk.observer.decisions.dropped == 1


def test_a_shadow_policy_decides_beside_the_live_one_and_differences_are_logged(
    desk: Desk, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text(pem_keys(private_keys["rsa"]))
    stricter = compiled(text.replace("actions: [pull, push]", "actions: [push]"))
    desk.service.state = replace(desk.service.state, shadow=stricter)
    result = desk.ask(desk.token(), "repository:acme/app:pull,push", "repository:acme/b:pull")
    same = len([one for one in desk.events() if one["event"] == "shadow-difference"])
    denial = 'denials:\n  - name: frozen\n    repositories: ["acme/app"]\n    actions: [push]\n'
    desk.service.state = replace(desk.service.state, shadow=compiled(text + denial))
    desk.ask(desk.token(), "repository:acme/app:pull,push")
    difference = desk.events()[-1]

    assert result.json["scope"] == "repository:acme/app:pull,push repository:acme/b:pull"
    assert same == 0, "both let it pull, by different grants"
    assert difference["event"] == "shadow-difference"
    assert difference["would_lose"] == ["repository:acme/app:push"]
    assert "would_gain" not in difference

    desk.service.state = replace(
        desk.service.state, policy=compiled(text + denial), shadow=compiled(text)
    )
    desk.ask(desk.token(), "repository:acme/app:pull,push")
    assert desk.events()[-1]["would_gain"] == ["repository:acme/app:push"]


def test_a_login_that_the_shadow_policy_would_refuse_is_a_difference(
    desk: Desk, private_keys: dict[str, PrivateKey]
) -> None:
    other = policy_text(pem_keys(private_keys["rsa"])).replace("1342004", "7")
    desk.service.state = replace(desk.service.state, shadow=compiled(other))
    result = desk.ask(desk.token(), "repository:acme/app:pull")

    assert result.status_code == 200
    assert desk.events()[-1]["login"] == "accepted -> rule:our-organisation"


def test_a_shadow_policy_s_provider_that_hangs_holds_nobody_up(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    answered, fetched = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def fetch(_url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        in_time.append(answered.wait(5))  # five seconds only where the test fails
        fetched.set()
        raise FetchError("too late")

    hosting = KeyHosting(KeyTimes(wait=20), fetch=fetch)
    desk = make_desk(
        tmp_path, policy_text(pem_keys(private_keys["rsa"])), private_keys["rsa"], hosting
    )
    live, shadow = desk.service.state.policy, compiled(policy_text(DOWN))
    desk.keys.serve([(live, tmp_path), (shadow, tmp_path)])
    desk.service.state = replace(desk.service.state, shadow=shadow)
    status = desk.ask(desk.token()).status_code
    answered.set()
    assert fetched.wait(20)

    assert (status, in_time) == (200, [True])
    assert desk.events()[-1]["login"] == "accepted -> provider-unavailable"


def test_logins_are_remembered_beside_a_shadow_policy_too(
    desk: Desk,
    decisions: Callable[[], list[dict[str, object]]],
    private_keys: dict[str, PrivateKey],
) -> None:
    shadow = compiled(policy_text(pem_keys(private_keys["rsa"])))
    desk.service.state = replace(desk.service.state, shadow=shadow)
    token = desk.token()
    desk.ask(token, "repository:acme/app:pull")
    desk.times.append(NOW + timedelta(seconds=7))
    desk.ask(token, "repository:acme/app:push")
    first, second = decisions()

    assert second["checked"] == first["time"]


def test_descriptors_do_not_leak_when_the_log_is_closed(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    log = DecisionLog(tmp_path / "log")
    log.open()
    log.close()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_record_says_what_checking_the_login_again_needs(
    desk: Desk, decisions: Callable[[], list[dict[str, object]]]
) -> None:
    token = desk.token()
    desk.ask(token, "repository:acme/app:pull")
    desk.times.append(NOW + timedelta(seconds=7, microseconds=5))
    desk.ask(token, "repository:acme/app:push", username="<token>")
    desk.ask(desk.token(repository_owner_id="7"), "repository:acme/app:pull")
    desk.ask(desk.token(), "repository:acme/app:pull")
    desk.ask(token, "repository:acme/app:push,pull")
    first, routed, refused, _, remembered = decisions()
    validator = Draft202012Validator(schemas.load("decision-log"))

    assert [] == [error.message for one in decisions() for error in validator.iter_errors(one)]
    assert (first.get("checked"), first.get("routing")) == (None, None)
    assert routed["time"] == "2026-11-01T12:00:07.000005Z"
    assert routed["routing"] == "issuer"
    assert refused["reason"] == "rule:our-organisation"
    assert refused["claims"]["repository_owner_id"] == "7"
    assert remembered["checked"] == first["time"]


def test_what_was_never_verified_leaves_no_claims(
    desk: Desk,
    decisions: Callable[[], list[dict[str, object]]],
    private_keys: dict[str, PrivateKey],
) -> None:
    header, claims, signature = desk.token().split(".")
    stranger = SigningKey(private_keys["rsa-other"], "RS256", "sample")
    desk.issuer, issuer = stranger, desk.issuer
    forged = desk.token()
    desk.issuer = issuer
    for token in (forged, f"{header}.{claims}.{signature[::-1]}", "nonsense"):
        desk.ask(token, "repository:acme/app:pull")

    assert ["refused"] * 3 == [one["outcome"] for one in decisions()]
    assert not any({"claims", "checked", "routing"} & one.keys() for one in decisions())
