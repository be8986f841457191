"""
The instructions of a full exchange, counted by callgrind (Debian: apt-get install -y valgrind).

    python bench/instructions.py [--requests 200] [--keep FILE]

What lives here: one process that asks the token server's application in it, without a socket, and
the count of what a request takes.  Not here: times, which `bench_token_server.py` measures.

Two runs differ by as many requests, so that the start, the imports and the first requests cancel.
A count hardly differs from one run to the next, on a machine that does other things too; that of
another build of Python or OpenSSL does.  `--keep` writes the profile, for callgrind_annotate.

Beside the exchange stand two floors of the same run: a flat function that does the least
(`exchange/floors.py`), and the two calls of OpenSSL alone.
"""

import argparse
import gc
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from exchange.floors import crypto_alone, flat_exchange

from regauth.servers.configuration.server_file import read_settings
from regauth.servers.setup import starter
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.token.assembly import assemble

REQUESTS: Final = 100
WARM: Final = 50
"""Requests before those that count, which fill caches that are on in every mode."""

QUESTION: Final = "service=registry.example.com&scope=repository:acme/app:pull,push"
MAX_MILLIONS: Final = 1.394
"""0.82 of the 1.70 M that an exchange took before it was made cheaper."""

EXCHANGE: Final = "full exchange"
FLAT: Final = "flat function"
CRYPTO: Final = "OpenSSL alone"
_TOTAL: Final = re.compile(r"Collected *: *(\d+)")


def ask(application: Callable[..., Any], login: str) -> str:
    """Ask as a WSGI host does, and return the status."""
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/auth/token",
        "QUERY_STRING": QUESTION,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5001",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:5001",
        "HTTP_USER_AGENT": "docker/27.3.1 go/go1.22.7 kernel/6.1.0 os/linux arch/amd64",
        "HTTP_AUTHORIZATION": f"Basic {login}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    body = application(environ, lambda status, _headers, _error=None: said.append(status))
    b"".join(body)
    return said[0]


def serve(what: str, requests: int, logins: Path) -> None:
    """Do something so often, after it was done `WARM` times."""
    lines = logins.read_text().split()
    work = _work(what, logins.parent, lines)
    gc.freeze()  # as the server's workers do
    for number in range(WARM + requests):
        work(lines[number % len(lines)])


def _work(what: str, folder: Path, lines: list[str]) -> Callable[[str], object]:
    """Return what is counted: the application that `TOKEN_SERVER_CONFIG` names, or a floor."""
    if what == FLAT:
        return flat_exchange(folder)
    if what == CRYPTO:
        both = crypto_alone(folder, lines[0])
        return lambda _: both()
    # The threads that look after keys and files are not started: they would count by the clock.
    settings = read_settings(Path(os.environ["TOKEN_SERVER_CONFIG"]))
    log = EventLog(settings.log_format, settings.log_level)
    application = assemble(settings, load_state(settings), log).application

    def asked(login: str) -> None:
        status = ask(application, login)
        if not status.startswith("200"):
            sys.exit(f"a request was answered {status}")

    return asked


def counted(
    what: str, requests: int, logins: Path, configuration: Path, keep: Path | None = None
) -> int:
    """Return the instructions of a process that does something so often."""
    file = keep or Path(os.devnull)
    command = [
        *("valgrind", "--tool=callgrind", f"--callgrind-out-file={file}"),
        *(sys.executable, __file__, "--serve", what, str(requests), str(logins)),
    ]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "TOKEN_SERVER_CONFIG": str(configuration),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = _TOTAL.search(done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"callgrind: {done.stderr[-2000:]}")
    return int(found[1])


def instructions(
    what: str, folder: Path, logins: Path, caches: str, requests: int, keep: Path | None = None
) -> float:
    """
    Return the instructions of one request, in millions.

    Args:
        what: `EXCHANGE`, `FLAT` or `CRYPTO`.
        folder: One that `token-server init` made.
        logins: Basic credentials, one each line.
        caches: The configuration's line about them.
        requests: How many are counted.
        keep: Where the profile is written, of all that the process does.
    """
    configuration = folder / "instructions.yaml"
    text = (folder / "server.yaml").read_text().replace("logFormat: text", "logFormat: json")
    configuration.write_text(f"{text}rateLimits: {{client: false, identity: false}}\n{caches}")
    once = counted(what, requests, logins, configuration)
    twice = counted(what, 2 * requests, logins, configuration, keep)
    return (twice - once) / requests / 1e6


def main() -> int:
    """Count, print, and return whether the bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve[0], int(chosen.serve[1]), Path(chosen.serve[2]))
        return 0
    if shutil.which("valgrind") is None:
        print("not counted: valgrind is not installed; on Debian: apt-get install -y valgrind")
        return 0
    from bench_token_server import MODES, TOKENS, logins  # noqa: PLC0415 - it imports this module

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "site"
        starter.create(folder, starter.Choices(), datetime.now(UTC))
        lines, caches = logins(folder, TOKENS), MODES[EXCHANGE]
        found = {
            what: instructions(
                what, folder, lines, caches, chosen.requests, chosen.keep if keeps else None
            )
            for what, keeps in ((EXCHANGE, True), (FLAT, False), (CRYPTO, False))
        }
    print(f"instructions of one exchange in millions, by callgrind, {sys.version.split()[0]}:")
    for what, count in found.items():
        print(f"  {what:14} {count:.3f}  {count / found[EXCHANGE]:.2f} of the exchange")
    print(f"  the exchange may take {MAX_MILLIONS}")
    return int(found[EXCHANGE] > MAX_MILLIONS)


if __name__ == "__main__":
    sys.exit(main())
