"""Lists in pages: how large a page may be, and what of it stays in memory (fault K1)."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER
from regauth.controller.observing.cluster import Cluster
from regauth.controller.observing.paging import FIRST_LIMIT, MAX_LIMIT, PAGE_BYTES, read_pages
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.conftest import connection

KIND = "kubernetes.io/dockerconfigjson"
MIB = 1024 * 1024
GROWN = 64 * MIB
"""Bytes by which listing may make the process grow, whatever the objects weigh."""

LIST = """
import json, sys, time
from datetime import UTC, datetime
from kubernetes.client import Configuration
from regauth.controller.applying.host import Host
from regauth.controller.applying.reconciling import Controller
from regauth.controller.event_log import ControllerLog
from regauth.controller.measures import Measures
from regauth.controller.observing.cluster import Cluster
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.settings import Registry

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

place = Configuration()
place.host = sys.argv[1]
place.api_key["authorization"] = f"Bearer {sys.argv[2]}"
host = Host(
    Cluster(place), lambda: datetime.now(UTC), time.monotonic, lambda: True,
    ControllerLog(descriptor=-1), Measures(),
)
controller = Controller(host, Entitlements((Registry("registry.example.com"),)))
before = peak()
controller.sync()
print(json.dumps({"grown": peak() - before, "known": len(controller.inventory.accounts())}))
"""


@pytest.fixture
def api(clock: Clock) -> Iterator[ApiServer]:
    server = ApiServer(clock.timestamp)
    server.create("namespaces", "team-a")
    yield server
    server.close()


def fill(api: ApiServer, number: int, size: int) -> None:
    """Create accounts with annotations of a size; the API server's own bound is 256 KiB."""
    for index in range(number):
        api.create(
            "serviceaccounts", f"a{index:04}", "team-a",
            metadata={"annotations": {"note": "x" * size}},
        )  # fmt: skip


def pages(api: ApiServer) -> tuple[list[int], list[int]]:
    """Read all accounts; return how many objects each page was asked for, and has."""
    api.seen.clear()
    cluster = Cluster(connection(api))
    found = [
        len(one["items"]) for one in read_pages(cluster, "/api/v1/serviceaccounts", {"a": "b"})
    ]
    return [int(one.query["limit"]) for one in api.seen], found


def test_small_objects_come_in_ever_larger_pages(api: ApiServer) -> None:
    fill(api, 1200, 10)
    asked, found = pages(api)

    assert asked == [FIRST_LIMIT, FIRST_LIMIT * 4, MAX_LIMIT, MAX_LIMIT]
    assert sum(found) == 1200


def test_k1_a_page_that_is_too_large_is_asked_for_in_smaller_parts(api: ApiServer) -> None:
    fill(api, 40, 250_000)
    asked, found = pages(api)

    assert sum(found) == 40
    assert max(found) * 250_000 <= PAGE_BYTES
    assert len(asked) == len(found) + 1, "one page was too large"


def test_k1_one_object_is_read_whatever_its_size(api: ApiServer) -> None:
    """A tenant who could make the list fail would stop the controller for all."""
    fill(api, 3, PAGE_BYTES + 1)
    _, found = pages(api)

    assert found == [1, 1, 1]


@pytest.mark.parametrize("what", ["secrets", "annotations", "lists"])
def test_k1_a_tenant_s_large_objects_do_not_fill_the_memory(api: ApiServer, what: str) -> None:
    """Three hundred Secrets of a mebibyte took 1.3 GB, and ended both replicas at every start."""
    if what == "annotations":
        fill(api, 400, 250_000)
    for number in range(100) if what == "secrets" else ():
        meta = {"labels": {MANAGED_BY: MANAGER, INSTANCE: "default"}}
        data = {".dockerconfigjson": "IiI=", "more": "x" * MIB}
        api.create("secrets", f"s{number}", "team-a", metadata=meta, type=KIND, data=data)
    for number in range(20) if what == "lists" else ():
        names = [{"name": f"{one:06}"} for one in range(20_000)]
        api.create("serviceaccounts", f"a{number}", "team-a", imagePullSecrets=names)
    done = subprocess.run(
        [sys.executable, "-c", LIST, api.url, api.bearer],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["grown"] <= GROWN
