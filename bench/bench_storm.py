"""
Storms: more token requests than a server can answer, in an open loop.

    python bench/bench_storm.py [--seconds 5] [--workers 1 2] [--hosts waitress granian]

Needs Go.  For each host and number of workers, in the same run: the capacity (full exchanges a
second, without caches, each on a connection of its own); r, the CPU time of the cheapest refusal
(429) by that of an exchange; then requests at k times the capacity from 1,000 addresses, and from
one.  Goodput is the share of the capacity that was answered 200 meanwhile.  The goal is 0.8 of
max(0, (1 - k r) / (1 - r)).  Beside the storm, another address asks ten times a second, and a probe
asks `/readyz` with a second's patience.  Afterwards the time until a request is answered within a
tenth of a second is measured.

Server and load share the machine.  Where there are as many workers as cores, the load takes from
the server what it needs, so that goodput is a lower bound.
"""

import argparse
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

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
HOSTS = {"waitress": on_waitress, "granian": on_granian}
NO_LIMITS = "rateLimits: {client: false, identity: false}\n"
REFUSING = "rateLimits: {client: {perSecond: 0.001, burst: 1}, identity: false}\n"
CACHES = "caches: {logins: 0s, answers: 0s}\n"


def configured(folder: Path, port: int, workers: int, limits: str) -> Path:
    """Write the configuration of a server."""
    file = folder / "storm.yaml"
    text = (folder / "server.yaml").read_text().replace(":5001", f":{port}")
    text = text.replace("logFormat: text", "logFormat: json")
    file.write_text(f"{text}workers: {workers}\n{limits}{CACHES}")
    return file


class Storm:
    """The loader, and what it is pointed at."""

    def __init__(self, loader: Path, tokens: Path, wrk_on: set[int]) -> None:
        self._command = [*on(wrk_on), str(loader), "-logins", str(tokens), "-path", QUESTION]

    def blow(self, port: int, rate: float, seconds: float, sources: int = 1000) -> dict:
        """Ask at a rate; return what came of it."""
        given = ("-rate", f"{rate:g}", "-seconds", f"{seconds:g}", "-sources", str(sources))
        done = subprocess.run(
            [*self._command, "-address", f"127.0.0.1:{port}", *given],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)


def answered(result: dict, *statuses: str) -> int:
    return sum(result["storm"]["status"].get(one, 0) for one in statuses)


def capacity(storm: Storm, port: int, pid: int, seconds: float) -> tuple[float, float]:
    """
    Return requests a second at most, and the CPU time of one.

    The rate goes up until twice in a row fewer are answered than a twentieth less of it: once may
    be another program's doing.
    """
    storm.blow(port, 200, 2)  # to warm up
    rate, best, cpu, missed = 400.0, 0.0, 0.0, 0
    while missed < 2:
        before = cpu_of(pid)
        result = storm.blow(port, rate, seconds)
        good = max(1, answered(result, "200"))
        if good / seconds > best:
            best, cpu = good / seconds, (cpu_of(pid) - before) / good
        missed = missed + 1 if good < 0.95 * rate * seconds else 0
        rate *= 1.3
    return best, cpu


def recovery(port: int) -> float:
    """Return the seconds until a request is answered within a tenth of a second."""
    began = time.perf_counter()
    while True:
        asked = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/readyz")
        connection.getresponse().read()
        connection.close()
        if time.perf_counter() - asked < 0.1:
            return asked - began


def measure(host: str, folder: Path, loader: Path, workers: int, seconds: float) -> list[dict]:
    """Measure one host with so many workers."""
    server_on, load_on = cores(workers)
    storm = Storm(loader, logins(folder, TOKENS), load_on)
    port = free_port()
    file = configured(folder, port, workers, REFUSING)
    with running([*on(server_on), *HOSTS[host](port, workers, file)], port) as (pid, _):
        storm.blow(port, 200, 5)  # every address has its one request
        before = cpu_of(pid)
        refused = answered(storm.blow(port, 400, seconds), "429")
        refusal = (cpu_of(pid) - before) / refused
    port = free_port()
    file = configured(folder, port, workers, NO_LIMITS)
    found = []
    with running([*on(server_on), *HOSTS[host](port, workers, file)], port) as (pid, _):
        most, exchange = capacity(storm, port, pid, seconds)
        r = refusal / exchange
        print(f"\n{host}, {workers} workers: {most:.0f} a second, r = {r:.2f}")
        print("     k  from  goodput  goal   p50 ms   p99 ms  other ok  ready ok  untold  whole s")
        for k, sources in [*((k, 1000) for k in FACTORS), (10, 1)]:
            result = storm.blow(port, k * most, seconds, sources)
            whole = recovery(port)
            goal = SHARE * max(0.0, (1 - k * r) / (1 - r)) if sources > 1 else 0.0
            steady, probe = result["steady"]["status"], result["probe"]["status"]
            row = {
                "host": host,
                "workers": workers,
                "k": k,
                "addresses": sources,
                "goodput": answered(result, "200") / seconds / most,
                "goal": goal,
                "other": steady.get("200", 0) / sum(steady.values()),
                "ready": probe.get("200", 0) / sum(probe.values()),
                "whole": whole,
            }
            found.append(row)
            print(
                f"{k:6g}  {sources:4d}  {row['goodput']:7.2f}  {goal:4.2f}  {result['p50']:7.0f}"
                f"  {result['p99']:7.0f}  {row['other']:8.2f}  {row['ready']:8.2f}"
                f"  {result['storm']['refusedWithoutRetryAfter']:6d}  {whole:7.1f}"
                f"  {result['storm']['status']}"
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
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
            for workers in chosen.workers:
                found += measure(host, folder, loader, workers, chosen.seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
