"""
The controller's console script: it checks that the extra `controller` is installed, then starts.

What lives here: the check, and the libraries that it looks for.  Not here: the command, which
imports these libraries and is imported after the check (`kube_controller`); the credential helpers,
which need only Python (`helpers`).
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

LIBRARIES: Final = ("click", "kubernetes", "prometheus_client", "urllib3")
"""The import names of what the extra `controller` of pyproject.toml brings."""


def kube_controller() -> None:
    """
    Run `kube-controller`, which is `kubectl regauth` too.

    Without the extra it exits with 2 and one line that names it.
    """
    if missing := ", ".join(name for name in LIBRARIES if find_spec(name) is None):
        sys.stderr.write(
            f"{Path(sys.argv[0]).name}: {missing} not installed; "
            "run: pip install 'jwt-registry-auth[controller]'\n"
        )
        sys.exit(2)
    from .kube_controller import main

    main()
