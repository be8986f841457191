"""
What the controller costs a cluster: five thousand service accounts from cold and after a restart.

What lives here: an API server of the tests' own in a process of its own, and the controller in
another, which says what it took.  What must not: claims about other machines.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubernetes.client import Configuration

from regauth.controller.cluster import Cluster
from regauth.controller.entitlements import Entitlements
from regauth.controller.event_log import EventLog
from regauth.controller.measures import Measures
from regauth.controller.reconciling import Controller, Host
from regauth.controller.settings import Registry
from regauth.engine import compile_policy

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.controller.api_server import ApiServer

ACCOUNTS = 5_000
NAMESPACES = 50
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


def serve() -> None:
    """Be the API server; answer each line on standard input with the requests since the last."""
    api = ApiServer(time.time)
    for number in range(NAMESPACES):
        api.create("namespaces", f"team-{number}")
    for number in range(ACCOUNTS):
        api.create("serviceaccounts", f"account-{number}", f"team-{number % NAMESPACES}")
    print(api.url, flush=True)
    for _ in sys.stdin:
        print(json.dumps(api.count()), flush=True)
        with api.changed:
            api.seen.clear()
    api.close()


def reconcile(url: str) -> None:
    """Be the controller: list, do everything that is to be done, and say what it took."""
    policy = compile_policy({"policy.yaml": POLICY}, now=datetime.now(UTC)).policy
    assert policy is not None
    host, audience = "registry.example.com", "https://registry.example.com"
    registry = Registry(host, host, "cluster", "cluster", audience, timedelta(hours=12))
    connection = Configuration()
    connection.host = url
    world = Host(
        Cluster(connection),
        lambda: datetime.now(UTC),
        time.monotonic,
        lambda: True,
        EventLog(descriptor=-1),
        Measures(),
    )
    before = peak_memory()
    begin = time.perf_counter()
    controller = Controller(world, Entitlements((registry,), policy=policy))
    controller.sync()
    listed = time.perf_counter() - begin
    while (key := controller.queue.take()) is not None:
        controller.work(key)
    seconds = time.perf_counter() - begin
    assert not controller.queue.failing
    grown = peak_memory() - before
    print(json.dumps({"listed": listed, "seconds": seconds, "peak": peak_memory(), "grown": grown}))


def peak_memory() -> float:
    """The most memory this process has had, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) / 1024


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        serve()
        return 0
    if sys.argv[1:2] == ["--reconcile"]:
        reconcile(sys.argv[2])
        return 0
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        print(f"{ACCOUNTS} service accounts in {NAMESPACES} namespaces, one registry")
        for name in ("cold", "after a restart"):
            took = json.loads(
                subprocess.check_output([sys.executable, __file__, "--reconcile", url])
            )
            server.stdin.write("count\n")
            server.stdin.flush()
            requests: Counter[str] = Counter(json.loads(server.stdout.readline()))
            lists = sum(count for what, count in requests.items() if what.startswith("GET"))
            others = {what: count for what, count in requests.items() if not what.startswith("GET")}
            print(f"  {name}: {took['seconds']:.1f} s, of it {took['listed']:.1f} to list")
            print(f"    peak {took['peak']:.0f} MiB, of it {took['grown']:.0f} for the accounts")
            each = sum(others.values()) / ACCOUNTS
            print(f"    {each:.2f} requests an account: {others or 'none'}; {lists} to list")
            if name != "cold":
                assert not others
        server.stdin.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
