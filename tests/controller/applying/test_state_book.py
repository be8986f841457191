"""A controller that reads no Secret: what it made is in one ConfigMap a namespace (K15, K3, K11)."""

import json

import pytest

from regauth.controller.naming import state_name
from regauth.controller.settings import Memory
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own
from tests.controller.listening import Object, Request, StatusError
from tests.controller.sites import MAIN, OTHER, SECRET, Site, claims, logins, writes

NAME = state_name("default")


@pytest.fixture(autouse=True)
def namespace(api: Api) -> None:
    api.create("namespaces", "team-a")


def new(api: Api, clock: Clock, *, attach: bool = True) -> Site:
    return Site(api, clock, attach=attach, memory=Memory.CONFIG_MAPS)


def state(api: Api) -> dict[str, str]:
    found: Object = api.get("configmaps", NAME, "team-a") or {}
    texts: dict[str, str] = found.get("data") or {}
    return texts


def edit(api: Api, name: str, text: str) -> None:
    api.edit("configmaps", NAME, "team-a", lambda one: one["data"].update({name: text}))


def test_k15_no_secret_is_read_and_no_token_is_in_the_state(api: Api, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    (text,) = state(api).values()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert not {"GET secrets", "WATCH secrets"} & set(api.count())
    assert json.loads(text)[0] == secret["metadata"]["uid"]
    password = logins(secret)[MAIN.host]["password"]
    assert not any(part in text for part in password.split("."))


def test_k15_a_restart_costs_no_write(api: Api, clock: Clock) -> None:
    for number in range(5):
        api.create("serviceaccounts", f"a{number}", "team-a")
    new(api, clock).settle()
    api.seen.clear()
    new(api, clock).settle()

    assert writes(api) == []


def test_k15_a_namespace_s_state_is_written_once_for_many_accounts(api: Api, clock: Clock) -> None:
    """Four requests an account stay four."""
    for number in range(20):
        api.create("serviceaccounts", f"a{number}", "team-a")
    api.seen.clear()
    new(api, clock).settle()

    assert api.count()["PATCH configmaps"] == 1
    assert len(writes(api)) == 20 * 4 + 1
    assert len(state(api)) == 20


@only_own
def test_k15_tokens_are_renewed_in_time_and_the_state_follows(api: ApiServer, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site = new(api, clock)
    site.settle()
    clock.forward(minutes=45)
    new(api, clock).settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert claims(logins(secret)[MAIN.host]["password"])["iat"] == int(clock.timestamp())
    assert json.loads(state(api)["builder"])[2][0][3] == int(clock.timestamp())


def test_k15_opting_out_takes_away_the_secret_and_its_state(api: Api, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    mark = {"regauth/pull-secret": "false"}
    api.edit("serviceaccounts", "builder", "team-a", lambda one: one["metadata"].update(annotations=mark))  # fmt: skip
    new(api, clock).settle()

    assert (api.all("secrets"), state(api)) == ([], {})


def test_k15_an_account_that_goes_takes_its_state_along(api: Api, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    api.delete("serviceaccounts", "team-a", "builder", None)
    new(api, clock).settle()

    assert state(api) == {}


def test_k15_a_state_that_was_not_written_costs_new_tokens_and_nothing_else(
    api: Api, clock: Clock
) -> None:
    """The process was killed before it wrote the state."""

    def refuse(request: Request) -> None:
        if request.what == "PATCH configmaps":
            raise StatusError(500, "InternalError")

    api.create("serviceaccounts", "builder", "team-a")
    api.before = refuse
    new(api, clock).settle()
    before = api.get("secrets", SECRET, "team-a")
    api.before = lambda _request: None
    new(api, clock).settle()
    after = api.get("secrets", SECRET, "team-a")

    assert before is not None
    assert after is not None
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert api.count()["POST serviceaccounts/token"] == 2
    assert list(state(api)) == ["builder"]


def test_a_state_that_cannot_be_written_is_written_later(api: Api, clock: Clock) -> None:
    def refuse(request: Request) -> None:
        if request.what == "PATCH configmaps":
            raise StatusError(500, "InternalError")

    api.create("serviceaccounts", "builder", "team-a")
    site = new(api, clock)
    api.before = refuse
    site.settle()
    assert site.controller.queue.failing == 1

    api.before = lambda _request: None
    clock.forward(seconds=1)
    site.work()
    assert list(state(api)) == ["builder"]
    assert api.count()["POST serviceaccounts/token"] == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '["u","o",[[1]]]', '["u","o",[["r","n",["a"],1,1e99,null]]]', "[" * 9999,
     '["u","o",[["r","n",["a"],2,1,null]]]', '["u","o","x"]'],
)  # fmt: skip
def test_k15_a_state_that_a_tenant_has_damaged_costs_new_tokens(
    api: Api, clock: Clock, text: str
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    edit(api, "builder", text)
    site = new(api, clock)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert list(logins(secret)) == [MAIN.host]
    assert json.loads(state(api)["builder"])[0] == secret["metadata"]["uid"]


def test_k15_a_forged_state_deletes_nothing_of_somebody_else_s(api: Api, clock: Clock) -> None:
    """A tenant names an account that is not there, to have a Secret of its name deleted."""
    theirs = api.create("secrets", "victim-pull-secret", "team-a", type="Opaque", data={})
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    owner = '"o",[["r","n",["a"],1,2,null]]]'
    edit(api, "victim", f'["not-the-uid",{owner}')
    new(api, clock).settle()

    assert api.get("secrets", "victim-pull-secret", "team-a") == theirs


def test_k11_in_the_mode_for_pods_an_account_is_never_written(api: Api, clock: Clock) -> None:
    """The second apply of a GitOps tool conflicted with what the controller had written."""
    theirs = [{"name": "theirs"}]
    before = api.create("serviceaccounts", "builder", "team-a", imagePullSecrets=theirs)
    site = new(api, clock, attach=False)
    site.settle()
    clock.forward(hours=2)
    site.settle()

    assert api.get("serviceaccounts", "builder", "team-a") == before
    assert api.count()["PATCH serviceaccounts"] == 0
    assert list(state(api)) == ["builder"]


def test_k3_moving_to_the_mode_for_pods_loses_no_pull_secret(api: Api, clock: Clock) -> None:
    """Names that accounts have stay until somebody takes them away; the Secret is the same."""
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    before = api.get("secrets", SECRET, "team-a")
    new(api, clock, attach=False).settle()
    after = api.get("secrets", SECRET, "team-a")
    held = api.get("serviceaccounts", "builder", "team-a")

    assert before is not None
    assert after is not None
    assert held is not None
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert held["imagePullSecrets"] == [{"name": SECRET}]
    new(api, clock).settle()
    Site(api, clock).settle()
    again = api.get("secrets", SECRET, "team-a")
    assert again is not None
    assert before["metadata"]["uid"] == again["metadata"]["uid"]


def test_other_registries_change_the_state_too(api: Api, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    new(api, clock).settle()
    Site(api, clock, OTHER, memory=Memory.CONFIG_MAPS).settle()

    assert [one[0] for one in json.loads(state(api)["builder"])[2]] == [OTHER.host]
