"""
The caller's own claims, as an answer tells them.

What lives here: a claim that a grant reads, by its name and with the caller's own value.
Not here: which grants a caller is told of (`disclosure`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadClaim:
    """One of the caller's claims that a grant reads."""

    claim: str
    """Its name as a condition writes it, without `claims.`"""
    present: bool
    """Whether the caller's token has it."""
    value: object
    """The caller's own value; None where there is none."""
    satisfied: bool
    """Whether no part of the condition that reads it keeps the grant from matching."""


def own_part(claims: Mapping[str, object], path: Path) -> Path:
    """
    Return a path as far as the caller's token has it; always the claim's own name.

    A key within a claim is text of the policy until the caller has it itself.
    """
    value: object = claims.get(path[0])
    own = path[:1]
    for name in path[1:]:
        if not isinstance(value, dict) or name not in value:
            break
        own, value = (*own, name), value[name]
    return own


def read_claim(claims: Mapping[str, object], path: Path, *, satisfied: bool) -> ReadClaim:
    """Return what is told of a claim at a path."""
    value: object = claims
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return ReadClaim(_written(path), present=False, value=None, satisfied=satisfied)
        value = value[name]
    return ReadClaim(_written(path), present=True, value=value, satisfied=satisfied)


def _written(path: Path) -> str:
    """Write a path as a condition has it after `claims.`: `a.b`, or `["kubernetes.io"].pod`."""
    first, *rest = (
        f".{name}" if _IDENTIFIER.fullmatch(name) else f"[{json.dumps(name)}]" for name in path
    )
    return first.removeprefix(".") + "".join(rest)
