"""
Storms: more token requests than a server can answer, in an open loop.

    python bench/bench_storm.py [--seconds 3] [--rounds 7] [--workers 1 2] [--hosts granian]

Needs Go.  For each host and number of workers: requests at k times the capacity from 1,000
addresses, and from one.  The capacity is how many full exchanges a second the server answers to
clients that wait for their answers, without caches, each on a connection of its own.  It is
measured before and after each storm, because a machine that does other things changes it; a storm
is compared with the mean of both.  All figures are medians of rounds, except that the goals follow
from medians.

r is the CPU time of a request that is turned away by that of an exchange: what the server took in a
storm beyond its exchanges, by how many it turned away.  The goals take it from the storm where it
was least, of those that turned away twice as many as they served: with fewer, it would say mostly
how much dearer an exchange was than before.  It is measured with the first number of workers: with
more, the load takes the server's cores, and times mean little.  Goodput is the share of the
capacity that was answered 200.  The goal is 0.8 of max(0, (1 - k r) / (1 - r)).

A server with as many workers as the machine has cores shares them with the load, and a storm's load
takes more than that of the clients that the capacity was measured with.  So a floor stands beside
the goal.  `left` is the CPU time of the server's cores in the storm that nothing else took (the
server's own, and what was idle), by what the server took for the capacity.  `sent` is k as it came:
a load that lacks CPU time sends less.  A server that wastes nothing reaches
max(0, (min(1, left) - sent r) / (1 - r)), and `reach` is 0.8 of it.  `used` is the share of `left`
that the server took, and `load` the share of the machine that the load took.  The floor excuses
what is below the goal only where `left` is below 1, and only a server that used what was left.

`told` is the share of those turned away that got 503 or 429 with `Retry-After`; the others gave up
after five seconds.  Beside a storm come clients that ask once (`once`), one that asks ten times a
second (`steady`), and probes of `/readyz` that wait a second at most, at the same address
and at one that only probes use.  `whole` is the time until a
token is answered within a tenth of a second again.

The figures of the CPU end with the storm; clients that still wait then are answered later.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
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

STORMS = ((1.5, 1000), (2, 1000), (4, 1000), (10, 1000), (10, 1))
"""k, and the number of addresses."""
SHARE = 0.8
CLIENTS = 32
HOSTS = {"waitress": on_waitress, "granian": on_granian}
SETTINGS = "rateLimits: {client: false, identity: false}\ncaches: {logins: 0s, answers: 0s}\n"
HEAD = (
    "     k  sent  from  goodput  goal  reach  left  used  load     r  told  told ms  p50 ms"
    "  p99 ms  once  steady  probes  at their own  slowest ms  whole s"
)


def idle_of(which: set[int]) -> float:
    """Return the seconds for which some cores had nothing to do."""
    found = re.findall(
        r"^cpu(\d+) \d+ \d+ \d+ (\d+) (\d+)", Path("/proc/stat").read_text(), re.MULTILINE
    )
    ticks = sum(int(idle) + int(waits) for core, idle, waits in found if int(core) in which)
    return ticks / os.sysconf("SC_CLK_TCK")


def reachable(k: float, r: float, left: float = 1) -> float:
    """Return the goodput of a server that wastes nothing of the share that was left to it."""
    return max(0.0, (min(1.0, left) - k * r) / (1 - r))


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


@dataclass(frozen=True)
class Load:
    """What came of a load, and who took how many seconds of CPU."""

    result: dict[str, Any]
    total: float
    """The server's, until the last request was answered."""
    server: float
    """The server's, until the load's time was up, as the others."""
    load: float
    idle: float
    """Nobody's, of the server's cores."""

    @property
    def left(self) -> float:
        """Return what the server could have taken."""
        return self.server + self.idle


class Loader:
    """What loads the server, and what it is pointed at."""

    def __init__(
        self, program: Path, tokens: Path, workers: int, ports: tuple[int, int], pid: int
    ) -> None:
        self._cores, load_on = cores(workers)
        self._command = [*on(load_on), str(program), "-logins", str(tokens), "-path", QUESTION]
        self._command += ["-address", f"127.0.0.1:{ports[0]}", "-own", f"127.0.0.1:{ports[1]}"]
        self._pid = pid

    def run(self, seconds: float, **given: float) -> Load:
        """Load the server."""
        options = [text for name, one in given.items() for text in (f"-{name}", f"{one:g}")]
        command = [*self._command, "-seconds", f"{seconds:g}", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout is not None
            load.stdout.readline()  # it begins
            before = self._seconds(load.pid)
            load.stdout.readline()  # its time is up
            after = self._seconds(load.pid)
            result = json.loads(load.stdout.read())
        server, loads, idle = (late - early for late, early in zip(after, before, strict=True))
        return Load(result, cpu_of(self._pid) - before[0], server, loads, idle)

    def _seconds(self, load: int) -> tuple[float, float, float]:
        """Return the CPU seconds of the server, of the load, and of nobody."""
        return cpu_of(self._pid), cpu_of(load), idle_of(self._cores)


class Capacity:
    """What a server can do, by what it did for clients that wait for their answers."""

    def __init__(self, calm: Sequence[Load], seconds: float) -> None:
        served = sum(one.result["storm"]["status"]["200"] for one in calm)
        took = sum(one.total for one in calm)
        self.seconds = seconds
        self.rate = served / len(calm) / seconds
        """Exchanges a second."""
        self.exchange = took / served
        """The seconds of CPU that one takes."""
        self.share = took / len(calm)
        """The seconds of CPU that the server took while clients asked."""
        self.used = sum(one.server for one in calm) / sum(one.left for one in calm)
        """The share that this was of what the clients left."""


@dataclass(frozen=True)
class Row:
    """A storm."""

    load: Load
    whole: float
    capacity: Capacity
    """Before and after it."""

    def answered(self, whose: str, *statuses: str) -> int:
        """Count the answers of some statuses."""
        return sum(int(self.load.result[whose]["status"].get(one, 0)) for one in statuses)

    def asked(self, whose: str) -> int:
        """Count the requests."""
        return int(sum(self.load.result[whose]["status"].values())) or 1

    def told(self) -> int:
        """Count all that were turned away with advice."""
        untold = int(self.load.result["storm"]["refusedWithoutRetryAfter"])
        return self.answered("storm", "429", "503") - untold

    def ended(self, *statuses: str) -> int:
        """Count the answers of some statuses to all that asked for a token."""
        return sum(self.answered(one, *statuses) for one in ("storm", "steady", "once"))

    def refusal(self) -> float:
        """Return the CPU time of a refusal by that of an exchange; infinite with few of them."""
        served, refused = self.ended("200"), self.ended("429", "503")
        beyond = self.load.total / self.capacity.exchange - served
        return beyond / refused if refused > 2 * served else float("inf")

    def figures(self) -> dict[str, float]:
        """Return what was measured."""
        result, capacity = self.load.result, self.capacity
        storm, away = result["storm"], self.asked("storm") - self.answered("storm", "200")
        sent = self.asked("storm") - self.answered("storm", "could not come")
        return {
            "sent": sent / capacity.seconds / capacity.rate,
            "goodput": storm["inTime"] / capacity.seconds / capacity.rate,
            "left": self.load.left / capacity.share,
            "used": self.load.server / self.load.left,
            "load": self.load.load / capacity.seconds / (os.cpu_count() or 1),
            "r": self.refusal(),
            "told": self.told() / max(1, away),
            "told ms": storm["toldP50"],
            "p50": storm["p50"],
            "p99": storm["p99"],
            "once": self.answered("once", "200") / self.asked("once"),
            "steady": self.answered("steady", "200") / self.asked("steady"),
            "probes failed": self.asked("probe") - self.answered("probe", "200"),
            "own probes failed": self.asked("own") - self.answered("own", "200"),
            "slowest": result["own"]["slowest"],
            "whole": self.whole,
        }


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


def medians(rounds: Sequence[Row]) -> dict[str, float]:
    """Return the figures of one storm, the medians of its rounds."""
    each = [one.figures() for one in rounds]
    return {name: statistics.median(one[name] for one in each) for name in each[0]}


def show(k: float, sources: int, one: dict[str, float]) -> None:
    """Print a storm."""
    print(
        f"{k:6g}  {one['sent']:4.1f}  {sources:4d}  {one['goodput']:7.2f}"
        f"  {one['goal']:4.2f}  {one['reach']:5.2f}  {one['left']:4.2f}"
        f"  {one['used']:4.2f}  {one['load']:4.2f}"
        f"  {one['r']:4.2f}  {one['told']:4.2f}  {one['told ms']:7.1f}"
        f"  {one['p50']:6.0f}  {one['p99']:6.0f}  {one['once']:4.2f}"
        f"  {one['steady']:6.2f}  {one['probes failed']:6.0f}  {one['own probes failed']:12.0f}"
        f"  {one['slowest']:10.0f}  {one['whole']:7.1f}",
        flush=True,
    )


def storms(
    host: str, folder: Path, program: Path, workers: int, seconds: float, rounds: int
) -> tuple[list[list[Row]], Capacity]:
    """Return the storms of each round, and what the server could do in all of them."""
    server_on, _ = cores(workers)
    tokens, port, own = logins(folder, TOKENS), free_port(), free_port()
    file = configured(folder, port, own, workers)
    first = tokens.read_text().partition("\n")[0]
    found = []
    with running([*on(server_on), *HOSTS[host](port, workers, file)], port) as (pid, _):
        loader = Loader(program, tokens, workers, (port, own), pid)
        loader.run(1, clients=CLIENTS)  # to warm up
        calm = [loader.run(seconds, clients=CLIENTS)]
        for _ in range(rounds):
            rows = []
            for k, sources in STORMS:
                rate = k * Capacity(calm[-1:], seconds).rate
                load = loader.run(seconds, rate=rate, sources=sources)
                whole = recovery(port, first)
                calm.append(loader.run(seconds, clients=CLIENTS))
                rows.append(Row(load, whole, Capacity(calm[-2:], seconds)))
            found.append(rows)
    return found, Capacity(calm, seconds)


def report(
    title: str, rounds: list[list[Row]], capacity: Capacity, known: float | None
) -> dict[str, Any]:
    """Print and return the figures of all storms; `known` is r where the load had its own core."""
    found = [medians(rows) for rows in zip(*rounds, strict=True)]
    r = max(0.0, min(one["r"] for one in found)) if known is None else known
    print(
        f"\n{title}: {capacity.rate:.0f} a second, {capacity.exchange * 1e6:.0f} us of CPU each, "
        f"{capacity.used:.2f} of what the load left, r = {r:.2f}"
    )
    print(HEAD)
    for (k, sources), one in zip(STORMS, found, strict=True):
        share = SHARE if sources > 1 else 0.0
        one["goal"] = share * reachable(k, r)
        one["reach"] = share * reachable(one["sent"], r, one["left"])
        show(k, sources, one)
    return {"storm": title, "r": r, "figures": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=7)
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
                given = (host, folder, loader, workers, chosen.seconds, chosen.rounds)
                title = f"{host}, {workers} worker{'s' * (workers > 1)}"
                found.append(report(title, *storms(*given), r))
                r = found[-1]["r"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
