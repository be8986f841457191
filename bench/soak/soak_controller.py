"""
Two controllers for half an hour, through everything that happens in a cluster.

Outages of the API server, `kill -9` of the leader, jumps of the server's clock, a past that is
forgotten, and a tenant who spoils what the controller makes.  After each of them a new account of a
quiet namespace has to be served within 30 seconds of the API server's return.  At the end every
account has a good token, nothing is left over, and no process has had more than 256 MiB, or more
descriptors or threads than a fixed number.

    python bench/soak/soak_controller.py [SECONDS]

Run by `make soak`; exits with 1 when something is not so.
"""

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.controller.api_server import ApiServer
from tests.controller.listening import StatusError

SECONDS = 1800.0
SERVED_SECONDS = 30.0
MEMORY = 256
"""MiB."""
DESCRIPTORS, THREADS = 32, 16
"""A process that leaks none has a third of them: one for each watch and worker, and a few."""
NAMESPACES = ("team-a", "team-b", "quiet", "regauth")
SETTINGS = """\
policy: policy
registries: [{host: registry.example.com, provider: cluster, tokenDuration: 10m}]
election: {duration: 5s}
listen: localhost:PORT
"""
POLICY = """\
version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    keys: {jwksUri: https://kubernetes.default.svc.cluster.local/openid/v1/jwks}
    claims: kubernetes
    maxTokenAge: 10m
grants:
  - name: own
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull]
"""


class Cluster:
    """The API server, and what happens to it."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_
        self.ahead = 0.0
        self.api = ApiServer(lambda: time.time() + self.ahead)
        self.number = 0
        for name in NAMESPACES:
            self.api.create("namespaces", name)

    def account(self, namespace: str) -> str:
        self.number += 1
        name = f"a{self.number}"
        self.api.create("serviceaccounts", name, namespace)
        return name

    def outage(self) -> None:
        def refuse(_request: object) -> None:
            raise ConnectionAbortedError

        self.api.before = refuse
        self.api.disconnect()
        time.sleep(self.random.uniform(1, 20))
        self.api.before = lambda _request: None

    def jump(self) -> None:
        """Set the clock forward; back, tokens would be of the future, which no server issues."""
        self.ahead += self.random.uniform(30, 240)

    def forget(self) -> None:
        self.api.bump()
        self.api.compact()
        self.api.disconnect()

    def leave(self) -> None:
        accounts = [one for one in self.api.all("serviceaccounts") if team(one) == "team-a"]
        for one in accounts[: len(accounts) // 3]:
            self.api.delete("serviceaccounts", "team-a", one["metadata"]["name"], None)

    def spoil(self) -> None:
        """Empty a secret, delete another, and take a name off an account."""
        mine = [one["metadata"]["name"] for one in self.api.all("secrets") if team(one) == "team-b"]
        for number, name in enumerate(mine[:6]):
            # The controller may delete one between the list and the edit.
            with suppress(KeyError, StatusError):
                if number % 2:
                    self.api.delete("secrets", "team-b", name, None)
                else:
                    self.api.edit("secrets", name, "team-b", emptied)
        for one in self.api.all("serviceaccounts"):
            if team(one) == "team-b":
                name = one["metadata"]["name"]
                self.api.edit("serviceaccounts", name, "team-b", without_pull_secrets)
                return

    def arrive(self) -> None:
        for _ in range(self.random.randint(1, 40)):
            self.account(self.random.choice(("team-a", "team-b")))

    def good(self, namespace: str, name: str) -> bool:
        """Tell whether an account names a secret with a token that is good now."""
        account = self.api.get("serviceaccounts", name, namespace) or {}
        secret = self.api.get("secrets", f"{name}-pull-secret", namespace)
        listed = account.get("imagePullSecrets", [])
        if secret is None or {"name": f"{name}-pull-secret"} not in listed:
            return False
        auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
        tokens = [one["password"] for one in auths.values()]
        return bool(tokens) and all(
            self.api.review(one, "https://registry.example.com") for one in tokens
        )


def emptied(secret: dict[str, Any]) -> None:
    secret["data"][".dockerconfigjson"] = base64.b64encode(b'{"auths": {}}').decode()


def without_pull_secrets(account: dict[str, Any]) -> None:
    account.pop("imagePullSecrets", None)


def team(found: dict[str, Any]) -> str:
    return str(found["metadata"].get("namespace", ""))


class Controllers:
    """Two processes, of which one leads."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.peak = folder, 0.0
        self.descriptors = self.threads = 0
        (folder / "policy").mkdir()
        (folder / "policy" / "policy.yaml").write_text(POLICY)
        (folder / "controller.yaml").write_text(SETTINGS.replace("PORT", "0"))
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": cluster.api.url}}],
            "users": [{"name": "u", "user": {"token": cluster.api.bearer}}],
            "contexts": [context],
            "current-context": "c",
        }
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        self.processes = [self._start(), self._start()]

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "regauth.controller.kube_controller"]
        names = {"--config": "controller.yaml", "--kubeconfig": "kubeconfig"}
        files = [one for option, name in names.items() for one in (option, self.folder / name)]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([*program, *files], stderr=log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill one, whichever it is, and start it again as its Deployment does."""
        self.look()
        first = self.processes.pop(0)
        first.kill()
        first.wait()
        self.processes.append(self._start())

    def look(self) -> None:
        """Start again what has ended, and take note of memory, descriptors and threads."""
        for index, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[index] = self._start()
                continue
            place = Path(f"/proc/{process.pid}")
            lines = (place / "status").read_text(encoding="ascii").splitlines()
            status = {name: rest.split() for name, _, rest in (one.partition(":") for one in lines)}
            if "VmHWM" in status:  # one that is ending has no memory any more
                self.peak = max(self.peak, int(status["VmHWM"][0]) / 1024)
                self.threads = max(self.threads, int(status["Threads"][0]))
                with suppress(FileNotFoundError):
                    self.descriptors = max(self.descriptors, len(list((place / "fd").iterdir())))

    def end(self) -> None:
        self.look()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


def wait_for(condition: Callable[[], bool], controllers: Controllers, seconds: float) -> float:
    """Return after how many seconds something holds; infinity when it does not in time."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            return float("inf")
        controllers.look()
        time.sleep(0.1)
    return time.monotonic() - begun


def soak(seconds: float, folder: Path, seed: int) -> list[str]:
    """Run; return what is not as it should be."""
    cluster = Cluster(random.Random(seed))
    controllers = Controllers(folder, cluster)
    happenings = [
        *(cluster.outage, cluster.jump, cluster.forget, cluster.leave, cluster.spoil),
        *(cluster.arrive, controllers.kill),
    ]
    wrong, worst, rounds = [], 0.0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        each_once = rounds < len(happenings)
        happening = happenings[rounds] if each_once else cluster.random.choice(happenings)
        rounds += 1
        happening()
        served = partial(cluster.good, "quiet", cluster.account("quiet"))
        took = wait_for(served, controllers, 2 * SERVED_SECONDS)
        worst = max(worst, took)
        if took > SERVED_SECONDS:
            wrong.append(f"after {happening.__name__} a new account waited {took:.0f} s")
    wait_for(lambda: not bad(cluster), controllers, 10 * SERVED_SECONDS)
    wrong += bad(cluster)
    controllers.end()
    log = (folder / "log").read_text()
    wrong += [f"the log has {word!r}" for word in ("eyJ", "Traceback") if word in log]
    if controllers.peak > MEMORY:
        wrong.append(f"a process had {controllers.peak:.0f} MiB")
    had = f"{controllers.descriptors} descriptors and {controllers.threads} threads"
    if controllers.descriptors > DESCRIPTORS or controllers.threads > THREADS:
        wrong.append(f"a process had {had}")
    print(
        f"{rounds} happenings, {len(cluster.api.all('serviceaccounts'))} accounts at the end;"
        f" the longest wait of a new account {worst:.1f} s; peak {controllers.peak:.0f} MiB, {had}"
    )
    cluster.api.close()
    return wrong


def bad(cluster: Cluster) -> list[str]:
    """Return what is lost and what is left over."""
    accounts = {(team(one), one["metadata"]["name"]) for one in cluster.api.all("serviceaccounts")}
    lost = [f"{'/'.join(one)} has no good token" for one in accounts if not cluster.good(*one)]
    left = [
        f"{team(one)}/{one['metadata']['name']} is left over"
        for one in cluster.api.all("secrets")
        if (team(one), one["metadata"]["name"].removesuffix("-pull-secret")) not in accounts
    ]
    return lost + left


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
    print(f"SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = soak(seconds, Path(folder), seed)
        if wrong:
            kept = Path(tempfile.mkdtemp()) / "log"
            kept.write_bytes((Path(folder) / "log").read_bytes())
            wrong.append(f"the controllers' log is {kept}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
