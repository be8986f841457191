"""
New tags: whether a tag exists in the registry, and nobody else who creates it meanwhile.

What lives here: the locks of tags, and what the proxy makes of the registry's answer.  Not here:
which grant needs it (`regauth.engine.decisions.decide`), and sending the push (`forwarding`).

One thread holds the lock of a tag from before it asks for the tag until the registry has answered
the push.  A push that needs no question shares the lock with others of its kind, so that none comes
between a question and the push that it is for.  The locks are those of this process.  Two proxies,
or somebody who writes to the registry without this proxy, are not kept apart.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

from regauth.engine.access.references import TagState, is_tag, write
from regauth.engine.access.scope import Access
from regauth.servers.http_client.pool import UpstreamError
from regauth.servers.upstream.credentials import UpstreamRefusedError
from regauth.servers.upstream.docker_login import CredentialsError
from regauth.servers.upstream.registry import Upstream

MAX_SECONDS: Final = 30.0
"""Seconds that a request waits for the locks of all its tags together."""

MAX_WAITING_FOR_ONE: Final = 8
"""Requests that wait for one tag; each of them takes a thread of the server."""

MAX_WAITING: Final = 64
"""Requests that wait for any tag.  Who need not wait is never refused for it."""

STATE_UNKNOWN: Final = "tag-state-unknown"
"""The reason of a refusal when the registry does not say whether a tag exists."""

TAG_BUSY: Final = "tag-busy"
"""The reason of a refusal when others create the tag at the same time."""


class Tag(NamedTuple):
    """A tag of a repository."""

    name: str
    tag: str

    def __str__(self) -> str:
        return write(self.name, self.tag)


class TagStateError(Exception):
    """Whether a tag is new cannot be said, so nobody may create it; the message is the client's."""

    def __init__(self, reason: str, message: str, status: HTTPStatus, detail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.detail = detail
        """What the log says besides, which the client is not told."""


@dataclass(slots=True)
class _Lock:
    changed: threading.Condition
    users: int = 0
    """Requests that hold it or wait for it."""
    waiting: int = 0
    holding: int = 0
    exclusive: bool = False
    """Whether who holds it creates the tag."""

    def is_free(self, *, shared: bool) -> bool:
        return not self.holding or (shared and not self.exclusive)


class TagLocks:
    """
    A lock for each tag that is being pushed.  Safe to use from many threads.

    There are never more locks than requests that use them.  Each ends with its request.

    Args:
        seconds: How long a request waits.
        for_one: How many wait for one tag.
        waiting: How many wait for any tag.
    """

    def __init__(
        self,
        seconds: float = MAX_SECONDS,
        for_one: int = MAX_WAITING_FOR_ONE,
        waiting: int = MAX_WAITING,
    ) -> None:
        self._seconds = seconds
        self._for_one = for_one
        self._most_waiting = waiting
        self._waiting = 0
        self._mutex = threading.Lock()
        self._locks: dict[Tag, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @contextmanager
    def hold(self, tags: Iterable[Tag], shared: Iterable[Tag] = ()) -> Iterator[None]:
        """
        Hold the locks of some tags until the block ends, however it ends.

        Args:
            tags: Tags that nobody else may push meanwhile.
            shared: Tags that nobody may create meanwhile; others may move them.

        Raises:
            TagStateError: Too many wait already, or it takes too long.
        """
        until = time.monotonic() + self._seconds
        # A registry on a file system that folds case takes `V1` and `v1` for one tag.
        folded = {_folded(one): True for one in shared} | {_folded(one): False for one in tags}
        with ExitStack() as held:
            # All requests take several locks in the same order, so that no two wait for each other.
            for tag, is_shared in sorted(folded.items()):
                held.enter_context(self._one(tag, until, shared=is_shared))
            yield

    @contextmanager
    def _one(self, tag: Tag, until: float, *, shared: bool) -> Iterator[None]:
        with self._mutex:
            lock = self._locks.setdefault(tag, _Lock(threading.Condition(self._mutex)))
            lock.users += 1
        try:
            with self._mutex:
                self._wait(lock, tag, until, shared=shared)
                lock.holding += 1
                lock.exclusive = not shared
            try:
                yield
            finally:
                with self._mutex:
                    lock.holding -= 1
                    lock.changed.notify_all()
        finally:
            with self._mutex:
                lock.users -= 1
                if not lock.users:
                    del self._locks[tag]

    def _wait(self, lock: _Lock, tag: Tag, until: float, *, shared: bool) -> None:
        """
        Wait until a lock is free; the mutex is held, but not while it waits.

        Raises:
            TagStateError: Too many wait already, or it takes too long.
        """
        if lock.is_free(shared=shared):
            return
        if lock.waiting >= self._for_one or self._waiting >= self._most_waiting:
            raise _busy(tag)
        lock.waiting += 1
        self._waiting += 1
        try:
            left = max(0.0, until - time.monotonic())
            if not lock.changed.wait_for(lambda: lock.is_free(shared=shared), left):
                raise _busy(tag)
        finally:
            lock.waiting -= 1
            self._waiting -= 1


def _folded(tag: Tag) -> Tag:
    return Tag(tag.name, tag.tag.casefold())


def _busy(tag: Tag) -> TagStateError:
    return TagStateError(
        TAG_BUSY,
        f"others create {tag} at this moment; try again",
        HTTPStatus.SERVICE_UNAVAILABLE,
    )


def pushed(accesses: Iterable[Access]) -> list[Tag]:
    """Return the tags that a request creates or moves, if it may."""
    return [
        Tag(one.resource.name, one.reference)
        for one in accesses
        if one.action == "push" and is_tag(one.reference)
    ]


Establish = Callable[[Sequence[Tag], Sequence[Tag]], Mapping[Tag, TagState]]
"""
Takes the locks of the tags that a request pushes, and returns the states of those in question.

The arguments are all tags of the request, and those of them in question.  The locks are taken once.
Raises `TagStateError`.
"""


class NewTags:
    """
    Finds out whether tags are new, under their locks.

    Args:
        upstream: The registry.
        locks: The locks; by default those of this process.
    """

    def __init__(self, upstream: Upstream, locks: TagLocks | None = None) -> None:
        self._upstream = upstream
        self._locks = TagLocks() if locks is None else locks

    @contextmanager
    def establishing(self) -> Iterator[Establish]:
        """
        Return what finds out about tags; the locks that it takes end with the block.

        The block ends after the registry has answered the push.
        """
        taken = False
        with ExitStack() as held:

            def establish(all_: Sequence[Tag], asked: Sequence[Tag]) -> Mapping[Tag, TagState]:
                nonlocal taken
                # Who may move a tag needs no answer, but must not push it between the registry's
                # answer to another and that one's push, which would then move it.
                if not taken:
                    held.enter_context(self._locks.hold(asked, shared=all_))
                    taken = True
                return {tag: self._state(tag) for tag in asked}

            yield establish

    def _state(self, tag: Tag) -> TagState:
        """
        Return whether a tag exists: 200 and 404 say so, and nothing else does.

        Raises:
            TagStateError: The registry does not say.
        """
        try:
            status = self._upstream.look_for(tag.name, tag.tag)
        except UpstreamError as error:
            raise _unknown(tag, str(error), late=error.late) from error
        except (UpstreamRefusedError, CredentialsError) as error:
            raise _unknown(tag, str(error)) from error
        if status == HTTPStatus.OK:
            return TagState.EXISTING
        if status == HTTPStatus.NOT_FOUND:
            return TagState.NEW
        raise _unknown(tag, f"it answers {status}")


def _unknown(tag: Tag, detail: str, *, late: bool = False) -> TagStateError:
    return TagStateError(
        STATE_UNKNOWN,
        f"the upstream registry does not say whether {tag} exists, so it is not created",
        HTTPStatus.GATEWAY_TIMEOUT if late else HTTPStatus.BAD_GATEWAY,
        detail,
    )
