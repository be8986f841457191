"""The proxy as a process, and the signals that it takes."""

import http.client
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.forkserver.programs import forked
from tests.servers.process import PATIENCE, Running

from .test_policy import POLICY, make_folder

COMMAND = forked("registry-auth-proxy")
OWN_PROCESS = (sys.executable, "-m", "regauth.servers.commands.registry_auth_proxy")


def test_signals_are_taken_as_soon_as_it_says_that_it_listens(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    folder = tmp_path / "site"
    make_folder(folder, POLICY)
    file = folder / "proxy.yaml"
    file.write_text(file.read_text() + "listen: 127.0.0.1:0\n")
    proxy = start("--config", file, command=COMMAND)
    for _ in range(100):
        proxy.process.send_signal(signal.SIGHUP)
    reloaded = proxy.wait_for(lambda event: event["event"] == "reloaded")
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, PATIENCE)) as connection:
        connection.request("HEAD", "/healthz")
        status = connection.getresponse().status

    assert str(reloaded["policy"]).startswith("sha256:")
    assert (status, proxy.end()) == (200, 0)
    assert proxy.events[-1]["event"] == "ended"
