"""More access: proofs and witnesses of edits that people make."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import About, Answer, Question, Status, more_access

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def policy(repository: Path, name: str, *edits: tuple[str, str]) -> Policy:
    text = (repository / "policy" / name / "policy.yaml").read_text()
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    found = compile_policy({"policy.yaml": text}).policy
    assert found is not None
    return found


def gained(repository: Path, name: str, *edits: tuple[str, str]) -> Answer:
    base = policy(repository, name)
    return more_access(Question(policy(repository, name, *edits), base, at=NOW))


def lost(repository: Path, name: str, *edits: tuple[str, str]) -> Answer:
    base = policy(repository, name)
    return more_access(Question(base, policy(repository, name, *edits), at=NOW))


SAME = [
    ("github-actions", ("name: push-own-repository", "name: renamed")),
    (
        "github-actions",
        (
            'claims.event_name == "push" && claims.ref == "refs/heads/main"',
            'claims.event_name == "push" && !(claims.ref != "refs/heads/main")',
        ),
    ),
    ("gitlab-ci", ('check: claims.namespace_id == "72"', "check: '\"72\" == claims.namespace_id'")),
    (
        "kubernetes",
        ('defs.tenant in ["production", "library"]', 'defs.tenant in ["library", "production"]'),
    ),
    ("proxy-tags", ("tags: [v2025.*]", "tags: [v2025.*, v2025.1]")),
]


@pytest.mark.parametrize(("name", "edit"), SAME)
def test_what_means_the_same_is_proved_both_ways(
    repository: Path, name: str, edit: tuple[str, str]
) -> None:
    for answer in (gained(repository, name, edit), lost(repository, name, edit)):
        assert answer.status is Status.PROVED, answer
        assert answer.about is About.ANY_JSON


WIDER = [
    ("github-actions", ('claims.ref == "refs/heads/main"', 'claims.ref.startsWith("refs/heads/")')),
    ("github-actions", ("    actions: [push, delete]\n", "    actions: [push]\n")),
    ("github-actions", ("maxTokenAge: 10m", "maxTokenAge: 11m")),
    (
        "github-actions",
        (
            'claims.event_name != "pull_request_target"',
            'claims.event_name != "pull_request_target" || claims.ref == "refs/heads/main"',
        ),
    ),
    ("kubernetes", ('!defs.tenant.startsWith("kube-")', '!defs.tenant.startsWith("kube-s")')),
    ("gitlab-ci", (r"v[0-9]+[.][0-9]+[.][0-9]+$", r"v[0-9]+[.][0-9]+[.][0-9]+")),
    ("proxy-tags", ("tags: [main, ", "tags: [main*, ")),
    ("proxy-tags", ("tags: [v2025.*]", "tags: [v2025.1*]")),
]


@pytest.mark.parametrize(("name", "edit"), WIDER)
def test_what_is_wider_has_a_witness_and_loses_nothing(
    repository: Path, name: str, edit: tuple[str, str]
) -> None:
    answer = gained(repository, name, edit)

    assert answer.status is Status.WITNESS
    assert all(one.source and one.obstacle for one in answer.witnesses)
    assert lost(repository, name, edit).status is Status.PROVED


def test_a_witness_is_a_token_that_a_person_believes(repository: Path) -> None:
    edit = ('claims.ref == "refs/heads/main"', 'claims.ref.startsWith("refs/heads/")')
    answer = gained(repository, "github-actions", edit)

    first = answer.witnesses[0]
    assert first.now == NOW
    assert first.claims["repository_owner_id"] == "1342004"
    assert first.claims["iat"] == int(NOW.timestamp())
    assert json.loads(json.dumps(first.claims)) == first.claims


def test_other_keys_are_not_excluded(repository: Path) -> None:
    edit = (
        "    claims: github-actions\n",
        "    claims: github-actions\n    keys: {jwksFile: /k.json}\n",
    )
    answer = gained(repository, "github-actions", edit)

    assert answer.status is Status.UNKNOWN
    assert "keys" in str(answer.unknown[0])


def test_longer_sessions_count_as_gained(repository: Path) -> None:
    edit = ("    maxTokenAge: 10m\n", "    maxTokenAge: 10m\n    refreshTokens: {maxSession: 1h}\n")
    answer = gained(repository, "github-actions", edit)

    assert answer.status is Status.WITNESS
    assert answer.longer
