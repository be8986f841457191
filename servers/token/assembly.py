"""
Assembly: from settings and state to an application that serves.

What lives here: which part gets which.
Not here: processes (`process`) and sockets (`http_server`), so that any WSGI server can host the
result.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from regauth.servers.configuration.settings import KeyFolder, Settings
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.sessions import Sessions
from regauth.servers.sessions.store import SessionsError
from regauth.servers.state.reloading import Reloader, serve_keys
from regauth.servers.state.state import State
from regauth.servers.telemetry.decision_log import DecisionLog, make_file
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.telemetry.metrics import Metrics
from regauth.servers.telemetry.open_telemetry import OpenTelemetry
from regauth.servers.telemetry.turned_away import warn_of_ignored

from .app import App, create_app
from .certificate_watch import CertificateWatch
from .login_cache import LoginCache
from .observer import Observer
from .service import TokenService


@dataclass(frozen=True, slots=True)
class Assembly:
    """One process's parts."""

    app: App
    """The application, for a host that puts `request_info` into the environment."""
    application: Callable[..., Any]
    """The application, for any host."""
    service: TokenService
    keys: ProviderKeys
    reloader: Reloader
    observer: Observer
    sessions: Sessions | None
    certificates: CertificateWatch
    telemetry: OpenTelemetry | None
    """Its own; None where there is none, or where a host has it."""

    def start(self) -> None:
        """Start the background threads, in the process that serves, after any fork."""
        self.keys.start(self._tell_of_keys)
        self.reloader.start()
        if self.sessions is not None:
            threading.Thread(target=self._warm, args=(self.sessions,), daemon=True).start()

    def _tell_of_keys(self) -> None:
        """
        Update the gauges, about once a second.

        The metrics have it because another process may be asked for them.
        """
        self.certificates.look(self.service.state.signer.expires)
        if self.observer.metrics is not None:
            self.observer.metrics.settle()
            self.observer.metrics.keys(self.keys.states(self.service.state.policy))

    def _warm(self, sessions: Sessions) -> None:
        """Make the session store ready, or log why it is not; logins by JWT do not need it."""
        try:
            sessions.warm(self.service.now())
        except SessionsError as error:
            self.observer.log.event("sessions-unavailable", "warning", reason=str(error))

    def close(self) -> None:
        """End the background threads."""
        self.reloader.close()
        self.keys.close()
        if self.sessions is not None:
            self.sessions.close()
        if self.observer.metrics is not None:
            self.observer.metrics.settle()
        if self.observer.decisions is not None:
            self.observer.decisions.close()
        if self.telemetry is not None:
            self.telemetry.close()


def assemble(
    settings: Settings, state: State, log: EventLog, telemetry: OpenTelemetry | None = None
) -> Assembly:
    """
    Put the parts of one process together.

    Args:
        settings: The configuration.
        state: The policy and the keys to begin with.
        log: The event log.
        telemetry: The host's, where this server is embedded in another; it is the host's to end.

    Raises:
        DecisionLogError, OSError: The decision log cannot be opened.
        OpenTelemetryError: The settings ask for it, and the extra is not installed.
        StoreSettingsError: The sessions' store cannot be used as it is configured.
    """
    mine = None
    if settings.open_telemetry is not None and telemetry is None:
        mine = telemetry = OpenTelemetry(settings.open_telemetry, "token-server")
    decisions = _decision_log(settings, telemetry)
    metrics = Metrics()
    observer = Observer(log, decisions, metrics)
    keys = ProviderKeys()
    serve_keys(settings, state, keys)
    sessions = _sessions(settings)
    service = _service(settings, state, keys, sessions)

    def take(new: State) -> None:
        serve_keys(settings, new, keys)
        service.state = new
        metrics.serving(new.policy.hash, new.signer.expires)

    metrics.serving(state.policy.hash, state.signer.expires)
    reloader = Reloader(settings, state, take, log, metrics)
    app = create_app(settings, service, keys, observer, lambda: reloader.problem)
    fields = ForwardedFields(
        settings.trusted_proxies, rfc7239=settings.rfc7239, ignored=warn_of_ignored(log)
    )
    traced = app if mine is None else mine.wrap(app)
    application = WithRequestInfo(traced, fields)
    watch = CertificateWatch(log, service.now)
    return Assembly(app, application, service, keys, reloader, observer, sessions, watch, mine)


def _sessions(settings: Settings) -> Sessions | None:
    if settings.sessions is None:
        return None
    return Sessions(open_store(settings.sessions, connections=settings.threads))


def _service(
    settings: Settings, state: State, keys: ProviderKeys, sessions: Sessions | None
) -> TokenService:
    return TokenService(
        state,
        LoginCache(keys, seconds=settings.login_cache),
        issuer=settings.issuer,
        lifetime=settings.lifetime,
        sessions=sessions,
        filter_catalog=settings.filter_catalog,
    )


def _decision_log(settings: Settings, telemetry: OpenTelemetry | None) -> DecisionLog | None:
    if settings.decision_log is None:
        return None
    make_file(settings.decision_log)
    decisions = DecisionLog(
        settings.decision_log,
        claims=settings.decision_log_claims,
        copy=None if telemetry is None else telemetry.decision,
    )
    decisions.open()
    return decisions


def tell_of_zot(settings: Settings, log: EventLog) -> None:
    """Say at the start what zot's bearer mode opens, and what a key rotation does to it."""
    if "zot" not in settings.signing.compat:
        return
    log.event(
        "zot-opens-other-repositories",
        "warning",
        reason="a token for one repository reads another's blobs by a mount, and a token for any "
        "service of this issuer is taken; put registry-auth-proxy before zot",
    )
    if isinstance(settings.signing.source, KeyFolder):
        log.event(
            "zot-trusts-one-key",
            "warning",
            reason="zot knows one certificate: after `keys rotate` it refuses every token until "
            "its `cert` is the new one and it was restarted (docs/howto/zot.md)",
        )


def tell_of_sessions(settings: Settings, state: State, log: EventLog) -> None:
    """Say at the start when policy and configuration together give nobody a refresh token."""
    providers = state.policy.providers
    names = sorted(name for name, one in providers.items() if one.max_session is not None)
    if names and settings.sessions is None:
        reason = "the policy allows them, but `refreshTokens` does not say where sessions are kept"
        log.event("no-refresh-tokens", "warning", providers=names, reason=reason)
    elif settings.sessions is not None and not names:
        log.event("no-refresh-tokens", reason="no provider of the policy allows them")
