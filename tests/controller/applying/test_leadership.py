"""Leader election, two candidates and a clock that is moved by hand."""

from datetime import timedelta

import pytest

from regauth.controller.applying.leadership import Elector
from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster
from regauth.controller.settings import Election
from tests.controller.clocks import Clock
from tests.controller.conftest import Api, connection
from tests.controller.listening import Request, StatusError

ELECTION = Election("regauth", "lease", timedelta(seconds=15), timedelta(seconds=5))


@pytest.fixture
def both(api: Api, clock: Clock) -> tuple[Elector, Elector]:
    api.create("namespaces", "regauth")
    cluster = Cluster(connection(api))
    first, second = (Elector(cluster, ELECTION, name, clock.monotonic, clock.now) for name in "ab")
    return first, second


def spec(api: Api) -> dict[str, object]:
    lease = api.get("leases", "lease", "regauth")
    assert lease is not None
    return lease["spec"]


def test_the_first_leads_and_the_second_waits(
    api: Api, both: tuple[Elector, Elector], clock: Clock
) -> None:
    first, second = both
    moment = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert (first.step(), second.step()) == (True, False)
    assert (first.leads, second.leads) == (True, False)
    assert spec(api) == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": moment,
        "renewTime": moment,
        "leaseTransitions": 0,
    }


def test_a_leader_that_renews_stays(api: Api, both: tuple[Elector, Elector], clock: Clock) -> None:
    first, second = both
    moment = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for _ in range(10):
        assert first.step()
        assert not second.step()
        clock.forward(seconds=5)

    assert spec(api)["leaseTransitions"] == 0
    assert spec(api)["acquireTime"] == moment


def test_a_leader_that_does_not_renew_stops_before_another_takes_over(
    both: tuple[Elector, Elector], api: Api, clock: Clock
) -> None:
    first, second = both
    first.step()
    second.step()
    seen = []
    for _ in range(16):
        clock.forward(seconds=1)
        second.step()
        seen.append((first.leads, second.leads))

    assert (True, True) not in seen
    assert seen.index((False, False)) == 9
    assert seen.index((False, True)) == 14
    assert spec(api)["leaseTransitions"] == 1


def test_the_time_of_a_lease_runs_from_when_it_was_seen_to_change_whatever_it_says(
    api: Api, both: tuple[Elector, Elector], clock: Clock
) -> None:
    """A leader whose clock is hours behind is a leader all the same."""
    first, second = both
    first.step()
    long_ago = "2020-01-01T00:00:00.000000Z"
    api.edit("leases", "lease", "regauth", lambda one: one["spec"].update(renewTime=long_ago))

    assert not second.step()
    clock.forward(seconds=14)
    assert not second.step()
    clock.forward(seconds=1)
    assert second.step()


def test_of_two_that_take_over_at_once_one_leads(
    api: Api, both: tuple[Elector, Elector], clock: Clock
) -> None:
    first, second = both
    created: list[bool] = []

    def meanwhile(request: Request) -> None:
        if request.method in ("POST", "PUT") and not created:
            created.append(True)
            created.append(second.step())

    api.before = meanwhile

    assert not first.step()
    assert created == [True, True]
    assert (first.leads, second.leads) == (False, True)


def test_a_lease_that_is_given_back_is_taken_at_once(both: tuple[Elector, Elector]) -> None:
    first, second = both
    first.step()
    second.step()
    first.release()

    assert not first.leads
    assert second.step()


def test_giving_back_does_not_take_the_lease_from_another(
    api: Api, both: tuple[Elector, Elector]
) -> None:
    first, _ = both
    first.step()
    api.edit("leases", "lease", "regauth", lambda one: one["spec"].update(holderIdentity="b"))
    first.release()

    assert spec(api)["holderIdentity"] == "b"


def test_a_server_that_is_away_for_a_moment_ends_no_leadership(
    api: Api, both: tuple[Elector, Elector], clock: Clock
) -> None:
    first, _ = both
    first.step()

    def away(_request: Request) -> None:
        raise StatusError(503, "ServiceUnavailable")

    api.before = away
    clock.forward(seconds=9)
    with pytest.raises(ApiError):
        first.step()

    assert first.leads
    clock.forward(seconds=1)
    assert not first.leads


def test_who_waits_looks_again_when_the_lease_of_another_ends(
    api: Api, both: tuple[Elector, Elector], clock: Clock
) -> None:
    """It looked every five seconds, so that a new leader came up to five seconds late."""
    first, second = both
    begun = clock.monotonic()
    first.step()
    clock.forward(seconds=3)
    second.step()
    assert (first.again_at - begun, second.again_at - begun) == (5, 8)
    clock.forward(seconds=12)
    second.step()
    assert second.again_at - begun == 18

    def away(_request: Request) -> None:
        raise StatusError(503, "ServiceUnavailable")

    api.before = away
    clock.forward(seconds=2)
    with pytest.raises(ApiError):
        second.step()
    assert second.again_at - begun == 22
    api.before = lambda _request: None
    clock.forward(seconds=1)
    assert second.step()
    assert second.again_at - begun == 23
