"""
Loading the state that a server works by, and replacing it while the server runs.

What lives here: loading policy, shadow policy and signing keys together, and when that is done
again.
Not here: what they mean (`policy`, `signing.signer`), and processes (`token.process`).

New state is loaded whole before the old one is dropped.  State that cannot be loaded is reported
and changes nothing.

A policy that is copied file by file passes through states that compile and mean something else: for
a moment a denial is not there.  So files must keep still for `SETTLE` seconds before they are read,
and for `SETTLE_AFTER_LOSS` when a file of the policy is gone.  A folder that is replaced by a
rename (`docs/token-server.md`) has no such moments.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from regauth.servers.configuration.settings import Settings
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.signing.signer import SigningError, load_signer
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics

from .policy import PolicyFolderError, PolicyProblemsError, load_policy
from .stamps import fingerprint, policy_files
from .state import State

TICK: Final = 1.0
"""Seconds between two checks of the files."""

SETTLE: Final = 3.0
"""Seconds that changed files keep still before they are read."""

SETTLE_AFTER_LOSS: Final = 15.0
"""Seconds when a file of the policy is gone: it may be on its way."""

MAX_ATTEMPTS: Final = 5
"""How often state is read at the start, while its files go on changing."""

MAX_REPORTED: Final = 20
"""Problems of a broken policy that are logged."""

LOAD_ERRORS: Final = (PolicyFolderError, PolicyProblemsError, SigningError)


def load_state(settings: Settings) -> State:
    """
    Load everything that requests are decided and signed with.

    Raises:
        PolicyFolderError: A policy's folder cannot be read.
        PolicyProblemsError: A policy does not compile.
        SigningError: The keys cannot sign.
    """
    for _ in range(MAX_ATTEMPTS):
        state = _load_once(settings)
        if fingerprint(settings) == state.files:
            break  # otherwise a file changed between two reads, and the state is a mix
    return state


def _load_once(settings: Settings) -> State:
    files, seen = fingerprint(settings), settings.sees_references
    creates = settings.creates_tags
    policy = load_policy(settings.policy, sees_references=seen, creates_tags=creates)
    shadow = None
    if settings.shadow_policy is not None:
        shadow = load_policy(settings.shadow_policy, sees_references=seen, creates_tags=creates)
    return State(policy, load_signer(settings.signing, datetime.now(UTC)), shadow, files)


def serve_keys(settings: Settings, state: State, keys: ProviderKeys) -> None:
    """Keep the keys of all providers of the state."""
    policies = [(state.policy, settings.policy)]
    if state.shadow is not None and settings.shadow_policy is not None:
        policies.append((state.shadow, settings.shadow_policy))
    keys.serve(policies)


class Reloader:
    """
    Loads state again when it is asked to, or when files have changed and then kept still.

    Args:
        settings: The configuration; it is not read again itself.
        state: The state that is served; what has changed since it was loaded is loaded.
        take: Gets the new state.
        log: Is told what was loaded, or what is wrong.
        metrics: Likewise.
        load: Loads the state.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        take: Callable[[State], None],
        log: EventLog,
        metrics: Metrics | None = None,
        load: Callable[[Settings], State] = load_state,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._state = state
        self._take = take
        self._log = log
        self._metrics = metrics
        self._load = load
        self._clock = clock
        self._loaded = self._seen = state.files
        self._still_since = clock()
        self.problem = ""
        """Why the files as they are now are not served; empty when they are."""
        # An Event takes a lock: a signal within the handler of another would wait for it for ever.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ended = False
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Ask for state to be loaded soon; safe in a signal handler."""
        self._asked.put(None)

    def start(self) -> None:
        """Start to watch, in a thread of this process."""
        self._thread = threading.Thread(target=self._watch, name="reloader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join()

    def look(self) -> bool:
        """Load state when files have changed since it was loaded and have kept still since."""
        found, now = fingerprint(self._settings), self._clock()
        if found != self._seen:
            self._seen, self._still_since = found, now
        if found == self._loaded:
            return False
        lost = policy_files(self._settings, self._state.files) - policy_files(self._settings, found)
        # A file that is gone may be on its way: the denials in it must not be missing in between.
        if now - self._still_since < (SETTLE_AFTER_LOSS if lost else SETTLE):
            return False
        return self.reload()

    def reload(self) -> bool:
        """Load state now; return whether it was taken."""
        # Taken before the files are read, so that a change during the reading is seen at the next
        # look.
        self._loaded = self._seen = fingerprint(self._settings)
        try:
            state = self._load(self._settings)
        except PolicyProblemsError as error:
            problems = [str(one) for one in error.problems[:MAX_REPORTED]]
            number = len(error.problems)
            why = f"{number} problem{'s' * (number != 1)} in the policy"
            return self._refused(why, problems)
        except LOAD_ERRORS as error:
            return self._refused(str(error), [])
        except Exception as error:  # after any error, the old state goes on serving
            logging.getLogger(__name__).exception("loading failed unexpectedly")
            return self._refused(f"unexpected {type(error).__name__}", [])
        if state.files != fingerprint(self._settings):
            # A file changed between two that were read: the state may be a mix of two policies.
            # The next look sees the change, and waits until the files keep still.
            self._loaded = state.files
            return False
        self._warn_of_losses(self._state, state)
        self._take(state)
        self._state, self._loaded, self.problem = state, state.files, ""
        if self._metrics is not None:
            self._metrics.reloaded(taken=True)
        self._log.event("reloaded", policy=state.policy.hash, kid=state.signer.key.key_id)
        return True

    def _warn_of_losses(self, before: State, after: State) -> None:
        """Warn of changes that are rarely intended: a file less, or no denial left."""
        lost = policy_files(self._settings, before.files) - policy_files(
            self._settings, after.files
        )
        denials = [] if after.policy.denials else [one.name for one in before.policy.denials]
        if lost or denials:
            self._log.event(
                "reload-lost",
                "warning",
                files=sorted(lost)[:MAX_REPORTED],
                denials=denials[:MAX_REPORTED],
                policy=after.policy.hash,
            )

    def _refused(self, reason: str, problems: list[str]) -> bool:
        self.problem = reason
        if self._metrics is not None:
            self._metrics.reloaded(taken=False)
        self._log.event("reload-refused", "error", reason=reason, problems=problems)
        return False

    def _watch(self) -> None:
        while not self._ended:
            asked = self._was_asked()
            if self._ended:
                return
            if asked:
                self.reload()
            else:
                self.look()

    def _was_asked(self) -> bool:
        """Wait until loading is asked for or a check is due; tell which."""
        try:
            self._asked.get(timeout=TICK)
        except queue.Empty:
            return False
        while not self._asked.empty():
            self._asked.get()
        return True
