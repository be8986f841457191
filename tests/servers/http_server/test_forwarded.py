"""Who the client is and where it believes the server to be, behind proxies in every form."""

import ipaddress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.servers.http_server.forwarded import (
    MAX_AGENT,
    MAX_HOPS,
    ForwardedFields,
    WithRequestInfo,
)
from regauth.servers.protocol.request_info import RequestInfo, client_of, request_info

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
X_FORWARDED = ForwardedFields(TRUSTED)
RFC7239 = ForwardedFields(TRUSTED, rfc7239=True)


def read(
    fields: ForwardedFields, peer: str = "10.0.0.1", /, host: str = "registry:5000", **headers: str
) -> RequestInfo:
    """Read what a peer sent in headers, whose names are given in lower case."""
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return fields.read(
        {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": host, **environ}
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "::ffff:198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "198.51.100.7", ""),
    ],
)
def test_a_forwarded_address_counts_as_far_as_trusted_proxies_wrote_it(
    peer: str, forwarded: str, client: str
) -> None:
    assert read(X_FORWARDED, peer, x_forwarded_for=forwarded).client == client


def test_no_more_hops_are_looked_at_than_proxies_stand_in_a_row() -> None:
    hops = ", ".join(["198.51.100.7", *["10.0.0.9"] * MAX_HOPS])

    assert read(X_FORWARDED, x_forwarded_for=hops).client == "10.0.0.9"


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "::FFFF:10.0.0.1", "::ffff:a00:1"])
def test_ipv4_mapped_granian_a_peer_of_a_socket_for_both_families_is_an_ipv4_peer(
    peer: str,
) -> None:
    """Hosts that listen on `::` call their IPv4 peers so; networks are written in IPv4's form."""
    headers = {"x_forwarded_proto": "https", "x_forwarded_host": "registry.example.com"}
    info = read(X_FORWARDED, peer, x_forwarded_for="::ffff:198.51.100.7", **headers)

    assert (info.client, info.origin) == ("198.51.100.7", "https://registry.example.com")
    assert read(X_FORWARDED, "::ffff:192.0.2.1", x_forwarded_for="10.1.1.1").client == "192.0.2.1"
    assert read(ForwardedFields(), "::ffff:192.0.2.1").client == "192.0.2.1"


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("https", "registry.example.com", "https://registry.example.com"),
        ("HTTPS", "", "https://registry:5000"),
        ("https, http", "registry.example.com, inner", "https://registry.example.com"),
        ("https,http", "registry.example.com,inner:80", "https://registry.example.com"),
        (", https", " ,registry.example.com", "https://registry.example.com"),
        ("", "", "http://registry:5000"),
    ],
)
def test_forwarded_proto_forms_the_first_of_a_list_counts_in_whatever_case(
    scheme: str, host: str, origin: str
) -> None:
    found = read(X_FORWARDED, x_forwarded_proto=scheme, x_forwarded_host=host)

    assert (found.origin, found.origin_fault) == (origin, "")


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"x_forwarded_proto": "ftp"}, "X-Forwarded-Proto is neither http nor https"),
        ({"x_forwarded_proto": "https http"}, "X-Forwarded-Proto is neither http nor https"),
        ({"x_forwarded_host": 'a"b'}, "the X-Forwarded-Host header is not a host"),
        ({"host": "a b"}, "the Host header is not a host"),
        ({"host": ""}, "the Host header is not a host"),
    ],
)
def test_forwarded_proto_forms_what_is_not_understood_is_named_and_never_plain_http(
    headers: dict[str, str], fault: str
) -> None:
    found = read(X_FORWARDED, **headers)

    assert (found.origin, found.origin_fault) == (None, fault)


@pytest.mark.parametrize(
    ("forwarded", "client", "origin"),
    [
        ("", "10.0.0.1", "http://registry:5000"),
        ("for=198.51.100.7", "198.51.100.7", "http://registry:5000"),
        ("For=198.51.100.7;Proto=HTTPS", "198.51.100.7", "https://registry:5000"),
        (
            'for="[2001:db8::7]:4711" ; proto=https; host="registry.example.com:8443"',
            "2001:db8::7",
            "https://registry.example.com:8443",
        ),
        (
            "for=203.0.113.9;proto=http, for=198.51.100.7;proto=https;host=a.example, for=10.0.0.2;proto=http;host=inner",
            "198.51.100.7",
            "https://a.example",
        ),
        ("for=198.51.100.7;proto=https,for=10.0.0.2", "198.51.100.7", "https://registry:5000"),
        ("for=unknown;proto=https", "10.0.0.1", "https://registry:5000"),
        ("for=_hidden;proto=https;host=a.example", "10.0.0.1", "https://a.example"),
        ("proto=https", "10.0.0.1", "https://registry:5000"),
        (",, for=198.51.100.7 ,;", "198.51.100.7", "http://registry:5000"),
    ],
)
def test_rfc7239_elements_count_as_far_as_trusted_proxies_wrote_them(
    forwarded: str, client: str, origin: str
) -> None:
    found = read(RFC7239, forwarded=forwarded)

    assert (found.client, found.origin) == (client, origin)


@pytest.mark.parametrize(
    "forwarded",
    [
        'for="',
        "for=1.1.1.1;for=2.2.2.2",
        "for = 198.51.100.7",
        "for=a b",
        'for="1.1.1.1"x',
        "nonsense",
    ],
)
def test_rfc7239_a_fault_makes_the_whole_field_count_for_nothing(forwarded: str) -> None:
    assert read(RFC7239, forwarded=forwarded).client == "10.0.0.1"
    assert read(RFC7239, forwarded=f"{forwarded}, for=198.51.100.7").client == "10.0.0.1"


@given(st.text(st.sampled_from('for=proto;host, ".\\[]:0123456789')))
def test_rfc7239_a_client_cannot_be_another_by_what_it_writes(written: str) -> None:
    """The proxy appends its element to whatever the client wrote."""
    for address in ("198.51.100.7", "2001:db8::7"):
        node = f'"[{address}]"' if ":" in address else address
        appended = f"{written}, for={node};proto=https"

        assert read(RFC7239, forwarded=appended).client in (address, "10.0.0.1")


def test_fields_that_proxies_do_not_write_are_not_read() -> None:
    both = {"x_forwarded_for": "198.51.100.1", "forwarded": "for=198.51.100.2"}

    assert read(X_FORWARDED, **both).client == "198.51.100.1"
    assert read(RFC7239, **both).client == "198.51.100.2"


def test_a_gateway_says_the_host_in_a_header_of_its_own() -> None:
    for fields in (X_FORWARDED, RFC7239):
        info = read(fields, x_forwarded_host="client.example.com")

        assert info.at_host("registry.example.com", "X-Original-Host").origin == (
            "http://registry.example.com"
        )
        assert info.at_host("a b", "X-Original-Host").origin_fault == (
            "the X-Original-Host header is not a host"
        )
    stranger = read(X_FORWARDED, "192.0.2.1")
    assert stranger.at_host("registry.example.com", "X-Original-Host") == stranger


def test_what_was_found_out_is_given_to_the_application() -> None:
    given: list[RequestInfo] = []

    def application(environ: dict[str, object], _start: object) -> list[bytes]:
        given.append(request_info(environ))
        return []

    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}
    WithRequestInfo(application, X_FORWARDED)(environ, lambda *_: None)

    assert [one.client for one in given] == ["198.51.100.7"]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, client: str) -> None:
    assert client_of(address) == client


def test_an_agent_is_cut() -> None:
    assert read(X_FORWARDED, user_agent="x" * 5000).agent == "x" * MAX_AGENT


NAMES = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")


@pytest.mark.parametrize(("name", "trusted"), [*product(NAMES, [(), TRUSTED])])
def test_o4_the_first_field_that_is_ignored_is_told_once(
    name: str, trusted: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
) -> None:
    told: list[tuple[str, str]] = []
    fields = ForwardedFields(trusted, ignored=lambda *what: told.append(what))
    header = {name.lower().replace("-", "_"): "198.51.100.7"}

    read(fields, "192.0.2.1")
    for peer in ("192.0.2.1", "192.0.2.2"):
        read(fields, peer, **header)

    assert told == [(name, "192.0.2.1")]


def test_o4_two_requests_at_once_tell_of_it_once() -> None:
    """The second request comes while the first has found a field and told nobody yet."""
    told: list[tuple[str, str]] = []
    fields = ForwardedFields((), ignored=lambda *what: told.append(what))

    class Slow(dict[str, object]):
        def __contains__(self, name: object) -> bool:
            if name == "HTTP_FORWARDED":
                read(fields, "192.0.2.2", forwarded="for=198.51.100.7")
            return super().__contains__(name)

    fields.read(Slow(REMOTE_ADDR="192.0.2.1", HTTP_FORWARDED="for=198.51.100.7"))

    assert told == [("Forwarded", "192.0.2.2")]


@pytest.mark.parametrize(("rfc7239", "ignored"), [(True, "X-Forwarded-For"), (False, "Forwarded")])
def test_o4_a_trusted_proxy_that_writes_the_other_fields_is_told(
    *, rfc7239: bool, ignored: str
) -> None:
    told: list[tuple[str, str]] = []
    fields = ForwardedFields(TRUSTED, rfc7239=rfc7239, ignored=lambda *what: told.append(what))
    read(fields, x_forwarded_for="198.51.100.7", forwarded="for=198.51.100.7")

    assert told == [(ignored, "10.0.0.1")]
