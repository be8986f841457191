"""A controller that looks at the namespaces that its settings name, and has rights there alone."""

import threading

import pytest

from regauth.controller.naming import state_name
from regauth.controller.settings import Memory
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own, wait_for
from tests.controller.listening import Request, StatusError
from tests.controller.sites import SECRET, Site, writes

NAMED = ("team-a", "team-b")
PERMITTED = tuple(f"/api/v1/namespaces/{one}/" for one in NAMED)


@pytest.fixture(autouse=True)
def namespaces(api: Api) -> None:
    for name in (*NAMED, "team-c"):
        api.create("namespaces", name)
        api.create("serviceaccounts", "builder", name)


def outside(api: Api) -> list[str]:
    """Return what was asked that the Roles of the named namespaces do not permit."""
    return [
        f"{one.method} {one.path}"
        for one in api.seen
        if not one.path.startswith(PERMITTED) and one.path != "/openid/v1/jwks"
    ]


@pytest.mark.parametrize("memory", list(Memory))
def test_accounts_of_named_namespaces_are_served_and_nothing_else_is_asked_for(
    api: Api, clock: Clock, memory: Memory
) -> None:
    api.seen.clear()
    site = Site(api, clock, memory=memory, namespaces=NAMED)
    site.settle()

    assert [one["metadata"]["namespace"] for one in api.all("secrets")] == list(NAMED)
    assert outside(api) == []
    api.seen.clear()
    Site(api, clock, memory=memory, namespaces=NAMED).settle()
    assert (writes(api), outside(api)) == ([], [])


@only_own
def test_a_list_of_one_namespace_takes_nothing_from_another(api: Api, clock: Clock) -> None:
    """Each namespace has a list of its own, with a version of its own."""
    site = Site(api, clock, namespaces=NAMED)
    site.settle()
    api.delete("serviceaccounts", "team-b", "builder", None)
    watchers = site.controller.watches.watchers
    for kind in ("secrets", "serviceaccounts"):
        watchers[f"{kind}/team-a"].list()
    known = {key.namespace for key in site.controller.inventory.accounts()}
    assert known == {"team-a", "team-b"}

    for kind in ("secrets", "serviceaccounts"):
        watchers[f"{kind}/team-b"].list()
    site.work()  # the secret of an account that is gone is deleted
    assert {key.namespace for key in site.controller.inventory.accounts()} == {"team-a"}


@only_own
def test_a_store_that_was_restored_is_noticed_in_its_own_namespace(api: Api, clock: Clock) -> None:
    site = Site(api, clock, namespaces=NAMED)
    site.settle()
    known = site.controller.inventory.accounts()
    concerned = site.controller.inventory.replace(
        "serviceaccounts", [], "1", restored=True, namespace="team-a"
    )

    assert {key.namespace for key in concerned} == {"team-a"}
    left = site.controller.inventory
    assert len(known) == 2
    assert left.observed(known[1], None).account is not None


@only_own
def test_the_age_of_a_kind_is_that_of_the_namespace_not_heard_for_the_longest(
    api: Api, clock: Clock
) -> None:
    watches = Site(api, clock, namespaces=NAMED).controller.watches
    for watcher in watches.watchers.values():
        watcher.clock = clock.monotonic
    watches.watchers["secrets/team-b"].list()
    assert watches.ages() == {"secrets": None, "serviceaccounts": None}
    assert not watches.ready
    for name, watcher in watches.watchers.items():
        if name != "secrets/team-b":
            clock.forward(seconds=10)
            watcher.list()

    assert watches.ages() == {"secrets": 30.0, "serviceaccounts": 10.0}
    assert watches.ready
    assert watches.current


@only_own
def test_a_namespace_that_is_refused_leaves_the_others_served(api: Api, clock: Clock) -> None:
    """A Role that is missing in one namespace is told with the namespace, and stops no other."""

    def refuse(request: Request) -> None:
        if "/team-a/" in request.path:
            raise StatusError(403, "Forbidden", "no Role here")

    site = Site(api, clock, namespaces=NAMED)
    api.before = refuse
    threads = []
    for watcher in site.controller.watches.watchers.values():
        watcher.seconds = 1
        threads.append(threading.Thread(target=watcher.run))
        threads[-1].start()
    try:
        wait_for(
            lambda: site.controller.watches.watchers["serviceaccounts/team-b"].listed.is_set(),
            "the list of team-b",
        )
        site.work()
    finally:
        for watcher in site.controller.watches.watchers.values():
            watcher.stop()
        for thread in threads:
            thread.join()
    assert api.get("secrets", SECRET, "team-b") is not None
    assert not site.controller.watches.current


@only_own
def test_state_is_read_in_the_named_namespaces_alone(api: Api, clock: Clock) -> None:
    Site(api, clock, memory=Memory.CONFIG_MAPS).settle()
    api.seen.clear()
    site = Site(api, clock, memory=Memory.CONFIG_MAPS, namespaces=NAMED)
    assert site.controller.book is not None
    loaded = site.controller.book.load()

    assert [namespace for namespace, _ in loaded] == list(NAMED)
    assert api.get("configmaps", state_name("default"), "team-c") is not None
    assert outside(api) == []
