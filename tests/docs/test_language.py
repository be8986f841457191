"""The page on the policy language leaves nothing out, and what it says happens."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth import schemas
from regauth.engine import compile_policy, files
from regauth.engine.access import scope
from regauth.engine.access.outcomes import Decision, Reason
from regauth.engine.compiler.expressions import SCOPE
from regauth.engine.decisions.exchange import anonymous
from regauth.engine.policy.policy import Policy
from regauth.engine.source import nodes, strictjson
from regauth.engine.tokens import jwks, jwt, keys

LIMITS = {
    f"{files.MAX_FILE_BYTES // 1024 // 1024} MiB, {nodes.MAX_DEPTH} levels of nesting",
    f"{files.MAX_FILES:,}",
    f"{scope.MAX_NAME_LENGTH} characters",
    f"{jwt.MAX_TOKEN_LENGTH // 1024} KiB, {strictjson.MAX_DEPTH} levels of nesting",
    f"{jwks.MAX_KEYS}; RSA keys of {keys.MIN_RSA_BITS:,} to {keys.MAX_RSA_BITS:,} bits",
    f"{scope.MAX_SCOPES}, each with {scope.MAX_ACTIONS} actions; {scope.MAX_ACCESSES} actions together",
}


@pytest.fixture(scope="module")
def page(docs: Path) -> str:
    return (docs / "policy-language.md").read_text(encoding="utf-8")


def properties(name: str) -> Mapping[str, object]:
    found: Mapping[str, object] = schemas.load("policy")["$defs"][name]["properties"]
    return found


def test_it_has_a_section_for_every_key_of_a_file(page: str) -> None:
    sections = [key for key in schemas.load("policy")["properties"] if key != "version"]

    assert [] == [key for key in sections if f"\n## {key}\n" not in page]


@pytest.mark.parametrize("name", ["provider", "keys", "statement"])
def test_it_says_what_every_key_means(page: str, name: str) -> None:
    assert [] == [
        key for key in properties(name) if not any(f"`{key}{end}" in page for end in ("`", ": "))
    ]


def test_it_names_every_reason_of_a_refusal(page: str) -> None:
    assert [] == [reason.value for reason in Reason if f"`{reason.value}`" not in page]


def test_it_names_every_variable(page: str) -> None:
    names = {
        "claims",
        "service",
        "provider",
        "now",
        "defs.NAME",
        *(f"scope.{one}" for one in SCOPE.fields),
    }

    assert [] == [name for name in names if f"`{name}`" not in page]


def test_its_limits_are_those_of_the_engine(page: str) -> None:
    table = page.partition("## Limits\n")[2].partition("\n## ")[0]

    assert [] == [limit for limit in LIMITS if f"| {limit} |" not in table]


def test_it_names_every_known_claim_schema_by_link_and_the_default(docs: Path, page: str) -> None:
    listed = (docs / "reference" / "claims.md").read_text(encoding="utf-8")

    assert "(reference/claims.md)" in page
    assert [] == [name for name in schemas.claims_names() if f"## {name}\n" not in listed]
    assert "generic" in schemas.claims_names()


HOUSE = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
grants:
  - {name: pull, providers: [github], repositories: ["acme/**"], actions: [pull], expires: 2027-01-31}
anonymous: {repositories: ["public/**"]}
denials:
  - {name: secret, when: claims.event_name == "push", repositories: [public/secret], actions: [pull]}
  - {name: github-only, providers: [github], repositories: [public/web], actions: [pull]}
"""  # fmt: skip


@pytest.fixture(scope="module")
def house() -> Policy:
    policy = compile_policy({"policy.yaml": HOUSE}).policy
    assert policy is not None
    return policy


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("public/app", True), ("public/secret", False), ("public/web", True), ("acme/app", False)],
)
def test_a_denial_that_reads_claims_refuses_anonymous_requests(
    house: Policy, name: str, allowed: bool
) -> None:
    access = scope.Access(scope.Resource("repository", name), "pull")
    decision = anonymous(house, "registry.example.com", [access], datetime(2026, 11, 1, tzinfo=UTC))

    assert isinstance(decision, Decision)
    assert [allowed] == [verdict.allowed for verdict in decision.verdicts]


def test_a_date_ends_at_its_first_moment(house: Policy) -> None:
    (grant,) = house.grants

    assert datetime(2027, 1, 31, tzinfo=UTC) == grant.expires
