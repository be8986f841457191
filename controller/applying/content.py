"""
The content of pull secrets: docker's `config.json`, written as kubelets read it.

What lives here: writing the logins of a pull secret.  A token is kept no longer than it takes to
write it.  Not here: reading them back (`regauth.controller.observing.docker_config`).

Source: Kubernetes documentation, "Secrets", "Docker config Secrets".
"""

import base64
import json
from collections.abc import Mapping

from regauth.controller.planning.entitlements import Wanted


def empty(account: str) -> str:
    """
    Return a valid configuration without logins: what a secret holds before its tokens exist.

    It has the UID of the account, so that no other secret of the name holds the very same by
    chance: server-side apply takes a field of another manager that has the same value.
    """
    return json.dumps({"auths": {}, "account": account})


def write(wanted: tuple[Wanted, ...], tokens: Mapping[str, str]) -> str:
    """
    Return the configuration with one login for each registry.

    Args:
        wanted: The registries and their user names.
        tokens: The tokens by audience.
    """
    auths = {}
    for one in wanted:
        token = tokens[one.audience]
        pair = base64.b64encode(f"{one.username}:{token}".encode()).decode("ascii")
        auths[one.registry] = {"username": one.username, "password": token, "auth": pair}
    return json.dumps({"auths": auths}, separators=(",", ":"))


def encoded(content: str) -> str:
    """Return a text in the form of a secret's `data`."""
    return base64.b64encode(content.encode()).decode("ascii")
