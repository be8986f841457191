"""The reference pages, made from the schemas and from the programs' own help."""

import importlib
import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from regauth import schemas
from regauth.engine.issuers.formats import FORMATS

WIDTH = 90
"""Columns of the programs' help."""

MADE = "<!-- Made by tests/docs/test_reference.py; `pytest tests/docs --golden-update` rewrites it. -->"
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}


def pages(repository: Path) -> dict[str, str]:
    """Return every reference page by its file name."""
    made = {f"{name}.md": schema_page(schemas.load(name)) for name in schemas.names()}
    made["claims.md"] = claims_page()
    made["programs.md"] = programs_page(repository)
    return made


def schema_page(schema: Mapping[str, Any]) -> str:
    """Describe every key that a schema knows."""
    lines = [f"# {schema['title']}", "", MADE, "", schema.get("description", ""), ""]
    lines += _keys(schema, schema, "", ())
    return _text(lines)


def _keys(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: str, met: tuple[str, ...]
) -> Iterator[str]:
    schema, met = _resolved(schema, root, met)
    required = schema.get("required", ())
    for name, about in schema.get("properties", {}).items():
        if "properties" not in about and set(about) <= {"not", "x-message", "x-hint"}:
            continue  # it only says that the key cannot stand there
        where = f"{path}.{name}" if path else name
        yield from _key(where, about, root, required=name in required)
        yield from _keys(about, root, where, met)
    others = schema.get("additionalProperties")
    if isinstance(others, dict) and others:
        where = f"{path}.NAME" if path else "NAME"
        if "title" in _resolved(others, root, ())[0]:
            yield from _key(where, others, root, required=False)
        yield from _keys(others, root, where, met)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _keys(items, root, f"{path}[]", met)
    for branch in schema.get("oneOf", ()):
        yield from _keys(branch, root, path, met)


def _resolved(
    schema: Mapping[str, Any], root: Mapping[str, Any], met: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Put what a `$ref` names under what stands beside it; nothing is followed into itself."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in met:
            return {}, met
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema, met = {**root["$defs"][name], **beside}, (*met, name)
    return schema, met


def _key(
    where: str, about: Mapping[str, Any], root: Mapping[str, Any], *, required: bool
) -> Iterator[str]:
    full, _ = _resolved(about, root, ())
    yield from (f"## `{where}`", "", full.get("description", full.get("title", "")), "")
    facts = [
        ("Type", _kind(full, root)),
        ("Required", "yes" if required else ""),
        ("Default", _code(full["default"]) if "default" in full else ""),
        ("One of", ", ".join(map(_code, full.get("enum", ())))),
        ("Example", ", ".join(map(_code, full.get("examples", ())))),
    ]
    yield from (f"* {name}: {value}" for name, value in facts if value)
    yield ""


def _kind(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "text" if "enum" in schema else "")
    words = [KINDS.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if "const" in schema:
        return f"always {_code(schema['const'])}"
    items = schema.get("items")
    if words == ["list"] and isinstance(items, dict):
        inner = _kind(_resolved(items, root, ())[0], root)
        return f"list of {inner}" if inner else "list"
    return " or ".join(word for word in words if word)


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = json.dumps(text) if "\n" in text or not text.strip() else text
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def claims_page() -> str:
    """Describe the claims of every issuer that is known."""
    lines = [
        "# Claim schemas",
        "",
        MADE,
        "",
        "What is known of each issuer's tokens: the value of a provider's `claims`. Expressions are checked",
        "against it. A claim that is not always there is guarded with `has`, one that can be null with",
        "`!= null`. A changeable claim can come to mean somebody else; its twin never does. Values in bold",
        "are promised by the issuer; the others are what is known today. See",
        "[claim schemas](../claim-schemas.md) for how to write one of your own.",
        "",
    ]
    for name in schemas.claims_names():
        schema = schemas.load_claims(name)
        lines += [f"## {name}", "", f"{schema['title']}: <{schema['documentation']}>", ""]
        if schema.get("open"):
            lines += [
                "Other claims than these can be read too; nothing is known of their type.",
                "",
            ]
        lines += [*_issuers(schema), *_head(), *_claims(schema["claims"], "")]
        for beginning, about in schema.get("families", {}).items():
            lines += _claims({f"{beginning}*": about}, "")
        lines += ["", *_relations(schema)]
    return _text(lines)


def _head() -> list[str]:
    return ["| claim | type | there | values | meaning |", "| --- | --- | --- | --- | --- |"]


def _issuers(schema: Mapping[str, Any]) -> Iterator[str]:
    for about in schema.get("issuers", ()):
        whom = "everybody" if about["serves"] == "everybody" else "one customer"
        yield f"* {_code(about['address'])} serves {whom}."
    for about in schema.get("audiences", ()):
        yield f"* The audience {_code(about['value'])} is that of {about['of']}."
    if schema.get("issuers") or schema.get("audiences"):
        yield ""


def _relations(schema: Mapping[str, Any]) -> Iterator[str]:
    for about in schema.get("relations", ()):
        text = about["description"]
        yield f"* **{text}**" if about.get("guaranteed") else f"* {text}"
    if schema.get("relations"):
        yield ""


def _claims(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, about in claims.items():
        where = f"{path}.{name}" if path and name.isidentifier() else name
        where = f'{path}["{name}"]' if path and not name.isidentifier() else where
        row = [f"`{where}`", about["type"], _presence(about), _values(about), _meaning(about)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        yield from _claims(about.get("claims", {}), where)


def _presence(about: Mapping[str, Any]) -> str:
    there = str(about.get("presence", "sometimes"))
    return f"{there}, can be null" if about.get("nullable") else there


def _values(about: Mapping[str, Any]) -> str:
    inner = about.get("items", about)
    if "enum" in inner:
        text = ", ".join(_code(one) for one in inner["enum"])
    elif "format" in inner:
        text = FORMATS[inner["format"]].meaning
    else:
        text = str(inner.get("meaning", _code(inner["pattern"]) if "pattern" in inner else ""))
    return f"**{text}**" if text and "values" in about.get("guaranteed", ()) else text


def _meaning(about: Mapping[str, Any]) -> str:
    said = [str(about.get("description", "")), str(about.get("when", ""))]
    if about.get("mutable"):
        twin = about.get("twin")
        said.append(f"Changeable; its twin is `{twin}`." if twin else "Changeable.")
    if about.get("chosenBy") == "anybody":
        said.append("Anybody can choose it.")
    if about.get("chosenBy") == "strangers":
        said.append("Strangers can choose it.")
    if "since" in about:
        said.append(f"Since {about['since']}.")
    if "source" in about:
        said.append(f"[Source]({about['source']}).")
    return " ".join(filter(None, said))


def programs_page(repository: Path) -> str:
    """Show the help of every program and of each of its commands."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    lines = ["# Programs", "", MADE, "", "What each program says with `--help`.", ""]
    shown: dict[str, str] = {}
    for name, target in sorted(project["project"]["scripts"].items()):
        module = target.partition(":")[0]
        if target in shown:
            lines += [f"## {name}", "", f"The same program as `{shown[target]}`.", ""]
            continue
        shown[target] = name
        if importlib.util.find_spec(module) is None:
            continue
        lines += [f"## {name}", ""]
        for title, text in _help(name, module):
            lines += [f"### {title}", ""] if title != name else []
            lines += ["```text", text.rstrip(), "```", ""]
    return _text(lines)


_COMMANDS = {
    "kube-controller": "regauth.controller.kube_controller",
    "registry-auth-proxy": "regauth.servers.commands.registry_auth_proxy",
    "token-server": "regauth.servers.commands.token_server",
}
"""The command of each console script that looks for its extra first."""


def _help(name: str, module: str) -> Iterator[tuple[str, str]]:
    if name == "policytest":
        yield name, importlib.import_module("regauth.policytests.commands.help").HELP
        commands = importlib.import_module("regauth.policytests.commands.group").main
        yield from _click_help(commands, name, None, commands_only=True)
        return
    module = _COMMANDS.get(name, module)
    main = importlib.import_module(module).main
    if isinstance(main, click.Command):
        yield from _click_help(main, name, None)
        return
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = {name!r}; from {module} import main; sys.exit(main())", "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    yield name, done.stdout + done.stderr


def _click_help(
    command: click.Command, name: str, parent: click.Context | None, *, commands_only: bool = False
) -> Iterator[tuple[str, str]]:
    context = click.Context(command, parent, name, **command.context_settings)
    context.terminal_width = WIDTH
    if not commands_only:
        yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            inner = command.get_command(context, below)
            if inner is not None:
                yield from _click_help(inner, below, context)


def _text(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"
