"""
`policytest migrate`: the Go proof of concept's configuration as a policy.

What lives here: the translation.  Not here: guessing.

Access that the configuration left open is refused in the policy, and a message says so.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.source import nodes
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Problems
from regauth.engine.source.rendering import render_text
from regauth.policytests.exit_codes import POLICY_BROKEN
from regauth.policytests.suites.writing import yaml_value


def migrate_file(
    config: Path, service: str, audience: str, issuers: Sequence[str], output: Path | None
) -> int:
    """Write the policy of a configuration; return the exit code."""
    problems = Problems()
    text = config.read_text(encoding="utf-8")
    root = nodes.parse(text, config.name, problems)
    if not isinstance(root, MappingNode) or problems.errors:
        sys.stderr.write(render_text(problems, {config.name: text}) + "\n")
        return POLICY_BROKEN
    policy, notes = _policy(root, service, audience, dict(one.split("=", 1) for one in issuers))
    for note in notes:
        sys.stderr.write(f"note: {visible(note)}\n")
    if output is None:
        sys.stdout.write(policy)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(policy, encoding="utf-8")
    compilation = compile_policy({output.name if output else "policy.yaml": policy})
    shown = render_text(compilation.problems, compilation.sources)
    sys.stderr.write(f"{shown}\n" if shown else "")
    return 0 if compilation.policy is not None else POLICY_BROKEN


def _policy(
    root: MappingNode, service: str, audience: str, issuers: dict[str, str]
) -> tuple[str, list[str]]:
    lines = ["version: 1", f"services: [{yaml_value(service)}]", "providers:"]
    grants: list[str] = []
    notes: list[str] = []
    listed = root.get("providers")
    for entry in listed.items if isinstance(listed, SequenceNode) else ():
        if isinstance(entry, MappingNode):
            lines += _provider(entry, audience, issuers, notes)
            grants += _grants(entry, notes)
    if grants:
        lines += ["grants:", *grants]
    notes.append(
        f"tokens must now be issued for {audience}; the proof of concept took any audience"
    )
    return "\n".join(lines) + "\n", notes


def _provider(
    entry: MappingNode, audience: str, issuers: dict[str, str], notes: list[str]
) -> Iterator[str]:
    name = _text(entry.get("name")) or "unnamed"
    url = _text(entry.get("oidcDiscoveryURL"))
    issuer = url or issuers.get(name)
    if issuer is None:
        notes.append(f"{name}: its issuer is not known; give it with --issuer {name}=URL")
        issuer = f"https://issuer-of-{name}.invalid"
    yield f"  {yaml_value(name)}:"
    yield f"    issuer: {yaml_value(issuer)}"
    yield f"    audience: {yaml_value(audience)}"
    keys = entry.get("staticKeys")
    if url is None and isinstance(keys, SequenceNode):
        yield "    keys:"
        yield "      pem: |"
        for key in keys.items:
            text = _text(key.get("key")) if isinstance(key, MappingNode) else None
            yield from (f"        {line}" for line in (text or "").strip().split("\n"))
    yield "    claims: generic"
    condition = _condition(entry, "authn")
    if condition is None:
        notes.append(f"{name}: every token of this issuer may log in, as before")
        return
    yield "    rules:"
    yield "      - name: authn"
    yield "        check: |"
    yield from (f"          {line}" for line in condition.split("\n"))


def _grants(entry: MappingNode, notes: list[str]) -> Iterator[str]:
    name = _text(entry.get("name")) or "unnamed"
    condition = _condition(entry, "authz")
    if condition is None:
        notes.append(f"{name}: without authz it got whatever it asked for; here it gets nothing")
        return
    shapes = (
        (f"{name}-repositories", ['    repositories: ["**"]', "    actions: [pull, push, delete]"]),
        (f"{name}-catalog", ["    catalog: true"]),
    )
    for grant, what in shapes:
        yield f"  - name: {yaml_value(grant)}"
        yield f"    providers: [{yaml_value(name)}]"
        yield "    when: |"
        yield from (f"      {line}" for line in condition.split("\n"))
        yield from what


def _condition(entry: MappingNode, key: str) -> str | None:
    node = entry.get(key)
    text = _text(node.get("condition")) if isinstance(node, MappingNode) else None
    return text.strip() if text and text.strip() else None


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, ScalarNode) else None
