"""
How things stand with each service account that is not as it should be.

What lives here: the state after the last attempt.  Not here: why, which the log (`event_log`) and
the Events (`owner_events`) say.
"""

import threading
from collections import Counter
from enum import StrEnum

from regauth.controller.observing.observed import AccountKey


class AttemptState(StrEnum):
    """What became of the last attempt on a service account."""

    OK = "ok"
    OVER = "over"
    CONFLICT = "conflict"
    UNDONE = "undone"
    REFUSED = "refused"
    FAILED = "failed"


class UnsettledAccounts:
    """The states but `OK` and `OVER`, by account; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[AccountKey, AttemptState] = {}

    def put(self, key: AccountKey, state: AttemptState) -> None:
        """Enter what became of the last attempt on an account."""
        with self._lock:
            if state in (AttemptState.OK, AttemptState.OVER):
                self._states.pop(key, None)
            else:
                self._states[key] = state

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return each state and how many accounts are in it."""
        with self._lock:
            found = Counter(self._states.values())
        return tuple(
            (str(state), found[state])
            for state in AttemptState
            if state not in (AttemptState.OK, AttemptState.OVER)
        )
