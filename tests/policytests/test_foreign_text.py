"""
S11: what a stranger wrote steers no terminal, whatever `policytest` shows it in.

The policy and the suite of a pull request are a stranger's, and so are the claims of a token.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from regauth.policytests.cli import main

ESCAPES = "\x1bc\x1b]0;title\x07\x9b31m\u202e\u2066"
WRITTEN = "\\ec\\e]0;title\\a\\x9B31m\\u202e\\u2066"
"""The same in a double-quoted scalar of YAML."""

POLICY = f"""
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com/acme
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - name: ours
        check: claims.repository_owner_id == "1"
        message: "only ours {WRITTEN}"
grants:
  - name: g
    when: 'claims.workflow.startsWith("X\\u001bc\\u202e") || claims.workflow == "b"'
    repositories: ["acme/**"]
    actions: [pull]
"""
SUITE = f"""
policy: ../policy
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions/push
    impossible: to be hostile
    claims:
      repository_owner_id: "1"
      repository: "acme/{WRITTEN}"
      workflow: "X{WRITTEN}"
      sub: "repo:acme/app:{WRITTEN}"
  other: {{from: main, claims: {{repository_owner_id: "2"}}}}
tests:
  - name: cells
    grid: |
      token  repository  pull
      main   acme/app    A
      other  acme/app    A
  - name: scopes
    token: main
    scopes: ["repository:acme/app:pull"]
    expect: {{granted: ["repository:acme/app:pull"]}}
"""
PYTHON = f"""
def test_python(policytest):
    token = policytest("policy").token("github-actions", repository_owner_id="1", workflow={ESCAPES!r})
    assert token.may("pull", "acme/app")
"""
FORMATS = ("json", "junit", "github", "sarif", "tap", "markdown", "lcov", "cobertura", "html")


def steering(text: str) -> list[str]:
    """Return the lines with something that a terminal takes for more than a letter."""
    return [line for line in text.split("\n") if not line.replace("\t", "").isprintable()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("foreign")
    for name, text in {
        "policy/policy.yaml": POLICY,
        "policytests/hostile.policytest.yaml": SUITE,
        "policytests/test_python.py": PYTHON,
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    parts = (
        {"alg": "RS256"},
        {
            "iss": "https://token.actions.githubusercontent.com/acme",
            "aud": "https://registry.example.com",
            "sub": ESCAPES,
            "repository_owner_id": "1",
            "workflow": ESCAPES,
            "iat": 1793534100,
            "exp": 1793534400,
        },
    )
    encoded = (base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts)
    (root / "token").write_text(b".".join((*encoded, b"AAAA")).decode())
    return root


def said(folder: Path, *words: str, module: str = "") -> str:
    """Return what a run of tests shows, in a process of its own."""
    command = [sys.executable, *(("-m", module) if module else ("-c", _RUN)), *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    return f"{done.stdout}\n{done.stderr}"


_RUN = "import sys; from regauth.policytests.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("check", "policy"), "no problem found"),
        (("why", "main", "acme/app:pull"), "\\x1bc"),
        (("why", "other", "acme/app:pull"), "only ours \\x1bc"),
        (("why", "main", f"acme/{ESCAPES}:pull"), "\\x1bc"),
        (("why", "main", f"a:{ESCAPES}:pull"), "\\x1bc"),
        (("why", f"ma{ESCAPES}in", "acme/app:pull"), "\\x1bc"),
        (("why", "--policy", "policy", "token", "acme/app:pull"), "\\x1bc"),
        (("can", "main"), "\\x1bc"),
        (("can", "main", f"acme/{ESCAPES}"), "\\x1bc"),
        (("can", "--policy", "policy", "token"), "\\x1bc"),
        (("who-can", "pull", "acme/app"), "no token"),
        (("check", f"pol{ESCAPES}icy"), "pol"),
        (("schema", f"a{ESCAPES}"), "\\x1bc"),
        (("diff", "--format", f"a{ESCAPES}"), "\\x1bc"),
    ],
)
def test_s11_no_command_lets_a_stranger_steer_the_terminal(
    folder: Path,
    words: tuple[str, ...],
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    main(words)
    text = "\n".join(capsys.readouterr())

    assert steering(text) == []
    assert shown in text


def test_s11_no_report_of_a_run_steers_the_terminal_that_shows_it(folder: Path) -> None:
    options = [word for one in FORMATS for word in ("--format", f"{one}=report.{one}")]
    text = said(folder, "policytests", "--mutate", *options)

    assert steering(text) == []
    assert "FAIL" in text
    assert "only ours \\x1bc" in text
    for one in FORMATS:
        report = (folder / f"report.{one}").read_text(encoding="utf-8")
        assert steering(report) == []
        assert "policy" in report
    for one in ("junit", "cobertura"):
        assert ET.fromstring((folder / f"report.{one}").read_text()).tag
    for one in ("json", "sarif"):
        assert json.loads((folder / f"report.{one}").read_text())


def test_s11_pytest_itself_shows_cases_likewise(folder: Path) -> None:
    text = said(folder, "-v", "-p", "no:cacheprovider", "policytests", module="pytest")

    assert steering(text) == []
    assert "only ours \\x1bc" in text


def test_s11_a_test_s_name_holds_no_character_that_is_not_seen(folder: Path) -> None:
    suite = folder / "other" / "named.policytest.yaml"
    suite.parent.mkdir()
    suite.write_text(SUITE.replace("name: cells", f'name: "cells{WRITTEN.replace("[", "")}"'))
    text = said(folder, "other")

    assert steering(text) == []
    assert "a test's name cannot hold a character that is not seen" in text


def test_s11_a_token_on_the_command_line_is_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    token = (folder / "token").read_text()
    main(["can", "--policy", "policy", token])
    text = "\n".join(capsys.readouterr())

    assert token[:20] not in text
    assert "give its file, or write -" in text
