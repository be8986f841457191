"""The work queue and the throttle, with a clock that is moved by hand."""

import threading

import pytest

from regauth.controller.applying.work_queue import Throttle, Urgency, WorkQueue
from regauth.controller.back_off import LONGEST_PAUSE, back_off
from regauth.controller.observing.observed import AccountKey
from tests.controller.clocks import Clock

A, B = AccountKey("n", "a"), AccountKey("n", "b")


def queue(urgency: dict[AccountKey, Urgency] | None = None) -> tuple[WorkQueue, Clock]:
    """Return a queue whose keys are as urgent as `urgency` says at the moment."""
    clock = Clock()
    known = {} if urgency is None else urgency
    return WorkQueue(clock.monotonic, lambda key: known.get(key, Urgency.GOOD)), clock


def keys(*names: str) -> list[AccountKey]:
    return [AccountKey("team-a", name) for name in names]


def test_a_key_waits_once_and_keys_keep_their_order() -> None:
    work, _ = queue()
    for key in (A, B, A):
        work.add(key)

    assert (A, B, None) == (work.take(), work.take(), work.take())


def test_a_key_that_is_worked_on_is_not_given_to_another_and_comes_again_afterwards() -> None:
    work, _ = queue()
    work.add(A)
    work.take()
    work.add(A)

    assert work.take() is None
    work.done(A)
    assert work.take() == A
    work.done(A)
    assert work.take() is None


def test_a_key_for_later_comes_then_and_only_its_last_time_counts() -> None:
    work, clock = queue()
    work.add_in(A, 10)
    work.add_in(A, 20)
    clock.forward(seconds=19)

    assert work.take() is None
    clock.forward(seconds=1)
    assert work.take() == A
    work.done(A)
    clock.forward(seconds=100)
    assert work.take() is None


def test_failures_double_the_pause_up_to_a_bound_and_success_forgets_them() -> None:
    work, _ = queue()

    assert [work.retry(A) for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert work.retry(A, at_least=60) == 60
    assert (work.failing, back_off(1000)) == (1, 300.0)
    work.succeeded(A)
    assert (work.failing, work.retry(A)) == (0, 0.5)


def test_a_success_takes_back_the_retry() -> None:
    work, clock = queue()
    work.retry(A)
    work.succeeded(A)
    clock.forward(seconds=1)

    assert work.take() is None


def test_who_failed_because_the_server_was_away_is_looked_at_when_it_is_back() -> None:
    """And then again soon: its first answers may be errors too."""
    work, _ = queue()
    for _ in range(12):
        work.retry(A, away=True)
    work.retry(B)
    work.hurry()

    assert (work.take(), work.take()) == (A, None)
    assert (work.failing, work.retry(A, away=True)) == (2, 0.5)


def test_who_was_refused_or_has_succeeded_since_does_not_hurry() -> None:
    work, _ = queue()
    for key in (A, B):
        work.retry(key, away=True)
    work.retry(A)
    work.succeeded(B)
    work.hurry()

    assert work.take() is None


@pytest.mark.parametrize("away", [True, False], ids=["away", "refused"])
def test_an_urgent_key_that_failed_comes_before_renewals_again(away: bool) -> None:
    """A new account of which an outage kept the first try waits no longer than one after it."""
    new, *renewals = keys("new", "one", "two")
    urgency = {new: Urgency.NEW}
    work, clock = queue(urgency)
    work.add(new)
    assert work.take() == new
    urgency.clear()  # it has its token, and its account does not name it
    pause = work.retry(new, away=away)
    work.done(new)
    for key in renewals:
        work.add(key)
    if away:
        work.hurry()
    else:
        clock.forward(seconds=pause)
    order = [work.take() for _ in range(3)]
    work.succeeded(new)
    work.done(new)
    work.add(AccountKey("team-a", "three"))
    work.add(new)

    assert order == [new, *renewals]
    assert (work.take(), work.take()) == (AccountKey("team-a", "three"), new)


def test_who_has_no_token_comes_first_then_whose_token_has_expired() -> None:
    """And of several new ones only every other time: their namespace has other accounts too."""
    good, expired, late, *new = keys("good", "expired", "late", "new-1", "new-2", "new-3")
    urgency = dict.fromkeys(new, Urgency.NEW) | dict.fromkeys((expired, late), Urgency.EXPIRED)
    work, _ = queue(urgency)
    for key in (good, expired, late, *new):
        work.add(key)

    assert [work.take() for _ in range(6)] == [new[0], expired, new[1], late, new[2], good]
    assert work.take() is None


def test_who_makes_accounts_without_end_keeps_no_token_of_the_namespace_from_renewal() -> None:
    work, _ = queue(dict.fromkeys(keys(*map(str, range(100))), Urgency.NEW))
    (renewal,) = keys("renewal")
    work.add(renewal)
    for key in keys("0", "1"):
        work.add(key)
    order = []
    for key in keys("2", "3", "4"):
        order.append(work.take())
        work.add(key)

    assert renewal in order


def test_a_key_that_has_become_more_urgent_moves_forward_and_keeps_since_when_it_waits() -> None:
    first, second, third = keys("first", "second", "third")
    urgency: dict[AccountKey, Urgency] = {}
    work, clock = queue(urgency)
    for key in (first, second, third):
        work.add(key)
        clock.forward(seconds=10)
    urgency[second] = Urgency.EXPIRED
    work.add(second)
    urgency[third] = Urgency.NEW
    work.add(third)

    assert (work.depth, work.wait) == (3, 30)
    assert [work.take() for _ in range(3)] == [third, second, first]
    assert work.take() is None


def test_a_wish_to_wait_for_days_is_not_kept_to() -> None:
    work, _ = queue()

    assert work.retry(A, 86_400.0) == LONGEST_PAUSE


def test_who_waits_for_work_gets_it_and_goes_when_the_queue_is_closed() -> None:
    work, _ = queue()
    got: list[AccountKey | None] = []

    def worker() -> None:
        while (key := work.get()) is not None:
            got.append(key)
            work.done(key)
            work.close()

    thread = threading.Thread(target=worker)
    thread.start()
    work.add(A)
    thread.join(60)

    assert not thread.is_alive()
    assert got == [A]


def test_the_throttle_lets_a_burst_through_and_then_so_many_a_second() -> None:
    clock = Clock()
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        clock.forward(seconds=seconds)

    throttle = Throttle(10, 3, clock.monotonic, wait)
    for _ in range(6):
        throttle()
    clock.forward(seconds=60)
    for _ in range(3):
        throttle()

    assert [round(one, 6) for one in waited] == [0.1, 0.1, 0.1]
