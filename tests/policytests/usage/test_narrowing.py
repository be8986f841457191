"""`policytest tighten`: which claims become conditions, and for whom a grant stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from regauth.engine import Authenticated
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.policytests.usage.identities import IDENTITIES
from tests.servers.desk import NOW

from .test_tighten import SERVICE, Tool, compiled, record_of, stand
from .test_tighten import tool as tool  # noqa: PLC0414 - a fixture

HEAD = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - {name: ours, check: claims.repository_owner_id == "1342004", message: only acme}
  idle:
    issuer: https://idle.example.com
    audience: https://registry.example.com
    claims: gitlab-ci
grants:
"""
TOOLS = "  - name: tools\n    repositories: [acme/tools]\n    actions: [pull]\n"


def pulls(
    text: str, *users: dict[str, Any], name: str = "acme/tools", action: str = "pull"
) -> list[dict[str, Any]]:
    """Return what a server would have written of jobs of GitHub."""
    policy, lines = compiled(text), []
    for number, user in enumerate(users):
        issued = int(NOW.timestamp())
        claims = {
            "iss": "https://token.actions.githubusercontent.com",
            "aud": "https://registry.example.com",
            "sub": "job",
            "iat": issued,
            "exp": issued + 300,
            "repository_owner_id": "1342004",
            "repository_id": "456789",
            "repository": "acme/app",
            "ref": "refs/heads/main",
            "ref_protected": "true",
            "event_name": "push",
            "actor_id": "1",
            "sha": "0c1f6b7ad3a5e92f6b1d8e1a4c3b2f7d9e8a6b5c",
            "run_id": "77",
        }
        given = {key: value for key, value in (claims | user).items() if value is not None}
        login = login_verified(policy, "github", recalled(given), SERVICE, NOW)
        assert isinstance(login, Authenticated), login
        asked = [f"repository:{name}:{action}"]
        lines.append(record_of(policy, login, SERVICE, asked, NOW, number))
    return lines


def tightened(tool: Tool, folder: Path, text: str, *users: dict[str, Any], words: str = "") -> str:
    """Return the grants of a policy that such pulls tightened."""
    stand(folder, HEAD + text, pulls(HEAD + text, *users))
    code, _, told = tool("tighten", "log.jsonl", "--any-age", "--write", *words.split())
    assert code == 0, told
    assert "it is proved that nobody gains access" in told
    assert "nothing differs" in tool("replay", "log.jsonl", "--policy", "policy")[1]
    return (folder / "policy" / "policy.yaml").read_text().partition("grants:\n")[2]


def test_a_grant_is_narrowed_to_its_providers_and_few_users(tool: Tool, tmp_path: Path) -> None:
    found = tightened(tool, tmp_path, TOOLS, {}, {"repository_id": "5", "repository": "acme/x"})

    assert found == (
        "  - name: tools\n"
        "    providers: [github]\n"
        "    # Seen: repository_id: 456789 is acme/app, 5 is acme/x\n"
        '    when: claims.repository_id in ["456789", "5"] && claims.ref_protected == "true"\n'
        "    repositories: [acme/tools]\n"
        "    actions: [pull]\n"
    )


@pytest.mark.parametrize(
    ("users", "words", "wanted"),
    [
        ([{"repository_id": str(one)} for one in range(4)], "", "claims.ref_protected"),
        ([{"repository_id": str(one)} for one in range(4)], "--values 4", "claims.repository_id"),
        ([{"ref_protected": "false"}], "", "claims.repository_id"),
        ([{"environment": "prod"}], "", "has(claims.environment)"),
    ],
)
def test_only_few_values_become_a_condition(
    tool: Tool, tmp_path: Path, users: list[dict[str, Any]], words: str, wanted: str
) -> None:
    found = tightened(tool, tmp_path, TOOLS, *users, words=words)

    assert wanted in found
    assert ("repository_id" in found) is (words != "" or len(users) == 1)
    assert ("ref_protected" in found) is (users[0].get("ref_protected") != "false")


@pytest.mark.parametrize(
    ("users", "words"),
    [
        ([{"repository_id": None, "ref_protected": None}], ""),
        ([{"repository_id": 5, "ref_protected": True}], ""),
        ([{"repository_id": "not a number", "ref_protected": "false"}], ""),
        ([{}], "--values 0"),
    ],
)
def test_no_condition_is_made_of_what_is_missing_or_cannot_be(
    tool: Tool, tmp_path: Path, users: list[dict[str, Any]], words: str
) -> None:
    assert "when" not in tightened(tool, tmp_path, TOOLS, *users, words=words)


def test_a_grant_that_says_by_name_whose_it_is_asks_for_no_id(tool: Tool, tmp_path: Path) -> None:
    text = '  - {name: own, providers: [github], repositories: ["${claims.repository}"], actions: [pull]}\n'
    stand(tmp_path, HEAD + text, pulls(HEAD + text, {}, name="acme/app"))
    _, diff, _ = tool("tighten", "log.jsonl", "--any-age")

    assert "ref_protected" in diff
    assert "repository_id" not in diff


def test_a_condition_of_which_check_would_warn_is_not_made(tool: Tool, tmp_path: Path) -> None:
    # Who pushes, by the environment alone: its protection rules are not in the token.
    text = TOOLS.replace("[pull]", "[push]")
    user = {"environment": "prod", "ref_protected": "false"}
    stand(tmp_path, HEAD + text, pulls(HEAD + text, user, action="push"))
    code, diff, told = tool("tighten", "log.jsonl", "--any-age")

    assert code == 0, told
    assert "claims.environment" in tightened(tool, tmp_path, TOOLS, {"environment": "prod"})
    assert "environment" not in diff
    assert 'when: claims.repository_id == "456789"\n' in diff


def test_users_stay_whom_a_suite_expects(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "ci.policytest.yaml").write_text(
        "policy: policy\nat: 2026-11-01T12:00:00Z\n"
        "tokens:\n  main: {profile: github-actions/push, provider: github}\n"
        "tests:\n  - name: pulls\n    grid: |\n"
        "      token  repository  pull\n      main   acme/tools  A\n"
    )
    text = TOOLS + "  - {name: other, repositories: [acme/other], actions: [pull]}\n"
    lines = [
        *pulls(HEAD + text, {"repository_id": "99"}),
        *pulls(HEAD + text, {"repository_id": "99"}, name="acme/other"),
    ]
    stand(tmp_path, HEAD + text, lines)
    code, diff, told = tool("tighten", "log.jsonl", "--any-age")

    assert code == 0, told
    assert "suites: 1 of 1 cases pass" in told
    assert "kept: tools: its users stay; ci.policytest.yaml has others" in told
    assert diff.count('repository_id == "99"') == 1
    assert "{name: other, providers: [github], when: " in diff


def test_no_value_that_a_person_chooses_can_become_a_condition() -> None:
    for name, identity in IDENTITIES.items():
        schema = known_schema(name)
        for path in identity.narrowing:
            claim = schema.claim(path)
            assert claim is not None, (name, path)
            # Nobody says who chooses `sub` of an issuer of any kind; it identifies all the same
            # (OpenID Connect Core 1.0, section 2: "locally unique and never reassigned").
            known = path == ("sub",) and name in ("generic", "spiffe", "keycloak")
            assert claim.chosen_by in ("issuer", "owner") or known, (name, path)


def test_tags_that_a_proxy_never_saw_go(tool: Tool, tmp_path: Path) -> None:
    tags = '    tags: ["v*", "latest", "dev-*"]\n'
    text = HEAD + TOOLS.replace("    actions", tags + "    actions")
    lines = []
    for tag in ("v1", "v2", "latest"):
        [line] = pulls(text, {})
        line |= {"asked": [f"repository:acme/tools:{tag}:pull"], "outcome": "decided"}
        line |= {"routing": "workload", "checked": line["time"]}
        [access] = line["accesses"]
        access |= {"reference": tag, "allowed": True, "why": "granted", "source": "tools"}
        lines.append(line)
    for line in lines:
        del line["lifetime"], line["maxLifetime"]
    stand(tmp_path, text, lines)
    code, diff, told = tool("tighten", "log.jsonl", "--any-age", "--values", "0")
    usage = json.loads(tool("usage", "log.jsonl", "-f", "json")[1])

    assert code == 0, told
    assert '+    tags: ["v*", "latest"]\n' in diff
    assert usage["unused"]["tags"] == ["dev-* of tools (policy/policy.yaml:15:11)"]


def test_a_grant_stays_because_of_which_tokens_last_longer(tool: Tool, tmp_path: Path) -> None:
    text = HEAD + TOOLS.replace("actions: [pull]", "actions: [pull]\n    tokenLifetime: 2m")
    text += TOOLS.replace("name: tools", "name: longer")
    lines = pulls(text, {})
    stand(tmp_path, text, lines)
    tool("tighten", "log.jsonl", "--any-age", "--write")

    assert lines[0]["lifetime"] == 900
    assert "longer" in (tmp_path / "policy" / "policy.yaml").read_text()
    assert "nothing differs" in tool("replay", "log.jsonl", "--policy", "policy")[1]
