"""The whole controller, step by step, against an API server that speaks HTTP."""

import base64
import json
import threading

import pytest

from regauth.controller.applying.applying import NotLeadingError
from regauth.controller.applying.reconciling import Controller
from regauth.controller.naming import NOT_MANAGED
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.observed import AccountKey
from regauth.controller.planning.entitlements import Entitlements
from regauth.controller.settings import Registry
from tests.controller.api_server import ApiServer
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, only_own, wait_for
from tests.controller.listening import Request, StatusError
from tests.controller.sites import HOUR, MAIN, OTHER, SECRET, Site, claims, logins, writes


@pytest.fixture(autouse=True)
def namespace(api: Api) -> None:
    api.create("namespaces", "team-a")


@pytest.fixture
def site(api: Api, clock: Clock) -> Site:
    return Site(api, clock)


def test_an_account_gets_a_secret_bound_token_and_reference(api: Api, site: Site) -> None:
    account = api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")
    held = api.get("serviceaccounts", "builder", "team-a")

    assert secret is not None
    assert held is not None
    (login,) = logins(secret).values()
    said = claims(login["password"])
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert base64.b64decode(login["auth"]).decode() == f"cluster:{login['password']}"
    assert said["aud"] == ["https://registry.example.com"]
    assert said["exp"] - said["iat"] == 3600
    assert said["kubernetes.io"]["secret"] == {"name": SECRET, "uid": secret["metadata"]["uid"]}
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "regauth-controller",
        "regauth/instance": "default",
    }
    assert secret["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "name": "builder",
            "uid": account["metadata"]["uid"],
        }
    ]
    assert held["imagePullSecrets"] == held["secrets"] == [{"name": SECRET}]


def test_it_takes_four_requests_and_none_after_a_restart(
    api: Api, site: Site, clock: Clock
) -> None:
    """The least there can be: the token is bound to the secret, which must be there before it."""
    api.create("serviceaccounts", "builder", "team-a")
    api.seen.clear()
    site.settle()

    assert [
        "PATCH secrets",
        "POST serviceaccounts/token",
        "PATCH secrets",
        "PATCH serviceaccounts",
    ] == writes(api)
    api.seen.clear()
    Site(api, clock).settle()
    assert writes(api) == []


def test_an_account_that_names_its_secret_already_takes_three(api: Api, site: Site) -> None:
    named = [{"name": SECRET}]
    api.create("serviceaccounts", "builder", "team-a", imagePullSecrets=named, secrets=named)
    api.seen.clear()
    site.settle()

    assert ["PATCH secrets", "POST serviceaccounts/token", "PATCH secrets"] == writes(api)


def test_accounts_with_the_longest_names_get_secrets_of_their_own(
    api: Api, site: Site, clock: Clock
) -> None:
    names = [f"{'n' * 252}{last}" for last in "ab"]
    for name in names:
        api.create("serviceaccounts", name, "team-a")
    site.settle()
    attached = [
        (api.get("serviceaccounts", name, "team-a") or {})["imagePullSecrets"][0]["name"]
        for name in names
    ]

    assert sorted(attached) == sorted(one["metadata"]["name"] for one in api.all("secrets"))
    assert {len(name) for name in attached} == {253}
    api.seen.clear()
    Site(api, clock).settle()
    assert writes(api) == []


def test_several_registries_share_a_secret_and_an_audience_a_token(api: Api, clock: Clock) -> None:
    same = Registry(
        "mirror.example.com", username="mirror", audience=MAIN.audience, token_duration=HOUR
    )
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock, MAIN, OTHER, same).settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    found = logins(secret)
    assert {name: claims(login["password"])["aud"][0] for name, login in found.items()} == {
        "mirror.example.com": MAIN.audience, "other.example.com": OTHER.audience, "registry.example.com": MAIN.audience,
    }  # fmt: skip
    assert api.count()["POST serviceaccounts/token"] == 2


@only_own
def test_a_rotation_is_a_token_and_a_write_when_it_is_due_and_not_before(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    before = api.get("secrets", SECRET, "team-a")
    api.seen.clear()
    clock.forward(minutes=35)
    site.work()

    assert api.seen == []
    clock.forward(minutes=10)
    site.work()
    after = api.get("secrets", SECRET, "team-a")
    assert before is not None
    assert after is not None
    assert writes(api) == ["POST serviceaccounts/token", "PATCH secrets"]
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert claims(logins(after)[MAIN.host]["password"])["iat"] == int(clock.timestamp())


@only_own
def test_it_goes_on_rotating(api: ApiServer, site: Site, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    for _ in range(6):
        clock.forward(minutes=42)
        site.work()

    assert api.count()["POST serviceaccounts/token"] == 1 + 6


def test_other_people_s_names_stay_in_the_lists(api: Api, site: Site) -> None:
    theirs = {
        "imagePullSecrets": [{"name": "theirs"}],
        "secrets": [{"name": "mine"}],
    }
    api.create("serviceaccounts", "builder", "team-a", **theirs)
    site.settle()
    held = api.get("serviceaccounts", "builder", "team-a")

    assert held is not None
    assert held["imagePullSecrets"] == [{"name": "theirs"}, {"name": SECRET}]
    assert held["secrets"] == [{"name": "mine"}, {"name": SECRET}]


def test_a_name_that_somebody_adds_at_the_same_time_is_not_lost(api: Api, site: Site) -> None:
    """The account changes after it was observed and before it is patched."""
    api.create("serviceaccounts", "builder", "team-a")

    def meanwhile(request: Request) -> None:
        if request.what == "PATCH serviceaccounts":
            api.before = lambda _request: None
            api.edit(
                "serviceaccounts",
                "builder",
                "team-a",
                lambda one: one.update(imagePullSecrets=[{"name": "theirs"}]),
            )

    api.before = meanwhile
    site.settle()
    first = api.get("serviceaccounts", "builder", "team-a")
    site.clock.forward(seconds=1)
    site.settle()
    second = api.get("serviceaccounts", "builder", "team-a")

    assert first is not None
    assert second is not None
    assert first["imagePullSecrets"] == [{"name": "theirs"}]
    assert second["imagePullSecrets"] == [{"name": "theirs"}, {"name": SECRET}]
    assert api.count()["POST serviceaccounts/token"] == 1


@only_own
@pytest.mark.parametrize("kind", ["kubernetes.io/dockerconfigjson", "Opaque"])
def test_a_foreign_secret_of_the_name_is_left_alone_and_reported_hourly(
    api: ApiServer, site: Site, clock: Clock, kind: str
) -> None:
    """It is not even listed; the API server's conflict tells of it.  K8: it is told every hour."""
    content = base64.b64encode(b'{"auths": {}}').decode()
    theirs = api.create("secrets", SECRET, "team-a", type=kind, data={".dockerconfigjson": content})
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    for _ in range(3):
        clock.forward(minutes=20)
        site.settle()

    assert api.get("secrets", SECRET, "team-a") == theirs
    first, second = api.all("events")
    for event in (first, second):
        assert event["reason"] == "PullSecretConflict"
        assert event["involvedObject"]["name"] == "builder"
    assert api.count()["POST serviceaccounts/token"] == 0
    assert dict(site.controller.standing.counts())["conflict"] == 1
    api.delete("secrets", "team-a", SECRET, None)
    clock.forward(minutes=20)
    site.settle()
    assert api.get("secrets", SECRET, "team-a") is not None


@only_own
def test_a_foreign_secret_that_the_admission_policy_protects_is_a_conflict_too(
    api: ApiServer, site: Site
) -> None:
    def refuse(request: Request) -> None:
        if request.what == "PATCH secrets":
            message = f"ValidatingAdmissionPolicy 'x' denied request: {NOT_MANAGED}"
            raise StatusError(403, "Forbidden", message)

    api.create("serviceaccounts", "builder", "team-a")
    api.before = refuse
    site.settle()

    assert [one["reason"] for one in api.all("events")] == ["PullSecretConflict"]


def test_the_secret_goes_with_its_account(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.delete("serviceaccounts", "team-a", "builder", None)
    site.settle()

    assert api.all("secrets") == []


def test_an_account_created_anew_gets_a_new_secret(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    old = api.get("secrets", SECRET, "team-a")
    api.delete("serviceaccounts", "team-a", "builder", None)
    new = api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert old is not None
    assert secret is not None
    assert old["metadata"]["uid"] != secret["metadata"]["uid"]
    assert [new["metadata"]["uid"]] == [one["uid"] for one in secret["metadata"]["ownerReferences"]]


def test_opting_out_leaves_the_account_as_it_was(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a", imagePullSecrets=[{"name": "theirs"}])
    site.settle()
    api.edit(
        "serviceaccounts",
        "builder",
        "team-a",
        lambda one: one["metadata"].update(annotations={"regauth/pull-secret": "false"}),
    )
    site.settle()
    held = api.get("serviceaccounts", "builder", "team-a")

    assert held is not None
    assert held["imagePullSecrets"] == [{"name": "theirs"}]
    assert "secrets" not in held
    assert api.all("secrets") == []


def test_a_namespace_s_label_is_seen(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    mark = {"regauth/pull-secret": "false"}
    api.edit("namespaces", "team-a", "", lambda one: one["metadata"].update(labels=mark))
    site.settle()

    assert api.all("secrets") == []


@only_own
def test_a_key_that_is_gone_replaces_its_tokens(api: ApiServer, site: Site, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.key_id, api.published = "k2", ["k2"]
    clock.forward(minutes=2)
    site.controller.keys.refresh(older_than=0)
    site.controller.look_at_everything()
    site.work()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert api.count()["POST serviceaccounts/token"] == 2
    site.controller.look_at_everything()
    site.work()
    assert api.count()["POST serviceaccounts/token"] == 2


@only_own
def test_a_key_that_is_used_and_not_published_yet_is_no_reason_to_go_round_in_circles(
    api: ApiServer, site: Site
) -> None:
    api.key_id = "k2"
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    site.controller.look_at_everything()
    site.work()

    assert api.count()["POST serviceaccounts/token"] == 1


@only_own
def test_s1_a_key_set_without_keys_says_that_every_token_s_key_is_gone(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """It was taken for a key set that is not known.  Replaced once, not at every look."""
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.published = []
    counts = []
    for _ in range(3):
        clock.forward(minutes=2)
        if site.controller.keys.refresh(0):
            site.controller.look_at_everything()
        site.work()
        counts.append(api.count()["POST serviceaccounts/token"])

    assert counts == [2, 2, 2]


@only_own
def test_without_a_readable_key_set_nothing_is_replaced_for_its_key(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()

    def forbid(request: Request) -> None:
        if request.path == "/openid/v1/jwks":
            raise StatusError(403, "Forbidden")

    api.before = forbid
    clock.forward(minutes=2)
    site.settle()
    assert api.count()["POST serviceaccounts/token"] == 1


def failing(api: Api, what: str, *failures: Exception) -> None:
    """Let the next requests of a kind fail, one by one."""
    left = list(failures)

    def fail(request: Request) -> None:
        if request.what == what and left:
            raise left.pop(0)

    api.before = fail


@pytest.mark.parametrize(
    "what", ["PATCH secrets", "POST serviceaccounts/token", "PATCH serviceaccounts"]
)
@pytest.mark.parametrize(
    "failure",
    [
        StatusError(500, "InternalError"),
        StatusError(429, "TooManyRequests", wait=7),
        StatusError(403, "Forbidden"),
        StatusError(503, "ServiceUnavailable"),
        StatusError(409, "Conflict"),
        ConnectionAbortedError(),
    ],
    ids=lambda one: str(getattr(one, "code", "away")),
)
def test_a_request_that_fails_is_made_again_later_and_nothing_is_lost(
    api: Api, site: Site, clock: Clock, what: str, failure: Exception
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    failing(api, what, failure, failure)
    site.settle()

    assert site.controller.queue.failing == 1
    clock.forward(seconds=7)
    site.work()
    clock.forward(seconds=7)
    site.work()
    held = api.get("serviceaccounts", "builder", "team-a")
    secret = api.get("secrets", SECRET, "team-a")
    assert site.controller.queue.failing == 0
    assert held is not None
    assert secret is not None
    assert held["imagePullSecrets"] == [{"name": SECRET}]
    assert list(logins(secret)) == [MAIN.host]


@pytest.mark.parametrize(
    "what", ["PATCH secrets", "POST serviceaccounts/token", "PATCH serviceaccounts"]
)
def test_an_answer_that_is_lost_in_flight_does_no_harm(
    api: Api, site: Site, clock: Clock, what: str
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    lost: list[Request] = []

    def lose(request: Request) -> None:
        if request.what == what and not lost:
            lost.append(request)
            raise ConnectionAbortedError

    api.after = lose
    site.settle()
    clock.forward(seconds=1)
    site.settle()
    held = api.get("serviceaccounts", "builder", "team-a")

    assert held is not None
    assert held["imagePullSecrets"] == [{"name": SECRET}]
    assert len(api.all("secrets")) == 1


def test_the_server_s_wish_to_wait_is_kept_to(api: Api, site: Site, clock: Clock) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    failing(api, "PATCH secrets", StatusError(429, "TooManyRequests", wait=30))
    site.settle()
    api.seen.clear()
    clock.forward(seconds=29)
    site.work()

    assert writes(api) == []
    clock.forward(seconds=1)
    site.work()
    assert len(writes(api)) == 4


def test_what_goes_on_failing_is_asked_for_less_and_less(
    api: Api, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    failing(api, "PATCH secrets", *[StatusError(403, "Forbidden")] * 1000)
    site.settle()
    for _ in range(600):
        clock.forward(seconds=1)
        site.work()

    assert api.count()["PATCH secrets"] == 11


def test_what_failed_in_an_outage_is_done_when_the_server_answers_again(
    api: Api, site: Site, clock: Clock
) -> None:
    """A process that needs no Lease goes on through an outage, and waits up to five minutes."""
    api.create("serviceaccounts", "builder", "team-a")
    site.controller.sync()

    def away(_request: Request) -> None:
        raise ConnectionAbortedError

    api.before = away
    for _ in range(12):
        site.work()
        clock.forward(minutes=5)
    site.work()
    assert site.controller.queue.failing == 1
    watcher = site.controller.watches.watchers["serviceaccounts"]
    watcher.wait = lambda _seconds: setattr(api, "before", lambda _request: None)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    wait_for(lambda: site.controller.queue.depth, "the account is to be looked at")
    watcher.stop()
    thread.join()
    site.work()

    assert site.controller.queue.failing == 0
    assert api.get("secrets", SECRET, "team-a") is not None


def test_an_account_or_namespace_that_ends_meanwhile_is_no_failure(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    failing(
        api, "PATCH secrets", StatusError(403, "Forbidden", "terminating", "NamespaceTerminating")
    )
    site.settle()
    assert site.controller.queue.failing == 0
    failing(api, "POST serviceaccounts/token", StatusError(404, "NotFound"))
    site.settle()

    assert site.controller.queue.failing == 0


@only_own
def test_a_token_that_expires_on_its_way_is_not_written(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")

    def late(request: Request) -> None:
        if request.what == "POST serviceaccounts/token":
            api.after = lambda _request: None
            clock.forward(hours=2)

    api.after = late
    site.settle()
    (before,) = api.all("secrets")
    assert logins(before) == {}
    assert site.controller.queue.failing == 1
    clock.forward(seconds=1)
    site.work()
    (after,) = api.all("secrets")

    assert claims(logins(after)[MAIN.host]["password"])["exp"] > clock.timestamp()
    assert site.controller.queue.failing == 0


def test_a_process_that_does_not_lead_writes_nothing(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    api.seen.clear()
    site.leads = False
    with pytest.raises(NotLeadingError):
        site.settle()

    assert writes(api) == []


def test_two_controllers_of_different_instances_leave_each_other_alone(
    api: Api, site: Site, clock: Clock
) -> None:
    second = Site(api, clock, OTHER)
    second.controller = Controller(
        second.controller._host, Entitlements((OTHER,), instance="second")
    )
    api.create("serviceaccounts", "builder", "team-a")
    for _ in range(2):
        site.settle()
        second.settle()
    held = api.get("serviceaccounts", "builder", "team-a")

    assert held is not None
    assert held["imagePullSecrets"] == [{"name": SECRET}, {"name": "builder.second.pull-secret"}]
    assert api.count()["POST serviceaccounts/token"] == 2


@only_own
def test_lists_are_read_in_pages(api: ApiServer, site: Site) -> None:
    for number in range(7):
        api.create("serviceaccounts", f"a{number}", "team-a")
    api.page = 3
    site.settle()

    assert len(api.all("secrets")) == 7
    assert api.count()["GET serviceaccounts"] == 3


@only_own
def test_a_list_that_changes_too_much_between_two_pages_is_an_error_to_begin_anew(
    api: ApiServer, site: Site
) -> None:
    for number in range(7):
        api.create("serviceaccounts", f"a{number}", "team-a")
    api.page = 3

    def meanwhile(request: Request) -> None:
        if "continue" in request.query:
            api.bump()
            api.compact()

    api.before = meanwhile
    with pytest.raises(ApiError) as caught:
        site.controller.watches.watchers["serviceaccounts"].list()

    assert caught.value.status == 410


@only_own
def test_what_the_watch_tells_late_does_not_undo_what_was_written(
    api: ApiServer, site: Site
) -> None:
    """The watch tells of the empty secret after the tokens were written into it."""
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    empty, _full = [body for _, kind, _, body, _ in api.store.history if kind == "secrets"]
    api.seen.clear()
    site.controller.inventory.put("secrets", empty)
    site.controller.inventory.remove("secrets", empty)
    site.controller.look_at_everything()
    site.work()

    assert writes(api) == []


@only_own
def test_a_list_that_is_older_than_a_write_does_not_undo_it(api: ApiServer, site: Site) -> None:
    """The list was read before the secret was created, and arrives after."""
    api.create("serviceaccounts", "builder", "team-a")
    before = str(api.store.version)
    site.settle()
    api.seen.clear()
    site.controller.inventory.replace("secrets", [], before)
    site.controller.look_at_everything()
    site.work()

    assert writes(api) == []
    assert len(list(site.controller.inventory.secrets())) == 1
    site.controller.inventory.replace("secrets", [], str(api.store.version))
    assert not list(site.controller.inventory.secrets())


def theirs_instead(api: Api, what: str, number: int = 1) -> None:
    """Just before the n-th request of a kind, put somebody else's secret in the place of ours."""
    left = [number]

    def meanwhile(request: Request) -> None:
        if request.what == what:
            left[0] -= 1
            if not left[0]:
                api.delete("secrets", "team-a", SECRET, None)
                content = {".dockerconfigjson": base64.b64encode(b'{"auths": {}}').decode()}
                api.create(
                    "secrets", SECRET, "team-a", type="kubernetes.io/dockerconfigjson", data=content
                )

    api.before = meanwhile


@pytest.mark.parametrize(
    ("what", "number", "tokens"),
    [("POST serviceaccounts/token", 1, 0), ("PATCH secrets", 2, 1)],
)
def test_a_secret_that_is_replaced_meanwhile_is_not_taken_for_ours(
    api: Api, site: Site, what: str, number: int, tokens: int
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    theirs_instead(api, what, number)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert logins(secret) == {}
    assert "labels" not in secret["metadata"]
    requested = [one.status for one in api.seen if one.what == "POST serviceaccounts/token"]
    assert requested.count(201) == tokens


def test_a_token_of_an_account_made_anew_is_not_written_into_the_old_one_s_secret(
    api: Api, site: Site, clock: Clock
) -> None:
    api.create("serviceaccounts", "builder", "team-a")

    def meanwhile(request: Request) -> None:
        if request.what == "POST serviceaccounts/token":
            api.before = lambda _request: None
            api.delete("serviceaccounts", "team-a", "builder", None)
            api.create("serviceaccounts", "builder", "team-a")

    api.before = meanwhile
    site.settle()
    (before,) = api.all("secrets")
    assert logins(before) == {}
    clock.forward(seconds=1)
    site.settle()
    (after,) = api.all("secrets")
    account = api.get("serviceaccounts", "builder", "team-a")

    assert account is not None
    assert [one.status for one in api.seen if one.what == "POST serviceaccounts/token"] == [
        409,
        201,
    ]
    assert [account["metadata"]["uid"]] == [
        one["uid"] for one in after["metadata"]["ownerReferences"]
    ]
    assert before["metadata"]["uid"] != after["metadata"]["uid"]


def test_a_secret_that_is_gone_before_its_token_is_written_does_not_come_back_with_it(
    api: Api, site: Site, clock: Clock
) -> None:
    """The token was bound to the secret and ended with it."""
    api.create("serviceaccounts", "builder", "team-a")
    left = [2]

    def meanwhile(request: Request) -> None:
        if request.what == "PATCH secrets":
            left[0] -= 1
            if not left[0]:
                api.delete("secrets", "team-a", SECRET, None)

    api.before = meanwhile
    site.settle()
    assert api.all("secrets") == []
    clock.forward(seconds=1)
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    said = claims(logins(secret)[MAIN.host]["password"])
    assert said["kubernetes.io"]["secret"]["uid"] == secret["metadata"]["uid"]


def test_a_secret_of_somebody_else_s_is_not_deleted_in_the_place_of_ours(
    api: Api, site: Site
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    api.delete("serviceaccounts", "team-a", "builder", None)
    theirs_instead(api, "DELETE secrets")
    site.settle()

    assert [logins(one) for one in api.all("secrets")] == [{}]


def test_nothing_that_is_kept_holds_a_token(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    kept = repr(site.controller.inventory.observed(AccountKey("team-a", "builder"), None))
    assert SECRET in kept
    assert not any(part in kept for part in logins(secret)[MAIN.host]["password"].split("."))


def test_of_a_foreign_secret_nothing_is_kept(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    ours = api.get("secrets", SECRET, "team-a")
    assert ours is not None
    api.create("serviceaccounts", "deployer", "team-a")
    api.create("secrets", "deployer-pull-secret", "team-a", type=ours["type"], data=ours["data"])
    site.settle()

    assert site.controller.inventory.observed(AccountKey("team-a", "deployer"), None).secrets == ()


@only_own
def test_a_key_that_only_this_process_does_not_know_yet_is_looked_up_first(
    api: ApiServer, site: Site, clock: Clock
) -> None:
    """Another leader has requested tokens since the keys were rotated."""
    site.settle()
    api.key_id, api.published = "k2", ["k1", "k2"]
    api.create("serviceaccounts", "builder", "team-a")
    Site(api, clock).settle()
    clock.forward(minutes=2)
    for kind in ("secrets", "serviceaccounts"):
        site.controller.watches.watchers[kind].list()
    site.work()

    assert api.count()["POST serviceaccounts/token"] == 1


def test_the_keys_that_the_cluster_signs_with_are_known(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    (secret,) = api.all("secrets")
    header = logins(secret)[MAIN.host]["password"].split(".")[0]
    key_id = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]

    assert site.controller.keys.known == {key_id}
    assert [one.status for one in api.seen if one.path == "/openid/v1/jwks"] == [200]


def test_a_token_for_another_audience_is_not_written(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")

    def meanwhile(request: Request) -> None:
        if request.what == "POST serviceaccounts/token":
            request.body["spec"]["audiences"] = ["https://elsewhere.example.com"]

    api.before = meanwhile
    site.settle()
    secret = api.get("secrets", SECRET, "team-a")

    assert secret is not None
    assert logins(secret) == {}
    assert site.controller.queue.failing == 1


def test_other_registries_from_now_on_are_written_and_the_instance_stays(
    api: Api, site: Site
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    site.settle()
    site.controller.entitle(Entitlements((OTHER,), instance="another"))
    site.work()
    (secret,) = api.all("secrets")

    assert secret["metadata"]["name"] == SECRET
    assert list(logins(secret)) == [OTHER.host]
