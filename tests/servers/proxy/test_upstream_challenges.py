"""Rows `upstream-several-challenges` and `upstream-challenge-by-resource`: 401 in every form."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from regauth.servers.configuration.proxy_settings import (
    DockerConfigLogin,
    StaticLogin,
    UpstreamSettings,
)

from .standing import Received, Standing, registry, standing

PULL, PUSH = "repository:acme/app:pull", "repository:acme/app:pull,push"
CATALOG = "registry:catalog:*"
MANIFEST, TAGS = "/v2/acme/app/manifests/latest", "/v2/acme/app/tags/list"
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
WANTS_BASIC, NEGOTIATE = 'Basic realm="reg"', "Negotiate"


def wants_token(host: str) -> str:
    return f'Bearer realm="http://{host}/token",service="up"'


Demand = Callable[[str, str], tuple[Sequence[str], str]]
"""From path and host to the challenges there, and the header that is taken; "" lets anybody in."""


class Demanding:
    """A registry whose every path has a demand of its own, and its token server."""

    def __init__(self, demand: Demand, *, one_field: bool = False) -> None:
        self._demand = demand
        self._one_field = one_field
        self.tokens = 0
        self.refused = 0

    def __call__(self, handler: BaseHTTPRequestHandler, got: Received) -> None:
        path, host = urlsplit(got.target).path, got.headers["host"]
        sent = got.headers.get("authorization", "")
        if path == "/token":
            self.tokens += 1
            scope = parse_qs(urlsplit(got.target).query).get("scope", [""])[0]
            good = sent == BASIC
            token = json.dumps({"token": f"t|{scope}", "expires_in": 300}).encode()
            _answer(handler, 200 if good else 401, token if good else b"{}")
            return
        challenges, wanted = self._demand(path, host)
        if not wanted or (sent.startswith("Bearer t|") if wanted == "token" else sent == wanted):
            _answer(handler, 200, b'{"repositories": []}')
            return
        self.refused += 1
        fields = [", ".join(challenges)] if self._one_field else list(challenges)
        _answer(handler, 401, b"{}", fields)


def _answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, challenges: Sequence[str] = ()
) -> None:
    handler.send_response(status)
    for one in challenges:
        handler.send_header("WWW-Authenticate", one)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@contextmanager
def proxy_before(folder: Path, behaviour: Demanding, *, login: bool = True) -> Iterator[Standing]:
    password = folder / "password"
    password.write_text("secret")
    with registry(behaviour) as upstream:
        settings = UpstreamSettings(upstream.url, StaticLogin("me", password) if login else None)
        with standing(folder, settings) as proxy:
            yield proxy


def failures(proxy: Standing) -> list[str]:
    lines = (json.loads(line) for line in proxy.log.read_text().splitlines())
    return [str(line["reason"]) for line in lines if line["event"] == "upstream-failed"]


EVERYWHERE: dict[str, Demand] = {
    "negotiate then basic": lambda _, __: ((NEGOTIATE, WANTS_BASIC), BASIC),
    "basic then negotiate": lambda _, __: ((WANTS_BASIC, NEGOTIATE), BASIC),
    "basic then bearer, a token alone is taken": lambda _, host: (
        (WANTS_BASIC, wants_token(host)),
        "token",
    ),
    "bearer then basic": lambda _, host: ((wants_token(host), WANTS_BASIC), "token"),
}
BY_RESOURCE: dict[str, Demand] = {
    "an open /v2/, basic elsewhere": lambda path, _: (
        (WANTS_BASIC,),
        "" if path == "/v2/" else BASIC,
    ),
    "an open /v2/, a token elsewhere": lambda path, host: (
        (wants_token(host),),
        "" if path == "/v2/" else "token",
    ),
    "a token, and basic for the catalog": lambda path, host: (
        ((WANTS_BASIC,), BASIC) if path == "/v2/_catalog" else ((wants_token(host),), "token")
    ),
    "basic, and a token for manifests": lambda path, host: (
        ((wants_token(host),), "token") if "/manifests/" in path else ((WANTS_BASIC,), BASIC)
    ),
    "a /v2/ with a challenge nobody knows": lambda path, _: (
        ((NEGOTIATE,), "x") if path == "/v2/" else ((WANTS_BASIC,), BASIC)
    ),
}


@pytest.mark.parametrize("one_field", [False, True], ids=["fields", "one field"])
@pytest.mark.parametrize("demand", [*EVERYWHERE.values(), *BY_RESOURCE.values()], ids=[*EVERYWHERE, *BY_RESOURCE])  # fmt: skip
def test_the_proxy_logs_in_however_the_registry_asks(
    tmp_path: Path, demand: Demand, one_field: bool
) -> None:
    behaviour = Demanding(demand, one_field=one_field)
    with proxy_before(tmp_path, behaviour) as proxy:
        statuses = [
            proxy.ask("GET", MANIFEST, PULL).status,
            proxy.ask("PUT", MANIFEST, PUSH, body=b"{}").status,
            proxy.ask("GET", TAGS, PULL).status,
            proxy.ask("GET", "/v2/_catalog", CATALOG).status,
            proxy.ask("GET", MANIFEST, PULL).status,
        ]

    assert statuses == [200] * 5


def test_what_was_learnt_is_not_learnt_again_for_every_request(tmp_path: Path) -> None:
    for demand in BY_RESOURCE.values():
        behaviour = Demanding(demand)
        with proxy_before(tmp_path, behaviour) as proxy:
            for _ in range(2):
                assert proxy.ask("GET", MANIFEST, PULL).status == 200
                assert proxy.ask("GET", "/v2/_catalog", CATALOG).status == 200
            refused = behaviour.refused
            for _ in range(5):
                assert proxy.ask("GET", MANIFEST, PULL).status == 200
                assert proxy.ask("GET", "/v2/_catalog", CATALOG).status == 200
        assert behaviour.refused == refused


def test_a_registry_that_no_known_login_opens_says_what_it_offers(tmp_path: Path) -> None:
    with proxy_before(tmp_path, Demanding(lambda _, __: ((NEGOTIATE, "NTLM"), "x"))) as proxy:
        assert proxy.ask("GET", MANIFEST, PULL).status == 502

    [reason] = failures(proxy)
    assert "offers 'negotiate, ntlm'" in reason


@pytest.mark.parametrize("challenge", [WANTS_BASIC, "token"])
def test_no_login_at_all_is_told_from_one_that_is_refused(tmp_path: Path, challenge: str) -> None:
    def demand(_: str, host: str) -> tuple[Sequence[str], str]:
        return ((wants_token(host) if challenge == "token" else challenge,), "nothing is good")

    for login, words in ((False, "the proxy has none"), (True, "does not accept")):
        folder = tmp_path / str(login)
        folder.mkdir()
        with proxy_before(folder, Demanding(demand), login=login) as proxy:
            assert proxy.ask("GET", MANIFEST, PULL).status == 502
        assert words in failures(proxy)[-1]


def test_a_configuration_without_the_registry_is_named_with_its_keys(tmp_path: Path) -> None:
    """Row `docker-config-key-path`: nobody's login is told, and where it was looked for."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"other.example.com": {"auth": "bWU6c2VjcmV0"}}}))
    with (
        registry(Demanding(lambda _, __: ((WANTS_BASIC,), BASIC))) as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url, DockerConfigLogin(file))) as proxy,
    ):
        assert proxy.ask("GET", MANIFEST, PULL).status == 502
        host = urlsplit(upstream.url).netloc

    [reason] = failures(proxy)
    assert f"{file} has no login for '{host}'; its keys are 'other.example.com'" in reason
