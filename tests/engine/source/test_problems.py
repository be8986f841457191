"""docs/problems.md and the compiler know the same codes, and its examples are true."""

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.engine import Severity, compile_policy
from regauth.engine.cel import CelErrorCode, FindingCode
from regauth.engine.compiler import lints
from regauth.engine.compiler.silencing import PROVED
from regauth.engine.source import nodes
from regauth.policytests.analysis.findings import find
from regauth.policytests.analysis.places import Places

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

CODE = re.compile(
    r"(yaml|file|unknown|missing|wrong|duplicate|bad|unused|silence)-[a-z]+(-[a-z]+)*"
    r"|draft|new-tags-only"
)
ROOMS = ("source", "compiler", "policy")

SECTIONS: Mapping[str, str] = {
    part.partition("\n")[0]: part.partition("\n")[2]
    for part in PAGE.partition("## Errors while deciding")[0].split("\n### ")[1:]
}
UNSHOWN = ("file-too-large", "yaml-invisible")
"""What a page cannot show: `test_a_file_can_be_too_large`, and `test_foreign_text.py`."""
EXAMPLES = [code for code in SECTIONS if code not in UNSHOWN]

BASE: Mapping[str, str] = {
    "version": "version: 1\n",
    "services": "services: [registry.example.com]\n",
    "providers": """providers:
  github:
    issuer: https://token.actions.githubusercontent.com/acme
    audience: registry
    claims: github-actions
""",
    "grants": "grants:\n  - {name: base, repositories: [base/**], actions: [pull]}\n",
}


def codes_in_the_code() -> Iterator[str]:
    for module in sorted(path for room in ROOMS for path in (ROOT / "engine" / room).rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        yield from (text for text in texts if isinstance(text, str) and CODE.fullmatch(text))
    yield from map(str, FindingCode)
    yield from lints.CODES
    yield from PROVED


def example(code: str, which: str) -> tuple[str, str]:
    """The language and the text of a section's example."""
    found = re.search(
        rf"^{which}:\n\n```(\w+)\n(.*?)^```$", SECTIONS[code], re.DOTALL | re.MULTILINE
    )

    assert found is not None, f"{code} has no example to {which}"
    return found[1], found[2]


def codes_of(language: str, text: str, *, proved: bool = False) -> dict[str, Severity]:
    files: dict[str, bytes | str] = {"policy.yaml": text}
    if language == "json":
        provider = (
            "providers:\n  ci: {issuer: https://a.example.com, audience: a, claims: ours.json}\n"
        )
        files = {"policy.yaml": provider, "ours.json": text}
    for key, more in BASE.items():
        if not re.search(rf"^{key}:", str(files["policy.yaml"]), re.MULTILINE):
            files["policy.yaml"] = str(files["policy.yaml"]) + more
    compilation = compile_policy(files, now=NOW)
    problems = list(compilation.problems)
    if proved and compilation.policy is not None:
        problems += find(compilation.policy, Places.of(compilation.sources)).problems
    return {problem.code: problem.severity for problem in problems}


def test_every_code_has_its_section_and_every_section_its_code() -> None:
    assert sorted(SECTIONS) == sorted(set(codes_in_the_code()))


@pytest.mark.parametrize("code", EXAMPLES)
def test_what_to_avoid_has_the_problem(code: str) -> None:
    found = codes_of(*example(code, "Avoid"), proved=code in PROVED)

    assert code in found
    assert SECTIONS[code].strip().startswith(f"*{found[code].value.capitalize()}.*")


@pytest.mark.parametrize("code", EXAMPLES)
def test_what_to_prefer_has_none(code: str) -> None:
    assert codes_of(*example(code, "Prefer"), proved=code in PROVED) == {}


@pytest.mark.parametrize("code", SECTIONS)
def test_every_section_says_what_and_why(code: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", SECTIONS[code], flags=re.DOTALL | re.MULTILINE)
    said = [part for part in re.split(r"\n\n+", prose.strip()) if part not in ("Avoid:", "Prefer:")]

    assert len([part for part in said if not part.startswith("## ")]) == 2


def test_a_file_can_be_too_large() -> None:
    text = "#" * (nodes.MAX_DOCUMENT_BYTES + 1)
    codes = [problem.code for problem in compile_policy({"policy.yaml": text}).problems]

    assert codes[0] == "file-too-large"


def test_the_errors_while_deciding_are_those_there_are() -> None:
    table = PAGE.partition("## Errors while deciding")[2]
    written = re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)

    assert sorted(written) == sorted([*CelErrorCode, "pattern-value"])


def test_the_example_of_silencing_is_true() -> None:
    found = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

    assert found is not None
    assert codes_of("yaml", found[1]) == {}
