"""
The way to the cluster: where the API server is and how to log in, from a kubeconfig or from a pod.

What lives here: the address of the API server, its certificate authorities, and credentials that
are read again before they expire.  Not here: requests (`regauth.controller.observing.cluster`).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import kubernetes.config
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

MAX_IDLE: Final = 128
"""Connections that may be kept: more than watches and workers use, or urllib3 warns of each."""

TOKEN_SECONDS: Final = 60.0
"""How old a token of a kubeconfig's `tokenFile` may get, as in client-go (`transport`)."""


def connect(kubeconfig: Path | None, clock: Callable[[], float] = time.monotonic) -> Configuration:
    """
    Return how the API server is reached.

    Args:
        kubeconfig: A file that says it; without one, the pod's own account does, or what kubectl
            would take.
        clock: Seconds that never run backwards.

    Raises:
        ConfigException: There is no way, or what describes it is wrong.
        OSError: A file cannot be read.
    """
    connection = Configuration()
    connection.connection_pool_maxsize = MAX_IDLE
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        kubernetes.config.load_incluster_config(client_configuration=connection)
        return connection
    _load(kubeconfig, connection)
    if _has_token_file(kubeconfig):
        _read_again(kubeconfig, connection, clock)
    return connection


def _load(kubeconfig: Path | None, connection: Configuration) -> None:
    kubernetes.config.load_kube_config(
        config_file=None if kubeconfig is None else str(kubeconfig),
        client_configuration=connection,
    )


def _has_token_file(kubeconfig: Path | None) -> bool:
    """Tell whether the current user's token is in a file, which somebody replaces."""
    merged = KubeConfigMerger(str(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION)).config
    context = merged["contexts"].get_with_name(merged["current-context"])["context"]
    user = merged["users"].get_with_name(context["user"], safe=True) if "user" in context else None
    return user is not None and "tokenFile" in user["user"]


def _read_again(
    kubeconfig: Path | None, connection: Configuration, clock: Callable[[], float]
) -> None:
    """Have the token read again when it gets old: the package reads it once."""
    read = [clock()]

    def refresh(found: Any) -> None:  # noqa: ANN401 - the package's
        if clock() - read[0] < TOKEN_SECONDS:
            return
        fresh = Configuration()
        try:
            _load(kubeconfig, fresh)
        except (ConfigException, OSError):
            return  # it is being replaced; the old one may still be good
        read[0] = clock()
        found.api_key.update(fresh.api_key)

    connection.refresh_api_key_hook = refresh  # type: ignore[assignment]  # declared as None alone
