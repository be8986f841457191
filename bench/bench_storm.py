"""
Storms: more token requests than a server can answer, in an open loop.

    python bench/bench_storm.py [--seconds 3] [--workers 1 2] [--hosts waitress granian]

Needs Go.  For each host and number of workers, in the same run: the capacity (full exchanges a
second, without caches, each on a connection of its own, from clients that wait for their answers),
then requests at k times the capacity from 1,000 addresses, and from one.

r is the CPU time of a request that is turned away by that of an exchange: what the server took in a
storm beyond its exchanges, by how many it turned away, in the storm where that was least.  It is
measured with the first number of workers: with more, the load takes the server's cores, and times
mean little.  Goodput is the share of the capacity that was answered 200.  The goal is 0.8 of
max(0, (1 - k r) / (1 - r)).

`told` is the share of those turned away that got 503 or 429 with `Retry-After`; the others gave up
after five seconds.  Beside a storm come clients that ask once (`once`), one that asks ten times a
second (`steady`), and probes of `/readyz` that wait a second at most, at the same address
and at one that only probes use.  `whole` is the time until a
token is answered within a tenth of a second again.

Server and load share the machine.  Where there are as many workers as cores, the load takes from
the server what it needs, so that goodput is a lower bound.
"""

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench_token_server import (
    QUESTION,
    TOKENS,
    cores,
    cpu_of,
    free_port,
    logins,
    on,
    on_granian,
    on_waitress,
    running,
)

from regauth.servers.setup import starter

FACTORS = (1.5, 2, 4, 10)
SHARE = 0.8
CLIENTS = 32
HOSTS = {"waitress": on_waitress, "granian": on_granian}
SETTINGS = "rateLimits: {client: false, identity: false}\ncaches: {logins: 0s, answers: 0s}\n"
HEAD = (
    "     k  from  goodput  goal     r  told  told ms  p50 ms  p99 ms  once  steady"
    "  probes  at their own  slowest ms  whole s"
)


def configured(folder: Path, port: int, own: int, workers: int) -> Path:
    """Write the configuration of a server that listens on a port of its own for probes too."""
    file = folder / "storm.yaml"
    text = (folder / "server.yaml").read_text()
    text = re.sub(
        "^listen: .*$", f'listen: ["127.0.0.1:{port}", "127.0.0.1:{own}"]', text, flags=re.MULTILINE
    )
    text = text.replace("logFormat: text", "logFormat: json")
    file.write_text(f"{text}workers: {workers}\n{SETTINGS}")
    return file


class Loader:
    """What loads the server, and what it is pointed at."""

    def __init__(
        self, program: Path, tokens: Path, load_on: set[int], ports: tuple[int, int], pid: int
    ) -> None:
        self._command = [*on(load_on), str(program), "-logins", str(tokens), "-path", QUESTION]
        self._command += ["-address", f"127.0.0.1:{ports[0]}", "-own", f"127.0.0.1:{ports[1]}"]
        self._pid = pid

    def run(self, seconds: float, **given: float) -> tuple[dict[str, Any], float]:
        """Load the server; return what came of it, and the CPU time that it took."""
        before = cpu_of(self._pid)
        options = [text for name, one in given.items() for text in (f"-{name}", f"{one:g}")]
        done = subprocess.run(
            [*self._command, "-seconds", f"{seconds:g}", *options],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout), cpu_of(self._pid) - before


@dataclass
class Row:
    """A storm."""

    k: float
    sources: int
    result: dict[str, Any]
    cpu: float
    whole: float

    def answered(self, whose: str, *statuses: str) -> int:
        """Count the answers of some statuses."""
        return sum(int(self.result[whose]["status"].get(one, 0)) for one in statuses)

    def asked(self, whose: str) -> int:
        """Count the requests."""
        return int(sum(self.result[whose]["status"].values())) or 1

    def told(self) -> int:
        """Count all that were turned away with advice."""
        untold = int(self.result["storm"]["refusedWithoutRetryAfter"])
        return self.answered("storm", "429", "503") - untold

    def refusal(self, exchange: float) -> float:
        """Return the CPU time of a refusal by that of an exchange; infinite with few of them."""
        whose = ("storm", "steady", "once")
        served = sum(self.answered(one, "200") for one in whose)
        refused = sum(self.answered(one, "429", "503") for one in whose)
        return (self.cpu / exchange - served) / refused if refused > 100 else float("inf")


def recovery(port: int, authorization: str) -> float:
    """Return the seconds until a token is answered within a tenth of a second."""
    began = time.perf_counter()
    while True:
        asked = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", QUESTION, headers={"Authorization": f"Basic {authorization}"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status == 200 and time.perf_counter() - asked < 0.1:
            return asked - began
        time.sleep(0.02)


def shown(row: Row, most: float, seconds: float, exchange: float, r: float) -> dict[str, Any]:
    """Print a storm, and return its figures."""
    storm = row.result["storm"]
    goal = SHARE * max(0.0, (1 - row.k * r) / (1 - r)) if row.sources > 1 else 0.0
    away = row.asked("storm") - row.answered("storm", "200")
    figures = {
        "k": row.k,
        "addresses": row.sources,
        "goodput": storm["inTime"] / seconds / most,
        "goal": goal,
        "r": row.refusal(exchange),
        "told": row.told() / max(1, away),
        "once": row.answered("once", "200") / row.asked("once"),
        "steady": row.answered("steady", "200") / row.asked("steady"),
        "probes failed": row.asked("probe") - row.answered("probe", "200"),
        "own probes failed": row.asked("own") - row.answered("own", "200"),
        "whole": row.whole,
    }
    print(
        f"{row.k:6g}  {row.sources:4d}  {figures['goodput']:7.2f}  {goal:4.2f}"
        f"  {figures['r']:4.2f}  {figures['told']:4.2f}  {storm['toldP50']:7.1f}"
        f"  {storm['p50']:6.0f}  {storm['p99']:6.0f}  {figures['once']:4.2f}"
        f"  {figures['steady']:6.2f}  {figures['probes failed']:6d}"
        f"  {figures['own probes failed']:9d} of {row.asked('own'):3d}"
        f"  {row.result['own']['slowest']:10.0f}  {row.whole:7.1f}  {storm['status']}",
        flush=True,
    )
    return figures


def measure(
    host: str, folder: Path, program: Path, workers: int, seconds: float, known: float | None
) -> dict[str, Any]:
    """Measure one host with so many workers; `known` is r where the load had its own core."""
    server_on, load_on = cores(workers)
    tokens, port, own = logins(folder, TOKENS), free_port(), free_port()
    file = configured(folder, port, own, workers)
    first = tokens.read_text().partition("\n")[0]
    rows = []
    with running([*on(server_on), *HOSTS[host](port, workers, file)], port) as (pid, _):
        loader = Loader(program, tokens, load_on, (port, own), pid)
        loader.run(1, clients=CLIENTS)  # to warm up
        calm, cpu = loader.run(seconds, clients=CLIENTS)
        served = calm["storm"]["status"]["200"]
        most, exchange = served / seconds, cpu / served
        for k, sources in [*((k, 1000) for k in FACTORS), (10, 1)]:
            result, cpu = loader.run(seconds, rate=k * most, sources=sources)
            rows.append(Row(k, sources, result, cpu, recovery(port, first)))
    r = min(one.refusal(exchange) for one in rows) if known is None else known
    title = f"{host}, {workers} worker{'s' * (workers > 1)}"
    print(f"\n{title}: {most:.0f} a second, {exchange * 1e6:.0f} us of CPU each, r = {r:.2f}")
    print(HEAD)
    shown_rows = [shown(row, most, seconds, exchange, r) for row in rows]
    return {"host": host, "workers": workers, "r": r, "storms": shown_rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=list(HOSTS))
    chosen = parser.parse_args()
    for program in ("go", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} is not installed; without it no storm is measured")
            sys.exit(0)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder, loader = Path(name) / "site", Path(name) / "storm"
        starter.create(folder, starter.Choices(), datetime.now(UTC))
        source = Path(__file__).parent / "storm" / "main.go"
        subprocess.run(["go", "build", "-o", loader, source], check=True)
        for host in chosen.hosts:
            r = None
            for workers in chosen.workers:
                found.append(measure(host, folder, loader, workers, chosen.seconds, r))
                r = found[-1]["r"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
