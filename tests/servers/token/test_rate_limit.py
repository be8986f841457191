"""Rate limits: buckets that fill and empty, and how requests meet them."""

from pathlib import Path

import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import Rate, Rates
from regauth.servers.token.rate_limit import RateLimit
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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(Rate(2, 3), clock)
    first = [limit.take("a") for _ in range(4)]
    clock.now = 0.5
    then = [limit.take("a"), limit.take("a")]

    assert first == [0, 0, 0, 0.5]
    assert then == [0, 0.5]


def test_names_have_buckets_of_their_own() -> None:
    limit = RateLimit(Rate(1, 1), Clock())

    assert [limit.take("a"), limit.take("b"), limit.take("a")] == [0, 0, 1]


def test_looking_takes_nothing() -> None:
    limit = RateLimit(Rate(1, 1), Clock())

    assert [limit.take("a", 0), limit.take("a", 0), limit.take("a"), limit.take("a", 0)] == [
        *(0, 0, 0),
        1,
    ]


def test_the_pods_of_a_large_rollout_may_all_ask_by_default() -> None:
    """All are one subject: 2,000 nodes that pull four images within ten seconds."""
    clock = Clock()
    limit = RateLimit(Rates().identity, clock)
    waits = []
    for number in range(8_000):
        clock.now = number / 800
        waits.append(limit.take("https://kubernetes.default.svc system:serviceaccount:shop:web"))

    assert set(waits) == {0}


def test_a_bucket_never_holds_more_than_the_burst() -> None:
    clock = Clock()
    limit = RateLimit(Rate(1, 2), clock)
    limit.take("a")
    clock.now = 1e6

    assert [limit.take("a") for _ in range(3)] == [0, 0, 1]


def test_no_rate_limits_nothing() -> None:
    assert {RateLimit(None, Clock()).take("a") for _ in range(1000)} == {0}


def test_memory_is_bounded_and_those_in_use_stay_limited() -> None:
    clock = Clock()
    limit = RateLimit(Rate(1, 1), clock, size=10)
    limit.take("busy")
    clock.now = 0.5
    for number in range(9):
        limit.take(f"n{number}")
    clock.now = 1.2  # `busy` is full again, the others are not
    limit.take("one more")

    assert len(limit._buckets) <= 10
    assert limit.take("n8") > 0


def desk(tmp_path: Path, key: PrivateKey, rates: Rates, more: str = "") -> Desk:
    return make_desk(tmp_path, policy_text(pem_keys(key), more), key, rates=rates)


def test_a_client_over_its_rate_is_told_when_to_come_back(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    asked = desk(tmp_path, private_keys["rsa"], Rates(client=Rate(0.1, 2)))
    results = [asked.ask(asked.token()) for _ in range(3)]

    assert [one.status_code for one in results] == [200, 200, 429]
    assert int(results[2].headers["retry-after"]) in range(1, 11)
    assert results[2].json["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert asked.events()[-1]["outcome"] == "limited"


def test_failed_logins_are_counted_apart_and_hold_the_client_up(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    asked = desk(tmp_path, private_keys["rsa"], Rates(failures=Rate(0.1, 2)))
    good = [asked.ask(asked.token()).status_code for _ in range(5)]
    bad = [asked.ask("nonsense").status_code for _ in range(3)]

    assert good == [200] * 5
    assert bad == [401, 401, 429]
    assert asked.ask(asked.token()).status_code == 429


def test_credentials_that_cannot_be_read_are_failed_logins_too(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    asked = desk(tmp_path, private_keys["rsa"], Rates(failures=Rate(0.1, 2)))
    headers = {"Authorization": "Bearer nonsense"}
    bad = [
        asked.client.simulate_get("/auth/token", params={"service": SERVICE}, headers=headers)
        for _ in range(3)
    ]

    assert [one.status_code for one in bad] == [401, 401, 429]


def test_a_provider_that_is_down_makes_no_failed_logins(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text('\n      jwksUri: "http://127.0.0.1:9/keys"')
    rates = Rates(failures=Rate(0.1, 1))
    asked = make_desk(tmp_path, text, private_keys["rsa"], rates=rates)

    assert [asked.ask(asked.token()).status_code for _ in range(3)] == [503] * 3


def test_requests_without_a_login_share_no_identity_s_rate(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    text = policy_text(pem_keys(private_keys["rsa"]), ANONYMOUS)
    rates = Rates(identity=Rate(0.1, 1))
    asked = make_desk(tmp_path, text, private_keys["rsa"], rates=rates)

    assert [asked.ask(None).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("subject", ["repo:acme/other:ref:refs/heads/main"])
def test_an_identity_over_its_rate_does_not_hold_others_up(
    tmp_path: Path, private_keys: dict[str, PrivateKey], subject: str
) -> None:
    asked = desk(tmp_path, private_keys["rsa"], Rates(identity=Rate(0.1, 1)))
    results = [asked.ask(asked.token()), asked.ask(asked.token())]

    assert [one.status_code for one in results] == [200, 429]
    assert asked.ask(asked.token(sub=subject)).status_code == 200


def test_a_client_has_one_rate_for_all_addresses_of_its_ipv6_network(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    rates = Rates(client=Rate(0.1, 2), failures=Rate(0.1, 1))
    asked = desk(tmp_path, private_keys["rsa"], rates)

    def ask(address: str, password: str) -> int:
        return asked.client.simulate_get(
            "/auth/token",
            params={"service": SERVICE},
            headers=basic("github", password),
            remote_addr=address,
        ).status_code

    good = [ask(f"2001:db8::{number}", asked.token()) for number in range(1, 4)]
    bad = [ask(f"2001:db8:0:1::{number}", "nonsense") for number in range(1, 4)]

    assert good == [200, 200, 429]
    assert bad == [401, 429, 429]
    assert ask("2001:db8:0:2::1", asked.token()) == 200


def test_s4_an_identity_over_its_rate_is_stopped_before_anything_is_decided(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    """A request over the rate that would also be too costly is answered by its rate alone."""
    asked = desk(tmp_path, private_keys["rsa"], Rates(identity=Rate(0.1, 1)), COSTLY)
    names = [f"repository:acme/app-{number}:pull,push,delete" for number in range(100)]
    long = "a" * 170

    results = [asked.ask(asked.token(workflow_ref=long), *names) for _ in range(2)]

    assert [one.status_code for one in results] == [403, 429]
    [error] = results[0].json["errors"]
    assert error["code"] == "DENIED"
    assert reason_of(results[0]) == "too-costly"
    assert "fewer scopes" in error["message"]
    assert "token" not in results[0].json
    event = asked.events()[-2]
    assert (event["outcome"], event["reason"], event["provider"]) == (
        "refused",
        "too-costly",
        "github",
    )


COSTLY = (
    "  - name: pairs\n"
    "    when: claims.workflow_ref.split('').exists(x,"
    " claims.workflow_ref.split('').exists(y, x + y == scope.name))\n"
    "    repositories: ['**']\n"
    "    actions: [pull, push, delete]\n"
)
