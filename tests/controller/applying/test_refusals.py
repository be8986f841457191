"""
What a real API server refuses and keeps: faults K8, K9 and K13 where the behaviour is the server's.

The same with hours that go by is in test_tenants.py, against the tests' own API server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_real, wait_for
from tests.controller.kube_apiserver import KubeApiServer
from tests.controller.listening import Object
from tests.controller.sites import MAIN, OTHER, SECRET, Site, claims, logins

QUOTAS = "/api/v1/namespaces/team-a/resourcequotas"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
NO_SECRETS: Object = {
    "metadata": {"name": "none"},
    "spec": {"hard": {"secrets": "0"}},
    "status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}},
}
NOBODY_THERE: Object = {
    "metadata": {"name": "away"},
    "webhooks": [
        {
            "name": "away.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["secrets"],
                }
            ],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 1,
        }
    ],
}


@pytest.fixture(autouse=True)
def namespace(api: Api) -> None:
    api.create("namespaces", "team-a")
    api.create("serviceaccounts", "builder", "team-a")


@contextmanager
def standing(api: KubeApiServer, collection: str, body: Object, says: str) -> Iterator[None]:
    """Have something refuse Secrets until the block ends; it begins when it does."""
    status, made = api.ask("POST", collection, body)
    assert status == 201, made
    place = f"{collection}/{body['metadata']['name']}"
    secret = {"metadata": {"name": "probe"}}

    def said() -> str:
        path = "/api/v1/namespaces/team-a/secrets?dryRun=All"
        return str(api.ask("POST", path, secret)[1].get("message", ""))

    try:
        if "status" in body:  # what the quota controller of a cluster would write
            done = {**made, "status": body["status"]}
            assert api.ask("PUT", f"{place}/status", done)[0] == 200
        wait_for(lambda: says in said(), says)
        yield
    finally:
        assert api.ask("DELETE", place)[0] == 200
        wait_for(lambda: says not in said(), f"no more {says}")


def reasons(api: Api) -> dict[str, str]:
    return {one["reason"]: one["message"] for one in api.all("events")}


@only_real
def test_k8_a_real_quota_is_told_to_the_owner_and_counted(api: KubeApiServer, clock: Clock) -> None:
    site = Site(api, clock)
    with standing(api, QUOTAS, NO_SECRETS, "exceeded quota"):
        site.settle()
        assert dict(site.controller.standing.counts())["refused"] == 1
        assert "exceeded quota: none" in reasons(api)["PullSecretRefused"]
    clock.forward(minutes=6)
    site.settle()

    assert api.get("secrets", SECRET, "team-a") is not None
    assert not any(count for _, count in site.controller.standing.counts())


@only_real
def test_k8_a_real_webhook_that_cannot_be_called_is_told_to_the_owner(
    api: KubeApiServer, clock: Clock
) -> None:
    site = Site(api, clock)
    with standing(api, WEBHOOKS, NOBODY_THERE, "failed calling webhook"):
        for _ in range(4):
            site.settle()
            clock.forward(minutes=5)
            assert reasons(api) == {}
        site.work()
        assert "failed calling webhook" in reasons(api)["PullSecretFailed"]
        assert dict(site.controller.standing.counts())["failed"] == 1


@only_real
@pytest.mark.parametrize("hours", [-10, 10])
def test_k9_a_wrong_clock_is_told_and_a_real_server_s_tokens_are_taken_as_they_are(
    api: KubeApiServer, clock: Clock, hours: int
) -> None:
    """By a fast clock they were due at once, and by a slow one not before they had expired."""
    clock.forward(hours=hours)
    site = Site(api, clock)
    told: list[float] = []
    site.server_clock._differs = told.append
    site.settle()
    site.settle()
    [expiry] = site.controller.expiries()

    assert api.count()["POST serviceaccounts/token"] == 1
    assert [round(one / 3600) for one in told] == [-hours]
    assert abs(site.server_clock.now() - datetime.now(UTC)).total_seconds() < 60
    assert round((expiry - datetime.now(UTC).timestamp()) / 3600) == 1


def test_k13_an_immutable_secret_is_made_anew_when_another_registry_is_wanted(
    api: Api, clock: Clock
) -> None:
    Site(api, clock).settle()
    old = api.edit("secrets", SECRET, "team-a", lambda one: one.update(immutable=True))
    Site(api, clock, MAIN, OTHER).settle()
    new = api.get("secrets", SECRET, "team-a")

    assert new is not None
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert set(logins(new)) == {MAIN.host, OTHER.host}
    said = claims(logins(new)[OTHER.host]["password"])["kubernetes.io"]
    assert said["secret"]["uid"] == new["metadata"]["uid"]
    assert "immutable" not in new
