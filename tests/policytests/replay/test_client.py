"""Replaying with a policy that asks from where: old records cannot say."""

from ipaddress import ip_address

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.replay.deciding import Change, Replay, UndecidedReason
from regauth.policytests.replay.explaining import explain_record
from regauth.policytests.replay.records import RecordError
from tests.policytests.replay.test_lifetimes import POLICY, record


def policy(when: str) -> Policy:
    found = compile_policy({"p.yaml": POLICY.replace("LIFETIME", f", when: '{when}'")}).policy
    assert found is not None
    return found


OFFICE = policy('client.inNetwork("10.0.0.0/8")')


def test_a_record_without_the_address_is_not_decided() -> None:
    assert Replay(OFFICE).differences(record()) is UndecidedReason.NO_ADDRESS
    assert explain_record(Replay(OFFICE), record()) is UndecidedReason.NO_ADDRESS
    assert Replay(policy("true == true")).differences(record()) == []


@pytest.mark.parametrize(
    ("address", "change"),
    [("10.1.2.3", []), ("192.0.2.1", [Change.NARROWER]), ("", [Change.NARROWER])],
)
def test_the_address_of_the_record_decides(address: str, change: list[Change]) -> None:
    found = Replay(OFFICE).differences(record(address=address, client="10.1.2.3"))

    assert isinstance(found, list)
    assert [one.change for one in found] == change


def test_what_is_remembered_is_of_one_address() -> None:
    replay = Replay(OFFICE)
    found = [
        replay.differences(record(address=address))
        for address in ("10.1.2.3", "192.0.2.1", "10.1.2.3", "", "10.9.9.9")
    ]

    assert [bool(one) for one in found] == [False, True, False, True, False]


def test_an_address_is_read_or_refused() -> None:
    assert record(address="::ffff:10.0.0.1").address == ip_address("10.0.0.1")
    for wrong in ("10.0.0", "host", 7, None):
        with pytest.raises(RecordError):
            record(address=wrong)
