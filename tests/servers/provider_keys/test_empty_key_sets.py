"""
Fault S1: a valid answer that says "nobody" is taken for an answer, by every reader of key sets.

Every JWK set without a usable key is given to every source of keys, after a good one.
"""

import json
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from regauth.engine import KeysUnavailable, NeedKeys
from regauth.engine.policy.policy import JwksUri, RemoteAccess
from regauth.engine.tokens.jwks import jwks, public_jwk
from regauth.engine.tokens.keys import KeySet, PrivateKey
from regauth.engine.tokens.registry_trust import RegistryTrust
from regauth.servers.http_client.fetching import Bounds, FetchedDocument, FetchError
from regauth.servers.provider_keys.cache import KeyState, KeyTimes
from regauth.servers.provider_keys.providers import KeyFile, KeyHosting, ProviderKeys
from regauth.servers.proxy.trust import from_file, from_uri
from tests.servers.clock import Clock
from tests.servers.desk import compiled, make_desk, policy_text
from tests.servers.local_http import Answer, Provider

URI = "https://keys.example.com/keys"
ISSUER = "https://sample-issuer.example.com"
REMOTE = {"discovery": "{discovery: true}", "jwksUri": f'\n      jwksUri: "{URI}"'}
FILE = "{jwksFile: keys.json}"

ODD: dict[str, dict[str, object]] = {
    "for-encryption": {"use": "enc"},
    "unknown-use": {"use": "tomorrow"},
    "unknown-type": {"kty": "AKP"},
    "no-type": {"kty": None},
    "symmetric": {"kty": "oct", "k": "c2VjcmV0"},
    "with-its-private-part": {"d": "AAAA"},
    "operations-without-verify": {"key_ops": ["encrypt"]},
    "no-operations": {"key_ops": []},
    "hmac": {"alg": "HS256"},
    "unknown-algorithm": {"alg": "ES256K"},
    "broken": {"n": "!!", "x": "!!"},
    "without-numbers": {"n": None, "x": None},
    "too-small": {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    "unknown-curve": {"kty": "EC", "crv": "secp256k1"},
}
"""What makes a good key one that cannot verify (RFC 7517, sections 4 and 5)."""

NOT_KEYS: dict[str, list[object]] = {
    "empty": [],
    "an-empty-object": [{}],
    "no-objects": [None, 1, "key", []],
}
NOBODY = sorted([*ODD, *NOT_KEYS, "all-of-them"])
NO_ANSWER = [b"", b"{", b"null", b"[]", b"{}", b'{"keys": null}', b'{"keys": {}}', b"<html>"]


def members_of(name: str, key: PrivateKey) -> list[object]:
    """Return the members of a key set that says "nobody" in one way or in all."""
    if name in NOT_KEYS:
        return NOT_KEYS[name]
    good: dict[str, object] = {**public_jwk(key.public_key()), "kid": "sample"}
    if name in ODD:
        return [{**good, **ODD[name]}]
    all_not_keys = [one for members in NOT_KEYS.values() for one in members]
    return [*({**good, **change} for change in ODD.values()), *all_not_keys]


class Source(ABC):
    """A place that keys come from, and its reader."""

    clock: Clock

    @abstractmethod
    def publish(self, body: bytes | None) -> None:
        """Publish a document; None is an outage."""

    @abstractmethod
    def keys(self) -> KeySet | KeysUnavailable:
        """Return what the reader says, once it has had time to see what is published."""

    def state(self) -> KeyState | None:
        """Tell what readiness says; None where nobody tells."""
        return None


class OfProvider(Source):
    """An identity provider, as the token server and the proxy with `embedded` read it."""

    def __init__(self, folder: Path, keys: str) -> None:
        self.clock = Clock()
        self._file = folder / "keys.json"
        self._body: bytes | None = None
        hosting = KeyHosting(clock=self.clock, spawn=lambda work: work(), fetch=self._fetch)
        self._reader = ProviderKeys(hosting)
        self._policy = compiled(policy_text(keys))
        self._folder = folder

    def publish(self, body: bytes | None) -> None:
        self._body = body
        _write(self._file, body)

    def keys(self) -> KeySet | KeysUnavailable:
        self._reader.serve([(self._policy, self._folder)])
        self.clock.now += KeyTimes().max_fresh
        self._reader.refresh()
        return self._reader.keys_for(NeedKeys(self._policy.providers["github"]))

    def state(self) -> KeyState:
        return self._reader.state_of(self._policy.providers["github"])

    def _fetch(self, url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        if url != URI:
            return FetchedDocument(
                url, json.dumps({"issuer": ISSUER, "jwks_uri": URI}).encode(), {}
            )
        if self._body is None:
            raise FetchError(f"{url} answered 500")
        return FetchedDocument(url, self._body, {"cache-control": "max-age=999999"})


class OfProxyFile(Source):
    """The proxy's `token.jwksFile`."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self._file = folder / "keys.json"
        self._reader = from_file(RegistryTrust("issuer", "service"), self._file, self.clock)

    def publish(self, body: bytes | None) -> None:
        _write(self._file, body)

    def keys(self) -> KeySet | KeysUnavailable:
        trust = self._reader.current()
        return trust if isinstance(trust, KeysUnavailable) else trust.keys


class OfProxyUri(Source):
    """The proxy's `token.jwksUri`, over real HTTP: a token with a new `kid` has it asked again."""

    def __init__(self, provider: Provider) -> None:
        self.clock = Clock()
        self._provider = provider
        source = JwksUri(f"{provider.url}/keys", RemoteAccess(None, None, True))
        self._reader = from_uri(RegistryTrust("issuer", "service"), source, self.clock)

    def publish(self, body: bytes | None) -> None:
        self._provider.answers["/keys"] = Answer(status=500) if body is None else Answer(body)

    def keys(self) -> KeySet | KeysUnavailable:
        self.clock.now += KeyTimes().max_fresh
        self._reader.current(unknown_kid=True)  # so that they are fetched before this returns
        trust = self._reader.current()
        return trust if isinstance(trust, KeysUnavailable) else trust.keys


def _write(file: Path, body: bytes | None) -> None:
    """Write a file, or put something there that cannot be read."""
    if file.is_dir():
        file.rmdir()
    if body is not None:
        file.write_bytes(body)
    else:
        file.unlink(missing_ok=True)
        file.mkdir()


@pytest.fixture(params=["discovery", "jwksUri", "jwksFile", "proxy-jwksFile", "proxy-jwksUri"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "proxy-jwksFile":
        return OfProxyFile(tmp_path)
    if request.param == "proxy-jwksUri":
        return OfProxyUri(request.getfixturevalue("provider"))
    return OfProvider(tmp_path, REMOTE.get(request.param, FILE))


@pytest.fixture
def good(private_keys: dict[str, PrivateKey]) -> bytes:
    return json.dumps(jwks([(private_keys["rsa"].public_key(), "sample", "RS256")])).encode()


@pytest.mark.parametrize("name", NOBODY)
def test_s1_a_key_set_that_says_nobody_takes_the_keys_back(
    source: Source, good: bytes, private_keys: dict[str, PrivateKey], name: str
) -> None:
    source.publish(good)
    before = source.keys()
    source.publish(json.dumps({"keys": members_of(name, private_keys["rsa"])}).encode())
    after, state = source.keys(), source.state()

    assert isinstance(before, KeySet)
    assert before
    assert isinstance(after, KeySet), "an answer, and not the want of one"
    assert not after
    if state is not None:
        assert not state.usable
        assert "no key that can verify a signature" in state.problem


@pytest.mark.parametrize("body", [*NO_ANSWER, None])
def test_s1_without_an_answer_the_last_keys_serve_for_a_day_and_no_longer(
    source: Source, good: bytes, body: bytes | None
) -> None:
    source.publish(good)
    source.keys()
    source.publish(body)
    first, state = source.keys(), source.state()
    source.clock.now += KeyTimes().stale
    second, end = source.keys(), source.state()

    assert isinstance(first, KeySet)
    assert first
    assert isinstance(second, KeysUnavailable)
    assert second.reason
    if state is not None and end is not None:
        assert (state.usable, end.usable) == (True, False)
        assert state.problem
        assert end.problem


def test_s1_keys_come_back_after_an_empty_set_and_after_an_outage(
    source: Source, good: bytes
) -> None:
    found = []
    for body in (good, b'{"keys": []}', good, None, good, b"{", good):
        source.publish(body)
        found.append(bool(source.keys()))

    assert found == [True, False, True, True, True, True, True]


def test_an_empty_set_is_asked_for_again_after_the_shortest_time(
    tmp_path: Path, good: bytes
) -> None:
    """What was published by mistake for a moment must not refuse everybody for an hour."""
    source = OfProvider(tmp_path, REMOTE["jwksUri"])
    source.publish(b'{"keys": []}')
    source.keys()
    source.publish(good)
    source.clock.now += KeyTimes().min_fresh
    source._reader.refresh()

    assert source.state().usable


def test_a_file_that_could_not_be_read_for_a_moment_is_good_again(
    tmp_path: Path, good: bytes
) -> None:
    """The same file comes back, with the stamp it had: the bound must not run on."""
    clock, file = Clock(), tmp_path / "keys.json"
    file.write_bytes(good)
    reader = KeyFile(file, KeyTimes().stale, clock)
    reader.current()
    kept = file.rename(tmp_path / "kept")
    file.mkdir()
    during = reader.current()
    file.rmdir()
    kept.rename(file)
    reader.current()
    clock.now += 2 * KeyTimes().stale

    assert isinstance(during, KeySet)
    assert isinstance(reader.current(), KeySet)
    assert reader.state().problem == ""


@pytest.mark.parametrize("where", ["file", "address"])
def test_s1_a_token_of_a_revoked_key_is_refused_and_readiness_says_so(
    tmp_path: Path,
    private_keys: dict[str, PrivateKey],
    provider: Provider,
    good: bytes,
    where: str,
) -> None:
    clock, file = Clock(), tmp_path / "keys.json"
    text = FILE if where == "file" else f'\n      jwksUri: "{provider.url}/keys"'
    hosting = KeyHosting(clock=clock, spawn=lambda work: work())
    statuses = []
    file.write_bytes(good)
    provider.answers["/keys"] = Answer(good)
    desk = make_desk(tmp_path, policy_text(text), private_keys["rsa"], hosting)
    token = desk.token()
    for body in (good, b'{"keys": []}'):
        file.write_bytes(body)
        provider.answers["/keys"] = Answer(body)
        clock.now += KeyTimes().fresh
        answer, ready = desk.ask(token), desk.client.simulate_get("/readyz")
        statuses.append((answer.status_code, ready.status_code, ready.json["status"]))

    assert statuses == [(200, 200, "ready"), (401, 503, "unavailable")]
    assert answer.json["errors"][0]["detail"]["reason"] == "unknown-key"


def test_what_is_left_out_is_logged_once_for_as_long_as_it_stays(
    source: Source,
    good: bytes,
    private_keys: dict[str, PrivateKey],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fault `jwks-short-ec-silent`: nobody was told of a key that is not used, nor why."""
    point = public_jwk(private_keys["p521"].public_key())
    short = {**point, "x": point["x"][:-2], "kid": "e"}
    members = [*json.loads(good)["keys"], short]
    for _ in range(3):
        source.publish(json.dumps({"keys": members}).encode())
        assert source.keys()

    [line] = [one for one in caplog.messages if "left out" in one]
    assert "'e' is a broken EC key" in line
    assert "66" in line
