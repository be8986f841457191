"""
A day in the life of a token server: jobs, a rollout, a rotation of keys and an outage.

    python bench/bench_day.py [--seconds 10] [--jobs 20] [--nodes 2000] [--only NAME...]

Needs Go.  Ours on each host, at its defaults, the proof of concept, and docker_auth where
`DOCKER_AUTH` names its program; each has a core to itself, and the load and the provider have
another.  `day/main.go` plays the clients, each with an address and a token of its own, in an open
loop.  A phase takes `--seconds`:

* jobs: `--jobs` a second; each logs in, pulls three images and pushes one, for which it asks twice,
  as docker does.  They go on through all the phases;
* rollout: `--nodes` nodes begin within the phase, and pull four images each, as containerd does.
  Their tokens are of one subject;
* rotation: the provider signs by a new key from the phase's begin, and publishes both;
* outage: the provider answers 503;
* after: the provider is there again.

docker_auth takes no JWT.  It is measured with passwords (bcrypt of cost 5, as its page has them),
and with the tokens that it gives for a login at GitHub (bcrypt of cost 10, which it does not let
one change).  The provider's phases are jobs alone to it.

`p50` to `p99.9` are the milliseconds until a token with all that was asked for is there, counted
from when it was asked for, of those that came.  `whose` says where the slowest hundredth waited
when that is above 20 ms: at the server's core or the load's, when that was busy for 85 % of the
time; in the machine, when others had the cores; or at the provider.  `provider` counts the requests
that it got.  MiB is the most that the server's processes had.
"""

import argparse
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from bench_exchange import by_discovery, cache
from bench_token_server import SERVICE, cores, free_port, on, on_granian, on_waitress, running
from exchange.go_peers import proof_of_concept
from exchange.local_http import serving

from regauth.servers.setup import sample, starter

USERS = 500
TOKEN_USERS = 20
"""Fewer: each takes docker_auth a tenth of a second to make."""
PASSWORD = "bench"
PASSWORD_HASH = "$2b$05$OkY53NZm4mRgvBVbfqnOzOg4msCOmQ358bzjC3Y6H2YeeM.y4reH2"

DOCKER_AUTH_CONFIGURATION = """\
server: {{addr: "127.0.0.1:{port}"}}
token: {{issuer: bench, expiration: 300, certificate: {certificate}, key: {key}}}
acl:
  - match: {{account: "/^job-/", name: "acme/app*"}}
    actions: [pull, push]
  - match: {{name: "acme/*"}}
    actions: [pull]
{logins}
"""

Start = Callable[[int], list[str]]
Day = dict[str, Any]
"""What `day/main.go` prints: its phases, and the server's memory."""


@dataclass(frozen=True)
class Subject:
    """A server to measure, where it gives tokens, and who logs in when it takes no JWT."""

    name: str
    start: Start
    path: str = "/auth/token"
    users: Callable[[int], list[tuple[str, str]]] = field(default=lambda _: [])


def subjects(root: Path, provider: int) -> Iterator[Subject]:
    """Give what can be had here, and say why another cannot."""
    folder = root / "site"
    starter.create(folder, starter.Choices(), datetime.now(UTC))
    static = Path(shutil.copytree(folder, root / "static"))
    address = f"http://127.0.0.1:{provider}"
    by_discovery(folder, address)
    yield Subject("waitress", lambda port: on_waitress(port, 1, at_defaults(folder, port)))
    if importlib.util.find_spec("granian") is None:
        print("granian is not installed; with it, it is measured too")
    else:
        yield Subject("granian", lambda port: on_granian(port, 1, at_defaults(folder, port)))
    try:
        command = proof_of_concept(static, cache(), SERVICE, discovery=address)
        yield Subject("proof of concept", lambda port: command(port, 1))
    except subprocess.CalledProcessError as error:
        print(f"the proof of concept cannot be built: {error.stderr.strip()[-300:]}")
    program = os.environ.get("DOCKER_AUTH") or shutil.which("docker_auth")
    if program is None:
        print("DOCKER_AUTH names no program; with it, docker_auth is measured too")
        return
    yield from docker_auth(program, static)


def at_defaults(folder: Path, port: int) -> Path:
    """Write a configuration that leaves all to the defaults which costs something."""
    file = folder / f"defaults-{port}.yaml"
    text = (folder / "server.yaml").read_text().replace(":5001", f":{port}")
    file.write_text(text.replace("logFormat: text\n", ""))
    return file


def docker_auth(program: str, folder: Path) -> Iterator[Subject]:
    """Give docker_auth with passwords, and with tokens of its own."""
    current = (folder / "keys" / "current").read_text().strip()
    names = [f"job-{number}" for number in range(USERS)]

    def start(kind: str, logins: str) -> Start:
        def command(port: int) -> list[str]:
            file = folder / f"docker-auth-{kind}.yaml"
            file.write_text(
                DOCKER_AUTH_CONFIGURATION.format(
                    port=port,
                    certificate=folder / "keys" / f"{current}.crt",
                    key=folder / "keys" / f"{current}.key",
                    logins=logins,
                )
            )
            return ["env", "GOMAXPROCS=1", program, str(file)]

        return command

    users = "\n".join(f'  {name}: {{password: "{PASSWORD_HASH}"}}' for name in names)
    yield Subject(
        "docker_auth, passwords",
        start("passwords", f"users:\n{users}"),
        users=lambda _: [(name, PASSWORD) for name in names],
    )
    with github() as address:
        login = (
            f"github_auth: {{client_id: bench, client_secret: {secrets.token_hex(8)}, "
            f"github_web_uri: {address}, github_api_uri: {address}, revalidate_after: 1h, "
            f"level_token_db: {{path: {folder / 'tokens.ldb'}}}}}"
        )
        yield Subject(
            "docker_auth, its tokens",
            start("tokens", login),
            users=lambda port: [github_login(port, name) for name in names[:TOKEN_USERS]],
        )


@contextmanager
def github() -> Iterator[str]:
    """Serve as much of GitHub as a login at docker_auth asks; a code is the user's name."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            name = re.search(r"(?:^|&)code=([\w-]+)", form)
            self._answer({"token_type": "bearer", "access_token": name[1] if name else ""})

        def do_GET(self) -> None:
            name = self.headers["Authorization"].rpartition(" ")[2]
            self._answer({"login": name} if self.path == "/user" else [])

        def _answer(self, told: object) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

    with serving(Answers) as address:
        yield address


def github_login(port: int, name: str) -> tuple[str, str]:
    """Log in by a browser's last step; return the name and the password that the page shows."""
    address = f"http://127.0.0.1:{port}/github_auth?code={name}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        page = answer.read().decode()
    found = re.search(r"docker login -u (\S+) -p (\S+)", page)
    if found is None:
        raise RuntimeError(page[-500:])
    return found[1], found[2]


def measure(subject: Subject, program: Path, root: Path, chosen: argparse.Namespace) -> Day:
    """Have a server live a day; return what came of it."""
    server_on, load_on = cores(1)
    port = free_port()
    plan = root / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "path": subject.path,
                "service": SERVICE,
                "claims": sample.sample_claims("acme/app", "refs/heads/main", "push"),
                "seconds": chosen.seconds,
                "jobs": chosen.jobs,
                "nodes": chosen.nodes,
                "provider": f"127.0.0.1:{chosen.provider}",
            }
        )
    )
    load = subprocess.Popen(
        [*on(load_on), str(program), "-plan", str(plan), "-server", f"127.0.0.1:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert load.stdout is not None
        load.stdout.readline()  # the provider is there
        with running([*on(server_on), *subject.start(port)], port) as (pid, _):
            told = json.dumps({"pid": pid, "users": subject.users(port)})
            found: Day = json.loads(load.communicate(told, timeout=20 * chosen.seconds + 60)[0])
            return found
    finally:
        load.kill()
        load.wait()


def show(name: str, found: Day) -> None:
    """Print a server's day."""
    print(f"\n{name}: {found['memory']:.0f} MiB")
    print("phase     tokens  a second    p50    p99  p99.9  whose     CPU us  provider  failed")
    for one in found["phases"]:
        print(
            f"{one['name']:9} {one['tokens']:6d}  {one['rate']:8.0f}"
            f"  {one['p50']:5.0f}  {one['p99']:5.0f}  {one['p999']:5.0f}  {one['whose']:8}"
            f"  {one['cpu'] / max(1, one['tokens']) * 1e6:6.0f}  {one['asked']:8d}  "
            + (", ".join(f"{n} {why}" for why, n in sorted(one["failed"].items())) or "none"),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--jobs", type=float, default=20)
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="servers, by how names begin")
    chosen = parser.parse_args()
    for program in ("go", "taskset"):
        if shutil.which(program) is None:
            print(f"{program} is not installed; without it no day is measured")
            sys.exit(0)
    everything = {}
    chosen.provider = free_port()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sources = sorted(str(one) for one in (Path(__file__).parent / "day").glob("*.go"))
        subprocess.run(["go", "build", "-o", root / "day", *sources], check=True)
        for subject in subjects(root, chosen.provider):
            if chosen.only is None or subject.name.startswith(tuple(chosen.only)):
                everything[subject.name] = measure(subject, root / "day", root, chosen)
                show(subject.name, everything[subject.name])
    print(json.dumps(everything))


if __name__ == "__main__":
    main()
