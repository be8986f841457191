"""Who waits, who is served next, and who is told to come again."""

import pytest

from regauth.servers.fair_queue import (
    LEVELS,
    MAX_NAMES,
    MAX_OVERTAKEN,
    MAX_PRIVILEGED,
    MAX_PRIVILEGES,
    WINDOW,
    FairQueue,
    WaitBounds,
    wait_bounds,
)
from tests.servers.clock import Clock

BOUNDS = WaitBounds(seconds=2.0, requests=10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> FairQueue[str]:
    return FairQueue(BOUNDS, clock)


def served(queue: FairQueue[str]) -> list[str]:
    """Take out everything, in its order."""
    found = []
    while (item := queue.next()) is not None:
        found.append(item)
    return found


def test_without_bounds_the_order_is_that_of_arrival_and_nobody_is_refused(clock: Clock) -> None:
    queue: FairQueue[int] = FairQueue(None, clock)
    for number in range(1000):
        assert not queue.refuses("a")
        queue.add("a", number)
    clock.now += 3600

    assert not queue.refuses("a")
    assert queue.overtaken() == []
    assert [queue.next() for _ in range(1001)] == [*range(1000), None]
    assert wait_bounds(None) is None
    assert wait_bounds(3.0) == WaitBounds(3.0)


def test_so_many_wait_and_the_next_is_refused(queue: FairQueue[str]) -> None:
    for number in range(10):
        assert not queue.refuses(f"client {number}")
        queue.add(f"client {number}", str(number))

    assert queue.refuses("client 10")
    assert queue.next() == "0"
    assert not queue.refuses("client 10")


def test_an_old_head_refuses_whoever_would_stand_behind_it(
    queue: FairQueue[str], clock: Clock
) -> None:
    queue.add("a", "first")
    clock.now += BOUNDS.seconds
    at_the_bound = queue.refuses("b")
    clock.now += 0.001

    assert not at_the_bound
    assert queue.refuses("b")
    assert queue.oldest() == pytest.approx(BOUNDS.seconds + 0.001)
    served(queue)
    assert not queue.refuses("b")
    assert queue.oldest() == 0


def test_who_got_least_is_served_first(queue: FairQueue[str]) -> None:
    for number in range(5):
        queue.add("greedy", f"greedy {number}")
    queue.add("modest", "modest 0")

    order = served(queue)
    assert order.index("modest 0") < order.index("greedy 2")
    assert [one for one in order if one.startswith("greedy")] == [
        f"greedy {number}" for number in range(5)
    ]


def test_a_client_with_all_places_shuts_nobody_out(queue: FairQueue[str]) -> None:
    for number in range(10):
        queue.add("greedy", f"greedy {number}")
    gave_way = [queue.add(f"modest {number}", f"modest {number}") for number in range(5)]

    assert queue.refuses("greedy")
    assert not queue.refuses("new")
    assert gave_way == [f"greedy {number}" for number in (9, 8, 7, 6, 5)]
    assert len(queue) == 10


def test_nobody_gives_way_to_an_equal(queue: FairQueue[str]) -> None:
    for number in range(10):
        queue.add(f"client {number}", str(number))

    assert queue.refuses("another")
    assert queue.add("another", "kept anyway") is None


def test_who_may_not_displace_only_waits(queue: FairQueue[str]) -> None:
    for number in range(10):
        queue.add("greedy", str(number))

    assert queue.add("modest", "modest", may_displace=False) is None
    assert len(queue) == 11


def test_many_old_ones_of_a_greedy_client_do_not_refuse_others(
    queue: FairQueue[str], clock: Clock
) -> None:
    for number in range(8):
        queue.add("greedy", str(number))
    served_first = queue.next()
    clock.now += BOUNDS.seconds + 1

    assert served_first == "0"
    assert queue.refuses("greedy")
    queue.next()  # the second of the greedy client's, which nobody had to share with
    assert not queue.refuses("modest")


def test_who_is_overtaken_for_too_long_is_given_up(queue: FairQueue[str], clock: Clock) -> None:
    queue.add("a", "a")
    queue.add("a", "b")
    clock.now += MAX_OVERTAKEN * BOUNDS.seconds
    not_yet = queue.overtaken()
    clock.now += 0.001

    assert not_yet == []
    assert queue.overtaken() == ["a", "b"]
    assert len(queue) == 0


def test_what_a_client_got_is_forgotten(queue: FairQueue[str], clock: Clock) -> None:
    for number in range(10):
        queue.add("greedy", str(number))
    full = queue.refuses("greedy"), queue.refuses("modest")
    served(queue)
    clock.now += 2 * WINDOW
    for number in range(9):
        queue.add(f"client {number}", str(number))

    assert full == (True, False)
    assert not queue.refuses("greedy")
    assert queue.add("greedy", "x") is None
    assert queue.add("other", "y") is None, "they are equals again"


def test_addresses_without_end_take_bounded_memory(queue: FairQueue[str]) -> None:
    queue.add("first", "first")
    for number in range(3 * MAX_NAMES):
        queue.add(f"client {number}", "x")
        queue.next()

    assert len(queue._got) + len(queue._got_before) <= 2 * MAX_NAMES


def test_levels_end(queue: FairQueue[str]) -> None:
    queue.add("x", "x")
    queue._got["greedy"] = 2 ** (LEVELS + 10)

    assert queue.add("greedy", "y") is None
    assert served(queue) == ["x", "y"]


def test_the_privileged_come_first_within_their_bounds(queue: FairQueue[str]) -> None:
    queue.add("a", "ordinary")
    admitted = [queue.add_privileged("probe", str(one)) for one in range(MAX_PRIVILEGED + 1)]
    first = queue.next_privileged()

    assert admitted == [True] * MAX_PRIVILEGED + [False]
    assert first == "0"
    assert served(queue)[-1] == "ordinary"
    assert queue.next_privileged() is None


def test_a_client_has_few_privileged_requests_and_others_have_theirs(
    queue: FairQueue[str], clock: Clock
) -> None:
    def ask(client: str) -> bool:
        admitted = queue.add_privileged(client, client)
        served(queue)
        return admitted

    flood = [ask("flood") for _ in range(MAX_PRIVILEGES + 1)]

    assert flood == [True] * MAX_PRIVILEGES + [False]
    assert ask("probe")
    clock.now += WINDOW
    assert ask("flood")
