"""The way to the cluster, from a kubeconfig."""

import json
from pathlib import Path

import pytest
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException

from regauth.controller.observing.connection import TOKEN_SECONDS, connect
from tests.controller.clocks import Clock


def kubeconfig(folder: Path, user: dict[str, str]) -> Path:
    file = folder / "kubeconfig"
    cluster = {"server": "http://127.0.0.1:1"}
    context = {"cluster": "c", "user": "u"}
    said = {
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": context}],
    }  # fmt: skip
    file.write_text(json.dumps(said))
    return file


def bearer(connection: Configuration) -> str:
    return str(connection.auth_settings()["BearerToken"]["value"])


def test_k14_a_token_file_is_read_again_when_it_gets_old(tmp_path: Path, clock: Clock) -> None:
    """It was read once: an hour later every request was refused."""
    (tmp_path / "token").write_text("one")
    connection = connect(kubeconfig(tmp_path, {"tokenFile": "token"}), clock.monotonic)
    (tmp_path / "token").write_text("two")

    assert bearer(connection) == "Bearer one"
    clock.forward(seconds=TOKEN_SECONDS)
    assert bearer(connection) == "Bearer two"


def test_k14_a_token_file_that_is_being_replaced_leaves_the_old_token(
    tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "token").write_text("one")
    connection = connect(kubeconfig(tmp_path, {"tokenFile": "token"}), clock.monotonic)
    (tmp_path / "token").unlink()
    clock.forward(seconds=TOKEN_SECONDS)
    assert bearer(connection) == "Bearer one"

    (tmp_path / "token").write_text("two")
    assert bearer(connection) == "Bearer two"


def test_a_token_in_the_kubeconfig_itself_is_used(tmp_path: Path) -> None:
    assert bearer(connect(kubeconfig(tmp_path, {"token": "plain"}))) == "Bearer plain"


def test_without_a_kubeconfig_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((ConfigException, OSError)):
        connect(tmp_path / "none")
