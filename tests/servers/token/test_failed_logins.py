"""Logins that fail: they cost no more than those that succeed, and each is counted."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import falcon.testing
import pytest

from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.token.login_cache import LoginCache
from tests.servers.desk import SERVICE, Desk, basic, make_desk, pem_keys, policy_text

SCOPES = ("repository:acme/app:pull,push",)


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"]))
    made = make_desk(tmp_path, text, private_keys["rsa"], answer_cache=0.0)
    made.observer.metrics = Metrics()
    made.service._logins = LoginCache(made.keys, seconds=0)
    return made


@dataclass(frozen=True)
class Login:
    """What is sent; made beforehand, because making a token is no cost of the server."""

    password: str | None
    scopes: tuple[str, ...] = SCOPES
    username: str = "github"
    service: str = SERVICE

    def send(self, desk: Desk) -> falcon.testing.Result:
        headers = {} if self.password is None else basic(self.username, self.password)
        params = {"service": self.service, "scope": list(self.scopes)}
        return desk.client.simulate_get(
            "/auth/token", params=params, params_csv=False, headers=headers
        )


def forged(desk: Desk) -> str:
    head, payload, _ = desk.token().split(".")
    return f"{head}.{payload}.{desk.token(ref='refs/heads/else').split('.')[2]}"


def by_another(desk: Desk, key: PrivateKey, kid: str | None) -> str:
    ours, desk.issuer = desk.issuer, SigningKey(key, "RS256", kid)
    token = desk.token()
    desk.issuer = ours
    return token


MANY: Mapping[str, object] = {f"claim{number}": number for number in range(300)}
FAILING: Mapping[str, Callable[[Desk, PrivateKey], Login]] = {
    "nonsense": lambda _desk, _key: Login("nonsense"),
    "no credentials": lambda _desk, _key: Login(None),
    "too large": lambda _desk, _key: Login("eyJ" + "A" * 20_000),
    "nested deeply": lambda desk, _key: Login(desk.token(deep=nested(200))),
    "many claims": lambda desk, _key: Login(desk.token(aud="else", **MANY)),
    "forged": lambda desk, _key: Login(forged(desk)),
    "by another's key": lambda desk, key: Login(by_another(desk, key, "sample")),
    "without a key id": lambda desk, key: Login(by_another(desk, key, None)),
    "for another audience": lambda desk, _key: Login(desk.token(aud="else")),
    "expired": lambda desk, _key: Login(desk.token(exp=1)),
    "against a rule": lambda desk, _key: Login(desk.token(repository_owner_id="7")),
    "of nobody known": lambda desk, _key: Login(desk.token(iss="https://x"), username="x"),
    "for another service": lambda desk, _key: Login(desk.token(), service="else"),
}


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def calls(work: Callable[[], object]) -> int:
    """Return how many functions the work calls: its cost, the same on every machine."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


LARGE = ("many claims", "nested deeply")
"""Reading a token costs by its size; these are compared with a good one of such a size."""

HUNDRED = tuple(f"repository:acme/a{number}:pull,push,delete" for number in range(100))


@pytest.mark.parametrize("scopes", [SCOPES, HUNDRED], ids=["one scope", "a hundred scopes"])
@pytest.mark.parametrize("kind", FAILING)
def test_a_login_that_fails_costs_no_more_than_one_that_succeeds(
    desk: Desk, private_keys: dict[str, PrivateKey], kind: str, scopes: tuple[str, ...]
) -> None:
    good = Login(desk.token(**(MANY if kind in LARGE else {})), scopes)
    bad = replace(FAILING[kind](desk, private_keys["rsa-other"]), scopes=scopes)
    assert (good.send(desk).status_code, bad.send(desk).status_code) == (200, 401)
    # Sent once before, because the first time fills what is kept for ever.
    assert calls(lambda: bad.send(desk)) <= calls(lambda: good.send(desk))


@pytest.mark.parametrize("kind", FAILING)
def test_a_login_that_fails_is_counted(
    desk: Desk, private_keys: dict[str, PrivateKey], kind: str
) -> None:
    bad = FAILING[kind](desk, private_keys["rsa-other"])
    for _ in range(3):
        bad.send(desk)
    page = desk.client.simulate_get("/metrics").text
    counted = [
        float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line.startswith('token_server_requests_total{outcome="refused"')
    ]

    assert sum(counted) == 3
