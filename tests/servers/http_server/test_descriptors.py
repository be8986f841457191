"""S7: no descriptor left is no reason to spin, and a bound on connections keeps it from that."""

import errno
import logging
import resource
import socket

import pytest

from regauth.servers.http_server import descriptors
from regauth.servers.http_server.descriptors import (
    MIN_CONNECTIONS,
    PAUSE,
    Accepting,
    connection_bound,
)
from tests.servers.clock import Clock

RESERVE = descriptors.RESERVE + descriptors.OF_A_THREAD * 8


class Limits:
    """The limits of open files, which a test sets."""

    def __init__(self, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard

    def getrlimit(self, _which: int) -> tuple[int, int]:
        return self.soft, self.hard

    def setrlimit(self, _which: int, limits: tuple[int, int]) -> None:
        self.soft, self.hard = limits


@pytest.mark.parametrize(
    ("soft", "hard", "bound", "then"),
    [
        (4096, 4096, 1000, 4096),
        (1024, 1 << 20, 1000, 2000 + RESERVE),
        (1024, resource.RLIM_INFINITY, 1000, 2000 + RESERVE),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1000, resource.RLIM_INFINITY),
        (1024, 1024, (1024 - RESERVE) // 2, 1024),
        (256, 1024, (1024 - RESERVE) // 2, 1024),
        (64, 64, MIN_CONNECTIONS, 64),
    ],
)
def test_s7_the_bound_on_connections_follows_from_the_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    soft: int,
    hard: int,
    bound: int,
    then: int,
) -> None:
    limits = Limits(soft, hard)
    for name in ("getrlimit", "setrlimit"):
        monkeypatch.setattr(resource, name, getattr(limits, name))

    assert connection_bound(1000, 8, 2) == bound
    assert limits.soft == then
    assert ("raise it to" in caplog.text) is (bound < 1000)


def test_s7_a_limit_that_the_system_does_not_raise_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_which: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (500, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refused)

    assert connection_bound(1000, 8, 1) == 500 - RESERVE


class Listener:
    """A listening socket that fails as a test says."""

    def __init__(self) -> None:
        self.error = 0
        self.waiting = 0
        self.options: list[tuple[int, ...]] = []

    @property
    def socket(self) -> "Listener":
        return self

    def setsockopt(self, *given: int) -> None:
        self.options.append(given)

    def handle_accept(self) -> None:
        """Accept as waitress's dispatcher does, through the method that was put in its place."""
        if self.waiting:
            self.waiting -= 1
            self.accept()

    def accept(self) -> tuple[str, str]:
        if self.error:
            raise OSError(self.error, "no")
        return "connection", "address"

    def readable(self) -> bool:
        return True


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_s7_nothing_is_accepted_for_a_while_after_no_descriptor_was_left(
    caplog: pytest.LogCaptureFixture, error: int
) -> None:
    clock, listener = Clock(), Listener()
    accepting = Accepting(listener, clock)
    listener.error = error
    before = listener.readable()
    none = listener.accept()
    clock.now += PAUSE / 2
    paused = (listener.readable(), accepting.paused)
    clock.now += PAUSE / 2
    listener.error = 0

    assert (before, none, paused) == (True, None, (False, True))
    assert (listener.readable(), accepting.paused) == (True, False)
    assert listener.accept() == ("connection", "address")
    assert [one.levelno for one in caplog.records] == [logging.WARNING]


def test_all_connections_that_wait_are_accepted_at_once() -> None:
    listener = Listener()
    Accepting(listener, Clock())
    listener.waiting = 10
    listener.handle_accept()

    assert listener.waiting == 0


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux has it")
def test_silent_connections_stay_with_the_kernel_while_clients_are_turned_away() -> None:
    listener, overloaded = Listener(), True
    accepting = Accepting(listener, Clock(), lambda: overloaded)
    listener.handle_accept()
    listener.handle_accept()
    accepting.defer(wanted=False)

    assert [given[2] for given in listener.options] == [1, 0]


def test_s7_another_failure_is_not_taken_for_it() -> None:
    listener = Listener()
    Accepting(listener, Clock())
    listener.error = errno.EPERM
    with pytest.raises(OSError, match="no"):
        listener.accept()

    assert listener.readable()
