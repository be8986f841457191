"""The decision endpoint on granian: the same answers, and never a good one for Envoy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from regauth.engine.source.problems import Problems
from regauth.servers.configuration.proxy_file import parse_proxy_settings
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route

from .corpus import Line, targets
from .standing import LOOPBACK, REALM, SERVICE, Standing, read_reply, standing
from .test_authorize import PULL, TAGS, ask


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A decision endpoint alone, which trusts gateways of this machine."""
    folder = tmp_path_factory.mktemp("gate")
    with standing(folder, None, trusted_proxies=LOOPBACK, server="granian") as running:
        yield running


@pytest.mark.parametrize("gateway", ["nginx", "traefik"])
def test_access_is_allowed_refused_with_a_challenge_or_forbidden(
    gate: Standing, gateway: str
) -> None:
    allowed = ask(gate, gateway, "GET", TAGS, PULL)
    assert (allowed.status, allowed.body) == (204, b"")
    none = ask(gate, gateway, "GET", TAGS)
    challenge = f'Bearer realm="{REALM}",service="{SERVICE}",scope="{PULL}"'
    assert (none.status, none.header("WWW-Authenticate")) == (401, challenge)
    less = ask(gate, gateway, "PUT", "/v2/acme/app/manifests/latest", PULL)
    assert (less.status, less.header("X-Reason")) == (401, "insufficient-scope")
    odd = ask(gate, gateway, "GET", "/v2/acme/app/../other/tags/list", PULL)
    assert (odd.status, odd.header("WWW-Authenticate")) == (403, None)
    assert json.loads(odd.body)["errors"][0]["code"] == "NAME_INVALID"


@pytest.mark.parametrize("line", targets(), ids=lambda one: f"{one.method} {one.target}"[:60])
@pytest.mark.parametrize("gateway", ["nginx", "traefik"])
def test_every_request_of_the_corpus_has_the_answer_it_has_on_waitress(
    gate: Standing, gateway: str, line: Line
) -> None:
    route = read_route(line.method, line.target)
    scopes = [str(scope) for scope in route.needs] if isinstance(route, Route) else [PULL]
    reply = ask(gate, gateway, line.method, line.target, *(scopes or [""]))
    good = isinstance(route, Route) and not route.undecided
    plain = line.target.isascii() and "\x00" not in line.target

    assert reply.status in ({204} if good else {403} if plain else {400, 403})


@pytest.mark.parametrize("line", targets(), ids=lambda one: f"{one.method} {one.target}"[:60])
def test_envoy_gets_no_good_answer(gate: Standing, line: Line) -> None:
    """Its target comes in the path, and granian tells that only decoded."""
    route = read_route(line.method, line.target)
    scopes = [str(scope) for scope in route.needs] if isinstance(route, Route) else [PULL]
    reply = ask(gate, "envoy", line.method, line.target, *(scopes or [""]))

    assert reply.status >= 400


def test_envoy_is_refused_as_what_is_no_address_of_a_registry(gate: Standing) -> None:
    assert ask(gate, "envoy", "GET", TAGS, PULL).status == 403


@pytest.mark.parametrize("name", ["X_Original_URI", "X-Original_URI"])
def test_s8_a_client_cannot_say_the_target_by_an_underscore(gate: Standing, name: str) -> None:
    token, other = gate.signing.token(PULL), "/v2/globex/app/tags/list"

    def status(said: str, odd: str) -> int:
        head = (
            f"GET /authorize HTTP/1.1\r\nHost: registry.example.com\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nX-Original-Method: GET\r\n"
            f"X-Original-URI: {said}\r\n{name}: {odd}\r\n\r\n"
        )
        return read_reply(gate.say(head.encode())).status

    assert (status(TAGS, other), status(other, TAGS)) == (204, 401)


UPSTREAM = "upstream: {url: https://registry.example.com}\n"


@pytest.mark.parametrize("upstream", ["", UPSTREAM])
def test_granian_serves_no_registry(upstream: str) -> None:
    problems = Problems()
    text = (
        "token: {service: s, issuer: i, realm: https://auth.example.com/auth/token,"
        f" jwksFile: keys.json}}\nserver: granian\n{upstream}"
    )
    settings = parse_proxy_settings(text, Path("proxy.yaml"), problems)

    assert (settings is None) is bool(upstream)
    assert [str(one.message) for one in problems.errors] == (
        ["granian serves `/authorize` alone, and this file has an `upstream`"] if upstream else []
    )
