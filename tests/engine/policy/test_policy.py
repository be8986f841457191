"""What a compiled policy tells about all its expressions, and how it gets ready."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType

import pytest

from regauth.engine import Claims, decide
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.cel.evaluation.lowering import lower
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.policy.policy import Policy

Compile = Callable[..., Policy]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)

WHOLE = """
version: 1
services: [registry.example.com]
definitions:
  late: now > timestamp("2027-01-01T00:00:00Z")
providers:
  ci:
    issuer: "https://ci.example.com"
    audience: me
    subject: claims.sub
    rules: [{name: rule, check: claims.rule == "r", message: no}]
grants:
  - name: g
    repositories: ["acme/${claims.name}"]
    when: claims.when == "w"
    actions: [pull]
    tags: ["${claims.tag}"]
    expires: 2028-01-01T00:00:00Z
denials:
  - name: d
    repositories: [acme/secret]
    when: claims.denied == "d"
    actions: [pull]
    expires: 2027-06-01T00:00:00Z
anonymous: {repositories: [public/**], actions: [pull]}
"""


def test_programs_are_all_expressions_that_a_request_can_evaluate(compiled: Compile) -> None:
    """Each place of the language where an expression can stand is in the list."""
    policy = compiled(WHOLE)

    def read(*, logins: bool) -> set[str]:
        programs = policy.programs(logins=logins)
        return {".".join(path[:2]) for program in programs for path in program.paths}

    statements = {"claims.name", "claims.when", "claims.tag", "claims.denied"}
    assert read(logins=False) == statements
    assert read(logins=True) == statements | {"claims.sub", "claims.rule"}


@pytest.mark.parametrize(
    ("place", "instead", "of_login"),
    [
        ('claims.when == "w"', "now > timestamp(0)", False),
        ('claims.when == "w"', "defs.late", False),
        ('claims.denied == "d"', "now > timestamp(0)", False),
        ("acme/${claims.name}", "acme/y${string(now.getFullYear())}", False),
        ('["${claims.tag}"]', '["y${string(now.getFullYear())}"]', False),
        ("subject: claims.sub", "subject: string(now.getFullYear())", True),
        ('claims.rule == "r"', "now > timestamp(0)", True),
    ],
)
def test_a_policy_depends_on_time_wherever_it_reads_now(
    compiled: Compile, place: str, instead: str, of_login: bool
) -> None:
    assert place in WHOLE
    policy = compiled(WHOLE.replace(place, instead))

    assert policy.depends_on_time(logins=True)
    assert policy.depends_on_time(logins=False) is not of_login
    assert policy.providers["ci"].depends_on_time is of_login


def test_a_policy_that_reads_no_time_depends_on_none_though_it_ends(compiled: Compile) -> None:
    policy = compiled(WHOLE)

    assert not policy.depends_on_time(logins=True)
    assert policy.ends == (datetime(2027, 6, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))


def lowered_during(call: Callable[[], object]) -> int:
    """Count the nodes that are lowered during a call."""
    found = 0

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal found
        found += event == "call" and frame.f_code is lower.__code__

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def test_a_request_to_a_policy_that_was_prepared_lowers_no_expression(compiled: Compile) -> None:
    claims = {
        "iss": "https://ci.example.com",
        "sub": "s",
        "aud": "me",
        "rule": "r",
        "when": "w",
        "denied": "no",
        "name": "app",
        "tag": "v1",
        "list": ["x"],
        "iat": NOW.timestamp(),
        "exp": NOW.timestamp() + 60,
    }
    text = WHOLE.replace(
        'claims.when == "w"', 'claims.when == "w" && !defs.late && claims.list.exists(x, x == "x")'
    )
    asked = Access(Resource(REPOSITORY, "acme/app"), "pull", "v1")
    secret = Access(Resource(REPOSITORY, "acme/secret"), "pull", "v1")

    def request(policy: Policy) -> None:
        login = login_verified(policy, "ci", Claims(claims), "registry.example.com", NOW)
        assert isinstance(login, Authenticated)
        decision = decide(
            policy, login.identity, login.claims, "registry.example.com", [asked, secret], NOW
        )
        assert [verdict.allowed for verdict in decision.verdicts] == [True, False]

    prepared, other = compiled(text), compiled(text)
    prepared.prepare()
    assert lowered_during(lambda: request(prepared)) == 0
    assert lowered_during(lambda: request(other)) > 0
