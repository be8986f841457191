"""Conditions on the client's address are decided for every address, and for one that is not known."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import IpAddress, parse_network
from regauth.policytests.execution.examples import token, who
from regauth.policytests.proofs import Question, Status, more_access
from regauth.policytests.proofs.languages import addresses
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.retelling import Notes, login_of, retell
from regauth.policytests.suites.writing import yaml_value
from tests.generated import seeds
from tests.policytests.proofs.clients import EDGES, NETWORKS, check_random, is_allowed, policy

OFFICE = 'client.inNetwork("10.0.0.0/8")'
WIDER = 'client.inNetwork("10.0.0.0/7")'
EITHER = 'client.inNetwork("0.0.0.0/0") || client.inNetwork("::/0")'
ALWAYS = "true == true"

PROVED = [
    (policy(OFFICE), policy(OFFICE)),
    (policy(f'{OFFICE} && claims.team == "x"'), policy(OFFICE)),
    (policy(OFFICE), policy(ALWAYS)),
    (policy(ALWAYS, OFFICE), policy(ALWAYS)),
    (policy(OFFICE), policy(WIDER)),
    (policy(ALWAYS, WIDER), policy(ALWAYS, OFFICE)),
    (policy(OFFICE), policy(EITHER)),
    (policy(f"!({OFFICE})"), policy(EITHER)),
    (policy('client.inNetwork("10.0.0.0/9") || client.inNetwork("10.128.0.0/9")'), policy(OFFICE)),
    (policy('client.inNetwork("::ffff:10.0.0.0/104")'), policy(OFFICE)),
    # Only an IPv4 address is in it: no client has an IPv6 address that stands for one.
    (policy('client.inNetwork("::fffe:0:0/95")'), policy('client.inNetwork("::fffe:0:0/96")')),
    (policy(f"{OFFICE} && !({OFFICE})"), policy("false")),
    # Where the address is not known, the denial refuses.
    (policy(EITHER, EITHER), policy("false")),
    (policy(ALWAYS, EITHER), policy("false")),
]


@pytest.mark.parametrize(("new", "bound"), PROVED)
def test_what_no_address_gains_is_proved(new: Policy, bound: Policy) -> None:
    assert more_access(Question(new, bound)).proved


WITNESSES = [
    (policy(WIDER), policy(OFFICE), ["11.0.0.0"]),
    (policy(OFFICE), policy("false"), ["10.0.0.0"]),
    (policy(f"!({OFFICE})"), policy("false"), ["192.0.2.7"]),
    (policy(EITHER), policy('client.inNetwork("0.0.0.0/0")'), ["2001:db8::7"]),
    # An address that is not known is an error: the grant does not match, and the denial does.
    (policy(ALWAYS), policy(EITHER), ["unknown"]),
    (policy(ALWAYS), policy(f"{OFFICE} || !({OFFICE})"), ["unknown"]),
    (policy(ALWAYS, f"{OFFICE} && false"), policy(ALWAYS, f"{OFFICE} && !({OFFICE})"), ["unknown"]),
    (policy(ALWAYS, OFFICE), policy(ALWAYS, WIDER), ["11.0.0.0"]),
]


@pytest.mark.parametrize(("new", "bound", "clients"), WITNESSES)
def test_a_witness_says_from_where(new: Policy, bound: Policy, clients: list[str]) -> None:
    answer = more_access(Question(new, bound))

    assert [one.client for one in answer.witnesses] == clients
    [witness] = answer.witnesses
    assert is_allowed(new, witness.address)
    assert not is_allowed(bound, witness.address)


def test_a_witness_says_nothing_of_an_address_that_nobody_reads() -> None:
    [witness] = more_access(Question(policy(ALWAYS), policy("false"))).witnesses

    assert not witness.client


def test_a_witness_is_told_as_a_suite_writes_it() -> None:
    [witness] = more_access(Question(policy(WIDER), policy(OFFICE))).witnesses

    assert who(witness) == "a token of ci, from 11.0.0.0"
    assert f"client: {yaml_value('11.0.0.0')}" in list(token(witness))


def test_a_proof_is_retold_with_addresses() -> None:
    notes = Notes()
    assert more_access(Question(policy(OFFICE), policy(WIDER), account=notes)).proved

    [refuted] = notes.refuted
    retold = retell(refuted, login_of(refuted.pair.new, "ci", None))
    assert retold is not None
    assert (retold.allowed > 0, retold.against) == (True, 0)
    [values] = [said for name, said in retold.values.items() if name == "the client's address"]
    assert "like 10.0.0.0" in values
    assert any("unknown" in said for said in values)


@pytest.mark.parametrize("condition", ["client == client", "client in [client]"])
def test_what_else_is_asked_of_an_address_stays_undecided(condition: str) -> None:
    # For an address that is not known, both are an error.
    assert more_access(Question(policy(condition), policy("false"))).status is Status.UNKNOWN
    assert more_access(Question(policy(ALWAYS), policy(condition))).status is Status.WITNESS


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", seeds(3))
def test_random_networks_are_decided_exactly(seed: int) -> None:
    check_random(seed, 40)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_beginning_of_a_network_is_that_of_its_addresses(network: str) -> None:
    beginning = addresses.beginning(parse_network(network))

    for address in filter(None, EDGES):
        text = addresses.written(address)
        assert text.startswith(beginning) == (address in parse_network(network))
        assert addresses.read(text) == address
        assert languages.ADDRESS.holds(text)


@pytest.mark.parametrize("address", [IPv4Address("10.0.0.1"), IPv6Address("::ffff:10.0.0.1")])
def test_an_address_is_written_one_way(address: IpAddress) -> None:
    assert languages.ADDRESS.holds(addresses.written(address)) == (address.version == 4)


@pytest.mark.parametrize("text", ["", "4", "4" + "0" * 31, "4" + "0" * 33, "6" + "0" * 32, "40x"])
def test_any_other_text_is_no_address(text: str) -> None:
    assert addresses.read(text) is None
    assert not languages.ADDRESS.holds(text)
