"""Providers: a wrong one is refused at its place, for one reason, in words."""

import copy
from collections.abc import Callable, Iterator, Mapping

import pytest

SCHEMA = "policy"
PROVIDER = {"issuer": "https://issuer.example.com", "audience": "https://registry.example.com"}
PUBLIC = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"
PRIVATE = "-----BEGIN PRIVATE KEY-----\nMCow\n-----END PRIVATE KEY-----\n"
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

Row = tuple[str, object, str, str]


def with_(base: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {**copy.deepcopy(dict(base)), **changes}


def without(base: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in base.items() if name not in names}


def policy(**changes: object) -> dict[str, object]:
    return {"version": 1, **changes}


def provider(**changes: object) -> dict[str, object]:
    return policy(providers={"p": with_(PROVIDER, **changes)})


def keys(**keys: object) -> dict[str, object]:
    return provider(keys=keys)


def provider_rows() -> Iterator[Row]:
    p = "$.providers.p"
    yield "no provider", policy(providers={}), "$.providers", "minProperties"
    yield (
        "provider's name in capitals",
        policy(providers={"P": PROVIDER}),
        "$.providers",
        "a name is",
    )
    yield "no issuer", policy(providers={"p": without(PROVIDER, "issuer")}), p, "required"
    yield "no audience", policy(providers={"p": without(PROVIDER, "audience")}), p, "required"
    yield "empty audience", provider(audience=""), f"{p}.audience", "not empty"
    yield "no audience in the list", provider(audience=[]), f"{p}.audience", "not empty"
    yield (
        "empty audience in the list",
        provider(audience=["a", ""]),
        f"{p}.audience[1]",
        "not empty",
    )
    yield (
        "issuer with a line end",
        provider(issuer="https://a.example.com\n"),
        f"{p}.issuer",
        "single",
    )
    yield "issuer is no address", provider(issuer="kubernetes"), f"{p}.issuer", "https:// address"
    yield "issuer over http", provider(issuer="http://a.example.com"), f"{p}.issuer", "plain HTTP"
    yield (
        "issuer over http, said to be discovered",
        provider(issuer="http://a.example.com", keys={"discovery": True}),
        f"{p}.issuer",
        "plain HTTP",
    )
    yield (
        "issuer that begins like this machine",
        provider(issuer="http://127.0.0.1.example.com"),
        f"{p}.issuer",
        "plain HTTP",
    )
    yield "no key source", keys(), f"{p}.keys", "where the keys come from"
    yield "only a certificate authority", keys(caFile="ca.crt"), f"{p}.keys", "where the keys come"
    yield "misspelt key source", keys(discovery=True, jwksURI="x"), f"{p}.keys", "additionalProp"
    yield "discovery: false", keys(discovery=False), f"{p}.keys.discovery", "`true` or left out"
    yield (
        "two key sources",
        keys(discovery=True, jwksFile="a.json"),
        f"{p}.keys.jwksFile",
        "one source only",
    )
    yield (
        "two other key sources",
        keys(jwks={"keys": [JWK]}, pem=PUBLIC),
        f"{p}.keys.pem",
        "one source only",
    )
    yield (
        "two fetched key sources",
        keys(discovery=True, jwksUri="https://a.example.com/jwks"),
        f"{p}.keys.jwksUri",
        "one source only",
    )
    yield (
        "bearer token for a file",
        keys(jwksFile="a.json", bearerTokenFile="t"),
        (f"{p}.keys.bearerTokenFile"),
        "these are not",
    )
    yield (
        "certificate authority for PEM",
        keys(pem=PUBLIC, caFile="c"),
        f"{p}.keys.caFile",
        "are not",
    )
    yield (
        "allowHttp for a set",
        keys(jwks={"keys": [JWK]}, allowHttp=True),
        (f"{p}.keys.allowHttp"),
        "these are not",
    )
    yield (
        "allowHttp as text",
        keys(discovery=True, allowHttp="yes"),
        f"{p}.keys.allowHttp",
        "`true`",
    )
    yield "jwksUri is a path", keys(jwksUri="/jwks"), f"{p}.keys.jwksUri", "https:// address"
    yield (
        "jwksUri over http",
        keys(jwksUri="http://a.example.com/jwks"),
        f"{p}.keys.jwksUri",
        "plain HTTP",
    )
    yield (
        "jwksUri over http, not allowed",
        keys(jwksUri="http://a.example.com", allowHttp=False),
        f"{p}.keys.jwksUri",
        "plain HTTP",
    )
    yield "no key in the set", keys(jwks={"keys": []}), f"{p}.keys.jwks.keys", "minItems"
    yield "set without keys", keys(jwks={}), f"{p}.keys.jwks", "required"
    yield (
        "a shared secret",
        keys(jwks={"keys": [{"kty": "oct"}]}),
        f"{p}.keys.jwks.keys[0].kty",
        "`RSA`, `EC` or `OKP`",
    )
    yield (
        "a private key in the set",
        keys(jwks={"keys": [{**JWK, "d": "secret"}]}),
        f"{p}.keys.jwks.keys[0].d",
        "private key",
    )
    yield "a private key as PEM", keys(pem=PUBLIC + PRIVATE), f"{p}.keys.pem", "private key"
    yield (
        "a private key in a list",
        keys(pem=[PUBLIC, PUBLIC + PRIVATE]),
        (f"{p}.keys.pem[1]"),
        "private key",
    )
    yield "no PEM", keys(pem="AAAA"), f"{p}.keys.pem", "not a public key"
    yield "no PEM in the list", keys(pem=[]), f"{p}.keys.pem", "not empty"
    yield "PEM as a number", keys(pem=1), f"{p}.keys.pem", "text, or a list"
    yield "no algorithm", provider(algorithms=[]), f"{p}.algorithms", "minItems"
    for algorithm in ("HS256", "none", "None", "rs256", "ES256K", "RS1"):
        yield (
            algorithm,
            provider(algorithms=["RS256", algorithm]),
            f"{p}.algorithms[1]",
            "signature",
        )
    yield "algorithm as text", provider(algorithms="RS256"), f"{p}.algorithms", "type"
    for path in ("../github.json", "/etc/claims.json", "claims/../../x.json", "Github", "a/b"):
        yield f"claims: {path}", provider(claims=path), f"{p}.claims", "`claims` is the name"
    for duration in ("15", "15min", "m", "", "1m1h", "1.5h", "-5m", "15 m", 900):
        yield (
            f"age {duration!r}",
            provider(maxTokenAge=duration),
            f"{p}.maxTokenAge",
            "a duration is",
        )
    yield "age with a line end", provider(maxTokenAge="15m\n"), f"{p}.maxTokenAge", "single line"
    yield "no rule", provider(rules=[]), f"{p}.rules", "minItems"
    yield "rule without a check", provider(rules=[{"name": "a"}]), f"{p}.rules[0]", "required"
    yield "rule without a name", provider(rules=[{"check": "true"}]), f"{p}.rules[0]", "required"
    yield "rule as text", provider(rules=["true"]), f"{p}.rules[0]", "type"
    yield (
        "rule with an empty message",
        provider(rules=[{"name": "a", "check": "true", "message": ""}]),
        f"{p}.rules[0].message",
        "a message is",
    )
    yield "subject as a list", provider(subject=["claims.sub"]), f"{p}.subject", "CEL expression"


def refresh_rows() -> Iterator[Row]:
    p = "$.providers.p"
    yield (
        "refresh tokens without an end",
        provider(refreshTokens={}),
        f"{p}.refreshTokens",
        "required",
    )
    yield (
        "refresh tokens as a bool",
        provider(refreshTokens=True),
        f"{p}.refreshTokens",
        "is a mapping with",
    )
    yield (
        "refresh tokens with where they are kept",
        provider(refreshTokens={"maxSession": "8h", "file": "sessions.db"}),
        f"{p}.refreshTokens",
        "additionalProperties",
    )
    yield (
        "a session without a unit",
        provider(refreshTokens={"maxSession": 8}),
        f"{p}.refreshTokens.maxSession",
        "a duration is",
    )


GOOD: Mapping[str, object] = {
    "several audiences": provider(audience=["a", "b"]),
    "no keys: discovery": provider(),
    "an http issuer of this machine": provider(issuer="http://127.0.0.1:8080/x"),
    "an http issuer, allowed": provider(
        issuer="http://a.example.com", keys={"discovery": True, "allowHttp": True}
    ),
    "an issuer that is no address, with keys": provider(
        issuer="kubernetes/serviceaccount", keys={"jwksFile": "a.json"}
    ),
    "an http issuer with its own keys": provider(
        issuer="http://a.example.com", keys={"pem": PUBLIC}
    ),
    "fetched keys": keys(jwksUri="https://a/jwks", caFile="a", bearerTokenFile="b"),
    "keys over http of this machine": keys(jwksUri="http://localhost:8080/jwks"),
    "keys over http, allowed": keys(jwksUri="http://a.example.com/", allowHttp=True),
    "inline keys": keys(jwks={"keys": [JWK]}),
    "PEM": keys(pem=PUBLIC),
    "several PEM": keys(pem=[PUBLIC, PUBLIC.replace("MCow", "MCox")]),
    "every algorithm": provider(algorithms=["RS256", "PS384", "ES512", "EdDSA"]),
    "a claim schema of one's own": provider(claims="./claims/ours.json"),
    "a duration of several units": provider(maxTokenAge="1d2h3m4s5ms"),
    "no skew": provider(clockSkew="0s"),
    "refresh tokens": provider(refreshTokens={"maxSession": "8h"}),
}


@pytest.mark.parametrize(
    ("title", "document", "path", "words"), [*provider_rows(), *refresh_rows()]
)
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
