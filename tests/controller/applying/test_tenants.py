"""
What a tenant does who writes accounts and Secrets in one namespace: faults K2, K6, K7, K8, K9, K13.

Each test is named after its row.  K1, which is about memory, is in observing/test_paging.py.
"""

import base64
from collections.abc import Callable
from datetime import datetime

import pytest

from regauth.controller.applying.watches import STALE_SECONDS
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own
from tests.controller.listening import Object, Request, StatusError
from tests.controller.sites import MAIN, SECRET, Site, claims, logins

Edit = Callable[[Object], object]
EMPTIED = base64.b64encode(b'{"auths": {}}').decode()
ADDED = base64.b64encode(b'{"auths": {"theirs": {"username": "a", "password": "b"}}}').decode()


@pytest.fixture(autouse=True)
def namespace(api: Api) -> None:
    api.create("namespaces", "team-a")


@pytest.fixture
def site(api: Api, clock: Clock) -> Site:
    return Site(api, clock)


def standing(site: Site) -> dict[str, int]:
    return {state: count for state, count in site.controller.standing.counts() if count}


def forget(one: Object) -> None:
    one.pop("imagePullSecrets", None)


def test_k6_a_fight_over_an_account_is_a_few_writes_and_an_event(
    api: Api, site: Site, clock: Clock
) -> None:
    """It was 396 writes in ten seconds, without an Event and without a metric."""
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    for _ in range(150):
        api.edit("serviceaccounts", "builder", "team-a", forget)
        clock.forward(seconds=4)
        site.settle()

    assert 5 < api.count()["PATCH serviceaccounts"] <= 12
    assert standing(site) == {"undone": 1}
    (event,) = api.all("events")
    assert event["reason"] == "PullSecretUndone"
    assert event["message"].startswith("somebody has changed its lists of secrets back")
    assert event["involvedObject"]["name"] == "builder"


@only_own
def test_k8_an_event_names_the_other_manager_and_never_ourselves(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """Within one second, both have changed the account last: it said that we fight with us."""
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    clock.forward(seconds=5)
    for _ in range(5):
        body = api.get("serviceaccounts", "builder", "team-a")
        assert body is not None
        forget(body)
        api.put("serviceaccounts", "team-a", "builder", body, "argocd-controller")
        site.settle()
        clock.seconds += 5  # what is waited for goes by, and the time of day does not

    (event,) = api.all("events")
    assert event["message"].startswith("argocd-controller has changed its lists of secrets back")


def test_k6_a_fight_over_a_secret_is_a_few_writes_too(api: Api, site: Site, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    for _ in range(150):
        if api.get("secrets", SECRET, "team-a") is not None:
            api.edit("secrets", SECRET, "team-a", emptied)
        clock.forward(seconds=4)
        site.settle()

    assert api.count()["POST serviceaccounts/token"] <= 25
    assert {one["reason"] for one in api.all("events")} == {"PullSecretUndone"}


def test_k6_when_a_fight_is_over_the_account_is_as_it_should_be(
    api: Api, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    for _ in range(100):
        api.edit("serviceaccounts", "builder", "team-a", forget)
        clock.forward(seconds=1)
        site.settle()
    clock.forward(minutes=5)
    site.settle()
    held = api.get("serviceaccounts", "builder", "team-a")

    assert held is not None
    assert held["imagePullSecrets"] == [{"name": SECRET}]
    assert standing(site) == {}


def test_k7_a_quiet_namespace_is_served_before_a_hundredth_of_a_flood(api: Api, site: Site) -> None:
    """The one account of another namespace waited for all two thousand."""
    flood = 300
    api.create("namespaces", "team-z")
    for number in range(flood):
        api.create("serviceaccounts", f"a{number}", "team-a")
    api.create("serviceaccounts", "quiet", "team-z")
    api.seen.clear()
    site.settle()
    done = [one.path.split("/")[4] for one in api.seen if one.what == "PATCH serviceaccounts"]

    assert len(done) == flood + 1
    assert done.index("team-z") < flood / 100


@only_own
@pytest.mark.parametrize("minutes", [45, 600], ids=["due", "expired"])
def test_a_new_account_does_not_wait_for_renewals_of_its_namespace(
    api: ApiServer, site: Site, clock: Clock, minutes: int
) -> None:
    """After a jump of the clock or an outage all are due, or have even expired."""
    for number in range(40):
        api.create("serviceaccounts", f"a{number:02}", "team-a")
    site.settle()
    clock.forward(minutes=minutes)
    api.create("serviceaccounts", "zz-new", "team-a")
    api.seen.clear()
    Site(api, clock).settle()  # another leads since the outage, and has all of them to look at
    issued = [
        one.path.split("/")[6] for one in api.seen if one.what == "POST serviceaccounts/token"
    ]

    assert len(issued) == 41
    assert "zz-new" in issued[:2]


@only_own
def test_k2_a_watch_that_was_not_heard_for_long_is_not_ready(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """It was ready for minutes while it saw nothing; here one kind of three is not heard."""
    watches = site.controller.watches
    for watcher in watches.watchers.values():
        watcher.clock = clock.monotonic
    site.controller.sync()
    ready = [watches.current]
    clock.forward(seconds=STALE_SECONDS)
    ready.append(watches.current)
    for kind in ("namespaces", "serviceaccounts"):
        watches.watchers[kind].list()
    clock.forward(seconds=1)
    ready.append(watches.current)
    watches.watchers["secrets"].list()
    ready.append(watches.current)

    assert ready == [True, True, False, True]
    clock.forward(seconds=90)
    site.measures.watches(watches.ages())
    page = site.measures.page().decode()
    for kind in ("namespaces", "secrets", "serviceaccounts"):
        age = 90.0 if kind == "secrets" else 91.0
        assert f'kube_controller_watch_age_seconds{{kind="{kind}"}} {age}' in page


@only_own
def test_k8_a_quota_that_refuses_is_told_to_the_owner_every_hour_and_counted(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """It was in the log alone, which the owner does not see."""

    def refuse(request: Request) -> None:
        if request.what == "PATCH secrets":
            raise StatusError(403, "Forbidden", "exceeded quota: objects, requested: secrets=1")

    api.create("serviceaccounts", "builder", "team-a")
    api.before = refuse
    site.settle()
    for _ in range(13):
        clock.forward(minutes=10)
        site.settle()

    events = api.all("events")
    assert [one["reason"] for one in events] == ["PullSecretRefused"] * 3
    assert "exceeded quota" in events[0]["message"]
    assert standing(site) == {"refused": 1}


@only_own
def test_k8_a_webhook_that_cannot_be_called_is_told_to_the_owner_when_it_stays_away(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    def fail(request: Request) -> None:
        if request.what == "PATCH secrets":
            raise StatusError(500, "InternalError", 'failed calling webhook "a.example.com"')

    api.create("serviceaccounts", "builder", "team-a")
    api.before = fail
    for _ in range(4):
        site.settle()
        clock.forward(minutes=5)
        assert api.all("events") == []
    site.work()

    (event,) = api.all("events")
    assert event["reason"] == "PullSecretFailed"
    assert "failed calling webhook" in event["message"]
    assert standing(site) == {"failed": 1}


@only_own
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_k8_a_server_that_is_away_or_busy_is_no_event_of_each_account(
    api: ApiServer, site: Site, clock: Clock, status: int
) -> None:
    def fail(request: Request) -> None:
        if request.method != "GET":
            raise StatusError(status, "ServiceUnavailable")

    api.create("serviceaccounts", "builder", "team-a")
    site.controller.sync()
    api.before = fail
    for _ in range(8):
        site.work()
        clock.forward(minutes=5)

    assert not any(one.what == "POST events" for one in api.seen)


@only_own
def test_k8_the_soonest_expiry_and_what_has_expired_are_measured(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """Tokens expired cluster-wide, and no metric moved."""
    for name in ("builder", "deployer"):
        api.create("serviceaccounts", name, "team-a")
    site.settle()
    expiry = clock.timestamp() + 3600

    assert list(site.controller.expiries()) == [expiry, expiry]
    secret = api.get("secrets", SECRET, "team-a")
    assert secret is not None
    said = secret["metadata"]["annotations"]["regauth/expires-at"]
    assert datetime.fromisoformat(said).timestamp() == expiry
    clock.forward(hours=2)
    site.measures.tokens(site.controller.expiries(), clock.timestamp())
    page = dict(line.rsplit(" ", 1) for line in site.measures.page().decode().splitlines())
    assert float(page["kube_controller_expired"]) == 2
    assert float(page["kube_controller_soonest_expiry_timestamp_seconds"]) == expiry


@only_own
def test_k8_a_secret_that_serves_nobody_raises_no_alarm(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """Whoever may write Secrets in one namespace could have all be told that tokens expire."""
    api.create("namespaces", "ending")
    for namespace, name in (("team-a", "builder"), ("team-a", "kept"), ("ending", "builder")):
        api.create("serviceaccounts", name, namespace)
    site.settle()
    ours = api.get("secrets", SECRET, "team-a")
    assert ours is not None
    meta = {"labels": ours["metadata"]["labels"]}
    api.create("secrets", "forged", "team-a", type=ours["type"], data=ours["data"], metadata=meta)
    api.edit("secrets", "kept-pull-secret", "team-a", finalized)
    api.delete("secrets", "team-a", "kept-pull-secret", None)
    api.delete("namespaces", "", "ending", None)
    for _ in range(4):
        clock.forward(minutes=30)
        site.settle()

    assert len(api.all("secrets")) == 4
    (expiry,) = site.controller.expiries()
    assert expiry > clock.timestamp()


@only_own
@pytest.mark.parametrize("ahead", [-36_000, -2400, 2400, 36_000])
def test_k9_a_wrong_clock_is_told_and_tokens_are_renewed_by_the_server_s(
    api: ApiServer, clock: Clock, ahead: int
) -> None:
    """A slow clock renewed tokens after they had expired, and said nothing; a fast one, nothing."""
    told: list[float] = []
    api.now = lambda: clock.timestamp() + ahead
    api.create("serviceaccounts", "builder", "team-a")
    site = Site(api, clock)
    site.server_clock._differs = told.append
    site.settle()
    for _ in range(18):
        clock.forward(minutes=10)
        site.settle()
        (secret,) = api.all("secrets")
        assert claims(logins(secret)[MAIN.host]["password"])["exp"] > api.now()

    assert 4 <= api.count()["POST serviceaccounts/token"] <= 6
    assert {abs(one - ahead) <= 1 for one in told} == {True}
    assert 3 <= len(told) <= 4


def emptied(one: Object) -> None:
    one["data"][".dockerconfigjson"] = EMPTIED


def added_to(one: Object) -> None:
    one["data"][".dockerconfigjson"] = ADDED


def without_owner(one: Object) -> None:
    one["metadata"]["ownerReferences"] = []


def without_labels(one: Object) -> None:
    one["metadata"]["labels"] = {}


def immutable(one: Object) -> None:
    one["immutable"] = True


@pytest.mark.parametrize("edit", [emptied, added_to, without_owner, without_labels])
def test_k13_a_managed_secret_that_was_changed_is_made_anew(
    api: Api, site: Site, edit: Edit
) -> None:
    """It stayed as it was for ever, with a report of a conflict."""
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.edit("secrets", SECRET, "team-a", edit)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    (login,) = logins(secret).values()
    assert claims(login["password"])["kubernetes.io"]["secret"]["uid"] == secret["metadata"]["uid"]
    assert secret["metadata"]["ownerReferences"][0]["name"] == "builder"
    assert standing(site) == {}
    assert api.all("events") == []


@only_own
def test_k13_an_immutable_secret_is_made_anew_when_its_tokens_are_due(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.edit("secrets", SECRET, "team-a", immutable)
    clock.forward(minutes=45)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert claims(logins(secret)[MAIN.host]["password"])["iat"] == int(clock.timestamp())
    assert "immutable" not in secret


def finalized(one: Object) -> None:
    one["metadata"]["finalizers"] = ["example.com/kept"]


def test_k13_a_finalizer_on_a_secret_costs_its_tenant_the_secret_and_nobody_else(
    api: Api, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    api.create("serviceaccounts", "deployer", "team-a")
    site.settle()
    api.edit("secrets", SECRET, "team-a", finalized)
    api.delete("secrets", "team-a", SECRET, None)
    api.seen.clear()
    for _ in range(12):
        clock.forward(minutes=5)
        site.settle()

    assert api.count()["DELETE secrets"] == 0
    assert {one["reason"] for one in api.all("events")} == {"PullSecretStuck"}
    assert standing(site) == {"conflict": 1}, "what waits for somebody is no success"
    api.edit("secrets", SECRET, "team-a", lambda one: one["metadata"].pop("finalizers"))
    clock.forward(minutes=5)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")
    assert secret is not None
    assert list(logins(secret)) == [MAIN.host]


def test_k13_an_emptied_secret_that_a_finalizer_keeps_is_deleted_once(
    api: Api, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.edit("secrets", SECRET, "team-a", lambda one: (emptied(one), finalized(one)))
    api.seen.clear()
    for _ in range(12):
        clock.forward(minutes=5)
        site.settle()

    assert api.count()["DELETE secrets"] == 1
    assert {one["reason"] for one in api.all("events")} == {"PullSecretStuck"}


def test_k14_a_standby_knows_all_and_has_no_queue(api: Api, site: Site) -> None:
    """Its queue grew for as long as it was a standby, and so did the metric."""
    for number in range(5):
        api.create("serviceaccounts", f"a{number}", "team-a")
    site.controller.active = False
    site.controller.sync()
    assert len(site.controller.inventory.accounts()) == 5
    assert site.controller.queue.depth == 0

    site.controller.begin()
    site.work()
    assert len(api.all("secrets")) == 5
