"""One provider's keys over time: fresh, stale, failing, rotated."""

import threading
from collections.abc import Callable

import pytest

from regauth.engine.decisions.exchange import KeysUnavailable
from regauth.engine.tokens.keys import Key, KeySet, PrivateKey
from regauth.servers.http_client.fetching import FetchError
from regauth.servers.provider_keys.cache import KeyTimes, RemoteKeys
from regauth.servers.provider_keys.documents import FetchedKeys
from tests.servers.clock import Clock


class Publisher:
    """Publishes keys, or fails; counts how often it was asked."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys
        self.max_age: int | None = None
        self.down = False
        self.fetches = 0

    def load(self) -> FetchedKeys:
        self.fetches += 1
        if self.down:
            raise FetchError("connection refused")
        return FetchedKeys(self.keys, self.max_age)


@pytest.fixture
def key_sets(private_keys: dict[str, PrivateKey]) -> tuple[KeySet, KeySet]:
    first = KeySet((Key(private_keys["rsa"].public_key(), ("RS256",), "one"),))
    return first, KeySet((Key(private_keys["rsa-other"].public_key(), ("RS256",), "two"),))


@pytest.fixture
def publisher(key_sets: tuple[KeySet, KeySet]) -> Publisher:
    return Publisher(key_sets[0])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(publisher: Publisher, clock: Clock) -> RemoteKeys:
    """A cache that fetches at once, in the caller's thread."""
    return RemoteKeys("idp", publisher.load, KeyTimes(), clock, spawn=lambda work: work())


def test_keys_are_fetched_once_and_then_served_from_memory(
    cache: RemoteKeys, publisher: Publisher, clock: Clock
) -> None:
    answers = []
    for _ in range(3):
        answers.append(cache.current())
        clock.now += 100

    assert [publisher.keys] * 3 == answers
    assert publisher.fetches == 1


def test_keys_are_fetched_again_before_they_stop_being_fresh(
    cache: RemoteKeys, publisher: Publisher, clock: Clock, key_sets: tuple[KeySet, KeySet]
) -> None:
    cache.current()
    publisher.keys = key_sets[1]
    clock.now += KeyTimes().fresh * 0.81
    cache.refresh_if_due()

    assert cache.current() == key_sets[1]
    assert publisher.fetches == 2


def test_nothing_is_due_while_keys_are_young(
    cache: RemoteKeys, publisher: Publisher, clock: Clock
) -> None:
    cache.current()
    clock.now += KeyTimes().fresh * 0.5
    cache.refresh_if_due()

    assert publisher.fetches == 1


@pytest.mark.parametrize(
    ("max_age", "good_for"),
    [(0, KeyTimes().min_fresh), (300, 300), (10**9, KeyTimes().max_fresh)],
)
def test_the_publisher_says_how_long_keys_are_fresh_within_bounds(
    cache: RemoteKeys, publisher: Publisher, clock: Clock, max_age: int, good_for: float
) -> None:
    publisher.max_age = max_age
    cache.current()
    clock.now += good_for * 0.69
    cache.refresh_if_due()
    early = publisher.fetches
    clock.now += good_for * 0.12
    cache.refresh_if_due()

    assert (early, publisher.fetches) == (1, 2)


def test_the_last_keys_serve_while_the_provider_is_down_and_not_for_ever(
    cache: RemoteKeys, publisher: Publisher, clock: Clock
) -> None:
    cache.current()
    publisher.down = True
    clock.now += KeyTimes().stale - 1
    during = cache.current()
    clock.now += 2
    after = cache.current()

    assert during == publisher.keys
    assert after == KeysUnavailable("connection refused")
    assert not cache.state().usable


def test_a_provider_that_was_never_reached_is_unavailable_and_says_why(
    cache: RemoteKeys, publisher: Publisher
) -> None:
    publisher.down = True

    assert cache.current() == KeysUnavailable("connection refused")
    assert (cache.state().usable, cache.state().age) == (False, None)


def test_attempts_grow_rarer_while_the_provider_is_down(
    cache: RemoteKeys, publisher: Publisher, clock: Clock
) -> None:
    publisher.down = True
    attempts = []
    for second in range(300):
        before = publisher.fetches
        cache.current()
        if publisher.fetches > before:
            attempts.append(second)
        clock.now += 1

    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_logins_work_again_as_soon_as_the_provider_does(
    cache: RemoteKeys, publisher: Publisher, clock: Clock
) -> None:
    publisher.down = True
    cache.current()
    publisher.down = False
    clock.now += KeyTimes().first_retry

    assert cache.current() == publisher.keys
    assert cache.state().problem == ""


def test_an_unknown_key_id_fetches_at_most_once_in_a_minute(
    cache: RemoteKeys, publisher: Publisher, clock: Clock, key_sets: tuple[KeySet, KeySet]
) -> None:
    cache.current()
    publisher.keys = key_sets[1]
    rotated = cache.current(unknown_kid=True)
    for _ in range(59):
        clock.now += 1
        cache.current(unknown_kid=True)
    within = publisher.fetches
    clock.now += 1
    cache.current(unknown_kid=True)

    assert rotated == key_sets[1]
    assert (within, publisher.fetches) == (2, 3)


def test_many_requests_at_once_make_for_one_fetch_and_all_get_its_keys(
    publisher: Publisher,
) -> None:
    release = threading.Event()

    def load() -> FetchedKeys:
        assert release.wait(10)
        return publisher.load()

    cache = RemoteKeys("idp", load, KeyTimes(wait=10), clock=lambda: 1000.0)
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(cache.current())) for _ in range(20)]
    for thread in threads:
        thread.start()
    release.set()
    for thread in threads:
        thread.join(10)

    assert [publisher.keys] * 20 == answers
    assert publisher.fetches == 1


def test_a_slow_provider_holds_a_request_up_for_the_wait_and_no_longer() -> None:
    never = threading.Event()

    def load() -> FetchedKeys:
        never.wait(10)
        raise FetchError("too late")

    cache = RemoteKeys("idp", load, KeyTimes(wait=0.01), clock=lambda: 1000.0)
    answer = cache.current()
    never.set()

    assert answer == KeysUnavailable("its keys have not arrived yet")


def test_a_provider_that_keeps_failing_holds_nobody_up_for_long(clock: Clock) -> None:
    never = threading.Event()
    failures = [FetchError("connection refused")]

    def load() -> FetchedKeys:
        if failures:
            raise failures.pop()
        never.wait(10)
        raise FetchError("too late")

    cache = RemoteKeys("idp", load, KeyTimes(wait=60, wait_failing=0.01), clock)
    first = cache.current()
    clock.now += KeyTimes().first_retry
    second = cache.current()
    never.set()

    assert first == second == KeysUnavailable("connection refused")


def test_warm_requests_do_not_wait_for_a_refresh_that_hangs(
    publisher: Publisher, clock: Clock
) -> None:
    started: list[Callable[[], None]] = []
    cache = RemoteKeys("idp", publisher.load, KeyTimes(), clock, spawn=started.append)
    cache.refresh_if_due()
    started.pop()()
    clock.now += KeyTimes().fresh * 0.9
    answer = cache.current()

    assert answer == publisher.keys
    assert (len(started), publisher.fetches) == (1, 1)


def test_an_unexpected_failure_is_a_failed_fetch_and_not_the_end_of_fetching(
    publisher: Publisher, clock: Clock
) -> None:
    failures = [RuntimeError("surprise")]

    def load() -> FetchedKeys:
        if failures:
            raise failures.pop()
        return publisher.load()

    cache = RemoteKeys("idp", load, KeyTimes(), clock, spawn=lambda work: work())
    first = cache.current()
    clock.now += 1

    assert first == KeysUnavailable("unexpected RuntimeError")
    assert cache.current() == publisher.keys


SLOW = 5.0
"""Seconds that only a test which fails waits."""


def test_nobody_waits_for_a_fetch_that_has_had_its_time(publisher: Publisher, clock: Clock) -> None:
    started: list[Callable[[], None]] = []
    times = KeyTimes(wait=4 * SLOW)
    cache = RemoteKeys("idp", publisher.load, times, clock, spawn=started.append)
    cache.refresh_if_due()
    clock.now += times.wait
    arriving = threading.Timer(SLOW, started[0])
    arriving.start()
    answer = cache.current()
    arriving.cancel()

    assert answer == KeysUnavailable("its keys have not arrived yet")


def test_while_the_provider_is_down_nobody_waits_for_it(
    publisher: Publisher, clock: Clock, key_sets: tuple[KeySet, KeySet]
) -> None:
    started: list[Callable[[], None]] = []
    times = KeyTimes(wait=4 * SLOW)
    cache = RemoteKeys("idp", publisher.load, times, clock, spawn=started.append)
    for down in (False, True):
        publisher.down = down
        cache.refresh_if_due()
        started.pop()()
        clock.now += times.fresh
    publisher.down, publisher.keys = False, key_sets[1]
    cache.refresh_if_due()
    arriving = threading.Timer(SLOW, started[0])
    arriving.start()
    answer = cache.current()
    arriving.cancel()

    assert answer == key_sets[0]


def test_keys_that_are_no_longer_fresh_are_not_used_while_the_provider_is_up(
    publisher: Publisher, clock: Clock, key_sets: tuple[KeySet, KeySet]
) -> None:
    """A process that stood still for an hour must not accept what was taken back meanwhile."""
    slowly = threading.Event()

    def load() -> FetchedKeys:
        slowly.wait(0.2)
        return publisher.load()

    cache = RemoteKeys("idp", load, KeyTimes(wait=4 * SLOW), clock)
    first = cache.current()
    publisher.keys = key_sets[1]
    clock.now += KeyTimes().fresh

    assert (first, cache.current()) == key_sets


def test_an_unknown_key_id_that_waits_for_a_refresh_has_its_own_fetch_left(
    publisher: Publisher, clock: Clock
) -> None:
    started: list[Callable[[], None]] = []
    times = KeyTimes(wait=0.01)
    cache = RemoteKeys("idp", publisher.load, times, clock, spawn=started.append)
    cache.refresh_if_due()
    cache.current(unknown_kid=True)
    assert len(started) == 1
    started.pop()()
    cache.current(unknown_kid=True)

    assert len(started) == 1
