"""The metrics: what is counted, and what is told of keys, policy, certificate and logs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regauth.engine.policy.policy import RemoteAccess
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import Rate, Rates
from regauth.servers.http_client.fetching import Bounds, FetchedDocument, FetchError
from regauth.servers.provider_keys.cache import KeyState, KeyTimes
from regauth.servers.provider_keys.providers import KeyHosting
from regauth.servers.telemetry.decision_log import DecisionLog
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from tests.servers.clock import Clock
from tests.servers.desk import NOW, Desk, make_desk, pem_keys, policy_text
from tests.servers.process import PATIENCE

FORM = "application/x-www-form-urlencoded"
DOWN = '\n      jwksUri: "http://127.0.0.1:9/keys"'


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    return make_desk(tmp_path, policy_text(pem_keys(private_keys["rsa"])), private_keys["rsa"])


def test_metrics_count_requests_and_decisions_without_names_of_repositories(desk: Desk) -> None:
    desk.observer.metrics = Metrics()
    desk.observer.metrics.serving(desk.service.state.policy.hash, None)
    desk.ask(desk.token(), "repository:acme/app:pull,push", "repository:globex/app:pull")
    desk.ask(desk.token(repository_owner_id="7"))
    desk.ask("nonsense")
    page = desk.client.simulate_get("/metrics").text

    for line in (
        'token_server_requests_total{outcome="issued",provider="github"} 1.0',
        'token_server_requests_total{outcome="refused",provider="github"} 1.0',
        'token_server_requests_total{outcome="refused",provider=""} 1.0',
        'token_server_refused_requests_total{provider="github",reason="rule:our-organisation"} 1.0',
        'token_server_refused_requests_total{provider="",reason="malformed-token"} 1.0',
        'token_server_decisions_total{source="push-own-repository",why="granted"} 2.0',
        'token_server_decisions_total{source="",why="no-grant"} 1.0',
        'token_server_provider_keys_usable{provider="github"} 1.0',
        f'token_server_policy_info{{hash="{desk.service.state.policy.hash}"}} 1.0',
        "token_server_request_seconds_count 3.0",
    ):
        assert line in page.splitlines()
    assert "acme" not in page


def value(desk: Desk, sample: str) -> float | None:
    """Return what the page of metrics says of a sample, such as `name{label="x"}`."""
    for line in desk.client.simulate_get("/metrics").text.splitlines():
        name, _, number = line.rpartition(" ")
        if name == sample:
            return float(number)
    return None


def test_metrics_tell_every_outcome_apart(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text(pem_keys(private_keys["rsa"]))
    down = text.replace("  github:\n", "  other:\n", 1).partition("providers:\n")[2]
    down = down.partition("grants:\n")[0].replace("sample-issuer", "other-issuer")
    down = down.replace(pem_keys(private_keys["rsa"]), DOWN)
    text = text.replace("grants:\n", f"{down}grants:\n")
    rates = Rates(identity=Rate(0.1, 2))
    desk = make_desk(tmp_path, text, private_keys["rsa"], rates=rates)
    desk.observer.metrics = Metrics()
    token = desk.token()
    for _ in range(2):
        desk.ask(token, "repository:acme/app:pull")
    asked = [
        desk.ask(desk.token(), "repository:acme/app:push"),
        desk.client.simulate_get("/token", query_string="service=a&service=b"),
        desk.client.simulate_post("/token", body="x" * 70_000),
        desk.client.simulate_post("/token", body="grant_type=x", headers={"Content-Type": FORM}),
        desk.client.simulate_get("/token", query_string="x" * 40_000),
        desk.ask("nonsense"),
        desk.ask(desk.token(iss="https://other-issuer.example.com"), username="other"),
    ]
    requests = "token_server_requests_total"

    assert [one.status_code for one in asked] == [429, 400, 413, 404, 414, 401, 503]
    assert value(desk, f'{requests}{{outcome="issued",provider="github"}}') == 2
    assert value(desk, "token_server_reused_answers_total") == 1
    assert value(desk, f'{requests}{{outcome="limited",provider=""}}') == 1
    assert value(desk, f'{requests}{{outcome="bad-request",provider=""}}') == 4
    assert value(desk, f'{requests}{{outcome="refused",provider=""}}') == 1
    assert value(desk, f'{requests}{{outcome="unavailable",provider="other"}}') == 1
    assert (value(desk, "token_server_request_seconds_sum") or 0) > 0


def test_metrics_tell_how_old_keys_are_and_whether_they_can_be_used(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    clock, down = Clock(), [False]

    def fetch(url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        if down[0]:
            raise FetchError("down")
        keys = jwks([(private_keys["rsa"].public_key(), "sample", "RS256")])
        return FetchedDocument(url, json.dumps(keys).encode(), {})

    times = KeyTimes(stale=100)
    hosting = KeyHosting(times, clock=clock, spawn=lambda work: work(), fetch=fetch)
    desk = make_desk(tmp_path, policy_text(DOWN), private_keys["rsa"], hosting)
    desk.observer.metrics = Metrics()
    age, usable = (
        f'token_server_provider_{name}{{provider="github"}}'
        for name in ("key_age_seconds", "keys_usable")
    )
    clock.now += 90
    first = value(desk, age), value(desk, usable), desk.client.simulate_get("/readyz")
    down[0] = True
    clock.now += times.fresh
    second = value(desk, usable), desk.client.simulate_get("/readyz")

    assert first[:2] == (90, 1)
    assert first[2].json["providers"] == {"github": {"usable": True, "age": 90}}
    assert first[2].headers["cache-control"] == "no-store"
    assert (second[0], second[1].status_code) == (0, 503)


def test_what_is_told_of_a_provider_that_is_gone_alarms_nobody() -> None:
    """A label cannot be taken away; of several processes the worst value is shown."""
    metrics = Metrics()
    bad = KeyState(usable=False, age=7.0, problem="down")
    metrics.keys({"gone": bad, "stays": bad})
    metrics.keys({"stays": bad})
    gone = metrics.page().decode().splitlines()
    metrics.keys({"gone": KeyState(usable=False, age=None, problem="not fetched")})
    back = metrics.page().decode().splitlines()
    age, usable = (
        f"token_server_provider_{name}{{provider=%s}} %s"
        for name in ("key_age_seconds", "keys_usable")
    )

    assert {usable % ('"gone"', "1.0"), age % ('"gone"', "0.0")} <= set(gone)
    assert {usable % ('"stays"', "0.0"), age % ('"stays"', "7.0")} <= set(gone)
    assert {usable % ('"gone"', "0.0"), age % ('"gone"', "0.0")} <= set(back)


DEAD = """
import os
from regauth.servers.provider_keys.cache import KeyState
from regauth.servers.telemetry.metrics import Metrics

def tell(usable):
    metrics = Metrics()
    metrics.keys({"ci": KeyState(usable=usable, age=None, problem="")})
    return metrics

pid = os.fork()
if not pid:
    tell(False)
    os._exit(0)
os.waitpid(pid, 0)
print(tell(True).page().decode())
"""


def test_a_process_that_has_ended_is_left_out_whoever_hosts_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAD],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert 'token_server_provider_keys_usable{provider="ci"} 1.0' in done.stdout.splitlines()


def test_metrics_tell_which_policy_and_certificate_are_served(desk: Desk) -> None:
    desk.observer.metrics = Metrics()
    served = [f'token_server_policy_info{{hash="{one}"}}' for one in ("old", "new")]
    expires = "token_server_certificate_expires_timestamp_seconds"
    desk.observer.metrics.serving("old", NOW)
    before = [value(desk, one) for one in (*served, expires)]
    desk.observer.metrics.serving("new", None)

    assert before == [1, None, NOW.timestamp()]
    assert [value(desk, one) for one in (*served, expires)] == [0, 1, 0]


def test_metrics_count_the_lines_that_either_log_lost(desk: Desk) -> None:
    desk.observer.metrics = Metrics()
    with Path("/dev/full").open("wb") as full:
        desk.observer.log = EventLog(descriptor=full.fileno())
        desk.observer.decisions = DecisionLog(Path("/dev/full"))
        desk.ask(desk.token())
        desk.ask("nonsense")
        desk.client.simulate_get("/auth/token")  # which decides nothing
        desk.observer.decisions.close()

        assert value(desk, "token_server_log_lines_dropped") == 5


def test_without_metrics_there_is_no_page(desk: Desk) -> None:
    assert desk.client.simulate_get("/metrics").status_code == 404
