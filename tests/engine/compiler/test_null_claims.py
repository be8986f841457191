"""`wire/null-claim-denial`: a claim sent as null, from the warning to the refusal that names it."""

import pytest

from regauth.engine.compiler.compiler import compile_policy

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  bk:
    issuer: https://agent.buildkite.com
    audience: registry.example.com
    claims: buildkite
    rules:
      - name: ours
        check: has(claims.organization_id) && claims.organization_id == ID
grants:
  - name: main
    when: claims.pipeline_slug == "app" && claims.build_branch == "main"
    repositories: [acme/app]
    actions: [pull, push]
denials:
  - name: no-prereleases
    when: GUARD
    repositories: [acme/app]
    actions: [push]
""".replace("ID", '"f892efa9-103e-4d28-97a1-3b8616a0994d"')
HAS = 'has(claims.build_tag) && claims.build_tag.startsWith("v0.")'


def test_null_claim_denial_asks_for_null() -> None:
    problems = compile_policy({"policy.yaml": POLICY.replace("GUARD", HAS)}).problems
    assert [(one.code, one.hint) for one in problems] == [
        ("cel-null", "ask first: claims.build_tag != null && ...")
    ]


def test_null_claim_denial_is_content_once_it_is_asked_for() -> None:
    guard = HAS.replace("&&", "&& claims.build_tag != null &&", 1)
    assert compile_policy({"policy.yaml": POLICY.replace("GUARD", guard)}).problems == ()


@pytest.mark.parametrize("claim", ["build_tag", "step_key"])
def test_buildkite_claims_can_be_null(claim: str) -> None:
    """`wire/buildkite-claims`: `build_tag` and `step_key` are null in a branch build."""
    guard = f'has(claims.{claim}) && claims.{claim}.startsWith("v0")'
    codes = [
        one.code for one in compile_policy({"p.yaml": POLICY.replace("GUARD", guard)}).problems
    ]
    assert codes == ["cel-null"]


def test_buildkite_claims_have_the_token_id() -> None:
    """`wire/buildkite-claims`: `jti` is in every token."""
    guard = 'has(claims.jti) && claims.jti == "0184990a-477b-4fa8-9968-496074483cee"'
    assert compile_policy({"p.yaml": POLICY.replace("GUARD", guard)}).problems == ()


def test_circleci_vcs_sha_is_known() -> None:
    """`wire/circleci-vcs-sha`."""
    policy = """\
version: 1
services: [registry.example.com]
providers:
  circle:
    issuer: https://oidc.circleci.com/org/a64b0a19-f221-4291-b000-8d24bd842b72
    audience: registry.example.com
    claims: circleci
grants:
  - name: g
    when: '"oidc.circleci.com/NAME" in claims && claims["oidc.circleci.com/NAME"] == "VALUE"'
    repositories: [acme/app]
    actions: [pull]
"""
    sha = "b8962f4eaff8e14fc646cb22c596c81e67d71362"
    known = policy.replace("NAME", "vcs-sha").replace("VALUE", sha)
    assert compile_policy({"p.yaml": known}).problems == ()
    newer = policy.replace("NAME", "brand-new").replace("VALUE", "x")
    assert [one.code for one in compile_policy({"p.yaml": newer}).problems] == ["unlisted-claim"]
