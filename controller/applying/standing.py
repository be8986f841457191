"""
How things stand with each service account that is not as it should be.

What lives here: the state after the last attempt.  Not here: why, which the log and the Events say.
"""

import threading
from collections import Counter
from enum import StrEnum

from regauth.controller.observing.observed import Key


class State(StrEnum):
    """What became of the last attempt on a service account."""

    OK = "ok"
    OVER = "over"
    CONFLICT = "conflict"
    UNDONE = "undone"
    REFUSED = "refused"
    FAILED = "failed"


class Standing:
    """The states but `OK` and `OVER`, by account; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[Key, State] = {}

    def put(self, key: Key, state: State) -> None:
        """Enter what became of the last attempt on an account."""
        with self._lock:
            if state in (State.OK, State.OVER):
                self._states.pop(key, None)
            else:
                self._states[key] = state

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return each state and how many accounts are in it."""
        with self._lock:
            found = Counter(self._states.values())
        return tuple(
            (str(state), found[state]) for state in State if state not in (State.OK, State.OVER)
        )
