"""Providers' keys over real HTTP: providers that are down, slow, lying, rotating, flapping."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from regauth.engine import KeysUnavailable, NeedKeys
from regauth.engine.policy.policy import JwksUri, Policy, RemoteAccess
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.keys import KeySet, PrivateKey, SigningKey
from regauth.servers.http_client.fetching import MAX_MESSAGE, Bounds, FetchedDocument
from regauth.servers.provider_keys.cache import KeyTimes
from regauth.servers.provider_keys.documents import fetch_keys
from regauth.servers.provider_keys.providers import MAX_KEY_FILE, KeyHosting, ProviderKeys
from tests.servers.clock import Clock
from tests.servers.desk import Desk, compiled, make_desk, policy_text
from tests.servers.local_http import Answer, Provider, serve
from tests.servers.process import PATIENCE

WELL_KNOWN = "/.well-known/openid-configuration"
QUICK = KeyHosting(times=KeyTimes(wait=5, first_retry=0), bounds=Bounds(seconds=1, size=20_000))


@pytest.fixture
def published(private_keys: dict[str, PrivateKey]) -> Callable[..., bytes]:
    """Return a JWK set of some of the run's keys."""

    def publish(*names: str) -> bytes:
        entries = [(private_keys[name].public_key(), kid, "RS256") for name, kid in _kids(names)]
        return json.dumps(jwks(entries)).encode()

    return publish


def _kids(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, "sample" if name == "rsa" else name) for name in names]


def discovering(provider: Provider, *, more: str = "") -> Policy:
    text = policy_text(f"{{discovery: true{more}}}")
    return compiled(text.replace("https://sample-issuer.example.com", provider.url))


def document(provider: Provider, **changes: object) -> Answer:
    content = {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys", **changes}
    return Answer(json.dumps(content).encode())


def keys_of(policy: Policy, hosting: KeyHosting = QUICK) -> KeySet | KeysUnavailable:
    keys = ProviderKeys(hosting)
    keys.serve([(policy, Path())])
    return keys.keys_for(NeedKeys(policy.providers["github"]))


def test_keys_are_found_through_the_discovery_document(
    provider: Provider, published: Callable[..., bytes]
) -> None:
    provider.answers[WELL_KNOWN] = document(provider)
    provider.answers["/keys"] = Answer(published("rsa"))
    found = keys_of(discovering(provider))

    assert isinstance(found, KeySet)
    assert [key.key_id for key in found.keys] == ["sample"]
    assert provider.paths() == [WELL_KNOWN, "/keys"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"issuer": "https://else.example.com"}, "its `issuer` is 'https://else.example.com'"),
        ({"issuer": None}, "it names no `issuer`"),
        ({"issuer": "\x1b[2J"}, r"its `issuer` is '\x1b[2J'"),
        ({"jwks_uri": None}, "names no `jwks_uri`"),
        ({"jwks_uri": "http://keys.example.com/keys"}, "is not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "is not an https address"),
    ],
)
def test_a_discovery_document_that_lies_gives_no_keys(
    provider: Provider, changes: dict[str, object], problem: str
) -> None:
    provider.answers[WELL_KNOWN] = document(provider, **changes)
    found = keys_of(discovering(provider))

    assert isinstance(found, KeysUnavailable)
    assert problem in found.reason
    assert set(provider.paths()) == {WELL_KNOWN}


def test_an_issuer_with_a_slash_at_its_end_is_another_issuer(provider: Provider) -> None:
    """`discovery-issuer-unnamed`: the message names what was found, and the slash."""
    provider.answers[WELL_KNOWN] = document(provider, issuer=f"{provider.url}/")

    found = keys_of(discovering(provider))

    assert isinstance(found, KeysUnavailable)
    assert f"its `issuer` is '{provider.url}/', with a slash at its end" in found.reason


@pytest.mark.parametrize("what", ["discovery", "keys"])
def test_what_a_provider_writes_does_not_fill_every_line_of_the_log(
    provider: Provider, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider.answers[WELL_KNOWN] = document(provider)
    if what == "discovery":
        provider.answers[WELL_KNOWN] = document(provider, jwks_uri=f"{provider.url}/{'x' * 9000}")
    provider.answers["/keys"] = Answer(json.dumps({"keys": [{"kty": "x" * 9000}]}).encode())
    found = keys_of(discovering(provider))

    if isinstance(found, KeysUnavailable):
        assert found.reason.startswith(provider.url)
    assert (what == "discovery") == isinstance(found, KeysUnavailable)
    assert all(len(line) <= MAX_MESSAGE + 100 for line in caplog.messages)
    assert caplog.messages


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(b"not json"), "not a JWK set"),
        (Answer(b"[]"), "not a JWK set"),
        (Answer(b'{"keys": ' + b"[" * 9000), "not a JWK set"),
        (Answer(b'{"keys": [' + b" " * 20_000 + b"]}"), "larger than 20000 bytes"),
        (Answer(status=500), "answered 500"),
        (Answer(status=302, headers={"Location": "https://else.example.com/"}), "another origin"),
    ],
)
def test_a_key_set_that_is_broken_or_huge_or_elsewhere_gives_no_keys(
    provider: Provider, answer: Answer, problem: str
) -> None:
    provider.answers[WELL_KNOWN] = document(provider)
    provider.answers["/keys"] = answer
    found = keys_of(discovering(provider))

    assert isinstance(found, KeysUnavailable)
    assert problem in found.reason


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(b"not json"), "is not a discovery document"),
        (Answer(b"[]"), "is not a discovery document"),
        (Answer(b'{"issuer": 1, "issuer": 2}'), "a name stands twice"),
        (Answer(b'{"issuer": ' + b"[" * 9000), "is not a discovery document"),
        (Answer(b" " * 20_001), "larger than 20000 bytes"),
        (Answer(status=404), "answered 404"),
        (Answer(status=503), "answered 503"),
        (Answer(status=301, headers={"Location": "https://else.example.com/"}), "another origin"),
        (Answer(status=307, headers={"Location": WELL_KNOWN}), "redirects more than 3 times"),
        (Answer(raw=lambda connection: connection.sendall(b"garbage\r\n\r\n")), ""),
        (Answer(raw=lambda connection: connection.shutdown(socket.SHUT_RDWR)), ""),
    ],
)
def test_a_discovery_document_that_is_broken_or_huge_or_elsewhere_gives_no_keys(
    tls_provider: tuple[Provider, Path],
    published: Callable[..., bytes],
    answer: Answer,
    problem: str,
) -> None:
    """Over TLS, as it comes from real providers."""
    provider, ca = tls_provider
    provider.answers[WELL_KNOWN] = answer
    provider.answers["/keys"] = Answer(published("rsa"))
    found = keys_of(discovering(provider, more=f", caFile: {ca}"))

    assert isinstance(found, KeysUnavailable)
    assert problem in found.reason
    assert set(provider.paths()) == {WELL_KNOWN}


def test_the_bearer_token_goes_to_the_issuer_s_own_host_alone(
    provider: Provider, published: Callable[..., bytes], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    with serve() as elsewhere:
        elsewhere.answers["/keys"] = Answer(published("rsa"))
        provider.answers[WELL_KNOWN] = document(provider, jwks_uri=f"{elsewhere.url}/keys")
        found = keys_of(discovering(provider, more=f", bearerTokenFile: {token}"))

        assert isinstance(found, KeySet)
        assert provider.requests[0][1]["authorization"] == "Bearer secret"
        assert "authorization" not in elsewhere.requests[0][1]


def test_a_private_authority_is_trusted_when_the_policy_names_it(
    tls_provider: tuple[Provider, Path], published: Callable[..., bytes]
) -> None:
    provider, ca = tls_provider
    provider.answers[WELL_KNOWN] = document(provider)
    provider.answers["/keys"] = Answer(published("rsa"))
    without = keys_of(discovering(provider))

    assert isinstance(without, KeysUnavailable)
    assert "certificate is not trusted" in without.reason
    assert isinstance(keys_of(discovering(provider, more=f", caFile: {ca}")), KeySet)


def test_keys_over_tls_are_not_fetched_over_plain_http(
    tls_provider: tuple[Provider, Path], published: Callable[..., bytes]
) -> None:
    provider, ca = tls_provider
    provider.answers[WELL_KNOWN] = document(provider, jwks_uri="http://keys.example.com/keys")
    found = keys_of(discovering(provider, more=f", caFile: {ca}"))

    assert isinstance(found, KeysUnavailable)
    assert "not https" in found.reason


@pytest.mark.parametrize("uri", ["http://127.0.0.1:8001/keys", "http://localhost/keys"])
def test_a_provider_elsewhere_cannot_send_the_server_to_this_machine_s_plain_http(uri: str) -> None:
    asked: list[str] = []

    def fetch(url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        asked.append(url)
        content = {"issuer": "https://sample-issuer.example.com", "jwks_uri": uri}
        return FetchedDocument(url, json.dumps(content).encode(), {})

    policy = compiled(policy_text("{discovery: true}"))
    found = keys_of(policy, KeyHosting(spawn=lambda work: work(), fetch=fetch))

    assert isinstance(found, KeysUnavailable)
    assert "`jwks_uri` that is not https" in found.reason
    assert asked == [f"https://sample-issuer.example.com{WELL_KNOWN}"]


@pytest.mark.parametrize("issuer", ["https://x.example.com/", "https://x.example.com/tenant"])
def test_the_document_is_below_the_issuer(issuer: str, published: Callable[..., bytes]) -> None:
    content = {"issuer": issuer, "jwks_uri": "https://x.example.com/keys"}
    answers = {
        f"{issuer.rstrip('/')}{WELL_KNOWN}": json.dumps(content).encode(),
        "https://x.example.com/keys": published("rsa"),
    }

    def fetch(url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        return FetchedDocument(url, answers[url], {})

    text = policy_text("{discovery: true}").replace("https://sample-issuer.example.com", issuer)

    assert isinstance(keys_of(compiled(text), KeyHosting(fetch=fetch)), KeySet)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("max-age=300", 300),
        ("public, max-age=300, must-revalidate", 300),
        ("public,Max-Age=300", 300),
        ("s-maxage=300", None),
        ("max-age=x", None),
        ("no-store", None),
        ("", None),
    ],
)
def test_the_publisher_s_word_on_how_long_keys_are_good_is_read(
    published: Callable[..., bytes], header: str, seconds: int | None
) -> None:
    source = compiled(policy_text('\n      jwksUri: "https://x/keys"')).providers["github"].keys
    assert isinstance(source, JwksUri)
    answer = FetchedDocument("https://x/keys", published("rsa"), {"cache-control": header})

    assert fetch_keys("https://x", source, lambda *_: answer, Bounds()).max_age == seconds


def test_keys_are_fetched_before_anybody_asks_and_once_for_two_policies(
    published: Callable[..., bytes],
) -> None:
    asked: list[str] = []

    def fetch(url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        asked.append(url)
        return FetchedDocument(url, published("rsa"), {})

    keys = ProviderKeys(KeyHosting(spawn=lambda work: work(), fetch=fetch))
    text = policy_text('\n      jwksUri: "https://x.example.com/keys"')
    live, shadow = compiled(text), compiled(text)
    keys.serve([(live, Path()), (shadow, Path())])
    warm = list(asked)
    found = [keys.keys_for(NeedKeys(one.providers["github"])) for one in (live, shadow)]

    assert warm == asked == ["https://x.example.com/keys"]
    assert found[0] is found[1]


def test_keys_are_fetched_again_in_time_though_nobody_asks(
    published: Callable[..., bytes],
) -> None:
    clock, again = Clock(), threading.Event()
    asked: list[str] = []

    def fetch(url: str, _place: RemoteAccess, _bounds: Bounds) -> FetchedDocument:
        asked.append(url)
        if len(asked) == 2:
            again.set()
        return FetchedDocument(url, published("rsa"), {})

    keys = ProviderKeys(KeyHosting(clock=clock, spawn=lambda work: work(), fetch=fetch))
    keys.serve([(compiled(policy_text('\n      jwksUri: "https://x.example.com/keys"')), Path())])
    keys.start()
    clock.now += KeyTimes().fresh

    assert again.wait(20)
    keys.close()


def test_a_key_file_over_the_bound_is_not_taken(
    tmp_path: Path, published: Callable[..., bytes]
) -> None:
    file = tmp_path / "keys.json"
    policy = compiled(policy_text("{jwksFile: keys.json}"))
    keys = ProviderKeys()
    keys.serve([(policy, tmp_path)])
    found = []
    for size in (MAX_KEY_FILE, MAX_KEY_FILE + 1):
        file.write_bytes(b" " * (size - len(published("rsa"))) + published("rsa"))
        found.append(keys.state_of(policy.providers["github"]).problem)

    assert found[0] == ""
    assert f"not a JWK set: it is larger than {MAX_KEY_FILE} bytes" in found[1]


def test_a_key_file_that_is_not_json_is_told_where_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    policy = compiled(policy_text("{jwksFile: keys.json}"))
    keys = ProviderKeys()
    keys.serve([(policy, tmp_path)])
    told = []
    for text in (b'{\n  "keys": [],\n}\n', b"\xff", b"[]"):
        file.write_bytes(text)
        told.append(keys.state_of(policy.providers["github"]).problem)

    assert told == [
        f"{file}:2:13: not JSON: a comma cannot stand before `}}`; remove it",
        f"{file}: not JSON: it is not UTF-8; save it as UTF-8",
        f'{file}: not a JWK set: it must be an object with a list called "keys"',
    ]


def test_a_key_file_is_read_again_when_it_changes_and_a_broken_one_is_not_taken(
    tmp_path: Path, published: Callable[..., bytes]
) -> None:
    file = tmp_path / "keys.jwks"
    policy = compiled(policy_text("{jwksFile: keys.jwks}"))
    keys = ProviderKeys()
    keys.serve([(policy, tmp_path)])
    need = NeedKeys(policy.providers["github"])
    missing = keys.keys_for(need)
    file.write_bytes(published("rsa"))
    first = keys.keys_for(need)
    file.write_bytes(published("rsa-other", "rsa"))
    second = keys.keys_for(need)
    file.write_bytes(b"broken")
    third = keys.keys_for(need)

    assert isinstance(missing, KeysUnavailable)
    assert isinstance(first, KeySet)
    assert isinstance(second, KeySet)
    assert (len(first.keys), len(second.keys)) == (1, 2)
    assert third is second


def test_a_key_file_that_is_taken_away_takes_its_keys_with_it(
    tmp_path: Path, published: Callable[..., bytes]
) -> None:
    file = tmp_path / "keys.jwks"
    file.write_bytes(published("rsa"))
    policy = compiled(policy_text("{jwksFile: keys.jwks}"))
    keys = ProviderKeys()
    keys.serve([(policy, tmp_path)])
    need = NeedKeys(policy.providers["github"])
    before = keys.keys_for(need)
    moved = file.rename(tmp_path / "away")
    without = keys.keys_for(need)
    moved.rename(file)
    again = keys.keys_for(need)

    assert isinstance(before, KeySet)
    assert isinstance(without, KeysUnavailable)
    assert isinstance(again, KeySet)


def test_a_policy_that_is_read_again_keeps_the_keys_of_unchanged_providers(
    provider: Provider, published: Callable[..., bytes]
) -> None:
    provider.answers[WELL_KNOWN] = document(provider)
    provider.answers["/keys"] = Answer(published("rsa"))
    keys = ProviderKeys(QUICK)
    first, second = discovering(provider), discovering(provider)
    keys.serve([(first, Path())])
    before = keys.keys_for(NeedKeys(first.providers["github"]))
    keys.serve([(second, Path())])

    assert keys.keys_for(NeedKeys(second.providers["github"])) is before
    assert keys.keys_for(NeedKeys(first.providers["github"])) is before, "requests under way"
    assert provider.paths() == [WELL_KNOWN, "/keys"]


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey], provider: Provider) -> Desk:
    """A token server whose provider is the local one."""
    provider.answers[WELL_KNOWN] = document(provider)
    text = policy_text("{discovery: true}")
    return make_desk(
        tmp_path,
        text.replace("https://sample-issuer.example.com", provider.url),
        private_keys["rsa"],
        QUICK,
    )


def test_a_login_works_as_soon_as_its_provider_does(
    desk: Desk, provider: Provider, published: Callable[..., bytes]
) -> None:
    token = desk.token(iss=provider.url)
    down = desk.ask(token)
    provider.answers["/keys"] = Answer(published("rsa"))
    up = desk.ask(token)

    assert down.status_code == 503
    assert down.headers["retry-after"] == "5"
    assert down.json["errors"][0]["code"] == "UNAVAILABLE"
    assert provider.url not in down.text
    assert up.status_code == 200
    assert [one["outcome"] for one in desk.events()] == ["unavailable", "issued"]


def test_a_rotated_key_is_found_at_once_and_a_made_up_one_is_refused(
    desk: Desk,
    provider: Provider,
    published: Callable[..., bytes],
    private_keys: dict[str, PrivateKey],
) -> None:
    provider.answers["/keys"] = Answer(published("rsa"))
    old = desk.ask(desk.token(iss=provider.url)).status_code
    provider.answers["/keys"] = Answer(published("rsa-other"))
    desk.issuer = SigningKey(private_keys["rsa-other"], "RS256", "rsa-other")
    new = desk.ask(desk.token(iss=provider.url)).status_code
    fetched = len(provider.requests)
    desk.issuer = SigningKey(private_keys["rsa-other"], "RS256", "made-up")
    refused = [desk.ask(desk.token(iss=provider.url)) for _ in range(5)]

    assert (old, new) == (200, 200)
    assert {one.json["errors"][0]["detail"]["reason"] for one in refused} == {"unknown-key"}
    assert len(provider.requests) == fetched, "one refresh a minute, and that one was used"


def test_a_key_that_the_provider_took_back_stops_working(
    desk: Desk, provider: Provider, published: Callable[..., bytes]
) -> None:
    provider.answers["/keys"] = Answer(published("rsa"))
    token = desk.token(iss=provider.url)
    before = desk.ask(token).status_code
    provider.answers["/keys"] = Answer(published("rsa-other"))
    (cache,) = desk.keys._by_source.values()
    assert hasattr(cache, "_begin")
    flight = cache._begin(0.0, at_once=True)
    assert flight is not None
    flight.result(10)
    after = desk.ask(token)

    assert before == 200
    assert after.json["errors"][0]["detail"]["reason"] == "unknown-key", "not from a cache"


def test_a_provider_that_hangs_holds_no_request_longer_than_the_wait(
    tmp_path: Path, private_keys: dict[str, PrivateKey], provider: Provider
) -> None:
    held = threading.Event()
    provider.answers[WELL_KNOWN] = Answer(hold=held)
    hosting = KeyHosting(times=KeyTimes(wait=0.05), bounds=Bounds(seconds=20))
    text = policy_text("{discovery: true}").replace(
        "https://sample-issuer.example.com", provider.url
    )
    desk = make_desk(tmp_path, text, private_keys["rsa"], hosting)
    answers = [desk.ask(desk.token(iss=provider.url)).status_code for _ in range(5)]
    held.set()

    assert answers == [503] * 5
    assert len(provider.requests) == 1, "a fetch that is under way is not begun again"


def test_fifty_requests_at_once_to_a_cold_server_make_one_fetch(
    desk: Desk, provider: Provider, published: Callable[..., bytes]
) -> None:
    provider.answers["/keys"] = Answer(published("rsa"))
    provider.requests.clear()
    token = desk.token(iss=provider.url)
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(desk.ask(token).status_code))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert statuses == [200] * 50
    assert len(provider.paths()) <= 2


def test_a_provider_that_flaps_never_lets_a_wrong_token_in(
    desk: Desk, provider: Provider, published: Callable[..., bytes]
) -> None:
    good = Answer(published("rsa"))
    bad = [
        Answer(status=500),
        Answer(b"{"),
        Answer(raw=lambda connection: connection.shutdown(socket.SHUT_RDWR)),
    ]
    forged = desk.token(iss=provider.url).rpartition(".")[0] + "." + "A" * 342 + "A"
    seen = set()
    for answer in (*bad, good, *bad, good):
        provider.answers["/keys"] = answer
        seen.add(desk.ask(forged).status_code)
    provider.answers["/keys"] = good

    assert seen <= {401, 503}
    assert desk.ask(desk.token(iss=provider.url)).status_code == 200


def test_keys_are_refreshed_whatever_becomes_of_telling_of_them() -> None:
    calls: SimpleQueue[None] = SimpleQueue()

    def told() -> None:
        calls.put(None)
        raise RuntimeError("it cannot be told")

    keys = ProviderKeys()
    keys.start(told)
    for _ in range(2):
        calls.get(timeout=PATIENCE)
    keys.close()


def test_o11_a_new_key_while_the_provider_is_down_is_not_said_to_be_unknown(
    desk: Desk,
    provider: Provider,
    published: Callable[..., bytes],
    private_keys: dict[str, PrivateKey],
) -> None:
    """A key that was rotated a moment before an outage: the client must come back, not give up."""
    provider.answers["/keys"] = Answer(published("rsa"))
    before = desk.ask(desk.token(iss=provider.url)).status_code
    provider.answers[WELL_KNOWN] = Answer(b"", 502)
    known = desk.token(iss=provider.url)
    desk.issuer = SigningKey(private_keys["rsa-other"], "RS256", "rsa-other")
    down = desk.ask(desk.token(iss=provider.url))
    still = desk.ask(known)

    assert before == 200
    assert (down.status_code, down.headers["retry-after"]) == (503, "5")
    assert down.json["errors"][0]["detail"]["reason"] == "provider-unavailable"
    assert still.status_code == 200, "the keys that were fetched serve on"


def test_o11_a_new_key_while_the_key_file_is_broken_is_not_said_to_be_unknown(
    tmp_path: Path, private_keys: dict[str, PrivateKey], published: Callable[..., bytes]
) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(published("rsa"))
    desk = make_desk(tmp_path, policy_text("{jwksFile: keys.json}"), private_keys["rsa"])
    known, before = desk.token(), desk.ask(desk.token()).status_code
    file.write_bytes(b"half a fi")
    desk.issuer = SigningKey(private_keys["rsa-other"], "RS256", "rsa-other")

    assert before == 200
    assert desk.ask(desk.token()).status_code == 503
    assert desk.ask(known).status_code == 200
    file.write_bytes(published("rsa"))
    assert desk.ask(desk.token()).status_code == 401
