"""The address that conditions of a policy may read: certainly the client's, or not known."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.servers.http_server.forwarded import MAX_HOPS, ForwardedFields

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
NOBODY = ForwardedFields()
X_FORWARDED = ForwardedFields(TRUSTED)
RFC7239 = ForwardedFields(TRUSTED, rfc7239=True)


def address(fields: ForwardedFields, peer: str, **headers: str) -> str | None:
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    found = fields.read({"REMOTE_ADDR": peer, "HTTP_HOST": "registry", **environ}).address
    return None if found is None else str(found)


DIRECT = [
    ("192.0.2.1", "192.0.2.1"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("2001:db8::1", "2001:db8::1"),
    ("", None),
    ("localhost", None),
    ("192.0.2.1:5000", None),
    ("/run/socket", None),
]


@pytest.mark.parametrize(("peer", "wanted"), DIRECT)
def test_a_peer_without_forwarded_fields_is_the_client(peer: str, wanted: str | None) -> None:
    assert address(NOBODY, peer) == wanted
    assert address(X_FORWARDED, peer) == wanted


@pytest.mark.parametrize(
    "field", ["x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "forwarded"]
)
@pytest.mark.parametrize("value", ["10.0.0.1", "192.0.2.1", "for=10.0.0.1", "https", ""])
@pytest.mark.parametrize("fields", [NOBODY, X_FORWARDED, RFC7239])
def test_a_peer_that_is_not_trusted_and_sends_such_fields_is_not_known(
    fields: ForwardedFields, field: str, value: str
) -> None:
    """It may be a proxy that nobody told us of, or a client that wants to be another."""
    assert address(fields, "192.0.2.9", **{field: value}) is None


HOPS = [
    ("198.51.100.7", "198.51.100.7"),
    ("10.9.9.9, 198.51.100.7", "198.51.100.7"),
    ("198.51.100.7, 10.0.0.2", "198.51.100.7"),
    ("1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
    ("::ffff:198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"),
    ("[2001:db8::7]:4711", "2001:db8::7"),
    ("", None),
    ("10.0.0.2", None),
    ("10.0.0.3, 10.0.0.2", None),
    ("::ffff:10.0.0.2", None),
    ("::1", None),
    ("nonsense", None),
    ("198.51.100.7, nonsense", None),
    ("198.51.100.7, ", None),
    ("198.51.100.7,, 10.0.0.2", None),
    ("unknown", None),
    ("198.51.100.7, unknown, 10.0.0.2", None),
    ("198.51.100.7\x00", None),
    ("0x0a000001", None),
    ("010.0.0.1", None),
    (", ".join(["198.51.100.7", *["10.0.0.2"] * MAX_HOPS]), None),
]


@pytest.mark.parametrize(("hops", "wanted"), HOPS)
def test_the_first_hop_that_no_trusted_proxy_is(hops: str, wanted: str | None) -> None:
    assert address(X_FORWARDED, "10.0.0.1", x_forwarded_for=hops) == wanted
    assert address(X_FORWARDED, "::1", x_forwarded_for=hops) == wanted


ELEMENTS = [
    ("for=198.51.100.7", "198.51.100.7"),
    ('for="[2001:db8::7]:4711"', "2001:db8::7"),
    ("for=1.1.1.1, for=198.51.100.7, for=10.0.0.2", "198.51.100.7"),
    ("for=10.0.0.2", None),
    ("for=unknown", None),
    ("for=_hidden", None),
    ("for=198.51.100.7, for=_hidden", None),
    ("proto=https", None),
    ('for=198.51.100.7, for="', None),
    ("for=198.51.100.7;for=10.0.0.2", None),
    ("", None),
]


@pytest.mark.parametrize(("elements", "wanted"), ELEMENTS)
def test_rfc7239(elements: str, wanted: str | None) -> None:
    assert address(RFC7239, "10.0.0.1", forwarded=elements) == wanted


def test_the_field_that_proxies_do_not_write_changes_nothing() -> None:
    assert address(X_FORWARDED, "10.0.0.1", forwarded="for=198.51.100.7") is None
    assert address(RFC7239, "10.0.0.1", x_forwarded_for="198.51.100.7") is None


TEXT = st.one_of(
    st.sampled_from(["10.0.0.2", "198.51.100.7", "::1", "x", "", "10.0.0.2:1", "::ffff:10.0.0.2"]),
    st.text(st.characters(codec="latin-1"), max_size=12),
)


@given(st.lists(TEXT, max_size=4), st.sampled_from(["198.51.100.7", "2001:db8::9"]))
def test_what_a_client_writes_before_its_own_address_changes_nothing(
    written: list[str], client: str
) -> None:
    """The trusted proxy appends the address that it was asked from."""
    hops = ", ".join([*(one.replace(",", " ") for one in written), client])

    assert address(X_FORWARDED, "10.0.0.1", x_forwarded_for=hops) == client


@given(st.lists(TEXT, max_size=4))
def test_no_trusted_proxy_is_ever_the_client(written: list[str]) -> None:
    found = address(X_FORWARDED, "10.0.0.1", x_forwarded_for=", ".join(written))

    assert found is None or not any(ipaddress.ip_address(found) in one for one in TRUSTED)
