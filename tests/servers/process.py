"""A server as a process of its own, the token server if no other, its log read as it is written."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from click.testing import CliRunner

from regauth.servers.commands.token_server import main as token_server
from tests.forkserver.programs import forked

COMMAND = forked("token-server")
OWN_PROCESS = (sys.executable, "-m", "regauth.servers.commands.token_server")
"""For a test that looks at the process itself, not at one that stands in for it."""

PATIENCE = 30.0


def run(*arguments: str | Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def sample_jwt(folder: Path) -> str:
    """Return what `token-server sample-jwt` prints; its key is read once for all tests."""
    printed = CliRunner().invoke(token_server, ["sample-jwt", str(folder)], catch_exceptions=False)
    return printed.stdout.strip()


class Running:
    """A server process, whose log is read line by line."""

    def __init__(self, arguments: Sequence[str | Path], command: Sequence[str] = COMMAND) -> None:
        self.process = subprocess.Popen(
            [*command, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.events: list[dict[str, object]] = []
        self.sizes: list[int] = []
        """Bytes of each event's line."""
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        listening = self.wait_for(lambda event: event["event"] == "listening")
        addresses = listening["addresses"]
        assert isinstance(addresses, list)
        self.port = int(addresses[0].rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._arrived:
                parsed = json.loads(line) if line.startswith("{") else {"event": line}
                self.events.append(parsed)
                self.sizes.append(len(line.encode()))
                self._arrived.notify_all()

    def wait_for(self, wanted: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """Return the first event that fits, waiting for it."""
        found: list[dict[str, object]] = []

        def there() -> bool:
            found[:] = [event for event in self.events if wanted(event)]
            return bool(found)

        with self._arrived:
            assert self._arrived.wait_for(there, PATIENCE), self.events
        return found[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code
