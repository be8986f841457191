"""What the platforms read: workflows, forms, owners, updates and hooks do what they say."""

import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pre_commit.clientlib import load_config

from tests.conftest import REPOSITORY
from tests.docs.platforms import complaints

from .installing import run

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
SCHEMAS = [
    *(("github-workflows", path) for path in WORKFLOWS),
    *(("github-issue-forms", path) for path in FORMS),
    ("github-issue-config", REPOSITORY / ".github" / "ISSUE_TEMPLATE" / "config.yml"),
    ("dependabot", REPOSITORY / ".github" / "dependabot.yml"),
]


def read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    parsed: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # YAML 1.1 reads `on` as true
    return parsed


def jobs(path: Path) -> Mapping[str, dict[str, Any]]:
    found: Mapping[str, dict[str, Any]] = read(path)["jobs"]
    return found


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return each step of each workflow, with the job that it is of."""
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            for step in job["steps"]:
                yield f"{path.name}: {name}", step


@pytest.mark.parametrize(
    ("schema", "path"), SCHEMAS, ids=lambda one: one.name if isinstance(one, Path) else one
)
def test_a_file_is_as_the_platform_s_schema_has_it(schema: str, path: Path) -> None:
    assert "" == complaints(schema, path)


def test_actionlint_finds_nothing_in_the_workflows(repository: Path) -> None:
    """It understands expressions and, where there is shellcheck, the scripts too."""
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is missing; `make programs` gets it")
    done = run([actionlint, "-no-color", *WORKFLOWS], cwd=repository)

    assert (0, "") == (done.returncode, done.stdout)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_a_time_limit_and_no_right_that_it_does_not_name(path: Path) -> None:
    assert read(path)["permissions"] == {}
    for job in jobs(path).values():
        assert int(job["timeout-minutes"]) <= 90
        assert set(job["permissions"]) <= {"contents", "id-token", "attestations"}
        assert job["permissions"].get("contents", "read") == "read" or "needs" in job


def test_every_action_is_pinned_by_its_digest() -> None:
    for path in WORKFLOWS:
        used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))

        assert used
        for one in used:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_one_action_has_one_version() -> None:
    found: dict[str, set[str]] = {}
    for _, step in steps():
        if "uses" in step:
            name, _, digest = step["uses"].partition("@")
            found.setdefault(name, set()).add(digest)

    assert [name for name, digests in found.items() if len(digests) > 1] == []


def test_ci_runs_the_targets_of_the_makefile(repository: Path) -> None:
    """What CI runs, everybody can run: no step has a command of its own but to prepare for one."""
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    called: dict[str, set[str]] = {}
    for place, step in steps():
        if "run" in step:
            found = re.findall(r"^(?:sudo )?make ([a-z-]+)", step["run"], re.MULTILINE)
            assert set(found) <= targets, place
            called.setdefault(place.partition(":")[0], set()).update(found)

    assert {"check", "test", "test-kube", "docs", "dist", "fuzz"} <= called["ci.yml"]
    assert {"check", "test", "dist", "sbom"} <= called["release.yml"]


def test_ci_runs_every_python_that_the_project_names(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    named = {
        one.rpartition(" ")[2]
        for one in project["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    }
    matrix = jobs(repository / ".github/workflows/ci.yml")["test"]["strategy"]["matrix"]

    assert set(matrix["python"]) == named
    assert project["requires-python"] == f">={matrix['python'][0]}"


def test_no_password_can_publish(repository: Path) -> None:
    """Who may sign or publish runs no code of the project or of what it depends on."""
    for path in WORKFLOWS:
        assert "secrets." not in path.read_text(encoding="utf-8"), path
    release = jobs(repository / ".github/workflows/release.yml")
    signing = {name: job for name, job in release.items() if "id-token" in job["permissions"]}

    assert set(signing) == {"attest", "publish"}
    for job in signing.values():
        assert [step for step in job["steps"] if "run" in step] == []
    assert release["publish"]["environment"] == "release"
    assert set(release["publish"]["needs"]) == {"build", "attest"}


def test_a_release_has_provenance_and_a_bill_of_materials(repository: Path) -> None:
    release = jobs(repository / ".github/workflows/release.yml")
    given = [
        step.get("with", {}) for step in release["attest"]["steps"] if "attest@" in step["uses"]
    ]

    assert [{"subject-path"}, {"subject-path", "sbom-path"}] == [set(one) for one in given]
    (publish,) = (step for step in release["publish"]["steps"] if "pypi" in step["uses"])
    assert publish["with"] == {"attestations": "true"}
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert f"build/{given[1]['sbom-path']}" in makefile


def test_every_owned_path_exists(repository: Path) -> None:
    lines = (repository / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    owned = [line.split() for line in lines if line.strip() and not line.startswith("#")]

    assert owned[0][0] == "*", "everything has an owner"
    for path, *owners in owned:
        assert path == "*" or (repository / path.strip("/")).exists(), path
        assert all(re.fullmatch(r"@OWNER/[a-z-]+", one) for one in owners), owners


def test_updates_are_looked_for_wherever_something_is_pinned(repository: Path) -> None:
    updates = read(repository / ".github" / "dependabot.yml")["updates"]
    looked = {
        (one["package-ecosystem"], folder)
        for one in updates
        for folder in one.get("directories", [one.get("directory")])
    }

    assert looked == {
        ("pip", "/"),
        ("pip", "/deploy/requirements"),
        ("github-actions", "/"),
        ("github-actions", "/action"),
        ("github-actions", "/action/policytest"),
        ("docker", "/deploy"),
    }
    assert all((repository / folder.strip("/")).is_dir() for _, folder in looked)


def test_the_hooks_run_what_make_check_runs(repository: Path) -> None:
    config = load_config(repository / ".pre-commit-config.yaml")
    (local,) = config["repos"]
    hooks = {one["entry"].removesuffix(" --force-exclude") for one in local["hooks"]}
    recipe = (repository / "Makefile").read_text(encoding="utf-8").partition("\ncheck: ")[2]
    commands = re.findall(
        r"^\t@\$\(BIN\)/(.+?)(?: \.)?(?: \|.*)?$", recipe.partition("\n\n")[0], re.MULTILINE
    )

    assert local["repo"] == "local", "nothing is fetched"
    assert hooks == {f".venv/bin/{one}" for one in commands}


def test_a_report_of_a_vulnerability_has_an_address(repository: Path) -> None:
    policy = (repository / "SECURITY.md").read_text(encoding="utf-8")
    (link,) = read(repository / ".github" / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]

    assert {"Report a vulnerability", "Supported versions"} <= set(
        re.findall(r"^## (.+)$", policy, re.MULTILINE)
    )
    assert "docs/threat-model.md" in policy
    assert link["url"].endswith("/security/advisories/new")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "SECURITY.md" in (repository / page).read_text(encoding="utf-8"), page
    links = [one for one in re.findall(r"\]\(([^)]+)\)", policy) if "://" not in one]
    assert links
    assert [one for one in links if not (repository / one).exists()] == []


def test_the_lists_of_the_images_agree(repository: Path) -> None:
    """One version of a library in all images: an advisory about it is answered once."""
    found: dict[str, set[str]] = {}
    for path in (repository / "deploy" / "requirements").glob("*.txt"):
        for name, version in re.findall(
            r"^([\w.-]+)==([^ ;]+)", path.read_text("utf-8"), re.MULTILINE
        ):
            found.setdefault(name, set()).add(version)

    assert found
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}
