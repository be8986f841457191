"""
What the controller relies on of an API server, asked of the tests' own and of a real one.

Whatever the tests' own API server does otherwise than a real one would make the other tests say
nothing.  A real kube-apiserver takes part when `KUBEBUILDER_ASSETS` names a folder with one.
"""

import base64
import json
from collections.abc import Callable

import pytest

from regauth.controller.applying.content import empty, encoded
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster, Object
from regauth.controller.observing.docker_config import TYPE

from .conftest import Api, connection, wait_for

MANAGER = "test"
AUDIENCE = "https://registry.example.com"
SECRETS = "/api/v1/namespaces/team-a/secrets"
ACCOUNT = "/api/v1/namespaces/team-a/serviceaccounts/builder"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/team-a/leases"
NO_UID = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(autouse=True)
def account(api: Api) -> Object:
    api.create("namespaces", "team-a")
    return api.create("serviceaccounts", "builder", "team-a")


@pytest.fixture
def cluster(api: Api) -> Cluster:
    return Cluster(connection(api))


NOTHING = empty("uid")


def secret(content: str = NOTHING, **meta: object) -> Object:
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": "team-a", **meta},
        "type": TYPE, "data": {".dockerconfigjson": encoded(content)},
    }  # fmt: skip


def token_request(
    uid: str = "", seconds: int = 600, name: str = "mine", account: str = ""
) -> Object:
    bound = {"apiVersion": "v1", "kind": "Secret", "name": name, **({"uid": uid} if uid else {})}
    return {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"uid": account} if account else {},
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": seconds, "boundObjectRef": bound},
    }  # fmt: skip


def applied(cluster: Cluster, body: Object, manager: str = MANAGER) -> Object:
    return cluster.apply(f"{SECRETS}/mine", body, manager)


def refused(call: Callable[[], object]) -> tuple[int, str, str]:
    """Status, reason and causes of a request that is refused."""
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.status, caught.value.reason, caught.value.causes


def test_the_server_alone_says_the_uid_of_what_is_created(cluster: Cluster) -> None:
    made = cluster.create(SECRETS, secret(uid=NO_UID))

    assert made["metadata"]["uid"] != NO_UID


def test_a_uid_in_what_is_applied_must_be_that_of_what_is_there(cluster: Cluster) -> None:
    assert refused(lambda: applied(cluster, secret(uid=NO_UID)))[:2] == (409, "Conflict")
    uid = applied(cluster, secret())["metadata"]["uid"]
    assert refused(lambda: applied(cluster, secret(uid=NO_UID)))[:2] == (422, "Invalid")

    assert applied(cluster, secret(uid=uid))["metadata"]["uid"] == uid


def test_a_token_is_bound_only_to_what_is_there(cluster: Cluster, account: Object) -> None:
    path = f"{ACCOUNT}/token"
    uid = account["metadata"]["uid"]
    assert refused(lambda: cluster.create(path, token_request()))[:2] == (404, "NotFound")
    there = applied(cluster, secret())["metadata"]["uid"]

    assert refused(lambda: cluster.create(path, token_request(NO_UID)))[:2] == (409, "Conflict")
    assert refused(lambda: cluster.create(path, token_request(there, 599)))[:2] == (422, "Invalid")
    assert refused(lambda: cluster.create(path, token_request(there, account=NO_UID)))[0] == 409
    token = cluster.create(path, token_request(there, account=uid))["status"]["token"]
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["aud"] == [AUDIENCE]
    assert claims["exp"] - claims["iat"] == 600
    assert claims["sub"] == "system:serviceaccount:team-a:builder"
    assert claims["kubernetes.io"] == {
        "namespace": "team-a",
        "secret": {"name": "mine", "uid": there},
        "serviceaccount": {"name": "builder", "uid": uid},
    }


@pytest.mark.parametrize("gone", ["secrets", "serviceaccounts"])
def test_a_bound_token_ends_for_the_api_server_with_what_it_is_bound_to(
    api: Api, cluster: Cluster, gone: str
) -> None:
    """A moment later: a real server remembers answers for seconds."""
    uid = applied(cluster, secret())["metadata"]["uid"]
    token = cluster.create(f"{ACCOUNT}/token", token_request(uid))["status"]["token"]
    assert api.review(token, AUDIENCE)
    assert not api.review(token, "https://other.example.com")
    api.delete(gone, "team-a", {"secrets": "mine", "serviceaccounts": "builder"}[gone], None)

    wait_for(lambda: not api.review(token, AUDIENCE), "the token's end")


def test_apply_takes_no_field_from_another_and_drops_none_of_another_s(
    api: Api, cluster: Cluster
) -> None:
    applied(cluster, secret(labels={"mine": "1"}))
    api.edit("secrets", "mine", "team-a", lambda one: one["metadata"]["labels"].update(their="2"))
    again = applied(cluster, secret('{"auths":{}}', labels={"mine": "3"}))
    assert again["metadata"]["labels"] == {"mine": "3", "their": "2"}

    theirs = secret(labels={"their": "4"})
    assert refused(lambda: applied(cluster, theirs)) == (409, "Conflict", "FieldManagerConflict")


def test_what_changes_nothing_is_no_change(cluster: Cluster) -> None:
    first, second = (applied(cluster, secret())["metadata"]["resourceVersion"] for _ in range(2))

    assert first == second


def test_a_secret_s_type_stays_and_its_content_is_checked(api: Api, cluster: Cluster) -> None:
    assert refused(lambda: applied(cluster, secret("not JSON")))[:2] == (422, "Invalid")
    assert refused(lambda: applied(cluster, {**secret(), "data": {}}))[:2] == (422, "Invalid")
    api.create("secrets", "mine", "team-a", type="Opaque", data=secret()["data"])

    assert refused(lambda: applied(cluster, secret()))[0] in (409, 422)


def test_a_json_patch_whose_test_does_not_hold_is_refused_whole(api: Api, cluster: Cluster) -> None:
    operations: list[Object] = [
        {"op": "add", "path": "/imagePullSecrets", "value": [{"name": "mine"}]},
        {"op": "test", "path": "/metadata/uid", "value": NO_UID},
    ]

    assert refused(lambda: cluster.patch(ACCOUNT, operations, MANAGER))[:2] == (422, "Invalid")
    held = api.get("serviceaccounts", "builder", "team-a")
    assert held is not None
    assert "imagePullSecrets" not in held


def test_a_list_that_becomes_empty_is_gone(cluster: Cluster) -> None:
    path = "/imagePullSecrets"
    added = cluster.patch(
        ACCOUNT, [{"op": "add", "path": path, "value": [{"name": "mine"}]}], MANAGER
    )
    removed = cluster.patch(ACCOUNT, [{"op": "remove", "path": f"{path}/0"}], MANAGER)

    assert added["imagePullSecrets"] == [{"name": "mine"}]
    assert "imagePullSecrets" not in removed


def test_a_lease_is_replaced_only_as_it_was_seen_and_created_once(cluster: Cluster) -> None:
    lease: Object = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a", "namespace": "team-a"},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15},
    }  # fmt: skip
    assert refused(lambda: cluster.urgent(f"{LEASES}/a"))[:2] == (404, "NotFound")
    old = cluster.create(LEASES, lease)
    new = cluster.replace(f"{LEASES}/a", {**old, "spec": {**old["spec"], "holderIdentity": "y"}})

    assert refused(lambda: cluster.create(LEASES, lease))[:2] == (409, "AlreadyExists")
    assert refused(lambda: cluster.replace(f"{LEASES}/a", old))[:2] == (409, "Conflict")
    assert int(old["metadata"]["resourceVersion"]) < int(new["metadata"]["resourceVersion"])


def test_only_the_object_with_the_uid_is_deleted(api: Api, cluster: Cluster) -> None:
    uid = applied(cluster, secret())["metadata"]["uid"]
    assert refused(lambda: cluster.delete(f"{SECRETS}/mine", NO_UID))[:2] == (409, "Conflict")
    assert api.get("secrets", "mine", "team-a") is not None
    cluster.delete(f"{SECRETS}/mine", uid)

    assert api.get("secrets", "mine", "team-a") is None
    assert refused(lambda: cluster.delete(f"{SECRETS}/mine", uid))[:2] == (404, "NotFound")


def test_nothing_is_created_in_a_namespace_that_is_ending(api: Api, cluster: Cluster) -> None:
    api.delete("namespaces", "", "team-a", None)

    assert refused(lambda: applied(cluster, secret())) == (
        403,
        "Forbidden",
        "NamespaceTerminating",
    )


def test_an_event_of_a_long_name_is_taken(api: Api, cluster: Cluster) -> None:
    reference = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "namespace": "team-a",
        "name": "n" * 253,
    }
    event: Object = {
        "apiVersion": "v1", "kind": "Event", "reason": "Test", "message": "m" * 1024, "type": "Warning",
        "metadata": {"generateName": f"{'n' * 57}.{'n' * 142}.", "namespace": "team-a"},
        "involvedObject": reference, "source": {"component": MANAGER}, "count": 1,
    }  # fmt: skip
    made = cluster.create("/api/v1/namespaces/team-a/events", event)

    assert len(made["metadata"]["name"]) == 63


def test_pages_of_a_list_are_of_one_version_and_a_page_too_old_is_gone(
    api: Api, cluster: Cluster
) -> None:
    for name in ("a", "b"):
        api.create("secrets", name, "team-a", type="Opaque", data={})
    first = cluster.get("/api/v1/secrets", limit="1", fieldSelector="type=Opaque")
    api.create("secrets", "c", "team-a", type="Opaque", data={})
    rest = {
        "limit": "10",
        "continue": first["metadata"]["continue"],
        "fieldSelector": "type=Opaque",
    }
    second = cluster.get("/api/v1/secrets", **rest)

    assert [one["metadata"]["name"] for one in first["items"] + second["items"]] == ["a", "b"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    api.compact()
    assert refused(lambda: cluster.get("/api/v1/secrets", **rest))[:2] == (410, "Expired")
