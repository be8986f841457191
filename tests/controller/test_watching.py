"""List and watch, against an API server that speaks HTTP; no thread but the server's."""

import threading
from collections.abc import Callable, Iterator

import pytest
from kubernetes.client import Configuration

from regauth.controller.cluster import ApiError, Cluster, Object
from regauth.controller.watching import Watcher

from .api_server import ApiServer, Request, StatusError


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer(lambda: 0.0)
    server.create("namespaces", "first")
    yield server
    server.close()


class Site:
    """A watcher of namespaces, and what it has told."""

    def __init__(self, api: ApiServer) -> None:
        self.told: list[tuple[str, str]] = []
        self.pauses: list[tuple[int, float]] = []
        self.on_event: Callable[[], None] = lambda: None
        configuration = Configuration()
        configuration.host = api.url
        self.watcher = Watcher(
            Cluster(configuration), "/api/v1/namespaces", {}, self.replaced, self.changed, self.troubled
        )  # fmt: skip

    def replaced(self, found: list[Object], _version: str) -> None:
        self.told.append(("LIST", " ".join(one["metadata"]["name"] for one in found)))

    def changed(self, event: str, found: Object) -> None:
        self.told.append((event, found["metadata"]["name"]))
        self.on_event()

    def troubled(self, error: ApiError, pause: float) -> None:
        self.pauses.append((error.status, pause))
        self.watcher.stop()


@pytest.fixture
def site(api: ApiServer) -> Site:
    return Site(api)


def test_changes_since_the_list_are_told_in_their_order(api: ApiServer, site: Site) -> None:
    site.watcher.list()
    api.create("namespaces", "second")
    api.edit("namespaces", "second", "", lambda one: one["metadata"].update(labels={"a": "b"}))
    api.delete("namespaces", "", "second", None)
    site.on_event = lambda: api.disconnect() if site.told[-1][0] == "DELETED" else None

    assert site.watcher.watch() == 3
    assert site.told == [
        ("LIST", "first"),
        ("ADDED", "second"),
        ("MODIFIED", "second"),
        ("DELETED", "second"),
    ]
    assert str(api.store.version) == site.watcher.version


def test_a_watch_that_ends_goes_on_where_it_was(api: ApiServer, site: Site) -> None:
    site.watcher.list()
    site.on_event = api.disconnect
    for name in ("second", "third"):
        api.create("namespaces", name)
        site.watcher.watch()

    assert site.told == [("LIST", "first"), ("ADDED", "second"), ("ADDED", "third")]
    assert api.count()["GET namespaces"] == 1


def test_a_bookmark_moves_the_version_on_and_is_no_change(api: ApiServer, site: Site) -> None:
    """Without it, what was forgotten in between would cost a new list."""
    site.watcher.list()
    api.bump()
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
    api.create("namespaces", "second")
    site.on_event = api.disconnect
    site.watcher.watch()

    assert events == 1
    assert site.told == [("LIST", "first"), ("ADDED", "second")]


@pytest.mark.parametrize("in_stream", [True, False])
def test_a_version_that_is_gone_is_a_new_list(api: ApiServer, site: Site, in_stream: bool) -> None:
    """The server may say 410 as the answer or, having answered 200, as an event."""
    site.watcher.list()
    if in_stream:
        api.bump()
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
    api: ApiServer, site: Site, failure: Exception, status: int
) -> None:
    def fail(_request: Request) -> None:
        raise failure

    api.before = fail
    site.watcher.run()

    assert site.pauses == [(status, 0.5)]
    assert not site.watcher.listed.is_set()


def test_a_server_that_is_busy_says_when_to_come_again(api: ApiServer, site: Site) -> None:
    def busy(_request: Request) -> None:
        raise StatusError(429, "TooManyRequests", wait=3)

    api.before = busy
    site.watcher.run()

    assert site.pauses == [(429, 3.0)]


def test_it_ends_in_the_middle_of_a_watch_when_told_to(api: ApiServer, site: Site) -> None:
    thread = threading.Thread(target=site.watcher.run)
    thread.start()
    with api.changed:
        while not api.watches:
            api.changed.wait(60)
    site.watcher.stop()
    thread.join(60)

    assert not thread.is_alive()
    assert site.pauses == []
