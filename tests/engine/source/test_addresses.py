"""Addresses as texts: what is listened on, who a peer is, and what this machine is."""

import ipaddress

import pytest

from regauth.engine.source.addresses import (
    is_loopback,
    is_within,
    parse_address,
    parse_ip,
    parse_network,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("*:5000", ("", 5000)),
        (":5000", ("", 5000)),
        ("[::1]:5000", ("::1", 5000)),
        ("auth.example.com:0", ("auth.example.com", 0)),
        ("*:65535", ("", 65535)),
    ],
)
def test_an_address_to_listen_on_is_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("5000", "'5000' is not an address such as"),
        ("127.0.0.1:", "is not an address such as"),
        ("127.0.0.1:-1", "is not an address such as"),
        ("127.0.0.1:\u0661", "is not an address such as"),
        ("*:65536", "65536 is not a port; the highest is 65535"),
        ("*:" + "9" * 5000, "is not a port"),
    ],
)
def test_what_is_no_address_is_said(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("registry.example.com", "None"),
        ("", "None"),
    ],
)
def test_a_mapped_address_is_the_ipv4_address(text: str, address: str) -> None:
    assert str(parse_ip(text)) == address


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("127.0.0.0/8", "127.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_networks_of_mapped_addresses_are_those_of_ipv4(text: str, network: str) -> None:
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize("address", ["127.0.0.9", "::ffff:127.0.0.9", "::ffff:7f00:9"])
@pytest.mark.parametrize("network", ["127.0.0.0/8", "::ffff:127.0.0.0/104"])
def test_an_address_is_within_a_network_in_whatever_form(address: str, network: str) -> None:
    assert is_within(address, [parse_network(network)])


@pytest.mark.parametrize("address", ["128.0.0.1", "::1", "", "127.0.0.1, 10.0.0.1", "localhost"])
def test_another_address_is_not(address: str) -> None:
    assert not is_within(address, [parse_network("127.0.0.0/8")])


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example.com", False),
        ("127.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_told_by_name_or_address(host: str, *, local: bool) -> None:
    assert is_loopback(host) is local
