"""A repository with a policy and suites, for tests of the harness."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from regauth.policytests.execution.judging import Judgment
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.tokens.issuing import IssuerKeys

POLICY = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
grants:
  - name: pull-all
    repositories: [acme/**]
    actions: [pull]
  - name: push-own
    when: claims.ref == "refs/heads/main"
    repositories: ["${claims.repository.lowerAscii()}"]
    actions: [pull, push]
  - name: broken
    when: int(claims.run_number) > 10
    repositories: [broken/*]
    actions: [pull]
denials:
  - name: frozen
    repositories: [acme/frozen]
    actions: [push]
"""

TOKENS = """
at: 2026-11-01T12:00:00Z
tokens:
  main: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
"""


@pytest.fixture(scope="session")
def issuer_keys() -> IssuerKeys:
    """Keys that all tests share: making one takes longer than the test."""
    return IssuerKeys()


class Repository:
    """A folder with a policy in `policy/` and suites beside it."""

    def __init__(self, root: Path, keys: IssuerKeys) -> None:
        self.root = root
        self.keys = keys
        (root / ".git").mkdir()
        self.write("policy/policy.yaml", POLICY)

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
        return path

    def suite(self, text: str, tokens: str = TOKENS) -> Path:
        """Write a suite of the usual tokens and the text."""
        path = self.root / "suite.policytest.yaml"
        path.write_text(f"{dedent(tokens).strip()}\n{dedent(text).strip()}\n", encoding="utf-8")
        return path

    def load(self, text: str, tokens: str = TOKENS) -> Loaded:
        """Load a suite."""
        run = Run.at(self.root)
        run.keys = self.keys
        return run.load(self.suite(text, tokens))

    def load_file(self, name: str) -> Loaded:
        """Load a suite that was written."""
        run = Run.at(self.root)
        run.keys = self.keys
        return run.load(self.root / name)

    def problems(self, text: str, tokens: str = TOKENS) -> list[str]:
        """Return what is wrong with a suite, each as `LINE:COLUMN CODE`."""
        with pytest.raises(SuiteError) as caught:
            self.load(text, tokens)
        return [
            f"{one.location.line}:{one.location.column} {one.code}" for one in caught.value.problems
        ]

    def judge(self, text: str, tokens: str = TOKENS) -> Mapping[str, Judgment]:
        """Run a suite and return what came of each case."""
        loaded = self.load(text, tokens)
        return {case.id: case.judge(loaded.evaluation) for case in loaded.cases}

    def outcomes(self, text: str, tokens: str = TOKENS) -> Mapping[str, str]:
        """Run a suite and return the outcome of each case."""
        judged = self.judge(text, tokens)
        return {name: judgment.outcome.value for name, judgment in judged.items()}


@pytest.fixture
def house(tmp_path: Path, issuer_keys: IssuerKeys) -> Repository:
    """Return a repository with the usual policy."""
    return Repository(tmp_path, issuer_keys)
