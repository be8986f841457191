"""`policytest init --issuer NAME` gives a green, complete suite for each known issuer."""

from pathlib import Path

import pytest

from regauth import schemas
from regauth.engine import compile_policy
from regauth.policytests.commands.init import initialise
from regauth.policytests.commands.starters.texts import starter

from .test_commands import run

ISSUERS = schemas.claims_names()
BY_HAND = ("github-actions", "kubernetes")
GATES = ("--cov-fail-under", "100", "--min-mutation-score", "100")


@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_starter_is_a_policy_without_a_problem_that_gives_pull_and_push(issuer: str) -> None:
    files = starter(issuer)
    compiled = compile_policy({"policy.yaml": files["policy/policy.yaml"]})

    assert not list(compiled.problems)
    assert compiled.policy is not None
    [provider] = compiled.policy.providers.values()
    assert provider.claims.name == issuer
    assert {"pull", "push"} == set().union(*(one.actions for one in compiled.policy.grants))


@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_starter_tests_each_condition_and_fits_in_a_line(issuer: str) -> None:
    policy, suite, *_ = starter(issuer).values()

    assert not [line for line in f"{policy}{suite}".splitlines() if line.endswith(" ")]
    assert "forge: alg-none" in suite
    assert "hostile:" in suite
    assert "invariants:" in suite


@pytest.mark.slow
@pytest.mark.parametrize("issuer", [one for one in ISSUERS if one not in BY_HAND])
def test_a_generated_suite_is_green_and_complete_and_red_after_a_mistake(
    tmp_path: Path, issuer: str
) -> None:
    (tmp_path / ".git").mkdir()
    assert 0 == run(tmp_path, "init", "--issuer", issuer).returncode
    checked = run(tmp_path, "check", "--strict", "--prove", "policy")
    assert (0, True) == (checked.returncode, "no problem found" in checked.stdout), checked.stdout
    green = run(tmp_path, *GATES)
    assert 0 == green.returncode, green.stdout

    policy = tmp_path / "policy" / "policy.yaml"
    text = policy.read_text()
    policy.write_text(
        text.replace("[acme/**]\n    actions: [pull]", "[acme/**]\n    actions: [pull, push]")
    )
    assert 1 == run(tmp_path).returncode


@pytest.mark.parametrize(
    ("issuer", "has_workflow"),
    [("gitlab-ci", False), ("circleci", False), ("kubernetes", True), ("vault", True)],
)
def test_who_has_a_ci_system_of_their_own_is_told_what_to_run_there(
    tmp_path: Path, issuer: str, has_workflow: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == initialise(tmp_path, issuer)
    said = capsys.readouterr().out

    assert has_workflow == (tmp_path / ".github").exists()
    assert has_workflow == ("write in .github/workflows/policy.yml who OWNER is" in said)
    assert has_workflow != ("run in your CI:" in said)


def test_an_issuer_that_is_not_known_is_an_error_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 4 == initialise(tmp_path, "gitlab")
    assert "did you mean `gitlab-ci`?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
