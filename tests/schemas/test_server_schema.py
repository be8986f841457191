"""Server configurations: a wrong one is refused at its place, for one reason, in words."""

from collections.abc import Callable, Iterator, Mapping

import pytest

SCHEMA = "server"

Row = tuple[str, object, str, str]


def without(base: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in base.items() if name not in names}


def server(**changes: object) -> dict[str, object]:
    return {"policy": "policy", "issuer": "auth", "signing": {"keyFile": "key.pem"}, **changes}


def server_rows() -> Iterator[Row]:
    yield "no policy", without(server(), "policy"), "$", "required"
    yield "no key", server(signing={}), "$.signing", "names no key"
    yield "misspelt key", server(thread=4), "$", "additionalProperties"
    yield "listens on a port alone", server(listen=":5001"), "$.listen", "a host and a port"
    yield "listens on a number", server(listen=5001), "$.listen", "an address or a list"
    yield "listens nowhere", server(listen=[]), "$.listen", "not empty"
    yield "no thread", server(threads=0), "$.threads", "from 1 to 256"
    yield "threads as text", server(threads="4"), "$.threads", "from 1 to 256"
    yield "lifetime without a unit", server(tokenLifetime="300"), "$.tokenLifetime", "the units"
    yield "lifetime in words", server(tokenLifetime="five"), "$.tokenLifetime", "whole numbers"
    yield "lifetime of nothing", server(tokenLifetime="0s"), "$.tokenLifetime", "cannot be 0"
    yield "log for nobody", server(logFormat="xml"), "$.logFormat", "`json` or `text`"
    yield "misspelt level", server(logLevel="warn"), "$.logLevel", "`warning`"
    yield "HS256", signing(algorithm="HS256"), "$.signing.algorithm", "signature algorithm"
    yield "misspelt key id", signing(keyId="libtrsut"), "$.signing.keyId", "`libtrust` or"
    yield "key id of nothing", signing(keyId={}), "$.signing.keyId", "required"
    yield "empty key id", signing(keyId={"fixed": ""}), "$.signing.keyId.fixed", "a key id is"
    yield (
        "a folder and a file",
        signing(keyFolder="keys"),
        "$.signing.keyFile",
        "beside `keyFolder`",
    )
    yield "realm with a quote", server(realm='a"b'), "$.realm", "a realm is"
    yield "verbose in words", server(verboseErrors="yes"), "$.verboseErrors", "`true` or"
    yield "x5c without certificates", signing(x5c=True), "$.signing", "needs the certificates"


def signing(**changes: object) -> dict[str, object]:
    return server(signing={"keyFile": "key.pem", **changes})


GOOD: Mapping[str, object] = {
    "the least of a server": server(),
    "a server on every address": server(listen=["*:80", "[::1]:80", "localhost:8080"]),
    "a key id of one's own": signing(keyId={"fixed": "2026"}),
    "a folder of keys": server(signing={"keyFolder": "keys", "x5c": True}),
    "certificates in the header": signing(x5c=True, certificateFile="a.crt"),
    "no certificates in the header": signing(x5c=False),
}


@pytest.mark.parametrize(("title", "document", "path", "words"), list(server_rows()))
def test_it_is_refused_for_one_reason_at_its_place(
    title: str,
    document: object,
    path: str,
    words: str,
    refused: Callable[[str, object], list[tuple[str, str]]],
) -> None:
    found = refused(SCHEMA, document)
    assert [path] == [where for where, _ in found], (title, found)
    assert words in found[0][1]


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_it_is_accepted(
    document: object, refused: Callable[[str, object], list[tuple[str, str]]]
) -> None:
    assert [] == refused(SCHEMA, document)
