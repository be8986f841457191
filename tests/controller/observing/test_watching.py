"""List and watch, against an API server that speaks HTTP; no thread but the server's."""

import base64
import threading
from collections.abc import Callable, Iterator

import pytest

from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster, Object
from regauth.controller.observing.watching import MAX_PAUSE, Watcher
from tests.controller.api_server import ApiServer
from tests.controller.conftest import Api, connection, only_own
from tests.controller.listening import Request, StatusError, Watch

KIND = "kubernetes.io/dockerconfigjson"
CONTENT = {".dockerconfigjson": base64.b64encode(b'{"auths": {}}').decode()}


class Site:
    """A watcher of pull secrets, and what it has told."""

    def __init__(self, api: Api) -> None:
        self.told: list[tuple[str, str]] = []
        self.versions: list[str] = []
        self.pauses: list[tuple[int, float]] = []
        self.restored: list[bool] = []
        self.on_event: Callable[[], None] = lambda: None
        self.watcher = Watcher(
            Cluster(connection(api)), "/api/v1/secrets", {"fieldSelector": f"type={KIND}"},
            lambda one: one, self.replaced, self.changed, self.troubled,
        )  # fmt: skip
        self.watcher.jitter = lambda: 0.0

    def replaced(self, found: list[Object], version: str, restored: bool) -> None:
        self.restored.append(restored)
        self.told.append(("LIST", " ".join(one["metadata"]["name"] for one in found)))
        self.versions.append(version)

    def changed(self, event: str, found: Object) -> None:
        self.told.append((event, found["metadata"]["name"]))
        self.versions.append(found["metadata"]["resourceVersion"])
        self.on_event()

    def troubled(self, error: ApiError, pause: float) -> None:
        self.pauses.append((error.status, pause))
        self.watcher.stop()


@pytest.fixture
def site(api: Api) -> Site:
    api.create("namespaces", "team-a")
    secret(api, "first")
    return Site(api)


def secret(api: Api, name: str, kind: str = KIND) -> Object:
    return api.create("secrets", name, "team-a", type=kind, data=CONTENT)


def test_changes_since_the_list_are_told_in_their_order(api: Api, site: Site) -> None:
    site.watcher.list()
    secret(api, "other", "Opaque")
    secret(api, "second")
    labels = {"a": "b"}
    api.edit("secrets", "second", "team-a", lambda one: one["metadata"].update(labels=labels))
    api.delete("secrets", "team-a", "second", None)
    site.on_event = lambda: api.disconnect() if site.told[-1][0] == "DELETED" else None

    assert site.watcher.watch() == 3
    assert site.told == [
        ("LIST", "first"),
        ("ADDED", "second"),
        ("MODIFIED", "second"),
        ("DELETED", "second"),
    ]
    assert [int(one) for one in site.versions] == sorted({int(one) for one in site.versions})
    assert site.watcher.version == site.versions[-1]


def test_a_watch_that_ends_goes_on_where_it_was(api: Api, site: Site) -> None:
    site.watcher.list()
    site.on_event = api.disconnect
    for name in ("second", "third"):
        secret(api, name)
        site.watcher.watch()

    assert site.told == [("LIST", "first"), ("ADDED", "second"), ("ADDED", "third")]
    assert api.count()["GET secrets"] == 1


@only_own
def test_a_bookmark_moves_the_version_on_and_is_no_change(api: ApiServer, site: Site) -> None:
    """Without it, what was forgotten in between would cost a new list."""
    site.watcher.list()
    secret(api, "other", "Opaque")
    ready = threading.Event()

    def bookmark() -> None:
        with api.changed:
            while not api.watches:
                api.changed.wait(60)
            api.bookmark()
            api.disconnect()
        ready.set()

    thread = threading.Thread(target=bookmark)
    thread.start()
    events = site.watcher.watch()
    thread.join()
    api.compact()
    secret(api, "second")
    site.on_event = api.disconnect
    site.watcher.watch()

    assert events == 1
    assert site.told == [("LIST", "first"), ("ADDED", "second")]


def test_the_server_ends_a_watch_in_time_and_tells_before_how_far_it_has_come(
    api: Api, site: Site
) -> None:
    """What the selector leaves out moves the version on as well."""
    site.watcher.list()
    made: list[Object] = []

    def meanwhile() -> None:
        with api.changed:
            while not api.watches:
                api.changed.wait(60)
        made.append(secret(api, "other", "Opaque"))

    thread = threading.Thread(target=meanwhile)
    thread.start()
    site.watcher.seconds = 3
    site.watcher.watch()
    thread.join()

    assert site.told == [("LIST", "first")]
    assert int(made[0]["metadata"]["resourceVersion"]) <= int(site.watcher.version)


def run_until(api: Api, site: Site, watches: int) -> list[float]:
    """Run until there have been so many watches; return the pauses between them."""
    pauses: list[float] = []
    site.watcher.wait = pauses.append

    def stop(_request: Request) -> None:
        if api.count()["WATCH secrets"] > watches:
            site.watcher.stop()

    api.before = stop
    site.watcher.run()
    return pauses[: watches - 1]


def test_where_nothing_happens_one_watch_follows_another(api: Api, site: Site) -> None:
    site.watcher.seconds = 1

    assert run_until(api, site, 4) == []
    assert site.pauses == []


@only_own
def test_a_server_that_ends_every_watch_at_once_is_asked_less_and_less(
    api: ApiServer, site: Site
) -> None:
    events = api.events

    def ended(watch: Watch, bookmarks: bool) -> Iterator[Object]:
        watch.ended = True
        return events(watch, bookmarks)

    api.events = ended

    assert run_until(api, site, 4) == [1.0, 2.0, 4.0]


def ending_after(api: ApiServer, site: Site, seconds: float) -> None:
    """Have every watch end without an event after so many seconds of the watcher's clock."""
    events = api.events
    clock = [0.0]
    site.watcher.clock = lambda: clock[0]

    def ended(watch: Watch, bookmarks: bool) -> Iterator[Object]:
        clock[0] += seconds
        watch.ended = True
        return events(watch, bookmarks)

    api.events = ended


@only_own
def test_k2_a_proxy_that_cuts_every_watch_after_a_while_costs_no_pause(
    api: ApiServer, site: Site
) -> None:
    ending_after(api, site, 8.0)

    assert run_until(api, site, 6) == []


@only_own
def test_k2_no_pause_is_longer_than_its_bound(api: ApiServer, site: Site) -> None:
    ending_after(api, site, 0.0)

    assert run_until(api, site, 9) == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]


@only_own
def test_k2_pauses_are_spread(api: ApiServer, site: Site) -> None:
    ending_after(api, site, 0.0)
    site.watcher.jitter = iter([0.0, 0.5, 1.0, 0.2]).__next__

    assert run_until(api, site, 4) == pytest.approx([1.0, 1.5, 2.0])


def test_k2_a_version_that_is_gone_is_listed_anew_at_once(api: Api, site: Site) -> None:
    """After an outage of the API, 410 is how every watch begins: waiting would be blindness."""
    site.watcher.list()
    waits: list[float] = []
    site.watcher.wait = waits.append

    def gone(request: Request) -> None:
        if "watch" in request.query and api.count()["WATCH secrets"] == 1:
            raise StatusError(410, "Expired")
        if api.count()["WATCH secrets"] > 1:
            site.watcher.stop()

    api.before = gone
    told: list[tuple[int, float]] = []
    site.watcher._troubled = lambda error, pause: told.append((error.status, pause))
    site.watcher.run()

    assert (told, waits) == ([(410, 0.0)], [])
    assert api.count()["GET secrets"] == 2


def test_k2_a_server_that_knows_no_version_is_asked_less_and_less(api: Api, site: Site) -> None:
    waits: list[float] = []
    site.watcher.wait = waits.append

    def gone(request: Request) -> None:
        if api.count()["WATCH secrets"] > 4:
            site.watcher.stop()
        if "watch" in request.query:
            raise StatusError(410, "Expired")

    api.before = gone
    site.watcher._troubled = lambda _error, _pause: None
    site.watcher.run()

    assert waits == [1.0, 2.0, 4.0]


def test_k2_a_server_that_is_back_and_refuses_for_a_moment_is_asked_again_soon(
    api: Api, site: Site
) -> None:
    """It has not read the roles yet; the pause of the outage before would be blindness."""
    waits: list[float] = []
    site.watcher.wait = waits.append
    answers = [*[503] * 5, *[403] * 3]

    def answer(_request: Request) -> None:
        status = answers.pop(0)
        if not answers:
            site.watcher.stop()
        raise StatusError(status, "No")

    api.before = answer
    site.watcher._troubled = lambda _error, _pause: None
    site.watcher.run()

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 0.5, 0.5]


@only_own
def test_k2_the_age_of_what_is_known_grows_until_the_server_is_heard(
    api: ApiServer, site: Site
) -> None:
    clock = [100.0]
    site.watcher.clock = lambda: clock[0]
    ages = [site.watcher.age]
    site.watcher.list()
    clock[0] += 50
    ages.append(site.watcher.age)
    secret(api, "second")
    site.on_event = api.disconnect
    site.watcher.watch()
    ages.append(site.watcher.age)

    assert ages == [None, 50.0, 0.0]


@only_own
def test_k12_a_quiet_watch_at_a_version_of_the_future_is_noticed(
    api: ApiServer, site: Site
) -> None:
    """A restored etcd counts on from an older version and sends nothing until it caught up."""
    api.bump()
    site.watcher.list()
    with api.changed:
        api.store.version -= 1
    ending_after(api, site, 240.0)
    run_until(api, site, 2)

    assert site.restored == [False, True]
    assert int(site.watcher.version) == api.store.version


@only_own
@pytest.mark.parametrize("restored", [True, False])
def test_k12_after_an_outage_a_store_that_was_restored_is_noticed_at_once(
    api: ApiServer, site: Site, restored: bool
) -> None:
    """A watch at a version of the future says nothing for minutes, and nobody is served."""
    api.bump()
    site.watcher.list()
    site.watcher.wait = lambda _seconds: None
    left = [2]

    def away(request: Request) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise ConnectionAbortedError
        if "watch" in request.query:
            site.watcher.stop()

    with api.changed:
        api.store.version -= restored
    api.before = away
    site.watcher._troubled = lambda _error, _pause: None
    site.watcher.run()

    assert site.restored == [False, True][: 1 + restored]
    assert int(site.watcher.version) == api.store.version


@only_own
def test_k12_an_event_of_an_older_version_is_a_new_list(api: ApiServer, site: Site) -> None:
    site.watcher.list()
    secret(api, "second")
    site.watcher._highest += 10
    site.on_event = site.watcher.stop
    site.watcher._troubled = lambda _error, _pause: site.watcher.stop()
    site.watcher.run()

    assert site.told == [("LIST", "first")]
    assert site.watcher.version == ""


@pytest.mark.parametrize("in_stream", [True, False])
def test_a_version_that_is_gone_is_a_new_list(api: Api, site: Site, in_stream: bool) -> None:
    """The server may say 410 as the answer or, having answered 200, as an event."""
    site.watcher.list()
    if in_stream:
        secret(api, "second")
        api.compact()
    else:

        def gone(request: Request) -> None:
            if "watch" in request.query:
                raise StatusError(410, "Expired")

        api.before = gone
    site.watcher.run()

    assert [status for status, _ in site.pauses] == [410]
    assert site.watcher.version == ""


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (StatusError(500, "InternalError"), 500),
        (StatusError(403, "Forbidden"), 403),
        (ConnectionAbortedError(), 0),
    ],
)
def test_a_list_that_fails_is_tried_again_later(
    api: Api, site: Site, failure: Exception, status: int
) -> None:
    def fail(_request: Request) -> None:
        raise failure

    api.before = fail
    site.watcher.run()

    assert site.pauses == [(status, 0.5)]
    assert not site.watcher.listed.is_set()


def test_a_server_that_is_busy_says_when_to_come_again(api: Api, site: Site) -> None:
    def busy(_request: Request) -> None:
        raise StatusError(429, "TooManyRequests", wait=3)

    api.before = busy
    site.watcher.run()

    assert site.pauses == [(429, 3.0)]


def test_nobody_makes_it_wait_for_long(api: Api, site: Site) -> None:
    """A proxy that asks for an hour would make it blind for an hour."""

    def away(_request: Request) -> None:
        raise StatusError(503, "ServiceUnavailable", wait=3600)

    api.before = away
    site.watcher.run()

    assert site.pauses == [(503, MAX_PAUSE)]


def test_it_ends_in_the_middle_of_a_watch_when_told_to(api: Api, site: Site) -> None:
    thread = threading.Thread(target=site.watcher.run)
    thread.start()
    with api.changed:
        while not api.watches:
            api.changed.wait(60)
    site.watcher.stop()
    thread.join(60)

    assert not thread.is_alive()
    assert site.pauses == []
