"""
Writing YAML that people read: blocks, and scalars as JSON has them (YAML 1.2, section 1.3).

What lives here: from plain values to documents.  Not here: what they mean (`manifests`), and
reading YAML (`regauth.engine.source.nodes`).
"""

import json
from collections.abc import Mapping
from typing import Final

from regauth.controller.observing.cluster import Object

_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


def to_yaml(objects: list[Object]) -> str:
    """Return objects as YAML documents."""
    return "---\n".join("\n".join(_lines(one)) + "\n" for one in objects).rstrip("\n")


def _lines(value: object, indent: str = "") -> list[str]:
    """Write blocks, with scalars as JSON has them, which YAML 1.2 reads (section 1.3)."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, inner in value.items():
            lines += _entry(f"{indent}{_scalar(name)}:", inner, f"{indent}  ")
        return lines
    assert isinstance(value, list)  # noqa: S101 - `_entry` hands over nothing else
    for inner in value:
        first, *rest = _lines(inner, f"{indent}  ") if _is_block(inner) else [_scalar(inner)]
        lines += [f"{indent}- {first.lstrip()}", *rest]
    return lines


def _entry(head: str, value: object, indent: str) -> list[str]:
    if _is_block(value):
        return [head, *_lines(value, indent)]
    if isinstance(value, str) and "\n" in value and value.endswith("\n") and _is_plain(value):
        return [f"{head} |", *(f"{indent}{line}".rstrip() for line in value[:-1].split("\n"))]
    return [f"{head} {_scalar(value)}"]


def _is_block(value: object) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _is_plain(text: str) -> bool:
    """Tell whether a literal block gives the text back as it is."""
    lines = text.split("\n")
    printable = all(line.isprintable() for line in lines)
    return (
        printable
        and not text.startswith((" ", "\n"))
        and not any(line != line.rstrip() for line in lines)
        and not text.endswith("\n\n")
    )


def _scalar(value: object) -> str:
    if isinstance(value, str) and value.replace("-", "").replace("/", "").isalpha():
        lower = value.lower()
        if value.isascii() and lower not in _WORDS and value[0].isalpha():
            return value
    return json.dumps(value)
