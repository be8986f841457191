"""
What an exchange costs beside the proof of concept, hello and a floor: CPU ratios of one run.

    python bench/bench_exchange.py [--seconds 2] [--rounds 7] [--pgo]

All servers run at once on the first core, and wrk loads one after the other in each round from the
others.  Only CPU time is compared, by medians of the rounds.  The proof of concept is measured with
static keys, and in its own flow: it fetches the discovery document and the keys at each request.
There ours is at its defaults, which remember logins and answers, for a time by the clock: a
machine that answers fewer requests makes a larger share of the answers anew.  So the share is
printed, and these two are loaded for as long as answers are kept: answers that are not kept yet
weigh less then.  Rate limits are off.
The flat function (`exchange/floors.py`) is the least that Python can do, behind Falcon on the same
host.

Exits with 1 when a bound is missed.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.request import urlopen

from bench_token_server import (
    MODES,
    QUESTION,
    TOKENS,
    cores,
    free_port,
    load,
    logins,
    on,
    on_granian,
    on_waitress,
    running,
)
from exchange.floors import SERVICE, public_key
from exchange.go_peers import proof_of_concept
from exchange.local_http import serving

from regauth.engine.tokens.jwks import jwks
from regauth.servers.setup import sample, starter

Host = Callable[[int, int, Path | None], list[str]]
HOSTS: dict[str, Host] = {"waitress": on_waitress, "granian": on_granian}
OWN_FLOW = "own flow"
KEPT_SECONDS = 5
"""For which the answer cache keeps an answer by default."""

WITH_PGO = 0.95
"""The bound of granian and static keys for an interpreter that was built with PGO."""

BOUNDS = {
    ("granian", "static"): 0.80,
    ("waitress", "static"): 0.54,
    ("granian", OWN_FLOW): 5.0,
    ("waitress", "repeated"): 0.65,
    ("granian", "repeated"): 0.25,
}


@contextmanager
def issuer(folder: Path) -> Iterator[str]:
    """Serve discovery document and keys of a folder's sample issuer; give its address."""
    keys = json.dumps(jwks([(public_key(folder), None, "RS256")])).encode()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = f"http://127.0.0.1:{self.server.server_address[1]}"
            told = {
                "issuer": address,
                "jwks_uri": f"{address}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
            body = keys if self.path == "/keys" else json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Answers) as address:
        yield address


def configured(folder: Path, name: str, port: int, caches: str) -> Path:
    """Write a configuration without rate limits."""
    file = folder / f"{name}.yaml"
    text = (folder / "server.yaml").read_text().replace(":5001", f":{port}")
    text = text.replace("logFormat: text\n", "")  # the default, JSON
    file.write_text(f"{text}rateLimits: {{client: false, identity: false}}\n{caches}")
    return file


def by_discovery(folder: Path, address: str) -> None:
    """Let a folder's provider be the issuer at an address, with the keys that it publishes."""
    policy = folder / "policy" / "policy.yaml"
    before, _, rest = policy.read_text().partition("    keys:\n      pem: |\n")
    after = rest[rest.index("    rules:") :]
    policy.write_text(before.replace(sample.ISSUER, address) + after)


class Runner:
    """Servers that run side by side, and what one request of each cost in each round."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server_on, self._wrk_on = cores(1)
        self._servers: dict[tuple[str, str], tuple[int, int, str, Path]] = {}
        self.found: dict[tuple[str, str], list[float]] = {}

    def add(
        self, names: tuple[str, str], port: int, command: list[str], path: str, asked: Path
    ) -> None:
        """Start a server; `path` is what is asked of it, with the credentials of a file."""
        pid, _ = self._stack.enter_context(running([*on(self._server_on), *command], port))
        self._servers[names] = (port, pid, path, asked)

    def round(self, seconds: float) -> None:
        """Load each server once."""
        for names, (port, pid, path, asked) in self._servers.items():
            long = max(seconds, KEPT_SECONDS) if names[1] == OWN_FLOW else seconds
            result = load(port, path, asked, long, pid, self._wrk_on)
            if result.errors:
                raise SystemExit(f"{names}: {result.errors} requests failed")
            self.found.setdefault(names, []).append(result.cpu)

    def given_again(self, *names: str) -> float:
        """Return the share of a token server's answers that were given before."""
        port = self._servers[names[0], names[1]][0]
        with urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            found = re.findall(
                r"^(token_server_\w+_total)\S* (\S+)$", page.read().decode(), re.MULTILINE
            )
        again, all_ = (
            sum(float(value) for name, value in found if name == f"token_server_{what}_total")
            for what in ("reused_answers", "requests")
        )
        return again / all_

    def cost(self, *names: str) -> float:
        """Return the median CPU time of a request in µs."""
        return statistics.median(self.found[names[0], names[1]])


def start(stack: ExitStack, root: Path) -> Runner:
    """Start everything that is compared."""
    runner = Runner(stack)
    folder = root / "site"
    starter.create(folder, starter.Choices(), datetime.now(UTC))
    many, one = logins(folder, TOKENS), logins(folder, 1)
    os.environ["BENCH_FOLDER"] = str(folder)
    command = proof_of_concept(folder, cache(), SERVICE)
    port = free_port()
    runner.add(("proof of concept", "static"), port, command(port, 1), QUESTION, many)
    for name, host in HOSTS.items():
        port = free_port()
        runner.add((name, "hello"), port, host(port, 1, None), "/hello", one)
        port = free_port()
        runner.add((name, "flat"), port, host(port, 1, None), "/flat", many)
        for mode in ("full exchange", "repeated question"):
            port = free_port()
            file = configured(folder, f"{name}-{mode[:4]}", port, MODES[mode])
            asked = one if mode == "repeated question" else many
            runner.add((name, mode), port, host(port, 1, file), QUESTION, asked)
    address = stack.enter_context(issuer(folder))
    folder = Path(shutil.copytree(folder, root / "discovered"))  # a server reads changes at once
    by_discovery(folder, address)
    asked = logins(folder, TOKENS, address)
    port = free_port()
    command = proof_of_concept(folder, cache(), SERVICE, discovery=address)
    runner.add(("proof of concept", OWN_FLOW), port, command(port, 1), QUESTION, asked)
    port = free_port()
    file = configured(folder, "defaults", port, "")
    runner.add(("granian", OWN_FLOW), port, on_granian(port, 1, file), QUESTION, asked)
    return runner


def cache() -> Path:
    """Return the folder of the Go servers."""
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regauth-bench"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def report(runner: Runner, bounds: dict[tuple[str, str], float]) -> bool:
    """Print costs and ratios; return whether every bound holds."""
    print(f"CPU us of a request, median and rounds, Python {sys.version}")
    for names in runner.found:
        print(
            f"  {' '.join(names):32} {runner.cost(*names):6.0f}  "
            f"({', '.join(f'{one:.0f}' for one in runner.found[names])})"
        )
    static = runner.cost("proof of concept", "static")
    ratios = {
        ("granian", OWN_FLOW): runner.cost("proof of concept", OWN_FLOW)
        / runner.cost("granian", OWN_FLOW)
    }
    for host in HOSTS:
        ratios[host, "static"] = static / runner.cost(host, "full exchange")
        ratios[host, "repeated"] = runner.cost(host, "hello") / runner.cost(
            host, "repeated question"
        )
        print(f"{host}: a floor of `static` is {static / runner.cost(host, 'flat'):.2f}")
    print(f"granian own flow: {runner.given_again('granian', 'own flow'):.0%} were given again")
    good = True
    for names, bound in bounds.items():
        print(f"{' '.join(names):22} {ratios[names]:.2f} (at least {bound})")
        good &= ratios[names] >= bound
    return good


def main() -> int:
    """Measure, print, and return whether a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pgo", action="store_true", help="Python was built with PGO, as Debian's")
    chosen = parser.parse_args()
    needed = {"wrk": shutil.which("wrk"), "granian": importlib.util.find_spec("granian")}
    built = os.environ.get("PROOF_OF_CONCEPT") or (cache() / "token-server").exists()
    needed["go"] = shutil.which("go") if not built else True
    if missing := [name for name, there in needed.items() if not there]:
        print(f"not measured, because not installed: {', '.join(missing)}")
        return 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        runner = start(stack, Path(name))
        for _ in range(chosen.rounds):
            runner.round(chosen.seconds)
        pgo = {("granian", "static"): WITH_PGO} if chosen.pgo else {}
        return int(not report(runner, {**BOUNDS, **pgo}))


if __name__ == "__main__":
    sys.exit(main())
