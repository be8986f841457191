"""
The token server for any WSGI server: `regauth.servers.wsgi:application`.

What lives here: making the application from the file that `TOKEN_SERVER_CONFIG` names.
Not here: processes, sockets and signals, which are the host's; and the parts of the application
(`token.assembly`).

Each process must import this module itself: threads that keep keys warm and look after changed
files are started here, and threads do not survive a fork (gunicorn: no `--preload`).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from regauth.engine.source.startup import StartupError
from regauth.servers.configuration.server_file import read_settings
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.token.assembly import assemble, tell_of_sessions

_UNDERSCORES: Final = (
    "`trustedProxies` needs `frontStripsUnderscores: true` under this WSGI server, and a proxy that"
    " removes header fields with an underscore in their name: a client could else write"
    " `X_Forwarded_For` over what the proxy says; see docs/token-server.md, `Other hosts`"
)


def make_application() -> Callable[..., Any]:
    """
    Make the application and start what runs beside it.

    Raises:
        StartupError: `TOKEN_SERVER_CONFIG` is not set, `trustedProxies` is set without
            `frontStripsUnderscores`, or settings or policy are wrong.
    """
    file = os.environ.get("TOKEN_SERVER_CONFIG")
    if not file:
        raise StartupError("TOKEN_SERVER_CONFIG must name the configuration, such as server.yaml")
    settings = read_settings(Path(file))
    if settings.trusted_proxies and not settings.front_strips_underscores:
        # WSGI has one name for `X-Forwarded-For` and `X_Forwarded_For` (PEP 3333, as CGI), and a
        # proxy overwrites only the one that it writes itself.
        raise StartupError(_UNDERSCORES)
    log = EventLog(settings.log_format, settings.log_level)
    state = load_state(settings)
    tell_of_sessions(settings, state, log)
    assembly = assemble(settings, state, log)
    assembly.start()
    return assembly.application


def __getattr__(name: str) -> Callable[..., Any]:
    """Make `application` when a host asks for it, so that importing the module does nothing."""
    if name != "application":
        raise AttributeError(name)
    globals()[name] = made = make_application()
    return made
