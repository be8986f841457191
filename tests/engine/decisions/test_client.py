"""Client networks: from where a request comes, and what follows where that is not known."""

from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address

import pytest

from regauth.engine import compile_policy
from regauth.engine.access.outcomes import Decision, Identity, Why
from regauth.engine.access.scope import accesses, parse_scopes
from regauth.engine.cel import (
    ADDRESS,
    BOOL,
    DYN,
    STRING,
    CelError,
    Declarations,
    MapType,
    compile_expression,
)
from regauth.engine.decisions.decide import decide
from regauth.engine.decisions.workload import decide_for
from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import parse_ip
from regauth.engine.tokens.jwt import Claims
from regauth.engine.tokens.workload_claim import Workload

POLICY = """
version: 1
services: [registry.example.com]
definitions:
  office: client.inNetwork("10.0.0.0/8") || client.inNetwork("2001:db8::/32")
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
grants:
  - {name: office, when: defs.office, repositories: [a/*], actions: [pull, push]}
  - {name: all, repositories: [b/*], actions: [pull, push]}
  - {name: some, when: 'claims.team == "red" || defs.office', repositories: [c/*], actions: [pull]}
denials:
  - {name: far, when: "!defs.office", repositories: [b/*], actions: [push]}
anonymous: {repositories: [p/*]}
"""
Compile = Callable[..., Policy]


def why(
    policy: Policy, now: datetime, address: str, scope: str, team: str = "blue"
) -> tuple[Why, int]:
    found = [
        decide(
            policy,
            Identity("ci", "s", parse_ip(address)),
            Claims({"sub": "s", "team": team}),
            "registry.example.com",
            accesses(parse_scopes([f"repository:{scope}"])),
            now,
            exhaustive=exhaustive,
        )
        for exhaustive in (False, True)
    ]
    first, second = found
    assert isinstance(first, Decision)
    assert isinstance(second, Decision)
    assert first.verdicts[0].why == second.verdicts[0].why
    return first.verdicts[0].why, len(first.verdicts[0].errors)


CASES = [
    ("10.1.2.3", "a/x:pull", Why.GRANTED, 0),
    ("::ffff:10.1.2.3", "a/x:pull", Why.GRANTED, 0),
    ("2001:db8::1", "a/x:pull", Why.GRANTED, 0),
    ("11.0.0.1", "a/x:pull", Why.NO_GRANT, 0),
    ("::ffff:11.0.0.1", "a/x:pull", Why.NO_GRANT, 0),
    ("2001:db9::1", "a/x:pull", Why.NO_GRANT, 0),
    ("::10.1.2.3", "a/x:pull", Why.NO_GRANT, 0),
    ("", "a/x:pull", Why.NO_GRANT, 1),
    ("10.1.2.3", "b/x:push", Why.GRANTED, 0),
    ("11.0.0.1", "b/x:push", Why.DENIED, 0),
    ("", "b/x:push", Why.DENIED, 1),
    ("", "b/x:pull", Why.GRANTED, 0),
    ("", "c/x:pull", Why.NO_GRANT, 1),
]


@pytest.mark.parametrize(("address", "scope", "wanted", "errors"), CASES)
def test_an_unknown_client_is_an_error_and_a_known_one_is_in_networks_or_not(
    compiled: Compile, now: datetime, address: str, scope: str, wanted: Why, errors: int
) -> None:
    assert why(compiled(POLICY), now, address, scope) == (wanted, errors)


def test_an_unknown_client_has_an_error_of_its_own() -> None:
    declarations = Declarations({"client": ADDRESS})
    program = compile_expression('client.inNetwork("10.0.0.0/8")', declarations, BOOL).program
    assert program is not None
    with pytest.raises(CelError) as caught:
        program.evaluate({})
    assert caught.value.code == "unknown-client"
    assert caught.value.message == "the address of the client is not known"


def test_what_decides_without_the_client_decides(compiled: Compile, now: datetime) -> None:
    assert why(compiled(POLICY), now, "", "c/x:pull", "red") == (Why.GRANTED, 0)


def test_every_way_to_a_decision_takes_the_client(compiled: Compile, now: datetime) -> None:
    policy = compiled(POLICY)
    asked = accesses(parse_scopes(["repository:a/x:pull"]))
    at = int(now.timestamp())
    claims = Claims({"iss": "https://ci.example.com", "aud": "me", "sub": "s", "exp": at + 60})
    workload = Workload("ci", claims, now)
    near, far = ip_address("10.0.0.1"), ip_address("192.0.2.1")
    for client, allowed in ((near, True), (far, False), (None, False)):
        decision = decide_for(policy, workload, "registry.example.com", asked, now, client)

        assert isinstance(decision, Decision)
        assert decision.verdicts[0].allowed is allowed


def test_an_identity_is_the_same_from_everywhere() -> None:
    assert Identity("ci", "s", ip_address("10.0.0.1")) == Identity("ci", "s")
    assert hash(Identity("ci", "s", ip_address("10.0.0.1"))) == hash(Identity("ci", "s"))


@pytest.mark.parametrize(
    "policy",
    [
        POLICY.replace("audience: me}", "audience: me, rules: [{name: r, check: defs.office}]}"),
        POLICY.replace(
            "audience: me}", 'audience: me, rules: [{name: r, check: "client == client"}]}'
        ),
        POLICY.replace("audience: me}", 'audience: me, subject: "client"}'),
        POLICY.replace("[a/*]", '["${client}/*"]'),
        POLICY.replace("[a/*]", "[\"${defs.office ? 'x' : 'y'}/*\"]"),
    ],
)
def test_a_login_and_a_name_cannot_depend_on_it(policy: str) -> None:
    compilation = compile_policy({"p.yaml": policy})

    assert compilation.policy is None
    assert any("`when` of a grant or a denial" in one.hint for one in compilation.problems)


@pytest.mark.parametrize(
    "text",
    [
        'client.inNetwork("10.0.0.1/8")',
        'client.inNetwork("10.0.0.0/33")',
        'client.inNetwork("example.com")',
        'client.inNetwork("")',
        "client.inNetwork(claims.network)",
        'client == "10.0.0.1"',
        'client in ["10.0.0.1"]',
        'client.startsWith("10.")',
        'string(client) == "10.0.0.1"',
        'client < "10.0.0.1"',
        "client",
        "has(client.x)",
        'claims.address.inNetwork("10.0.0.0/8")',
    ],
)
def test_an_address_does_nothing_but_be_in_networks(text: str) -> None:
    declared = Declarations({"client": ADDRESS, "claims": MapType(STRING)})

    assert compile_expression(text, declared, BOOL).program is None


def test_a_claim_of_unknown_type_is_no_address() -> None:
    compiled = compile_expression('x.inNetwork("10.0.0.0/8")', Declarations({"x": DYN}), BOOL)
    assert compiled.program is not None
    for value in ("10.0.0.1", 10, None, ["10.0.0.1"], {}):
        with pytest.raises(CelError):
            compiled.program.evaluate({"x": value})


def test_a_policy_says_whether_it_reads_the_client(compiled: Compile) -> None:
    assert [one.name for one in compiled(POLICY).by_client] == ["office", "some", "far"]
    plain = POLICY.replace("defs.office", "true").replace("when: true", "when: 'true == true'")
    assert not compiled(plain.replace("!true", "false")).reads_client
