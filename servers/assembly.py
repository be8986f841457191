"""
Assembly: from settings and state to an application that serves.

What lives here: which part gets which.  What must not: processes and sockets, so that any WSGI
server can host the result.
"""

from dataclasses import dataclass

from .decision_log import DecisionLog, make_file
from .event_log import EventLog
from .live_state import Reloader, serve_keys
from .login_cache import LoginCache
from .metrics import Metrics
from .observing import Observer
from .provider_keys import ProviderKeys
from .sessions import Sessions
from .settings import Settings
from .token_app import App, create_app
from .token_service import Refresh, State, TokenService


@dataclass(frozen=True, slots=True)
class Assembly:
    """One process's parts."""

    app: App
    service: TokenService
    keys: ProviderKeys
    reloader: Reloader
    observer: Observer

    def start(self) -> None:
        """Begin what runs beside requests; in the process that serves them, after any fork."""
        self.keys.start()
        self.reloader.start()

    def close(self) -> None:
        """End what runs beside requests."""
        self.reloader.close()
        self.keys.close()
        if self.observer.decisions is not None:
            self.observer.decisions.close()


def assemble(settings: Settings, state: State, log: EventLog) -> Assembly:
    """
    Put the parts of one process together.

    Raises:
        DecisionLogError, OSError: The decision log cannot be opened.
    """
    decisions = None
    if settings.decision_log is not None:
        make_file(settings.decision_log)
        decisions = DecisionLog(settings.decision_log, claims=settings.decision_log_claims)
        decisions.open()
    metrics = Metrics()
    observer = Observer(log, decisions, metrics)
    keys = ProviderKeys()
    serve_keys(settings, state, keys)
    refresh = None
    if settings.refresh is not None:
        refresh = Refresh(Sessions(settings.refresh.file), settings.refresh)
    service = TokenService(
        state,
        LoginCache(keys, seconds=settings.login_cache),
        issuer=settings.issuer,
        lifetime=settings.lifetime,
        refresh=refresh,
        filter_catalog=settings.filter_catalog,
    )

    def take(new: State) -> None:
        serve_keys(settings, new, keys)
        service.state = new
        metrics.serving(new.policy.hash, new.signer.expires)

    metrics.serving(state.policy.hash, state.signer.expires)
    reloader = Reloader(settings, take, log, metrics)
    app = create_app(settings, service, keys, observer)
    return Assembly(app, service, keys, reloader, observer)
