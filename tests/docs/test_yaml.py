"""Every YAML block of the documentation is what it says it is."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth import schemas
from regauth.engine import compile_policy
from regauth.engine.policy.patterns.names import Pattern, compile_pattern
from regauth.engine.source import nodes, schema
from regauth.engine.source.problems import Problem, Problems
from regauth.engine.source.rendering import render_text
from tests.conftest import REPOSITORY

from .pages import ELSEWHERE, SHELL, Block, blocks, checked_here

POLICY = {"services", "definitions", "providers", "grants", "denials", "anonymous"}
SUITE = {
    "policy",
    "at",
    "service",
    "client",
    "samples",
    "tokens",
    "groups",
    "tests",
    "hostile",
    "invariants",
}

BASE: Mapping[str, Mapping[str, Any]] = {
    "providers": {
        name: {
            "issuer": f"https://{name}.example.com",
            "audience": "https://registry.example.com",
            "claims": claims,
        }
        for name, claims in (
            ("github", "github-actions"),
            ("gitlab", "gitlab-ci"),
            ("cluster", "kubernetes"),
        )
    },
}
"""The policy that a part of one is read with."""

PROVIDERS = {"tutorial.md": ("github",)}
"""The providers of that policy where a page has others than all."""


def found(languages: set[str]) -> list[Block]:
    docs = REPOSITORY / "docs"
    return [one for page in checked_here(docs) for one in blocks(page) if one.language in languages]


def kind(block: Block) -> str:
    """Say what a block is, by its keys."""
    if block.noted("not checked") is not None:
        return "not checked"
    documents = list(yaml.compose_all(block.text, yaml.SafeLoader))
    keys = {key.value for document in documents for key, _ in document.value}
    if keys <= POLICY | {"version"}:
        return "policy"
    if keys <= SUITE:
        return "suite"
    if "jobs" in keys:
        return "workflow"
    if "id_tokens" in block.text:
        return "pipeline"
    if {"apiVersion", "kind"} <= keys:
        return "manifest"
    if "storage" in keys:
        return "registry"
    if "token" in keys:
        return "proxy"
    return "configuration" if keys <= set(schemas.load("server")["properties"]) else "unknown"


def of(wanted: str) -> list[Any]:
    return [
        pytest.param(block, id=block.place) for block in found({"yaml"}) if kind(block) == wanted
    ]


def test_it_is_known_what_every_block_is() -> None:
    assert [] == [block.place for block in found({"yaml", "yml"}) if kind(block) == "unknown"]


@pytest.mark.parametrize("page", ELSEWHERE)
def test_another_test_checks_what_these_do_not(repository: Path, page: str) -> None:
    test, said = ELSEWHERE[page]

    assert said in (repository / test).read_text(encoding="utf-8")


def test_no_block_is_without_a_language() -> None:
    assert [] == [block.place for block in found({""})]


@pytest.mark.parametrize("block", of("policy"))
def test_a_policy_compiles_with_the_problems_it_says(block: Block) -> None:
    """A part of a policy does so beside the rest of one."""
    text = block.text if "\nversion:" in f"\n{block.text}" else f"version: 1\n{block.text}"
    own = yaml.safe_load(text)
    rest: dict[str, Any] = {"version": 1, "services": ["registry.example.com"]}
    if not own.get("providers") and "anonymous" not in own:
        names = PROVIDERS.get(block.page.name, BASE["providers"])
        rest["providers"] = {name: BASE["providers"][name] for name in names}
    compilation = compile_policy({"block.yaml": text, "rest.yaml": yaml.safe_dump(rest)})
    told = [one for one in compilation.problems if one.location.file == "block.yaml"]
    fragment = {"unused-definition", "unused-provider"}
    expected = set(filter(None, re.split(r",\s*", block.noted("problems") or "")))

    codes = {one.code for one in told if one.code in expected or one.code not in fragment}
    assert expected == codes, render_text(told, compilation.sources)


@pytest.mark.parametrize(("block", "name"), [
    *(pytest.param(*one.values, "suite", id=one.id) for one in of("suite")),
    *(pytest.param(*one.values, "server", id=one.id) for one in of("configuration")),
    *(pytest.param(*one.values, "proxy", id=one.id) for one in of("proxy")),
])  # fmt: skip
def test_a_suite_or_a_configuration_has_the_shape_of_one(block: Block, name: str) -> None:
    """What a part of one leaves out is not held against it."""
    assert [] == [one for one in shape(block, name) if one.code != "missing-key"]


def shape(block: Block, name: str) -> list[Problem]:
    problems = Problems()
    root = nodes.parse(block.text, block.place, problems)
    if root is not None:
        schema.check(root, name, problems)
    return list(problems)


@pytest.mark.parametrize("block", of("workflow"))
def test_a_workflow_asks_for_an_identity_and_its_scripts_are_shell(block: Block) -> None:
    workflow = yaml.safe_load(block.text)
    for job in workflow["jobs"].values():
        asked = {**workflow.get("permissions", {}), **job.get("permissions", {})}
        scripts = [step["run"] for step in job["steps"] if "run" in step]
        if any("ACTIONS_ID_TOKEN_REQUEST_TOKEN" in script for script in scripts):
            assert "write" == asked.get("id-token"), block.place
        for script in scripts:
            check_shell(re.sub(r"\$\{\{.*?\}\}", "value", script))


@pytest.mark.parametrize("block", found(SHELL), ids=lambda block: block.place)
def test_commands_are_shell(block: Block) -> None:
    """Those that are not run too."""
    check_shell(block.text)


def check_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)

    assert "" == done.stderr, script


@pytest.mark.parametrize("block", of("workflow"))
def test_a_workflow_gives_our_actions_what_they_take(repository: Path, block: Block) -> None:
    ours = re.compile(r"OWNER/jwt-registry-auth/(action(?:/\w+)?)@")
    for job in yaml.safe_load(block.text)["jobs"].values():
        for step in job["steps"]:
            used = ours.match(step.get("uses", ""))
            if used:
                action = yaml.safe_load((repository / used[1] / "action.yml").read_text("utf-8"))
                known = action["inputs"]
                needed = {name for name, about in known.items() if about.get("required")}

                assert needed <= set(step.get("with", {})) <= set(known), block.place


@pytest.mark.parametrize("block", of("pipeline"))
def test_a_pipeline_asks_for_an_identity_and_its_scripts_are_shell(block: Block) -> None:
    for job in yaml.safe_load(block.text).values():
        check_shell("\n".join(job["script"]))
        assert {"aud"} == set().union(*job["id_tokens"].values()), block.place
        assert any(f"${name}" in line for name in job["id_tokens"] for line in job["script"])


@pytest.mark.parametrize("block", of("manifest"))
def test_a_manifest_is_of_a_kind_and_has_a_name(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        assert document["kind"], block.place
        if document["kind"] != "CredentialProviderConfig":  # a file of the kubelet's
            assert document["metadata"]["name"], block.place


def pattern(text: str) -> Pattern:
    compiled = compile_pattern(text, lambda _text, _offset: None)
    assert isinstance(compiled, Pattern), compiled
    return compiled


def pattern_rows(page: Path) -> list[tuple[str, list[str], list[str]]]:
    """The table of patterns: a pattern, names that it matches, names that it does not."""
    table = page.read_text("utf-8").partition("| pattern | matches | does not match |")[2]
    rows = [line.split("|")[1:4] for line in table.split("\n\n")[0].splitlines()[2:]]
    named = [[re.findall(r"`([^`]+)`", cell) for cell in row] for row in rows]
    return [(first[0], yes, no) for first, yes, no in named]


def test_the_patterns_match_what_the_page_says(docs: Path) -> None:
    rows = pattern_rows(docs / "policy-language.md")

    assert len(rows) > 5
    for text, yes, no in rows:
        compiled = pattern(text)
        assert yes == [name for name in [*yes, *no] if compiled.matches(name, {})], text
