"""
The state that a server works by, and changing it while the server runs.

What lives here: loading policy, shadow policy and signing keys together, and noticing that their
files have changed.  What must not: what they mean, and processes.

New state is loaded whole before the old is let go.  What cannot be loaded is reported and changes
nothing.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regauth.servers.configuration.settings import KeyFolder, Settings
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.signing.signer import SigningError, load_signer
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.token.service import FileStamp, State

from .policy import PolicyFolderError, PolicyProblemsError, load_policy

TICK: Final = 1.0
"""Seconds between two looks at the files."""

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
    files, seen = fingerprint(settings), settings.sees_references
    policy = load_policy(settings.policy, sees_references=seen)
    shadow = None
    if settings.shadow_policy is not None:
        shadow = load_policy(settings.shadow_policy, sees_references=seen)
    return State(policy, load_signer(settings.signing, datetime.now(UTC)), shadow, files)


def serve_keys(settings: Settings, state: State, keys: ProviderKeys) -> None:
    """Hold the keys of all providers that the state has."""
    policies = [(state.policy, settings.policy)]
    if state.shadow is not None and settings.shadow_policy is not None:
        policies.append((state.shadow, settings.shadow_policy))
    keys.serve(policies)


def fingerprint(settings: Settings) -> frozenset[FileStamp]:
    """Return what is different as soon as a file that the state comes from is."""
    return frozenset(_stamps(settings))


def _stamps(settings: Settings) -> Iterator[FileStamp]:
    for path in _files(settings):
        try:
            found = path.stat()
        except OSError:
            continue  # a file that goes is a change, too: its stamp is missing
        yield str(path), found.st_mtime_ns, found.st_size, found.st_ino


def _files(settings: Settings) -> Iterator[Path]:
    for folder in (settings.policy, settings.shadow_policy):
        if folder is not None:
            yield from _below(folder)
    source = settings.signing.source
    if isinstance(source, KeyFolder):
        yield from _below(source.folder)
    else:
        yield from (one for one in (source.key, source.chain) if one is not None)


def _below(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.rglob("*") if not path.is_dir())
    except OSError:
        return


class Reloader:
    """
    Loads state again when it is asked to, or when a file has changed and then kept still.

    Args:
        settings: The configuration; it is not read again itself.
        loaded: The files that the state comes from, as they were; what has changed since is loaded.
        take: Gets the new state.
        log: Is told what was loaded, or what is wrong.
        metrics: Likewise.
        load: Loads the state.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: frozenset[FileStamp],
        take: Callable[[State], None],
        log: EventLog,
        metrics: Metrics | None = None,
        load: Callable[[Settings], State] = load_state,
    ) -> None:
        self._settings = settings
        self._take = take
        self._log = log
        self._metrics = metrics
        self._load = load
        self._loaded = self._seen = loaded
        # An Event takes a lock: a signal within the handler of another would wait for it for ever.
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._ended = False
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Have state loaded soon; safe in a signal handler."""
        self._asked.put(None)

    def start(self) -> None:
        """Begin to watch, in a thread of this process."""
        self._thread = threading.Thread(target=self._watch, name="reloader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join()

    def look(self) -> bool:
        """Load state when files have changed since it was loaded, and are not just changing."""
        now = fingerprint(self._settings)
        still, self._seen = now == self._seen, now
        if now == self._loaded or not still:
            return False
        return self.reload()

    def reload(self) -> bool:
        """Load state now; return whether it was taken."""
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
        except Exception as error:  # whatever it is, the old state goes on serving
            logging.getLogger(__name__).exception("loading failed unexpectedly")
            return self._refused(f"unexpected {type(error).__name__}", [])
        self._take(state)
        if self._metrics is not None:
            self._metrics.reloaded(taken=True)
        self._log.event("reloaded", policy=state.policy.hash, kid=state.signer.key.key_id)
        return True

    def _refused(self, reason: str, problems: list[str]) -> bool:
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
        """Wait until somebody asks or it is time to look; tell which, however often they asked."""
        try:
            self._asked.get(timeout=TICK)
        except queue.Empty:
            return False
        while not self._asked.empty():
            self._asked.get()
        return True
