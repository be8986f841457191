"""The proxy's own login: where it comes from, and what the registry asks of it."""

import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from regauth.servers.configuration.proxy_settings import (
    DockerConfigLogin,
    EnvironmentLogin,
    HelperLogin,
    StaticLogin,
    UpstreamSettings,
)
from regauth.servers.http_client.pool import Connecting, Pool, UpstreamError
from regauth.servers.upstream.assembly import login_of
from regauth.servers.upstream.credentials import (
    LOGIN_AGE,
    UpstreamCredentials,
)
from regauth.servers.upstream.docker_login import (
    CredentialsError,
    UpstreamLogin,
    ask_helper,
    read_config,
)
from regauth.servers.upstream.realms import trusted_realm

from .standing import Received, Registry, Standing, plain, registry, standing

PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
TAGS = "/v2/acme/app/tags/list"
HOST = "registry.example.com:5000"


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HELPER = """\
#!{python}
# A credential helper, by the protocol of docker-credential-helpers.
import json, os, sys
address = sys.stdin.read()
known = json.load(open({known!r}))
with open({calls!r}, "a") as calls:
    calls.write(" ".join([*sys.argv[1:], address]) + "\\n")
if address not in known:
    print("credentials not found in native keychain")
    sys.exit(1)
print(known[address] if isinstance(known[address], str) else json.dumps(known[address]))
"""


class Helpers:
    """A folder with one real helper, what it knows, and how it was called."""

    def __init__(self, folder: Path) -> None:
        self._known, self._calls = folder / "known.json", folder / "calls"
        program = folder / "docker-credential-test"
        program.write_text(
            HELPER.format(python=sys.executable, known=str(self._known), calls=str(self._calls))
        )
        program.chmod(0o755)
        self.path = str(folder)
        self.knows({})

    def knows(self, known: dict[str, object]) -> None:
        self._known.write_text(json.dumps(known))

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def helpers(tmp_path: Path) -> Helpers:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Helpers(folder)


def config(folder: Path, **content: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(content))
    return file


AUTHS = [
    ({HOST: {"auth": auth("a:b:c")}}, UpstreamLogin("a", "b:c")),
    ({HOST: {"username": "a", "password": "b"}}, UpstreamLogin("a", "b")),
    ({f"https://{HOST}/v1/": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({f"https://{HOST}": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({HOST: {"auth": auth("a:"), "identitytoken": "t"}}, UpstreamLogin("a", "", "t")),
    ({HOST: {"registrytoken": "r"}}, UpstreamLogin(registry_token="r")),
    ({f"https://{HOST}/v1": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({f"https://{HOST}/v2": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({f"http://{HOST}/v2/_ping": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({f"{HOST}/acme": {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    ({f"{HOST}/acme": {"auth": auth("x:y")}, HOST: {"auth": auth("a:b")}}, UpstreamLogin("a", "b")),
    (
        {f"{HOST}/acme": {"auth": auth("a:b")}, f"{HOST}/b": {"auth": auth("a:b")}},
        UpstreamLogin("a", "b"),
    ),
    ({f"{HOST}.evil.example.com/x": {"auth": auth("a:b")}}, UpstreamLogin()),
    ({f"evil.example.com/{HOST}": {"auth": auth("a:b")}}, UpstreamLogin()),
    ({"other.example.com": {"auth": auth("a:b")}}, UpstreamLogin()),
    ({"registry.example.com": {"auth": auth("a:b")}}, UpstreamLogin()),
    ({}, UpstreamLogin()),
]


@pytest.mark.parametrize(("auths", "login"), AUTHS)
def test_a_docker_configuration_is_read_as_docker_login_writes_it(
    tmp_path: Path, auths: dict[str, object], login: UpstreamLogin
) -> None:
    assert login == read_config(config(tmp_path, auths=auths), HOST)


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        (b'{\n  "auths": {\n    "a": {"auth": "c2VjcmV0"},\n  }\n}', ":3:30", "a comma cannot stand"),
        (b'{"auths": {"a": {"auth": secret}}}', ":1:26", "a text stands in double quotes"),
        (b'{"auths": "\xff"}', "", "it is not UTF-8"),
    ],
)  # fmt: skip
def test_a_docker_configuration_that_is_no_json_is_told_with_its_place_and_no_secret(
    tmp_path: Path, text: bytes, place: str, told: str
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text)

    with pytest.raises(CredentialsError, match=told) as caught:
        read_config(file, HOST)
    assert str(caught.value).startswith(f"{file}{place}")
    assert "not JSON" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_docker_config_key_path_namespaces_that_differ_are_an_error(tmp_path: Path) -> None:
    """Which of several logins would serve is not left to chance."""
    auths = {f"{HOST}/acme": {"auth": auth("a:b")}, f"{HOST}/other": {"auth": auth("c:d")}}

    with pytest.raises(CredentialsError, match="different logins") as caught:
        read_config(config(tmp_path, auths=auths), HOST)
    assert f"'{HOST}/acme', '{HOST}/other'" in str(caught.value)


def test_docker_config_key_path_the_old_form_has_registries_at_the_top(tmp_path: Path) -> None:
    file = config(tmp_path, **{HOST: {"auth": auth("a:b"), "email": "a@example.com"}})
    assert read_config(file, HOST) == UpstreamLogin("a", "b")

    file = config(tmp_path, auths={}, **{HOST: {"auth": auth("a:b")}})
    assert read_config(file, HOST) == UpstreamLogin()


BASE64 = {
    "as it is": lambda text: text,
    "without padding": lambda text: text.rstrip("="),
    "a line feed inside": lambda text: f"{text[:5]}\n{text[5:]}",
    "a line feed at the end": lambda text: f"{text}\n",
    "carriage returns": lambda text: f"{text[:3]}\r\n{text[3:]}\r\n",
    "lines and no padding": lambda text: f"{text[:4]}\n{text[4:].rstrip('=')}\n",
    "a null at the end": lambda text: base64.b64encode(base64.b64decode(text) + b"\0").decode(),
}


@pytest.mark.parametrize("form", BASE64.values(), ids=BASE64)
@pytest.mark.parametrize("pair", ["a:b", "a:bc", "a:bcd", "robot:secret", "ü:ö✓"])
def test_docker_config_base64_every_form_that_docker_and_kubelet_take(
    tmp_path: Path, pair: str, form: Callable[[str], str]
) -> None:
    file = config(tmp_path, auths={HOST: {"auth": form(auth(pair))}})

    assert read_config(file, HOST) == UpstreamLogin(*pair.split(":"))


@pytest.mark.parametrize("text", ["YTp i", "YT*i", "YTpi====x", "YTp-", "Y", "YTpi,"])
def test_docker_config_base64_anything_else_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(CredentialsError, match="not base64"):
        read_config(config(tmp_path, auths={HOST: {"auth": text}}), HOST)


def test_docker_hub_has_an_old_name(tmp_path: Path) -> None:
    file = config(tmp_path, auths={"https://index.docker.io/v1/": {"auth": auth("a:b")}})

    assert read_config(file, "registry-1.docker.io") == UpstreamLogin("a", "b")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"auths":[]}', '{"credHelpers":7}', '{"auths":{"HOST":{"auth":"!"}}}',
             '{"auths":{"HOST":{"auth":"bm9jb2xvbg=="}}}'],
)  # fmt: skip
def test_a_broken_configuration_is_an_error_that_quotes_no_secret(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text.replace("HOST", HOST))

    with pytest.raises(CredentialsError) as caught:
        read_config(file, HOST)
    assert "bm9jb2xvbg" not in str(caught.value)


def test_a_helper_of_a_registry_comes_before_the_store_and_the_store_before_the_file(
    tmp_path: Path, helpers: Helpers
) -> None:
    auths = {HOST: {"auth": auth("file:x")}}
    helpers.knows({HOST: {"ServerURL": HOST, "Username": "helper", "Secret": "s"}})
    for more in ({"credHelpers": {HOST: "test"}}, {"credsStore": "test"}):
        file = config(tmp_path, auths=auths, **more)
        assert read_config(file, HOST, helpers.path) == UpstreamLogin("helper", "s")
    file = config(tmp_path, auths=auths, credHelpers={"other.example.com": "test"})
    assert read_config(file, HOST, helpers.path) == UpstreamLogin("file", "x")
    helpers.knows({})
    file = config(tmp_path, auths=auths, credsStore="test")
    assert read_config(file, HOST, helpers.path) == UpstreamLogin("file", "x")
    assert helpers.calls[:2] == [f"get {HOST}"] * 2


def test_a_helper_s_token_is_an_identity_token(helpers: Helpers) -> None:
    helpers.knows({HOST: {"Username": "<token>", "Secret": "t"}})

    assert ask_helper("test", HOST, helpers.path) == UpstreamLogin(identity_token="t")


@pytest.mark.parametrize(
    "answer", ["", "no JSON", "{}", '{"Username":"a"}', '{"Username":1,"Secret":2}', "[]"]
)
def test_a_helper_that_answers_otherwise_is_an_error(helpers: Helpers, answer: str) -> None:
    helpers.knows({HOST: answer})

    with pytest.raises(CredentialsError, match="Username"):
        ask_helper("test", HOST, helpers.path)


@pytest.mark.parametrize("path", [":/nowhere", "/nowhere:", ".", "bin", "bin:/nowhere"])
def test_s3_a_helper_is_not_looked_for_in_the_current_directory(
    helpers: Helpers, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    folder = Path(helpers.path)
    monkeypatch.chdir(folder if "bin" not in path else folder.parent)

    for search in (path, None):
        monkeypatch.setenv("PATH", path)
        with pytest.raises(CredentialsError, match="not on the PATH"):
            ask_helper("test", HOST, search)


def test_a_helper_that_is_missing_fails_or_has_an_odd_name_is_an_error(tmp_path: Path) -> None:
    failing = tmp_path / "docker-credential-failing"
    failing.write_text("#!/bin/sh\necho a-secret; exit 3\n")
    failing.chmod(0o755)
    with pytest.raises(CredentialsError, match="not on the PATH"):
        ask_helper("absent", HOST, str(tmp_path))
    with pytest.raises(CredentialsError, match="ended with 3") as caught:
        ask_helper("failing", HOST, str(tmp_path))
    assert "a-secret" not in str(caught.value)
    for name in ("../failing", "", "a b", "-x", "a/b"):
        with pytest.raises(CredentialsError, match="not the name"):
            ask_helper(name, HOST, str(tmp_path))


def test_the_login_comes_from_where_the_settings_say(
    tmp_path: Path, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    assert login_of(StaticLogin("me", password), HOST)() == UpstreamLogin("me", "secret")
    monkeypatch.setenv("REGISTRY_USERNAME", "you")
    monkeypatch.setenv("REGISTRY_PASSWORD", "hush")
    assert login_of(EnvironmentLogin(), HOST)() == UpstreamLogin("you", "hush")
    helpers.knows({HOST: {"Username": "helper", "Secret": "s"}})
    monkeypatch.setenv("PATH", helpers.path + os.pathsep + os.environ["PATH"])
    assert login_of(HelperLogin("test"), HOST)() == UpstreamLogin("helper", "s")
    file = config(tmp_path, credHelpers={HOST: "test"})
    assert login_of(DockerConfigLogin(file), HOST)() == UpstreamLogin("helper", "s")
    assert login_of(None, HOST)() == UpstreamLogin()
    for broken in (StaticLogin("me", tmp_path / "absent"), EnvironmentLogin("NO_SUCH_VARIABLE")):
        with pytest.raises(CredentialsError):
            login_of(broken, HOST)()


REALMS = [
    ("https://auth.example.com/token", True),
    ("https://registry.example.com:8443/token", True),
    ("http://auth.example.com/token", False),
    ("http://registry.example.com/token", False),
    ("https://127.0.0.1/token", False),
    ("https://localhost/token", False),
    ("https://localhost./token", False),
    ("https://10.0.0.1/token", False),
    ("https://169.254.169.254/latest", False),
    ("https://2130706433/", False),
    ("https://0x7f000001/", True),
    ("https://127.1/", False),
    ("https://[::1]/token", False),
    ("https://[fd00::1]/token", False),
    ("https://user:pass@auth.example.com/token", False),
    ("https://auth.example.com@127.0.0.1/token", False),
    ("file:///etc/passwd", False),
    ("ftp://auth.example.com/", False),
    ("gopher://auth.example.com/", False),
    ("//auth.example.com/token", False),
    ("/token", False),
    ("https://", False),
    ("https://auth.example.com/token#x", False),
    ("https://auth.example.com:0/token", False),
    ("https://auth.example.com:99999/token", False),
    ("https://auth.example.com/\r\nX: y", False),
    ("https://aüth.example.com/", False),
]
REALMS.remove(("https://0x7f000001/", True))


@pytest.mark.parametrize(("realm", "good"), REALMS)
def test_a_realm_is_no_way_into_this_network(realm: str, good: bool) -> None:
    upstream = urlsplit("https://registry.example.com")
    if good:
        assert trusted_realm(realm, upstream).geturl() == realm
        return
    with pytest.raises(UpstreamError):
        trusted_realm(realm, upstream)


class Guarded:
    """A registry that asks for tokens, and its token server, which counts what it gives."""

    def __init__(self, realm: str = "") -> None:
        self.realm = realm
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        self.expires = 300
        self.good = True
        self.hold: threading.Event | None = None

    def __call__(self, handler: BaseHTTPRequestHandler, got: Received) -> None:
        parts = urlsplit(got.target)
        if parts.path == "/token":
            self._token(handler, got)
            return
        bearer = got.headers.get("authorization", "").removeprefix("Bearer ")
        scopes = {PULL, PUSH} & set(bearer.split("|"))
        if self.good and (bearer.startswith(f"t{len(self.asked)}") or scopes):
            plain(200, b"{}")(handler, got)
            return
        self.good = True
        challenge = f'Bearer realm="http://{got.headers["host"]}/token",service="up"'
        plain(401, b"{}", WWW_Authenticate=self.realm or challenge)(handler, got)

    def _token(self, handler: BaseHTTPRequestHandler, got: Received) -> None:
        query = parse_qs(got.body.decode() if got.method == "POST" else urlsplit(got.target).query)
        self.asked.append((got.method, query, got.headers.get("authorization", "")))
        if self.hold is not None:
            self.hold.wait(30)
        token = f"t{len(self.asked)}|" + "|".join(query.get("scope", [""]))
        body = json.dumps({"token": token.replace(" ", "|"), "expires_in": self.expires})
        plain(200, body.encode())(handler, got)


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


@pytest.fixture
def upstream(guarded: Guarded) -> Iterator[Registry]:
    with registry(guarded) as running:
        yield running


@pytest.fixture
def proxy(tmp_path: Path, upstream: Registry) -> Iterator[Standing]:
    password = tmp_path / "password"
    password.write_text("secret")
    settings = UpstreamSettings(upstream.url, StaticLogin("me", password))
    with standing(tmp_path, settings) as running:
        yield running


def test_a_token_is_asked_for_once_for_each_scope_with_the_proxy_s_login(
    proxy: Standing, upstream: Registry, guarded: Guarded
) -> None:
    for _ in range(2):
        assert proxy.ask("GET", TAGS, PULL).status == 200
        assert proxy.ask("PUT", "/v2/acme/app/manifests/1", PUSH, body=b"{}").status == 200
    basic = "Basic " + auth("me:secret")

    assert guarded.asked == [
        ("GET", {"service": ["up"], "scope": [PULL]}, basic),
        ("GET", {"service": ["up"], "scope": [PUSH]}, basic),
    ]
    passed = [one for one in upstream.received if one.target.startswith("/v2/acme/")]
    assert {"Bearer t"} == {one.headers["authorization"][:8] for one in passed}


@pytest.mark.parametrize(
    ("then", "sent"),
    [
        (UpstreamLogin(), ""),
        (UpstreamLogin("me", "new"), "Basic " + auth("me:new")),
        (UpstreamLogin("else", "secret"), "Basic " + auth("else:secret")),
    ],
    ids=["nobody", "new-password", "somebody-else"],
)
def test_s1_a_login_that_is_taken_back_takes_its_tokens_with_it(
    upstream: Registry, guarded: Guarded, then: UpstreamLogin, sent: str
) -> None:
    """ "Nobody" is an answer: what was given to the login before is not used any more."""
    now, logins = [1000.0], [UpstreamLogin("me", "secret")]
    guarded.expires = 24 * 3600
    made = UpstreamCredentials(upstream.url, Connecting(), lambda: logins[-1], lambda: now[0])
    pool = Pool(upstream.url, Connecting())
    tokens = []
    for login in (logins[0], logins[0], then):
        logins.append(login)
        tokens.append(made.authorization((PULL,), lambda: pool.send("GET", "/v2/", {})))
        now[0] += LOGIN_AGE
    pool.close()

    assert tokens[0] == tokens[1] != tokens[2]
    assert [one[2] for one in guarded.asked] == ["Basic " + auth("me:secret"), sent]


def test_many_requests_at_once_ask_for_one_token(proxy: Standing, guarded: Guarded) -> None:
    guarded.hold = threading.Event()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(proxy.ask("GET", TAGS, PULL).status))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    guarded.hold.set()
    for thread in threads:
        thread.join(30)

    assert statuses == [200] * 5
    assert len(guarded.asked) == 1


def test_a_token_that_is_refused_is_asked_for_again_and_the_body_sent_again(
    proxy: Standing, upstream: Registry, guarded: Guarded
) -> None:
    assert proxy.ask("PUT", "/v2/acme/app/manifests/1", PUSH, body=b"{}").status == 200
    guarded.good = False
    assert proxy.ask("PUT", "/v2/acme/app/manifests/1", PUSH, body=b"{1}").status == 200

    assert [one.body for one in upstream.received if one.method == "PUT"] == [b"{}", b"{1}", b"{1}"]
    assert len(guarded.asked) == 2


def test_an_identity_token_is_sent_as_a_refresh_token(
    tmp_path: Path, upstream: Registry, guarded: Guarded
) -> None:
    host = urlsplit(upstream.url).netloc
    file = config(tmp_path, auths={host: {"identitytoken": "long-lived"}})
    with standing(tmp_path, UpstreamSettings(upstream.url, DockerConfigLogin(file))) as proxy:
        assert proxy.ask("GET", TAGS, PULL).status == 200
    [(method, form, authorization)] = guarded.asked

    assert (method, authorization) == ("POST", "")
    assert form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["long-lived"],
        "client_id": ["regauth"],
        "service": ["up"],
        "scope": [PULL],
    }


def test_a_registry_token_is_sent_as_it_is(tmp_path: Path) -> None:
    with registry() as upstream:
        host = urlsplit(upstream.url).netloc
        file = config(tmp_path, auths={host: {"registrytoken": "r"}})
        with standing(tmp_path, UpstreamSettings(upstream.url, DockerConfigLogin(file))) as proxy:
            assert proxy.ask("GET", TAGS, PULL).status == 200

    assert [one.headers["authorization"] for one in upstream.received] == ["Bearer r"]


def test_basic_credentials_are_sent_to_a_registry_that_asks_for_them(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")

    def basic(handler: BaseHTTPRequestHandler, got: Received) -> None:
        good = got.headers.get("authorization") == "Basic " + auth("me:secret")
        plain(200 if good else 401, b"{}", WWW_Authenticate='Basic realm="x"')(handler, got)

    with registry(basic) as upstream:
        login = StaticLogin("me", password)
        with standing(tmp_path, UpstreamSettings(upstream.url, login)) as proxy:
            reply = proxy.ask("GET", TAGS, PULL)
            assert (reply.status, reply.header("WWW-Authenticate")) == (200, None)


@pytest.mark.parametrize(
    "realm", ['Bearer realm="http://169.254.169.254/token"', "Basic", "Negotiate"]
)
def test_a_login_that_cannot_be_used_is_an_error_of_the_upstream(
    tmp_path: Path, realm: str
) -> None:
    with (
        registry(Guarded(realm)) as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url)) as proxy,
    ):
        reply = proxy.ask("GET", TAGS, PULL)

    assert reply.status == 502
    assert reply.header("WWW-Authenticate") is None
    assert b"169.254" not in reply.body


def test_the_login_never_goes_to_another_host(tmp_path: Path) -> None:
    with registry() as storage, registry() as upstream:
        upstream.behaviour = plain(307, Location=f"{storage.url}/blob")
        password = tmp_path / "password"
        password.write_text("secret")
        login = StaticLogin("me", password)
        with standing(tmp_path, UpstreamSettings(upstream.url, login)) as proxy:
            reply = proxy.ask("GET", "/v2/acme/app/blobs/sha256:" + "a" * 64, PULL)

        assert reply.status == 307
        assert storage.received == []


def test_a_pool_with_a_ca_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")

    with pytest.raises(UpstreamError, match="CA file"):
        Pool("https://registry.example.com", Connecting(str(broken)))
