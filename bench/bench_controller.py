"""
What the controller costs a cluster, and how long the helpers take to start.

1. Service accounts from cold and again after a restart: requests, memory and time.  5,000 in 50
   namespaces with the tests' own API server, and with a real kube-apiserver when
   `KUBEBUILDER_ASSETS` names one; 20,000 in 2,000 namespaces with the tests' own, where one of the
   namespaces has a tenth of all and an account of another comes last.
   At most 3 requests an account were wanted; 4 is what a token that is bound to its secret takes,
   and is the bound here: docs/kubernetes.md says why.  After a restart it is none.  The process
   has 256 MiB at most, as the kernel counts its peak.
2. The kubelet's plugin and docker's helper, each a whole run, to an interpreter that does nothing:
   at most 150 ms of a processor, which is what a run takes where nothing else runs.

Run by `make bench`; exits with 1 when a bound is missed.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubernetes.client import Configuration

from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.observing.cluster import Cluster
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.settings import Registry
from regauth.engine import compile_policy

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.controller.api_server import ApiServer
from tests.controller.conftest import jwt
from tests.controller.kube_apiserver import KubeApiServer

SIZES = {"own": (5_000, 50), "kube-apiserver": (5_000, 50), "large": (20_000, 2_000)}
"""How many accounts in how many namespaces, by the kind of API server."""
WANTED, LEAST = 3, 4
MEMORY = 256
"""MiB."""
START_SECONDS, ROUNDS = 0.150, 15
POLICY = """version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    keys: {jwksUri: https://kubernetes.default.svc.cluster.local/openid/v1/jwks}
    claims: kubernetes
grants:
  - name: own
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull]
"""


def serve(kind: str) -> None:
    """Be the API server until standard input ends."""
    with tempfile.TemporaryDirectory() as folder:
        own = kind != "kube-apiserver"
        accounts, namespaces = SIZES[kind]
        api: ApiServer | KubeApiServer = (
            ApiServer(time.time) if own else KubeApiServer(Path(folder))
        )
        for number in range(namespaces):
            api.create("namespaces", f"team-{number}")
        flood = accounts // 10 if kind == "large" else 0
        for number in range(accounts):
            home = 0 if number < flood else number % namespaces
            api.create("serviceaccounts", f"account-{number}", f"team-{home}")
        place = {"url": api.url, "bearer": api.bearer}
        if isinstance(api, KubeApiServer):  # past the gate
            place |= {"url": api.upstream, "ca": api.ca_file}
        print(json.dumps(place), flush=True)
        sys.stdin.read()
        api.close()


def reconcile(place: dict[str, str]) -> None:
    """Be the controller: list, do everything that is to be done, and say what it took."""
    policy = compile_policy({"policy.yaml": POLICY}, now=datetime.now(UTC)).policy
    assert policy is not None
    host, audience = "registry.example.com", "https://registry.example.com"
    registry = Registry(host, host, "cluster", "cluster", audience, timedelta(hours=12))
    connection = Configuration()
    connection.host, connection.ssl_ca_cert = place["url"], place.get("ca")
    connection.api_key["authorization"] = f"Bearer {place['bearer']}"
    requests: Counter[str] = Counter()
    cluster = Cluster(
        connection, count=lambda method, kind, _: requests.update([f"{method} {kind}"])
    )
    world = Host(
        cluster,
        lambda: datetime.now(UTC),
        time.monotonic,
        lambda: True,
        ControllerLog(descriptor=-1),
        Measures(),
    )
    before = peak_memory()
    begin = time.perf_counter()
    controller = Controller(world, Entitlements((registry,), policy=policy))
    controller.sync()
    listed = time.perf_counter() - begin
    order = []
    while (key := controller.queue.take()) is not None:
        controller.work(key)
        order.append(key.namespace)
    seconds = time.perf_counter() - begin
    assert not controller.queue.failing
    peak = peak_memory()
    flood = max(set(order), key=order.count)
    before_last = [one for one in order[: last_first(order)] if one == flood]
    took = {"listed": listed, "seconds": seconds, "requests": requests, "flood": order.count(flood)}
    took["before"] = len(before_last)
    print(json.dumps({**took, "peak": peak, "grown": peak - before}))


def last_first(order: list[str]) -> int:
    """Where the first account of the namespace that came last was served."""
    return max(order.index(one) for one in set(order))


def peak_memory() -> float:
    """The most memory this process has had, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) / 1024


def accounts(kind: str) -> bool:
    """Measure both runs with one API server; return whether the bounds are kept."""
    kept = True
    program = [sys.executable, __file__]
    with subprocess.Popen(
        [*program, "--serve", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        place = server.stdout.readline().strip()
        number, namespaces = SIZES[kind]
        print(f"{number} service accounts in {namespaces} namespaces, one registry, {kind}:")
        for name, bound in (("cold", LEAST), ("after a restart", 0)):
            took = json.loads(subprocess.check_output([*program, "--reconcile", place]))
            lists = sum(n for what, n in took["requests"].items() if what.startswith("GET"))
            others = {what: n for what, n in took["requests"].items() if not what.startswith("GET")}
            each = sum(others.values()) / number
            kept = kept and each <= bound and took["peak"] <= MEMORY
            wanted = f", {WANTED} wanted, {LEAST} the least" if bound else ", 0 wanted"
            what = f"{each:.2f} requests an account{wanted}: {others or 'none'}"
            print(f"  {name}: {what}; {lists} to list")
            print(f"    peak {took['peak']:.0f} MiB, of it {took['grown']:.0f} for the accounts")
            print(f"    {took['seconds']:.1f} s, of it {took['listed']:.1f} to list")
            if kind == "large" and bound:
                share = took["before"] / took["flood"]
                kept = kept and share <= 1 / 100
                print(
                    f"    every other namespace was served before {share:.1%} of the"
                    f" {took['flood']} accounts of one, 1 % wanted"
                )
        server.stdin.close()
    return kept


def best(run: Callable[[], object]) -> float:
    """The least that one of several runs took of a processor, in seconds."""
    times = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def starts() -> bool:
    """Measure whole runs of both helpers; return whether the bound is kept."""
    token = jwt(exp=int(time.time()) + 600, sub="system:serviceaccount:team-a:builder")
    request = json.dumps(
        {
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "kind": "CredentialProviderRequest",
            "image": "registry.example.com/app",
            "serviceAccountToken": token,
        }
    )
    programs = Path(sys.executable).parent
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "credential-helper.json"
        source = {"environment": {"variable": "TOKEN"}}
        file.write_text(
            json.dumps(
                {"registries": {"registry.example.com": {"username": "ci", "source": source}}}
            )
        )
        environment = {"TOKEN": token, "REGAUTH_CREDENTIAL_HELPER_CONFIG": str(file)}

        def seconds(given: str, *command: str | Path) -> float:
            return best(
                lambda: subprocess.run(
                    command,
                    input=given,
                    text=True,
                    capture_output=True,
                    check=True,
                    env=environment,
                )
            )

        bare = seconds("", sys.executable, "-c", "pass")
        plugin = programs / "regauth-credential-provider"
        helper = programs / "docker-credential-regauth"
        for name, took in (
            (
                plugin.name,
                seconds(request, plugin, "--registry=registry.example.com", "--username=c"),
            ),
            (helper.name, seconds("registry.example.com", helper, "get")),
        ):
            kept = kept and took <= START_SECONDS
            times = f"{took / bare:.1f} times an interpreter that does nothing"
            print(f"{name}: {took * 1000:.0f} ms, {times}")
    return kept


def main() -> int:
    match sys.argv[1:]:
        case ["--serve", kind]:
            serve(kind)
        case ["--accounts", kind]:
            return 0 if accounts(kind) else 1
        case ["--reconcile", place]:
            reconcile(json.loads(place))
        case _:
            real = bool(os.environ.get("KUBEBUILDER_ASSETS"))
            if not real:
                print("without a real kube-apiserver: KUBEBUILDER_ASSETS names none")
            kinds = ["own", "large", *(["kube-apiserver"] if real else [])]
            kept = [starts(), *map(accounts, kinds)]
            return 0 if all(kept) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
