"""The helpers are started for every pull: what makes a start slow is not imported."""

import subprocess
import sys

import pytest

HEAVY = (
    *("asyncio", "click", "cryptography", "http.client", "jsonschema", "kubernetes", "regauth.engine"),
    *("ssl", "subprocess", "urllib.request", "urllib3", "yaml"),
)  # fmt: skip


@pytest.mark.parametrize("module", ["docker_helper", "helpers.kubelet_plugin"])
def test_a_helper_imports_nothing_heavy(module: str) -> None:
    """Compared with an interpreter that imports nothing: what starts with it costs anyway."""
    code = "import sys; print(*sys.modules)"
    loaded = [
        set(
            subprocess.run(
                [sys.executable, "-c", text], capture_output=True, text=True, check=True
            ).stdout.split()
        )
        for text in (code, f"import regauth.controller.{module}; {code}")
    ]

    assert f"regauth.controller.{module}" in loaded[1]
    assert set(HEAVY) & (loaded[1] - loaded[0]) == set()
