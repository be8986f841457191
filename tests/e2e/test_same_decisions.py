"""A suite, run by policytest, and a registry, run for real, come to the same decisions."""

import shutil
import subprocess
from pathlib import Path

from regauth.engine import Problems
from regauth.engine.source.nodes import parse
from tests.forkserver.programs import forked

from .decisions import DECISIONS
from .programs import TOKEN_SERVER, run

SUITE = Path(__file__).parent / "decisions.yaml"


def in_suite() -> dict[str, tuple[str, list[str], list[str]]]:
    """What the suite says: by name, the token, the scopes asked for and those granted."""
    node = parse(SUITE.read_text(encoding="utf-8"), SUITE.name, Problems())
    assert node is not None
    suite = node.plain()
    assert isinstance(suite, dict)
    return {
        test["name"]: (test["token"], test["scopes"], test["expect"]["granted"])
        for test in suite["tests"]
    }


def as_seen(repository: str, actions: tuple[str, ...]) -> list[str]:
    return [f"repository:{repository}:{','.join(actions)}"] if actions else []


def test_the_suite_has_the_decisions_that_the_registry_is_seen_to_enforce() -> None:
    seen = {
        one.name: (
            "pull-request" if one.job.event == "pull_request" else "main",
            as_seen(one.repository, one.asked),
            as_seen(one.repository, one.granted),
        )
        for one in DECISIONS
    }

    assert in_suite() == seen


def test_policytest_passes_them_on_the_same_policy(tmp_path: Path) -> None:
    site = tmp_path / "site"
    made = run([*TOKEN_SERVER, "init", site])
    assert made.returncode == 0, made.stderr
    shutil.copy(SUITE, site / "decisions.policytest.yaml")
    done = subprocess.run(
        [*forked("policytest"), "."],
        cwd=site, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(DECISIONS)} passed" in done.stdout


def test_policytest_fails_when_the_policy_changes(tmp_path: Path) -> None:
    """The comparison can fail: without its condition the grant lets pull requests push."""
    site = tmp_path / "site"
    made = run([*TOKEN_SERVER, "init", site])
    assert made.returncode == 0, made.stderr
    shutil.copy(SUITE, site / "decisions.policytest.yaml")
    policy = site / "policy" / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("    when: defs.on_main\n", ""), encoding="utf-8")
    done = subprocess.run(
        [*forked("policytest"), "."],
        cwd=site, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert text != policy.read_text(encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "a pull request does not push" in done.stdout
