"""
Requests per second of the token server, beside a bare Falcon "hello" on the same waitress.

    python bench/bench_token_server.py [--seconds 5] [--workers 1 2]

Loads real processes over loopback with wrk (Debian: apt-get install -y wrk): a full exchange
(RS256 in, ES256 out, the policy of `token-server init`), the same with the verified login
remembered, and the same question again.  What counts are the ratios to hello, in the same run;
those by CPU time are the steadier ones on a machine that does other things too.  Two rows are about
what is out of reach: "crypto alone" is hello with one verification and one signature, and "PyJWT
alone" is hello with a token that PyJWT decodes and another that it encodes, without a login, a
policy, a log or a metric.

A server has as many cores to itself as it has workers, and wrk the others, if there are any.

The same by `token-server --server granian`, where that is installed.  Where Go is, the full
exchange is measured beside a handler of Go's standard library that does the same (`exchange/`), and
beside the proof of concept's token server, each with as many processors as there are workers.
"""

import argparse
import base64
import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import falcon
import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from exchange.floors import flat_exchange
from exchange.go_peers import peers

from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.engine.tokens.pem import load_private_key
from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.setup import sample, starter
from regauth.servers.token.process import pin

SERVICE = "registry.example.com"
QUESTION = f"/auth/token?service={SERVICE}&scope=repository:acme/app:pull,push"
CONNECTIONS = 32
TOKENS = 2000
FLOORS = {"crypto alone": "/crypto", "PyJWT alone": "/pyjwt"}

MODES = {
    "full exchange": "caches: {logins: 0s, answers: 0s}\n",
    "login remembered": "caches: {logins: 30s, answers: 0s}\n",
    "repeated question": "caches: {logins: 30s, answers: 30s}\n",
}

WRK_SCRIPT = """
local requests = {}
local at = 0
function init(args)
  for line in io.lines("%s") do
    requests[#requests + 1] = wrk.format("GET", "%s", {["Authorization"] = "Basic " .. line})
  end
  math.randomseed(os.time())
  at = math.random(#requests)
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Result:
    """Requests a second, latencies in ms, CPU time of a request in µs, a worker's MiB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float
    errors: int


class Hello:
    """The least that Falcon can answer."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        response.text = '{"status":"ok"}'


class Crypto:
    """Hello, after what a full exchange cannot go without: RS256 verified, ES256 signed."""

    def __init__(
        self, token: str, public: rsa.RSAPublicKey, key: ec.EllipticCurvePrivateKey
    ) -> None:
        parsed = jwt.parse(token)
        self._signature, self._input = parsed.signature, parsed.signing_input
        self._public, self._key = public, key
        self._padding, self._hash, self._method = padding.PKCS1v15(), SHA256(), ec.ECDSA(SHA256())

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        self._public.verify(self._signature, self._input, self._padding, self._hash)
        self._key.sign(self._input, self._method)
        response.text = '{"status":"ok"}'


class PyJwt:
    """Hello, with PyJWT's part of an exchange and no other."""

    def __init__(
        self, token: str, public: rsa.RSAPublicKey, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self._token, self._public, self._key = token, public, key

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        claims = pyjwt.decode(
            self._token,
            self._public,
            algorithms=["RS256"],
            audience=sample.AUDIENCE,
            issuer=sample.ISSUER,
        )
        now = int(time.time())
        access = [{"type": "repository", "name": "acme/app", "actions": ["pull", "push"]}]
        times = {"iat": now, "nbf": now - 10, "exp": now + 300}
        answer = {"iss": "me", "sub": claims["sub"], "aud": SERVICE, "jti": "0" * 22, **times}
        token = pyjwt.encode({**answer, "access": access}, self._key, "ES256", {"kid": "key"})
        response.text = f'{{"token":"{token}"}}'


class Flat:
    """Hello, with the flat exchange of `exchange/floors.py`."""

    def __init__(self, folder: Path) -> None:
        self._exchange = flat_exchange(folder)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = self._exchange(request.env["HTTP_AUTHORIZATION"][6:])


def hello() -> falcon.App[falcon.Request, falcon.Response]:
    """Make the application of hello and of what is out of reach."""
    provider = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issued = int(time.time())
    claims = sample.sample_claims("acme/app", "refs/heads/main", "push")
    times = {"iat": issued, "nbf": issued, "exp": issued + 3600}
    token = jwt.sign({**claims, **times}, SigningKey(provider, "RS256"))
    given = (token, provider.public_key(), ec.generate_private_key(ec.SECP256R1()))
    app = falcon.App()
    app.add_route("/hello", Hello())
    app.add_route("/crypto", Crypto(*given))
    app.add_route("/pyjwt", PyJwt(*given))
    if "BENCH_FOLDER" in os.environ:
        app.add_route("/flat", Flat(Path(os.environ["BENCH_FOLDER"])))
    return app


def serve_hello(port: int, workers: int) -> None:
    """Serve hello as the token server serves: one pinned process for each worker."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as the token server does
    listeners = hosting.bind([Address("127.0.0.1", port)])
    pids = []
    for core in range(workers):
        pid = os.fork()
        if pid == 0:
            pin(core)
            hosting.Server(hello(), listeners, threads=4).run()
            os._exit(0)
        pids.append(pid)
    signal.sigwait({signal.SIGTERM})
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def cores(workers: int) -> tuple[set[int], set[int]]:
    """Return the cores of a server with so many workers, and those of who loads it."""
    allowed = sorted(os.sched_getaffinity(0))
    return set(allowed[:workers]), set(allowed[workers:] or allowed)


def on(which: set[int]) -> list[str]:
    """Return what runs a command on some cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(which)))]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[tuple[int, float]]:
    """Run a server; give its process id and the seconds until it accepted a connection."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > 30:
                    raise
                time.sleep(0.005)
        yield process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # docker_auth answers all who wait before it ends
            process.kill()
            process.wait()


def memory_of(pid: int) -> float:
    """Return the MiB that a server's serving process keeps for itself and shares."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{children[0] if children else pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def load(port: int, path: str, logins: Path, seconds: float, pid: int, wrk_on: set[int]) -> Result:
    """Load a server: a second to warm up, then the seconds that count."""
    script = logins.with_suffix(".lua")
    script.write_text(WRK_SCRIPT % (logins, path))
    output = ""
    before = 0.0
    for duration in (1, seconds):
        before = cpu_of(pid)
        output = subprocess.run(
            [
                *on(wrk_on),
                "wrk",
                "-t2",
                f"-c{CONNECTIONS}",
                f"-d{duration:g}s",
                "-s",
                script,
                f"http://127.0.0.1:{port}",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    if found is None:
        raise RuntimeError(output)
    requests, micros, p50, p99, errors = map(int, found.groups())
    cpu = (cpu_of(pid) - before) / requests * 1e6
    return Result(requests / micros * 1e6, p50 / 1000, p99 / 1000, cpu, memory_of(pid), errors)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a server and its workers have taken."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def logins(folder: Path, count: int, issuer: str = sample.ISSUER) -> Path:
    """Write Basic credentials, each with a token of its own."""
    key = SigningKey(load_private_key((folder / sample.KEY_FILE).read_bytes()), "RS256")
    issued = int(time.time())
    times = {"iat": issued, "nbf": issued, "exp": issued + 3600}
    lines = []
    for number in range(count):
        claims = sample.sample_claims("acme/app", "refs/heads/main", "push")
        token = jwt.sign({**claims, **times, "iss": issuer, "run_id": str(number)}, key)
        lines.append(base64.b64encode(f"sample:{token}".encode()).decode())
    file = folder / f"logins-{count}{'' if issuer == sample.ISSUER else '-other'}"
    file.write_text("\n".join(lines) + "\n")
    return file


def on_waitress(port: int, workers: int, configuration: Path | None) -> list[str]:
    """Return what serves hello, or the token server, as `token-server` does."""
    if configuration is None:
        return [sys.executable, __file__, "--hello", str(port), str(workers)]
    server = [sys.executable, "-m", "regauth.servers.commands.token_server"]
    return [*server, "--config", str(configuration)]


def on_granian(port: int, workers: int, configuration: Path | None) -> list[str]:
    """Return what serves hello, by granian's own command, or `token-server --server granian`."""
    if configuration is not None:
        return [*on_waitress(port, workers, configuration), "--server", "granian"]
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-access-log"),
        *("--blocking-threads", "1", "--factory"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        *("--working-dir", str(Path(__file__).parent), "bench_token_server:hello"),
    ]


def measure(
    host: Callable[[int, int, Path | None], list[str]], folder: Path, workers: int, seconds: float
) -> dict[str, Result]:
    """Measure hello and every mode with so many workers."""
    many, one = logins(folder, TOKENS), logins(folder, 1)
    server_on, wrk_on = cores(workers)
    port = free_port()
    with running([*on(server_on), *host(port, workers, None)], port) as (pid, _):
        results = {
            name: load(port, path, one, seconds, pid, wrk_on)
            for name, path in {"hello": "/hello", **FLOORS}.items()
        }
    for mode, caches in MODES.items():
        port = free_port()
        configuration = folder / "bench.yaml"
        configuration.write_text(
            (folder / "server.yaml")
            .read_text()
            .replace(":5001", f":{port}")
            .replace("logFormat: text", "logFormat: json")  # the default
            + f"workers: {workers}\nrateLimits: {{client: false, identity: false}}\n{caches}"
        )
        os.environ["TOKEN_SERVER_CONFIG"] = str(configuration)
        with running([*on(server_on), *host(port, workers, configuration)], port) as (pid, started):
            tokens = one if mode == "repeated question" else many
            results[mode] = load(port, QUESTION, tokens, seconds, pid, wrk_on)
        results[mode + " start"] = Result(started, 0, 0, 0, 0, 0)
    return results


def report(title: str, results: dict[str, Result]) -> dict[str, list[float]]:
    """Print the results and return each mode's ratio to hello, by requests and by CPU time."""
    hello = results["hello"]
    print(f"\n{title:22}   req/s  of hello  p50 ms  p99 ms  CPU us  of hello  MiB/worker  errors")
    for mode in ("hello", *FLOORS, *MODES):
        one = results[mode]
        print(
            f"{mode:22} {one.rate:7.0f}  {one.rate / hello.rate:8.2f}  {one.p50:6.2f}"
            f"  {one.p99:6.2f}  {one.cpu:6.0f}  {hello.cpu / one.cpu:8.2f}"
            f"  {one.memory:10.0f}  {one.errors:6d}"
        )
    print(f"serving {results['full exchange start'].rate:.2f} s after the start")
    return {
        mode: [
            round(results[mode].rate / hello.rate, 3),
            round(hello.cpu / results[mode].cpu, 3),
        ]
        for mode in (*FLOORS, *MODES)
    }


def beside(
    folder: Path, cache: Path, ours: dict[int, Result], seconds: float
) -> dict[str, list[float]]:
    """Measure the Go servers; return how our full exchange compares, by requests and by CPU."""
    ratios = {}
    print(
        f"\n{'full exchange':36}   req/s  p50 ms  p99 ms  CPU us  MiB  errors  ours of it, by CPU"
    )
    many = logins(folder, TOKENS)
    for name, command in peers(folder, cache, SERVICE):
        for workers, mine in ours.items():
            port = free_port()
            server_on, wrk_on = cores(workers)
            with running([*on(server_on), *command(port, workers)], port) as (pid, _):
                one = load(port, QUESTION, many, seconds, pid, wrk_on)
            title = f"{name}, {workers} processor{'s' * (workers > 1)}"
            print(
                f"{title:36} {one.rate:7.0f}  {one.p50:6.2f}  {one.p99:6.2f}  {one.cpu:6.0f}"
                f"  {one.memory:3.0f}  {one.errors:6d}"
                f"  {mine.rate / one.rate:10.2f}  {one.cpu / mine.cpu:6.2f}"
            )
            ratios[title] = [round(mine.rate / one.rate, 3), round(one.cpu / mine.cpu, 3)]
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--hello", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.hello:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        serve_hello(*chosen.hello)
        return
    for program, package in {"wrk": "wrk", "taskset": "util-linux"}.items():
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed; on Debian: apt-get install -y {package}")
    hosts = {"waitress": on_waitress}
    if importlib.util.find_spec("granian") is None:
        print("granian is not installed; with it, it is measured too")
    else:
        hosts["granian"] = on_granian
    everything: dict[str, dict[str, list[float]]] = {}
    ours: dict[int, Result] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "site"
        starter.create(folder, starter.Choices(), datetime.now(UTC))
        for host, command in hosts.items():
            for workers in chosen.workers:
                title = f"{host}, {workers} worker{'s' * (workers > 1)}"
                results = measure(command, folder, workers, chosen.seconds)
                everything[title] = report(title, results)
                if command is on_waitress:
                    ours[workers] = results["full exchange"]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regauth-bench"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        compared = beside(folder, cache, ours, chosen.seconds)
    print(json.dumps({"of hello, by requests and by CPU time": everything, "of Go": compared}))


if __name__ == "__main__":
    main()
