"""
A tenant who may write everything in one namespace, against a tenant who is quiet in another.

Each attack runs for many rounds.  Measured is how many requests the controller makes between a new
account of the quiet tenant and its secret, and that no token of the quiet tenant is where the other
can read it.  Requests are what the controller's time is made of; seconds are in `make soak`.
"""

import base64
from collections.abc import Callable, Iterator

import pytest

from regauth.controller.applying.reconciling import MAX_CHANGES
from regauth.controller.naming import INSTANCE, MANAGED_BY, MANAGER
from regauth.controller.settings import Memory
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.listening import Object
from tests.controller.sites import MAIN, Site, claims, logins

EVIL, QUIET = "evil", "quiet"
ACCOUNTS = 30
ROUNDS = 6
EACH = 4
"""Requests that a new account takes."""
KIND = "kubernetes.io/dockerconfigjson"
LABELS = {MANAGED_BY: MANAGER, INSTANCE: "default"}
NOTHING = base64.b64encode(b'{"auths": {}}').decode()

Attack = Callable[[ApiServer, int], object]


@pytest.fixture
def api(clock: Clock) -> Iterator[ApiServer]:
    server = ApiServer(clock.timestamp)
    for name in (EVIL, QUIET):
        server.create("namespaces", name)
    for number in range(ACCOUNTS):
        server.create("serviceaccounts", f"e{number}", EVIL)
    yield server
    server.close()


def secrets(api: ApiServer) -> list[str]:
    return [
        one["metadata"]["name"]
        for one in api.all("secrets")
        if one["metadata"]["namespace"] == EVIL
    ]


def each_secret(api: ApiServer, change: Callable[[Object], object]) -> None:
    for name in secrets(api):
        api.edit("secrets", name, EVIL, change)


def flood(api: ApiServer, number: int) -> None:
    for index in range(8):
        api.create("serviceaccounts", f"flood-{number}-{index}", EVIL)


def come_and_go(api: ApiServer, number: int) -> None:
    for index in range(ACCOUNTS // 2):
        api.delete("serviceaccounts", EVIL, f"e{index}", None)
        api.create("serviceaccounts", f"e{index}", EVIL)


def take_off(api: ApiServer, number: int) -> None:
    for index in range(ACCOUNTS):
        api.edit(
            "serviceaccounts", f"e{index}", EVIL, lambda one: one.pop("imagePullSecrets", None)
        )


def empty(api: ApiServer, number: int) -> None:
    each_secret(api, lambda one: one["data"].update({".dockerconfigjson": NOTHING}))


def take_labels(api: ApiServer, number: int) -> None:
    each_secret(api, lambda one: one["metadata"].update(labels={}))


def take_owners(api: ApiServer, number: int) -> None:
    each_secret(api, lambda one: one["metadata"].update(ownerReferences=[]))


def forge_owners(api: ApiServer, number: int) -> None:
    """Our labels on Secrets of theirs, for accounts that are another's or nobody's."""
    for index in range(30):
        owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "q", "uid": f"u{index}"}
        meta = {"labels": LABELS, "ownerReferences": [owner]}
        name = f"forged-{number}-{index}-pull-secret"
        api.create("secrets", name, EVIL, metadata=meta, type=KIND, data={".dockerconfigjson": NOTHING})  # fmt: skip


def keep(api: ApiServer, number: int) -> None:
    each_secret(api, lambda one: one["metadata"].update(finalizers=["example.com/kept"]))
    for name in secrets(api):
        api.delete("secrets", EVIL, name, None)


def freeze(api: ApiServer, number: int) -> None:
    each_secret(api, lambda one: one.update(immutable=True))


def grow(api: ApiServer, number: int) -> None:
    big = {"labels": LABELS, "annotations": {"note": "x" * 250_000}}
    data = {".dockerconfigjson": NOTHING, "more": "x" * 1_000_000}
    for index in range(1):
        name = f"big-{number}-{index}"
        api.create("secrets", name, EVIL, metadata=big, type=KIND, data=data)
        listed = [{"name": f"n{one}"} for one in range(2_000)]
        api.create("serviceaccounts", name, EVIL, imagePullSecrets=listed)


def lie(api: ApiServer, number: int) -> None:
    """Say in the state that all is well, or that a Secret of another is to be deleted."""
    name = f"{MANAGER}.pull-secrets"
    if api.get("configmaps", name, EVIL) is not None:
        forever = '["u","o",[["registry.example.com","cluster",["a"],1,99999999999,"k1"]]]'
        lies = dict.fromkeys((f"e{index}" for index in range(ACCOUNTS)), forever)
        api.edit("configmaps", name, EVIL, lambda one: one.update(data={**lies, "q": forever}))


ATTACKS: list[Attack] = [
    flood, come_and_go, take_off, empty, take_labels, take_owners, forge_owners, keep, freeze, grow, lie,
]  # fmt: skip


def everything(api: ApiServer, number: int) -> None:
    for attack in ATTACKS[2 * number : 2 * number + 2]:
        attack(api, number)


@pytest.mark.parametrize("attack", [*ATTACKS, everything], ids=lambda one: one.__name__)
@pytest.mark.parametrize("memory", [Memory.SECRETS, Memory.CONFIG_MAPS])
def test_a_tenant_cannot_delay_stop_or_read_another(
    api: ApiServer, clock: Clock, attack: Attack, memory: Memory
) -> None:
    site = Site(api, clock, memory=memory)
    site.settle()
    worst = 0
    for number in range(ROUNDS):
        attack(api, number)
        name = f"q{number}"
        api.create("serviceaccounts", name, QUIET)
        api.seen.clear()
        site.settle()
        secret = api.get("secrets", f"{name}-pull-secret", QUIET)
        assert secret is not None, "the quiet tenant's account has no secret"
        assert list(logins(secret)) == [MAIN.host]
        writes = [one for one in api.seen if one.method != "GET"]
        last = max(
            at for at, one in enumerate(writes) if f"/{QUIET}/" in one.path and name in one.path
        )
        worst = max(worst, last + 1)
        clock.forward(minutes=3)

    # The namespaces take turns: at most one account of the other comes before, and at most so many
    # changes are made for it.
    assert worst <= EACH + MAX_CHANGES
    assert [one for one in api.all("serviceaccounts") if one["metadata"]["namespace"] == QUIET and "imagePullSecrets" not in one] == []  # fmt: skip
    for one in api.all("secrets"):
        if one["metadata"]["namespace"] == EVIL:
            for login in logins(one).values():
                assert claims(login["password"])["sub"].startswith(f"system:serviceaccount:{EVIL}:")
