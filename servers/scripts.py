"""
The servers' console scripts: each looks for the extra `servers`, then starts its command.

What lives here: the check, and the libraries that it looks for.  Not here: the commands
(`commands`).  They import the extra's libraries, so they are imported after the check.
"""

import sys
from importlib.util import find_spec
from typing import Final

LIBRARIES: Final = ("click", "falcon", "prometheus_client", "urllib3", "waitress")
"""The import names of what the extra `servers` of pyproject.toml brings."""


def token_server() -> None:
    """Run `token-server`; without the extra, exit with 2 and one line that names it."""
    _need_extra("token-server")
    from regauth.servers.commands.token_server import main

    main()


def registry_auth_proxy() -> None:
    """Run `registry-auth-proxy`; without the extra, exit with 2 and one line that names it."""
    _need_extra("registry-auth-proxy")
    from regauth.servers.commands.registry_auth_proxy import main

    main()


def _need_extra(program: str) -> None:
    missing = ", ".join(name for name in LIBRARIES if find_spec(name) is None)
    if missing:
        sys.stderr.write(
            f"{program}: {missing} not installed; run: pip install 'jwt-registry-auth[servers]'\n"
        )
        sys.exit(2)
