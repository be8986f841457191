"""
Upgrade, rollback and restore, gone through: each ends with every account served.

`states/` has what version 0.1.0 left in a cluster, by the mode of its memory.  These files are not
written anew: a version that cannot go on from them takes its users' pull secrets away.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from regauth.controller.naming import state_name
from regauth.controller.settings import Memory
from tests.controller.api_server import ApiServer, Store
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own
from tests.controller.listening import Object
from tests.controller.sites import MAIN, OTHER, SECRET, Site, claims, logins, writes

STATES = Path(__file__).with_name("states")
MODES = pytest.mark.parametrize("memory", list(Memory))


def before(memory: Memory) -> Store:
    """Return the store that a controller of version 0.1.0 left behind."""
    said = json.loads((STATES / f"0.1.0-{memory.lower()}.json").read_text())
    store = Store(version=said["version"], compacted=said["version"])
    for one in said["objects"]:
        meta = one["object"]["metadata"]
        key = (one["kind"], meta.get("namespace", ""), meta["name"])
        store.objects[key] = one["object"]
        store.owners[key] = {who: set(fields) for who, fields in one["owners"].items()}
    store.kept = dict(store.objects)
    return store


def form(found: object) -> object:
    """Return what has to stay as it is: the names of fields, and the types of their values."""
    if isinstance(found, dict):
        return {name: form(value) for name, value in sorted(found.items())}
    if isinstance(found, list):
        return [form(value) for value in found]
    return type(found).__name__


def written(api: Api) -> list[Object]:
    """Return what the controller has made, without what the API server adds."""
    found = []
    for kind in ("secrets", "configmaps", "serviceaccounts"):
        for one in copy.deepcopy(api.all(kind)):
            one["metadata"].pop("managedFields", None)
            found.append(one)
    return found


def secret_of(api: Api, name: str = SECRET) -> dict[str, Any]:
    found = api.get("secrets", name, "team-a")
    assert found is not None
    return found


@only_own
@MODES
def test_an_upgrade_finds_what_version_0_1_0_made_and_writes_nothing(
    api: ApiServer, clock: Clock, memory: Memory
) -> None:
    api.store = before(memory)
    Site(api, clock, MAIN, OTHER, memory=memory).settle()

    assert writes(api) == []


@only_own
@MODES
def test_after_an_upgrade_tokens_are_renewed_in_the_same_secret(
    api: ApiServer, clock: Clock, memory: Memory
) -> None:
    api.store = before(memory)
    old = secret_of(api)
    clock.forward(minutes=50)
    Site(api, clock, MAIN, OTHER, memory=memory).settle()
    new = secret_of(api)

    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert set(logins(new)) == set(logins(old)) == {MAIN.host, OTHER.host}
    assert all(
        claims(logins(new)[host]["password"])["exp"] > claims(logins(old)[host]["password"])["exp"]
        for host in logins(old)
    )


@only_own
@MODES
def test_a_rollback_finds_the_form_that_version_0_1_0_knows(
    api: ApiServer, clock: Clock, memory: Memory
) -> None:
    """When this form has to change, 0.1.0 must be told from the changelog not to be gone back to."""
    api.store = before(memory)
    known = [form(one) for one in written(api)]
    api.store = Store()
    api.create("namespaces", "team-a")
    for name in ("builder", "deployer"):
        api.create("serviceaccounts", name, "team-a")
    Site(api, clock, MAIN, OTHER, memory=memory).settle()
    now = written(api)
    state = [one["data"] for one in now if one["metadata"]["name"] == state_name("default")]

    assert [form(one) for one in now] == known
    for text in (text for data in state for text in data.values()):
        uid, owner, *[logins_] = json.loads(text)
        assert (type(uid), type(owner)) == (str, str)
        assert {tuple(map(type, one)) for one in logins_} == {(str, str, list, int, int, str)}


@MODES
def test_a_namespace_restored_from_a_backup_gets_secrets_of_its_own_new_accounts(
    api: Api, clock: Clock, memory: Memory
) -> None:
    """
    A backup has the objects without their UIDs: what is put back is owned by nobody there.

    A controller that reads Secrets deletes what was put back.  One that reads none goes on when the
    cluster has deleted it (Kubernetes documentation, "Garbage Collection", "Owners and dependents").
    """
    api.create("namespaces", "team-a")
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock, memory=memory).settle()
    kinds = ("serviceaccounts", "secrets", "configmaps")
    backup = [(kind, one) for kind in kinds for one in api.all(kind)]
    for kind, one in backup:
        api.delete(kind, "team-a", one["metadata"]["name"], None)
    for kind, one in backup:
        meta = one.pop("metadata")
        parts = ("labels", "annotations", "ownerReferences")
        kept = {part: meta[part] for part in parts if part in meta}
        body = {part: value for part, value in one.items() if part not in ("kind", "apiVersion")}
        api.create(kind, meta["name"], "team-a", metadata=kept, **body)
    site = Site(api, clock, memory=memory)
    site.settle()
    if memory == Memory.CONFIG_MAPS:
        api.delete("secrets", "team-a", SECRET, None)
        clock.forward(minutes=5)
        site.work()
    account = api.get("serviceaccounts", "builder", "team-a")
    secret = secret_of(api)

    assert account is not None
    assert account["imagePullSecrets"] == [{"name": SECRET}]
    said = claims(logins(secret)[MAIN.host]["password"])["kubernetes.io"]
    assert said["serviceaccount"]["uid"] == account["metadata"]["uid"]
    assert said["secret"]["uid"] == secret["metadata"]["uid"]


@only_own
@MODES
def test_a_cluster_restored_from_a_backup_is_as_it_should_be_after_one_look(
    api: ApiServer, clock: Clock, memory: Memory
) -> None:
    """What happened after the backup is undone: an account is back, another one is not there."""
    api.create("namespaces", "team-a")
    for name in ("builder", "deployer"):
        api.create("serviceaccounts", name, "team-a")
    site = Site(api, clock, memory=memory)
    site.settle()
    backup = copy.deepcopy(api.store)
    api.delete("serviceaccounts", "team-a", "deployer", None)
    api.create("serviceaccounts", "tester", "team-a")
    site.settle()
    assert api.get("secrets", "tester-pull-secret", "team-a") is not None
    assert api.get("secrets", "deployer-pull-secret", "team-a") is None
    api.store = backup
    site.settle()

    names = [one["metadata"]["name"] for one in api.all("secrets")]
    assert names == ["builder-pull-secret", "deployer-pull-secret"]
    for name in names:
        account = api.get("serviceaccounts", name.removesuffix("-pull-secret"), "team-a")
        assert account is not None
        said = claims(logins(secret_of(api, name))[MAIN.host]["password"])["kubernetes.io"]
        assert said["serviceaccount"]["uid"] == account["metadata"]["uid"]
        assert account["imagePullSecrets"] == [{"name": name}]
