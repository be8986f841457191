"""
Two policies that differ only in what a caller may not know give it the same answers, to the byte.

The pairs are drawn (`policy_pairs`), and asked on every way that a question can come: the
application in memory, behind each host, and a proxy with a policy on each host.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import falcon.testing
import pytest

from regauth.engine import Decision, Policy, decide
from regauth.engine.access.outcomes import Identity, Why
from regauth.engine.tokens import jwt
from regauth.engine.tokens.jwt import recalled
from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.proxy_settings import EmbeddedKeys, UpstreamSettings
from regauth.servers.configuration.settings import HostName, Rate, Rates
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.provider_keys.providers import ProviderKeys
from regauth.servers.setup.sample import sample_claims
from regauth.servers.state.state import State
from regauth.servers.token.request import read_why
from regauth.servers.token.service import TokenService
from tests.servers.desk import NOW, SERVICE, basic, compiled, make_desk, pem_keys
from tests.servers.hosting import HOSTS, Bridge, serving
from tests.servers.proxy.standing import LOOPBACK, plain, registry, standing
from tests.servers.proxy.test_policy import POLICY, make_folder

from .policy_pairs import policy, question

ANY_RATE: Final = Rates(None, None, None)
GIVEN: Final = "the-same"
"""The id that every request says; only a trusted proxy's is taken over."""
STRANGER: Final = "127.0.0.2"


@dataclass
class Stand:
    """Something that answers `/auth/why`, and whose policy a test replaces."""

    client: falcon.testing.TestClient
    service: TokenService
    keys: ProviderKeys
    issuer: SigningKey

    def serve(self, policy: Policy) -> None:
        self.keys.serve([(policy, Path())])
        self.service.state = State(policy, self.service.state.signer)

    def token(self, **changes: object) -> str:
        issued = int(self.service.now().timestamp())
        times = {"iat": issued, "nbf": issued, "exp": issued + 300}
        claims = {**sample_claims("acme/app", "refs/heads/main", "push"), **times, **changes}
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.sign(given, self.issuer)

    def ask(self, token: str, scopes: list[str], peer: str = "127.0.0.1") -> tuple[int, str, str]:
        """
        Ask as a trusted proxy does, or as a stranger.

        Returns:
            The status, everything that was sent, and its body.
        """
        result = self.client.simulate_post(
            "/auth/why",
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Request-Id": GIVEN,
                **basic("github", token),
            },
            body=form(scopes),
            remote_addr=peer,
        )
        # Its length too; nothing in an answer depends on the moment.
        sent = {name: value for name, value in result.headers.items() if name != "date"}
        request = sent["x-request-id"]
        assert (request == GIVEN) is (peer != STRANGER)
        text = json.dumps(sent) + "\n" + result.text
        assert result.text.count(request) == 1
        return result.status_code, text.replace(request, "ID"), result.text


def form(scopes: list[str]) -> str:
    return urlencode({"service": SERVICE, "scope": " ".join(scopes)})


PLACES: Final = ("token server", "proxy")


@contextmanager
def standing_at(
    place: str, host: str, folder: Path, issuer: PrivateKey, **settings: object
) -> Iterator[Stand]:
    """Have a token server, or a proxy with a policy, in memory or on a host."""
    signing = SigningKey(issuer, "RS256", "sample")
    given = {"rates": ANY_RATE, **settings}
    with ExitStack() as stack:
        if place == "proxy":
            site = folder / "site"
            make_folder(site, POLICY)
            token = read_proxy_settings(site / "proxy.yaml").token
            assert isinstance(token.keys, EmbeddedKeys)
            keys = EmbeddedKeys(replace(token.keys.server, **given))
            answer = plain(200, b"{}", Content_Type="application/json")
            upstream = stack.enter_context(registry(answer))
            proxy = stack.enter_context(
                standing(
                    folder,
                    UpstreamSettings(upstream.url),
                    token=replace(token, keys=keys),
                    trusted_proxies=LOOPBACK,
                    server=host,
                )
            )
            beside = proxy.proxy.embedded
            assert beside is not None
            client = falcon.testing.TestClient(Bridge(proxy.port))
            yield Stand(client, beside.service, beside.keys, signing)
            return
        desk = make_desk(folder, policy(pem_keys(issuer), 0, 0), issuer, **given)
        app: Callable[..., Any] = WithRequestInfo(desk.app, ForwardedFields(LOOPBACK))
        if host != "memory":
            app = Bridge(stack.enter_context(serving(host, app)))
        yield Stand(falcon.testing.TestClient(app), desk.service, desk.keys, signing)


@dataclass
class Answers:
    """What both policies of a pair answer to one question, and whether their reasons differ."""

    one: str
    other: str
    body: str
    differs: bool


def answers(stand: Stand, key: PrivateKey, seed: int, questions: int) -> list[Answers]:
    """Return what both policies of a pair answer to each of many questions."""
    pair = [compiled(policy(pem_keys(key), seed, side)) for side in (0, 1)]
    draw = random.Random(f"questions {seed}")
    found = []
    for _ in range(questions):
        claims, scopes = question(draw)
        token, peer = stand.token(**claims), draw.choice(["127.0.0.1", STRANGER])
        texts = []
        for one in pair:
            stand.serve(one)
            status, text, body = stand.ask(token, scopes, peer)
            assert status == 200, body
            texts.append(text)
        raw = [raw_reasons(one, claims, scopes) for one in pair]
        found.append(Answers(*texts, body, raw[0] != raw[1]))
    return found


def raw_reasons(
    policy: Policy, claims: dict[str, object], scopes: list[str]
) -> list[tuple[Why, str]]:
    """Return the reasons that the log has, which are not for the caller."""
    given = recalled({name: value for name, value in claims.items() if value is not None})
    asked = read_why(form(scopes).encode(), None).accesses
    decision = decide(policy, Identity("github", "x"), given, SERVICE, asked, NOW)
    assert isinstance(decision, Decision)
    return [(one.why, one.source) for one in decision.verdicts]


def test_policies_that_differ_in_what_may_not_be_known_answer_alike_to_the_byte(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    with standing_at("token server", "memory", tmp_path, private_keys["rsa"]) as stand:
        found = [
            one
            for seed in range(30)
            for one in answers(stand, private_keys["rsa"], seed, questions=12)
        ]

    assert [number for number, one in enumerate(found) if one.one != one.other] == []
    told = [access for one in found for access in json.loads(one.body)["accesses"]]
    reasons = [access["why"] for access in told]
    near = [
        claim["satisfied"]
        for access in told
        for grant in access.get("nearest", ())
        for claim in grant["read"]
    ]
    # The questions reach every kind of answer, and the policies differ where they are asked.
    expected = {"granted", "no-grant", "denied", "depends-on-reference", "depends-on-new-tag"}
    assert set(reasons) == {*expected, "unknown-type", "invalid-name"}
    assert min(map(reasons.count, set(reasons))) > 10
    assert min(near.count(True), near.count(False)) > 100
    assert sum(one.differs for one in found) > 50
    hidden = ("secret-", "hidden-", "denial-", "foreign-", "vault-")
    assert not any(word in one.body for one in found for word in hidden)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("place", PLACES)
def test_hosts_and_the_proxy_reveal_nothing_either(
    tmp_path: Path, private_keys: dict[str, PrivateKey], place: str, host: HostName
) -> None:
    with standing_at(place, host, tmp_path, private_keys["rsa"]) as stand:
        found = [
            one
            for seed in range(100, 106)
            for one in answers(stand, private_keys["rsa"], seed, questions=8)
        ]

    assert [number for number, one in enumerate(found) if one.one != one.other] == []
    assert sum(one.differs for one in found) > 5


BROAD: Final = """
grants:
  - name: all
    when: scope.reference != ""
    repositories: ["**"]
    actions: [pull, push, delete]
    tags: ["*"]
"""
"""A policy whose tokens leave everything to the proxy."""


def bodies(stand: Stand, token: str, names: list[str]) -> Iterator[tuple[int, str]]:
    """Yield what a proxy answers to a pull and a push of a tag of each name."""
    for name in names:
        for method, tag in (("GET", "v1"), ("PUT", "latest")):
            result = stand.client.simulate_request(
                method,
                f"/v2/{name}/manifests/{tag}",
                headers={"Authorization": f"Bearer {token}", "X-Request-Id": GIVEN},
                body="{}" if method == "PUT" else None,
            )
            sent = {key: value for key, value in result.headers.items() if key != "date"}
            yield result.status_code, json.dumps(sent) + "\n" + result.text


def test_the_refusals_of_a_proxy_reveal_nothing_either(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    """Status, message and `errors[].detail`, with one token for both policies of a pair."""
    key = private_keys["rsa"]
    names = ["acme/app", "acme/lib", "shared/base", "vault/one", "guess/1", "team/alice"]
    asked = [f"repository:{name}:{tag}" for name in names for tag in ("v1:pull", "latest:push")]
    statuses, differ = [], 0
    with standing_at("proxy", "waitress", tmp_path, key) as stand:
        head = policy(pem_keys(key), 0, 0).partition("grants:")[0]
        for seed in range(200, 212):
            claims, _ = question(random.Random(f"proxy {seed}"))
            stand.serve(compiled(head + BROAD))
            query = {"service": SERVICE, "scope": [f"repository:{one}:pull,push" for one in names]}
            login = basic("github", stand.token(**claims))
            token = stand.client.simulate_get("/auth/token", params=query, headers=login).json
            pair = [compiled(policy(pem_keys(key), seed, side)) for side in (0, 1)]
            told = []
            for one in pair:
                stand.serve(one)
                told.append(list(bodies(stand, token["token"], names)))
            assert told[0] == told[1]
            statuses += [status for status, _ in told[0]]
            differ += raw_reasons(pair[0], claims, asked) != raw_reasons(pair[1], claims, asked)

    assert set(statuses) == {200, 403}
    assert min(statuses.count(200), statuses.count(403)) > 10
    assert differ > 5


@pytest.mark.parametrize("place", PLACES)
def test_the_rates_reveal_nothing_either(
    tmp_path: Path, private_keys: dict[str, PrivateKey], place: str
) -> None:
    """Neither what is refused nor what is told counts by the policy."""
    rates = Rates(client=Rate(0.001, 9), failures=Rate(0.001, 3), identity=Rate(0.001, 4))
    host = "memory" if place == "token server" else "waitress"
    statuses = []
    for side in (0, 1):
        (tmp_path / str(side)).mkdir()
        key = private_keys["rsa"]
        with standing_at(place, host, tmp_path / str(side), key, rates=rates) as stand:
            stand.serve(compiled(policy(pem_keys(key), 7, side)))
            draw = random.Random("rates")
            asked = [question(draw) for _ in range(9)]
            tokens = [stand.token(**claims) for claims, _ in asked]
            tokens[1] = tokens[5] = stand.token(aud="another")
            statuses.append(
                [
                    stand.ask(token, scopes)[0]
                    for token, (_, scopes) in zip(tokens, asked, strict=True)
                ]
            )

    assert statuses[0] == statuses[1]
    assert set(statuses[0]) == {200, 401, 429}


def test_the_level_conditions_tells_such_policies_apart(
    tmp_path: Path, private_keys: dict[str, PrivateKey]
) -> None:
    """So the questions of the tests above could."""
    key = private_keys["rsa"]
    with standing_at("token server", "memory", tmp_path, key, explain="conditions") as stand:
        found = [one for seed in range(8) for one in answers(stand, key, seed, questions=12)]

    assert sum(one.one != one.other for one in found) > len(found) // 2
