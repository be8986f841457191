"""The policytest action's steps, from its YAML, on policies that pass, fail and do not compile."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.programs import run
from tests.forkserver.programs import forked

from .composite import Job

pytestmark = pytest.mark.e2e

Checks = Callable[..., tuple[Job, int, dict[str, str]]]

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
grants:
  - name: push
    when: claims.ref == "refs/heads/main" && claims.event_name == "push"
    repositories: [acme/app]
    actions: [pull, push]
"""
SUITE = """\
at: 2026-11-01T12:00:00Z
service: registry.example.com
tokens:
  main:
    profile: github-actions
    claims: {repository: acme/app, repository_owner_id: "1342004"}
tests:
  - name: main pushes
    grid: |
      token  repository  pull  push
      main   acme/app    A     A
"""


@pytest.fixture(scope="module")
def action(repository: Path) -> Path:
    return repository / "action" / "policytest" / "action.yml"


@pytest.fixture(scope="module")
def installed(action: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs of the first step, run once: it installs the project from the action's folder."""
    folder = tmp_path_factory.mktemp("install")
    (folder / "temp").mkdir()
    done = Job(folder, {**os.environ, "PIP_NO_COMPILE": "1"})
    code, outputs = done.step(action, "install")
    assert code == 0, done.output
    return outputs


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """What the first step outputs; the fork server starts the program that it names."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    words = list(forked("policytest"))
    script = f"import os, sys\nos.execv({words[0]!r}, [*{words!r}, *sys.argv[1:]])\n"
    (folder / "policytest").write_text(script)
    return {"policytest": str(folder / "policytest")}


@pytest.fixture
def check(action: Path, program: dict[str, str], tmp_path: Path) -> Checks:
    """Run the action on a checkout with a policy and a suite."""

    def checked(
        policy: str = POLICY, suite: str = SUITE, install: dict[str, str] = program, **inputs: str
    ) -> tuple[Job, int, dict[str, str]]:
        checkout = tmp_path / "checkout"
        (checkout / "policy").mkdir(parents=True)
        (checkout / "policy" / "policy.yaml").write_text(policy)
        (checkout / "acme.policytest.yaml").write_text(suite)
        (tmp_path / "temp").mkdir()
        job = Job(tmp_path, dict(os.environ), workspace=checkout)
        code, outputs = job.run(action, known={"install": install}, **inputs)
        return job, code, outputs

    return checked


def test_the_installed_program_is_this_version_s_own(
    installed: dict[str, str], repository: Path
) -> None:
    """It imports nothing of the checkout of the action, which may be gone by the next step."""
    python = Path(installed["policytest"]).with_name("python")
    done = run(
        [python, "-P", "-c", "import regauth.policytests as p; print(p.__file__)"], PYTHONPATH=""
    )

    assert done.stdout.strip().startswith(str(python.parent.parent)), done.stderr


def test_a_policy_that_passes(check: Checks, installed: dict[str, str]) -> None:
    job, code, outputs = check(install=installed)

    assert (0, "0") == (code, outputs["exit-code"]), job.output
    assert "::error" not in job.output
    assert Path(outputs["markdown"]).read_text() == job.summary
    assert "2.1.0" == json.loads(Path(outputs["sarif"]).read_text())["version"]
    assert "</html>" in Path(outputs["html"]).read_text()


def test_a_test_that_fails_is_annotated_at_its_cell(check: Checks) -> None:
    job, code, outputs = check(suite=SUITE.replace("A     A", "A     ."))

    assert (1, "1") == (code, outputs["exit-code"])
    cause, cell = [line for line in job.output.splitlines() if line.startswith("::error")]
    assert "file=policy/policy.yaml,line=12" in cause
    assert "file=acme.policytest.yaml,line=11" in cell
    assert "main" in job.summary
    results = json.loads(Path(outputs["sarif"]).read_text())["runs"][0]["results"]
    assert [11] == [
        result["locations"][0]["physicalLocation"]["region"]["startLine"]
        for result in results
        if result["level"] == "error"
    ]


def test_a_policy_that_does_not_compile_ends_with_10(check: Checks) -> None:
    job, code, outputs = check(policy=POLICY.replace("claims.ref ==", "claims.reff =="))

    assert (10, "10") == (code, outputs["exit-code"]), job.output
    assert "reff" in job.output


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        ({"cov_fail_under": "10"}, True),
        ({"cov_fail_under": "100"}, False),
        ({"min_mutation_score": "0"}, True),
        ({"min_mutation_score": "100"}, False),
    ],
)
def test_a_gate_ends_with_11(check: Checks, gate: dict[str, str], passes: bool) -> None:
    job, code, _ = check(**gate)

    assert (0 if passes else 11) == code, job.output


def test_more_options_are_policytest_s(check: Checks) -> None:
    """A selection without a case is pytest's exit code 5: it never passes by testing nothing."""
    job, code, _ = check(arguments="-k\nnowhere")

    assert code == 5, job.output


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ({"cov_fail_under": "101"}, "'cov-fail-under' is '101'"),
        ({"cov_fail_under": "80 --co"}, "'cov-fail-under' is"),
        ({"min_mutation_score": "all"}, "'min-mutation-score' is 'all'"),
        ({"mutate": "yes"}, "'mutate' is 'yes'"),
        ({"paths": " "}, "'paths' is empty"),
        ({"paths": "acme.policytest.yaml nowhere"}, "'paths' names 'nowhere'"),
    ],
)
def test_a_wrong_input_is_named(check: Checks, inputs: dict[str, str], wrong: str) -> None:
    job, code, outputs = check(**inputs)

    assert (1, "") == (code, outputs["exit-code"])
    assert "::error title=Wrong input::" in job.output
    assert wrong in job.output


WIDER = POLICY.replace(' && claims.event_name == "push"', "")


@pytest.fixture
def compared(action: Path, program: dict[str, str], tmp_path: Path) -> Checks:
    """Run the action on a pull request that changes the policy."""

    def checked(
        policy: str = WIDER, fork: bool = False, **inputs: str
    ) -> tuple[Job, int, dict[str, str]]:
        checkout = tmp_path / "checkout"
        (checkout / "policy").mkdir(parents=True)
        (checkout / "policy" / "policy.yaml").write_text(POLICY)
        (checkout / "acme.policytest.yaml").write_text(SUITE)
        git = ["git", "-C", checkout, "-c", "user.name=a", "-c", "user.email=a@example.com"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "base"]):
            run([*git, *words])
        run([*git, "checkout", "-qb", "feature"])
        (checkout / "policy" / "policy.yaml").write_text(policy)
        run([*git, "commit", "-qam", "change"])
        (tmp_path / "temp").mkdir()
        programs = tmp_path / "programs"
        programs.mkdir()
        gh = programs / "gh"
        gh.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\n' \"$@\" >>'{tmp_path}/gh'\n"
            f"case $* in *--paginate*) cat '{tmp_path}/comments' 2>/dev/null || true ;; esac\n"
        )
        gh.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_REPOSITORY": "acme/policies",
        }
        job = Job(tmp_path, environment, workspace=checkout)
        job.github = {
            "event_name": "pull_request",
            "event.pull_request.number": "7",
            "event.pull_request.head.repo.full_name": "fork/policies" if fork else "acme/policies",
        }
        code, outputs = job.run(action, known={"install": program}, diff="true", **inputs)
        return job, code, outputs

    return checked


def test_new_access_is_annotated_and_summarised_and_the_tests_run_all_the_same(
    compared: Checks,
) -> None:
    job, code, outputs = compared()

    assert (12, "12", "0") == (code, outputs["diff-exit-code"], outputs["exit-code"]), job.output
    assert "::error file=policy/policy.yaml,line=12,col=11,title=access-gained::" in job.output
    assert "### policytest diff: failed" in job.summary
    assert "### policytest: passed" in job.summary
    assert "</html>" in Path(outputs["diff-html"]).read_text()


def test_new_access_is_accepted_by_an_input_of_the_workflow(compared: Checks) -> None:
    job, code, outputs = compared(accept_widening="the label new-access-accepted")

    assert (0, "0") == (code, outputs["diff-exit-code"]), job.output
    assert "new access, accepted: the label new-access-accepted" in job.summary


def test_a_change_that_gives_nobody_more_is_proved(compared: Checks) -> None:
    job, code, _ = compared(policy=POLICY + "\n# words\n")

    assert code == 0, job.output
    assert "nobody gains access: proved" in job.summary


@pytest.mark.parametrize("known", ["", "41\n42\n"])
def test_a_comment_is_written_once_and_then_over(
    compared: Checks, tmp_path: Path, known: str
) -> None:
    (tmp_path / "comments").write_text(known)
    job, code, _ = compared(comment="true")
    said = (tmp_path / "gh").read_text()

    assert code == 12, job.output
    assert "body=<!-- policytest diff -->" in said
    assert ("PATCH\nrepos/acme/policies/issues/comments/41" in said) == bool(known)
    assert ("POST\nrepos/acme/policies/issues/7/comments" in said) != bool(known)


def test_a_fork_gets_no_comment(compared: Checks, tmp_path: Path) -> None:
    job, code, _ = compared(comment="true", fork=True)

    assert code == 12
    assert "::notice title=No comment::" in job.output
    assert not (tmp_path / "gh").exists()


def test_a_wrong_input_of_the_comparison_fails_and_lets_the_tests_run(check: Checks) -> None:
    job, code, outputs = check(diff="yes")

    assert (1, "0") == (code, outputs["exit-code"])
    assert "'diff' is 'yes'; it is true or false." in job.output


def test_a_commit_that_is_missing_says_what_to_fetch(compared: Checks) -> None:
    job, code, outputs = compared(diff_base="origin/main")

    assert (4, "4") == (code, outputs["diff-exit-code"])
    assert "actions/checkout needs the input fetch-depth: 0" in job.output


def test_without_a_python_the_step_says_what_to_add(action: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "cat", "cp", "dirname", "mkdir", "rm"):
        (programs / name).symlink_to(shutil.which(name) or name)
    job = Job(tmp_path, {"PATH": str(programs)})
    code, _ = job.step(action, "install")

    assert code == 1
    assert "::error title=No Python::" in job.output
    assert "actions/setup-python" in job.output
