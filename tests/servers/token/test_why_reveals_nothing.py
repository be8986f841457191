"""
Two policies that differ only in what a caller may not know give it the same answers, to the byte.

Pairs of policies are drawn.  Both have the same grants that the callers can come to know, and each
has its own of everything else: grants of other providers, grants whose conditions no caller meets,
the values that known grants want, denials of names that nobody is granted, the names and conditions
of denials, and the order of it all.  Callers choose their claims and the names that they ask for.
"""

import json
import random
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest

from regauth.engine import Decision, Policy, accesses, decide, parse_scopes
from regauth.engine.access.outcomes import Identity, Why
from regauth.engine.tokens.jwt import recalled
from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import Rates
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.state.state import State
from tests.servers.desk import NOW, SERVICE, Desk, basic, compiled, make_desk, pem_keys

ANY_RATE = Rates(None, None, None)
PAIRS = 40
QUESTIONS = 12
DOMAIN = {
    "ref": ["refs/heads/main", "refs/heads/feature", "refs/tags/v1"],
    "event_name": ["push", "pull_request"],
    "actor": ["alice", "bob"],
    "environment": ["staging", None],
    "repository": ["acme/app", "acme/lib", "umbrella/app"],
}
"""The values that callers choose from."""

OWN = ["${claims.repository}", "${claims.repository}/**", "team/${claims.actor}"]
PLACES = ["acme/app", "acme/lib", "shared/base", "shared/*"]
VAULT = ["vault/one", "vault/two", "vault/one/deep"]
"""Names that no grant that a caller meets is about."""
HIDDEN_NAMES = ["acme/app", "shared/base", "vault/one", "vault/**", "**"]


def literal(value: str) -> str:
    return json.dumps(value)


def met(draw: random.Random) -> str:
    """Return a condition that some callers meet."""
    claim = draw.choice(["ref", "event_name", "actor"])
    value = literal(draw.choice(DOMAIN[claim]))
    return draw.choice(
        [
            f"claims.{claim} == {value}",
            f"!(claims.{claim} == {value})",
            f"claims.{claim} in [{value}]",
        ]
    )


def wanted(claim: str, draw: random.Random) -> str:
    """Return a condition on a claim that no caller meets, with a value that is drawn."""
    value = literal(f"secret-{draw.randrange(1000)}")
    return draw.choice(
        [
            f"claims.{claim} == {value}",
            f"claims.{claim}.startsWith({value})",
            f"claims.{claim} in [{value}, {literal(f'other-{draw.randrange(9)}')}]",
        ]
    )


def statement(name: str, names: list[str], actions: list[str], **more: str) -> str:
    fields = {"name": name, "repositories": names, "actions": actions, **more}
    return f"  - {json.dumps(fields)}\n"


def some_actions(draw: random.Random) -> list[str]:
    return draw.choice([["pull"], ["push"], ["pull", "push"], ["pull", "push", "delete"]])


def known(shared: random.Random, own: random.Random) -> list[str]:
    """Return the grants that a caller can come to know; `own` draws what may not be told."""
    grants = []
    for number in range(shared.randint(1, 4)):
        condition = met(shared)
        if shared.random() < 0.5:  # which claim is read is told, and which value is wanted is not
            claim = shared.choice(["ref", "actor", "event_name"])
            joint = shared.choice(["&&", "||"])
            condition = f"{condition} {joint} {wanted(claim, own)}"
        names = shared.sample(OWN, shared.randint(1, 2))
        grants.append(statement(f"own-{number}", names, some_actions(shared), when=condition))
    for number in range(shared.randint(0, 3)):
        names = shared.sample(PLACES, 1)
        lifetime = {} if own.random() < 0.5 else {"tokenLifetime": f"{own.randint(2, 9)}m"}
        actions = some_actions(shared)
        text = statement(f"place-{number}", names, actions, when=met(shared), **lifetime)
        grants.append(text)
    return grants


def hidden(own: random.Random) -> list[str]:
    """Return grants that no caller knows of."""
    grants = []
    for number in range(own.randint(0, 5)):
        claim = own.choice(["ref", "actor", "environment", "repository", "event_name"])
        condition = wanted(claim, own)
        names = own.sample(HIDDEN_NAMES, own.randint(1, 2))
        name = f"hidden-{number}-{own.randrange(1000)}"
        grants.append(statement(name, names, some_actions(own), when=condition))
    for number in range(own.randint(0, 3)):
        fields = {"name": f"foreign-{number}", "providers": ["other"], "repositories": ["**"]}
        grants.append(f"  - {json.dumps({**fields, 'actions': some_actions(own)})}\n")
    grants += other_kinds(own)
    if own.random() < 0.5:
        ended = {"when": met(own), "expires": "2026-01-01T00:00:00Z"}
        grants.append(statement("ended", [own.choice(OWN)], ["pull", "push"], **ended))
    return grants


def other_kinds(own: random.Random) -> list[str]:
    """Return grants of other kinds that no caller knows of, or meets."""
    places = [
        f"secret-{own.randrange(99)}/${{claims.repository}}",
        "vault/${defs.folders[claims.actor]}",
    ]
    fields = [
        {"catalog": True, "when": wanted("actor", own)},
        {
            "class": "plugin",
            "repositories": ["**"],
            "actions": ["pull"],
            "when": wanted("ref", own),
        },
        {"repositories": [own.choice(places)], "actions": some_actions(own)},
        {
            "repositories": ["**"],
            "actions": ["pull"],
            "when": f'client.inNetwork("10.{own.randrange(99)}.0.0/16")',
        },
        {
            "repositories": ["vault/**"],
            "actions": ["push"],
            "when": "defs.hidden",
        },
    ]
    chosen = own.sample(fields, own.randint(0, len(fields)))
    lifetimes = [{}, {"tokenLifetime": f"{own.randint(2, 9)}m"}]
    named = (
        {"name": f"hidden-kind-{number}", **one, **own.choice(lifetimes)}
        for number, one in enumerate(chosen)
    )
    return [f"  - {json.dumps(one)}\n" for one in named]


def definitions(own: random.Random) -> str:
    """Return definitions that only grants read of which no caller knows."""
    table = {actor: f"secret-{own.randrange(99)}" for actor in ("alice", "bob", "carol")}
    return f"definitions:\n  folders: {json.dumps(table)}\n  hidden: {wanted('actor', own)}\n"


def denials(shared: random.Random, own: random.Random) -> list[str]:
    listed = []
    for number in range(shared.randint(0, 2)):  # what is denied is told, and by which is not
        condition = met(shared)
        if own.random() < 0.5:
            condition = f"{condition} || {wanted('actor', own)}"
        name = f"denial-{number}-{own.randrange(1000)}"
        listed.append(statement(name, [shared.choice(["**", *PLACES])], ["push"], when=condition))
    for number in range(own.randint(0, 3)):
        fields = {} if own.random() < 0.5 else {"when": met(own)}
        names = [own.choice([*VAULT, "vault/**"])]
        listed.append(statement(f"vault-{number}", names, ["pull", "push"], **fields))
    return listed


def policy(keys: str, seed: int, side: int) -> str:
    """Return one of a pair of policies."""
    shared, own = random.Random(f"{seed}"), random.Random(f"{seed}/{side}")
    grants = known(shared, own) + hidden(own)
    denied = denials(shared, own)
    own.shuffle(grants)
    own.shuffle(denied)
    text = f"""\
version: 1
services: [registry.example.com]
{definitions(own)}providers:
  github:
    issuer: https://sample-issuer.example.com
    audience: https://registry.example.com
    claims: github-actions
    keys: {keys}
  other:
    issuer: https://{own.choice(["one", "two"])}.example.com
    audience: {own.choice(["a", "b"])}
    claims: github-actions
    keys: {keys}
grants:
{"".join(grants)}"""
    return text + (f"denials:\n{''.join(denied)}" if denied else "")


def ask(client: falcon.testing.TestClient, token: str, scopes: list[str]) -> falcon.testing.Result:
    return client.simulate_post(
        "/auth/why",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Request-Id": "the-same",
            **basic("github", token),
        },
        body=urlencode({"service": SERVICE, "scope": " ".join(scopes)}),
        remote_addr="127.0.0.1",
    )


def question(draw: random.Random) -> tuple[dict[str, object], list[str]]:
    """Draw the claims that a caller chooses, and what it asks for."""
    claims: dict[str, object] = {name: draw.choice(values) for name, values in DOMAIN.items()}
    repository = str(claims["repository"])
    claims["repository_owner"] = repository.partition("/")[0]
    names = [repository, f"{repository}/sub", "team/alice", "shared/base", "acme/app", *VAULT]
    names += [f"shared/{draw.randrange(9)}", f"guess/{draw.randrange(99)}"]
    actions = draw.choice(["pull", "push", "delete", "pull,push", "pull,push,delete"])
    scopes = [f"repository:{name}:{actions}" for name in draw.sample(names, 4)]
    more = [
        "registry:catalog:*",
        f"repository(plugin):{repository}:pull",
        f"secret:{repository}:pull",
    ]
    return claims, [*scopes, *draw.sample(more, draw.randint(0, 2))]


@pytest.fixture
def desk(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy(pem_keys(private_keys["rsa"]), 0, 0)
    return make_desk(tmp_path, text, private_keys["rsa"], rates=ANY_RATE)


@pytest.fixture
def desk_of_conditions(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Desk:
    text = policy(pem_keys(private_keys["rsa"]), 0, 0)
    return make_desk(tmp_path, text, private_keys["rsa"], rates=ANY_RATE, explain="conditions")


def answers(desk: Desk, key: PrivateKey, seed: int) -> list[tuple[str, str, list[Policy]]]:
    """Return what both policies of a pair answer to each of many questions."""
    pair = [compiled(policy(pem_keys(key), seed, side)) for side in (0, 1)]
    draw = random.Random(f"questions {seed}")
    fields = ForwardedFields((ip_network("127.0.0.1/32"),))
    client = falcon.testing.TestClient(WithRequestInfo(desk.app, fields))
    found = []
    for _ in range(QUESTIONS):
        claims, scopes = question(draw)
        token = desk.token(**claims)
        texts = []
        for one in pair:
            desk.keys.serve([(one, Path())])
            desk.service.state = State(one, desk.service.state.signer)
            result = ask(client, token, scopes)
            assert result.status_code == 200, result.text
            # Everything that is sent, so its length too; nothing in it depends on the moment.
            sent = {name: value for name, value in result.headers.items() if name != "date"}
            texts.append(json.dumps(sent) + "\n" + result.text)
        raw = [raw_reasons(one, claims, scopes) for one in pair]
        found.append((texts[0], texts[1], raw[0] != raw[1]))
    return found


def raw_reasons(
    policy: Policy, claims: dict[str, object], scopes: list[str]
) -> list[tuple[Why, str]]:
    """Return the reasons that the log has, which are not for the caller."""
    given = recalled({name: value for name, value in claims.items() if value is not None})
    asked = accesses(parse_scopes(scopes))
    decision = decide(policy, Identity("github", "x"), given, SERVICE, asked, NOW)
    assert isinstance(decision, Decision)
    return [(one.why, one.source) for one in decision.verdicts]


def test_policies_that_differ_in_what_may_not_be_known_answer_alike_to_the_byte(
    desk: Desk, private_keys: dict[str, PrivateKey]
) -> None:
    told, differing = [], 0
    for seed in range(PAIRS):
        for one, other, differs in answers(desk, private_keys["rsa"], seed):
            assert one == other, f"pair {seed}"
            told.append(one)
            differing += differs

    told = [text.partition("\n")[2] for text in told]
    reasons = [access["why"] for text in told for access in json.loads(text)["accesses"]]
    near = [
        claim["satisfied"]
        for text in told
        for access in json.loads(text)["accesses"]
        for grant in access.get("nearest", ())
        for claim in grant["read"]
    ]
    # The questions reach every kind of answer, and the policies differ where they are asked.
    assert set(reasons) == {"granted", "no-grant", "denied", "unknown-type"}
    assert min(map(reasons.count, set(reasons))) > 20
    assert min(near.count(True), near.count(False)) > 100
    assert differing > 50
    assert not any(word in text for text in told for word in ("secret-", "hidden-", "denial-"))


def test_the_level_conditions_tells_such_policies_apart(
    desk_of_conditions: Desk, private_keys: dict[str, PrivateKey]
) -> None:
    """So the questions of the test above could."""
    found = [
        one for seed in range(8) for one in answers(desk_of_conditions, private_keys["rsa"], seed)
    ]

    assert sum(one != other for one, other, _ in found) > len(found) // 2
