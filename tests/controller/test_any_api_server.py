"""
What must hold against any API server: the tests' own, and a real one where there is one.

A real kube-apiserver takes part when `KUBEBUILDER_ASSETS` names a folder with it and etcd;
`make test-kube` says how to get them.  Its time is real, so nothing here waits for a rotation.
"""

import base64
import itertools
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client import Configuration

from regauth.controller.cluster import Cluster
from regauth.controller.entitlements import Entitlements
from regauth.controller.event_log import EventLog
from regauth.controller.leadership import Elector
from regauth.controller.measures import Measures
from regauth.controller.reconciling import Controller, Host
from regauth.controller.settings import Election, Registry

from .api_server import ApiServer
from .kube_apiserver import KubeApiServer

SECRET = "builder-pull-secret"
MAIN = Registry(
    "registry.example.com", username="cluster", audience="https://registry.example.com", token_duration=timedelta(hours=1)
)  # fmt: skip
ATTACHED = [{"name": SECRET}]
NUMBERS = itertools.count()
Api = ApiServer | KubeApiServer


def configuration(api: Api) -> Configuration:
    found = Configuration()
    found.host = api.url
    if isinstance(api, KubeApiServer):
        found.api_key["authorization"] = api.token
        found.api_key_prefix["authorization"] = "Bearer"
        found.ssl_ca_cert = str(api.ca_file)
    return found


@pytest.fixture(scope="module", params=["the tests' own", "kube-apiserver"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    if request.param == "kube-apiserver" and not os.environ.get("KUBEBUILDER_ASSETS"):
        pytest.skip(
            "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd; see make test-kube"
        )
    api: Api = ApiServer(time.time)
    if request.param == "kube-apiserver":
        api.close()
        api = KubeApiServer(tmp_path_factory.mktemp("kube"))
    yield api
    api.close()


class Place:
    """A namespace of a test's own, and controllers that see everything."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        api.create("namespaces", namespace)

    def settle(self) -> dict[str, int]:
        """Let a new controller do what is to be done; return its requests that write."""
        requests: dict[str, int] = {}

        def count(method: str, kind: str, _status: int) -> None:
            if method != "GET":
                requests[f"{method} {kind}"] = requests.get(f"{method} {kind}", 0) + 1

        host = Host(
            Cluster(configuration(self.api), count=count), lambda: datetime.now(UTC), time.monotonic,
            lambda: True, EventLog(descriptor=-1), Measures(),
        )  # fmt: skip
        controller = Controller(host, Entitlements((MAIN,)))
        controller.sync()
        while (key := controller.queue.take()) is not None:
            controller.work(key)
        return requests

    def account(self, **parts: object) -> dict[str, Any]:
        return self.api.create("serviceaccounts", "builder", self.namespace, **parts)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found = self.api.get(kind, name, self.namespace)
        assert found is not None
        return found

    def events(self) -> list[dict[str, Any]]:
        return [
            one for one in self.api.all("events") if one["metadata"]["namespace"] == self.namespace
        ]


@pytest.fixture
def place(server: Api) -> Iterator[Place]:
    name = f"test-{next(NUMBERS)}"
    made = Place(server, name)
    yield made
    for kind in ("serviceaccounts", "secrets"):
        for one in server.all(kind):
            if one["metadata"].get("namespace") == name:
                server.delete(kind, name, one["metadata"]["name"], None)


def test_an_account_gets_its_secret_in_four_requests_and_the_next_controller_has_nothing_to_do(
    place: Place,
) -> None:
    account = place.account()

    assert place.settle() == {
        "PATCH secrets": 2,
        "POST serviceaccounts/token": 1,
        "PATCH serviceaccounts": 1,
    }
    secret = place.get("secrets", SECRET)
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    part = auths[MAIN.host]["password"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["aud"] == [MAIN.audience]
    assert claims["kubernetes.io"]["secret"]["uid"] == secret["metadata"]["uid"]
    assert [one["uid"] for one in secret["metadata"]["ownerReferences"]] == [
        account["metadata"]["uid"]
    ]
    held = place.get("serviceaccounts", "builder")
    assert held["imagePullSecrets"] == held["secrets"] == ATTACHED
    assert place.settle() == {}


def test_names_that_others_have_put_there_stay(place: Place) -> None:
    place.account(imagePullSecrets=[{"name": "theirs"}], secrets=[{"name": "mine"}])
    place.settle()
    held = place.get("serviceaccounts", "builder")

    assert held["imagePullSecrets"] == [{"name": "theirs"}, *ATTACHED]
    assert held["secrets"] == [{"name": "mine"}, *ATTACHED]


@pytest.mark.parametrize("kind", ["kubernetes.io/dockerconfigjson", "Opaque"])
def test_a_foreign_secret_of_the_name_is_left_alone_and_reported(place: Place, kind: str) -> None:
    content = base64.b64encode(b'{"auths": {}}').decode()
    theirs = place.api.create(
        "secrets", SECRET, place.namespace, type=kind, data={".dockerconfigjson": content}
    )
    place.account()
    place.settle()

    assert theirs["data"] == place.get("secrets", SECRET)["data"]
    assert (
        theirs["metadata"]["resourceVersion"]
        == place.get("secrets", SECRET)["metadata"]["resourceVersion"]
    )
    assert [one["reason"] for one in place.events()] == ["PullSecretConflict"]
    assert "imagePullSecrets" not in place.get("serviceaccounts", "builder")


def test_a_field_that_somebody_has_taken_over_is_not_fought_for(place: Place) -> None:
    place.account()
    place.settle()
    edited = base64.b64encode(b'{"auths": {"their": {}}}').decode()
    place.api.edit(
        "secrets",
        SECRET,
        place.namespace,
        lambda one: one["data"].update({".dockerconfigjson": edited}),
    )
    place.settle()

    assert place.get("secrets", SECRET)["data"] == {".dockerconfigjson": edited}
    assert [one["reason"] for one in place.events()] == ["PullSecretConflict"]


def test_opting_out_leaves_the_account_as_it_was(place: Place) -> None:
    place.account(imagePullSecrets=[{"name": "theirs"}])
    place.settle()
    mark = {"regauth/pull-secret": "false"}
    place.api.edit(
        "serviceaccounts",
        "builder",
        place.namespace,
        lambda one: one["metadata"].update(annotations=mark),
    )
    place.settle()
    held = place.get("serviceaccounts", "builder")

    assert held["imagePullSecrets"] == [{"name": "theirs"}]
    assert not held.get("secrets")
    assert place.api.get("secrets", SECRET, place.namespace) is None


def test_the_secret_goes_with_its_account(place: Place) -> None:
    place.account()
    place.settle()
    place.api.delete("serviceaccounts", place.namespace, "builder", None)
    place.settle()

    assert place.api.get("secrets", SECRET, place.namespace) is None


def test_an_account_created_anew_does_not_get_the_old_one_s_secret(place: Place) -> None:
    place.account()
    place.settle()
    old = place.get("secrets", SECRET)
    place.api.delete("serviceaccounts", place.namespace, "builder", None)
    place.account()
    place.settle()

    assert old["metadata"]["uid"] != place.get("secrets", SECRET)["metadata"]["uid"]


def test_one_of_two_leads_until_it_gives_the_lease_back(place: Place) -> None:
    cluster = Cluster(configuration(place.api))
    election = Election(place.namespace, "lease")
    first, second = (
        Elector(cluster, election, name, time.monotonic, lambda: datetime.now(UTC)) for name in "ab"
    )

    assert (first.step(), second.step(), first.step()) == (True, False, True)
    first.release()
    assert (second.step(), first.step()) == (True, False)
