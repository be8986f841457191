"""
Schemas: the shape of every file a user writes, and what is known of each issuer's tokens.

What lives here: the JSON Schemas (2020-12) of policies, suites, claim schemas and the servers'
configurations, the claim schemas in `claims/`, and the functions that read them.  What must not:
validation, and any reading of a user's own file; both are the engine's.

The file that is read here is the file that is published and the file that an editor uses.  Two
annotation keywords of our own say a failure in the language's words: `x-message` stands in for the
validator's message wherever a keyword of the same subschema fails, `x-hint` says what to do.
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

__all__ = ["UnknownSchema", "claims_names", "load", "load_claims", "names", "text"]

_SUFFIX: Final = ".schema.json"
_CLAIMS_SUFFIX: Final = ".json"


class UnknownSchema(KeyError):  # noqa: N818 - said as a fact, as KeyError's kin are
    """No schema has that name; `known` has the names that there are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"there is no schema called {self.name!r}; there are {', '.join(self.known)}"


@cache
def names() -> tuple[str, ...]:
    """Return the names of the schemas, such as `policy`, sorted."""
    return _names(files(__name__), _SUFFIX)


@cache
def claims_names() -> tuple[str, ...]:
    """Return the names of the known claim schemas, such as `github-actions`, sorted."""
    return _names(_claims_folder(), _CLAIMS_SUFFIX)


def text(name: str) -> str:
    """
    Return the JSON text of a schema, as it is published.

    Args:
        name: One of `names()`.

    Raises:
        UnknownSchema: There is none of that name.
    """
    return _read(files(__name__), name, _SUFFIX, names())


@cache
def load(name: str) -> dict[str, Any]:
    """
    Return a schema; the same object each time, so it must not be changed.

    Args:
        name: One of `names()`.

    Raises:
        UnknownSchema: There is none of that name.
    """
    return _parse(text(name))


@cache
def load_claims(name: str) -> dict[str, Any]:
    """
    Return a known issuer's claim schema; the same object each time, so it must not be changed.

    Args:
        name: One of `claims_names()`.

    Raises:
        UnknownSchema: There is none of that name.
    """
    return _parse(_read(_claims_folder(), name, _CLAIMS_SUFFIX, claims_names()))


def _claims_folder() -> Traversable:
    return files(f"{__name__}.claims")


def _names(folder: Traversable, suffix: str) -> tuple[str, ...]:
    found = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in found if name.endswith(suffix)))


def _read(folder: Traversable, name: str, suffix: str, known: tuple[str, ...]) -> str:
    # Only listed names are opened, so that a name out of a policy is never a path.
    if name not in known:
        raise UnknownSchema(name, known)
    return (folder / f"{name}{suffix}").read_text(encoding="utf-8")


def _parse(content: str) -> dict[str, Any]:
    schema = json.loads(content)
    if not isinstance(schema, dict):
        raise TypeError("a schema is a JSON object")
    return schema
