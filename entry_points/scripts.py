"""
The console scripts: each checks that its extra is installed, then starts the host's command.

What lives here: which libraries an extra brings, and what a script says without them.  Not here:
the commands, which are imported after the check because they import those libraries; the credential
helpers, which need nothing but Python.
"""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, NoReturn

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "policytest": ("click", "pytest", "syrupy", "urllib3"),
    "servers": ("click", "falcon", "prometheus_client", "urllib3", "waitress"),
    "controller": ("click", "kubernetes", "prometheus_client", "urllib3"),
}
"""The import names of what each extra of pyproject.toml brings."""

EXIT_USAGE: Final = 2
"""The servers' and the controller's exit code for a wrong call; policytest has pytest's, 4."""


def policytest() -> NoReturn:
    """Run `policytest`, or exit with 4 and one line without its extra."""
    _need("policytest", "policytest", 4)
    from regauth.policytests.cli import main  # noqa: PLC0415 - after the check

    sys.exit(main())


def token_server() -> None:
    """Run `token-server`, or exit with 2 and one line without its extra."""
    _need("servers", "token-server")
    from regauth.servers.commands.token_server import main  # noqa: PLC0415 - after the check

    main()


def registry_auth_proxy() -> None:
    """Run `registry-auth-proxy`, or exit with 2 and one line without its extra."""
    _need("servers", "registry-auth-proxy")
    from regauth.servers.commands.registry_auth_proxy import main  # noqa: PLC0415 - after the check

    main()


def kube_controller() -> None:
    """Run `kube-controller`, or exit with 2 and one line without its extra."""
    _need("controller", "kube-controller")
    from regauth.controller.kube_controller import main  # noqa: PLC0415 - after the check

    main()


def _need(extra: str, program: str, code: int = EXIT_USAGE) -> None:
    """Exit with one line when a library of the extra is missing."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"{program}: {', '.join(missing)} not installed; "
            f"run: pip install 'jwt-registry-auth[{extra}]'\n"
        )
        sys.exit(code)
