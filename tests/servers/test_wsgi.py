"""The application for any WSGI server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .process import PATIENCE

ASK = """
import json, sys
from falcon.testing import TestClient
from regauth.servers.wsgi import application
client = TestClient(application)
print(json.dumps([client.simulate_get(path).status_code for path in sys.argv[1:]]))
"""


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_host_gets_the_application_of_the_configuration(folder: Path) -> None:
    done = python(
        *(ASK, "/healthz", "/readyz", "/auth/token", "/metrics", "/.well-known/jwks.json"),
        TOKEN_SERVER_CONFIG=str(folder / "server.yaml"),
    )

    assert done.stdout == "[200, 200, 400, 200, 200]\n", done.stderr


def test_importing_the_module_makes_nothing() -> None:
    done = python("import regauth.servers.wsgi", TOKEN_SERVER_CONFIG="/nowhere")

    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_configuration_the_host_is_told_what_is_missing() -> None:
    done = python("from regauth.servers.wsgi import application", TOKEN_SERVER_CONFIG="")

    assert done.returncode == 1
    assert "TOKEN_SERVER_CONFIG must name the configuration" in done.stderr


@pytest.mark.parametrize("more", ["", "frontStripsUnderscores: false\n"])
def test_s8_trusted_proxies_need_the_word_that_they_strip_underscores(
    folder: Path, more: str
) -> None:
    """`X_Forwarded_For` and `X-Forwarded-For` are one variable of WSGI."""
    file = folder / "server.yaml"
    file.write_text(f"{file.read_text()}trustedProxies: [127.0.0.1]\n{more}")
    done = python("from regauth.servers.wsgi import application", TOKEN_SERVER_CONFIG=str(file))

    assert done.returncode == 1
    assert "`trustedProxies` needs `frontStripsUnderscores: true`" in done.stderr


def test_s8_with_that_word_the_application_is_served(folder: Path) -> None:
    file = folder / "server.yaml"
    more = "trustedProxies: [127.0.0.1]\nfrontStripsUnderscores: true\n"
    file.write_text(file.read_text() + more)
    done = python(ASK, "/healthz", TOKEN_SERVER_CONFIG=str(file))

    assert done.stdout == "[200]\n", done.stderr
