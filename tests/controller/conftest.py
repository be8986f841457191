"""What the controller's tests share: programs run by their real protocol, and tokens."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from regauth.controller.kube_controller import main


def jwt(**claims: object) -> str:
    """A text in the form of a JWT; nobody in these tests verifies its signature."""
    parts = ({"alg": "RS256", "kid": "k1"}, claims)
    texts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    ]
    return ".".join((*texts, "c2lnbmF0dXJl"))


def run_module(
    module: str, *arguments: str, stdin: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program of the controller's to its end, in an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", f"regauth.controller.{module}", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**kept, **environment},
    )


def run_main(*arguments: str) -> Result:
    """Run `kube-controller` within this process, for what ends by itself."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def registries(tmp_path: Path) -> Path:
    """Where the docker helper's configuration is written."""
    return tmp_path / "credential-helper.json"
