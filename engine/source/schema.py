"""
Shape: located YAML against a JSON Schema, with problems in the author's words.

What lives here: turning what the validator found into problems with positions.  Not here: the
schemas (`regauth.schemas`), and what a schema cannot say (`compiler.document`,
`configuration_file`).

A subschema may say in its own words what is wrong when it fails, by `x-message` and `x-hint`.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from regauth import schemas

from . import nodes
from .conformance import Unsure, conforms
from .nearest import did_you_mean
from .nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from .problems import Location, Problems

if TYPE_CHECKING:
    import jsonschema
    from jsonschema.exceptions import ValidationError

_KINDS: Final = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def check(node: Node, schema: str, problems: Problems) -> bool:
    """
    Check a document against the schema called `schema` and report all that does not fit.

    The codes are `unknown-key`, `missing-key`, `wrong-type` and `wrong-value`.

    Returns:
        Whether it fits.
    """
    return fitting(node, schema, problems) is node


def read(text: str, file: str, schema: str, problems: Problems) -> MappingNode | None:
    """
    Read a document that a host is configured with, and check it.

    Args:
        text: The document.
        file: What locations call it.
        schema: The schema, whose documents are mappings.
        problems: Takes what is wrong with it.

    Returns:
        The document, or None when anything in it is wrong.
    """
    before = problems.error_count
    node = nodes.parse(text, file, problems)
    if node is None and problems.error_count == before:
        problems.error(Location(file), "missing-key", "the file is empty")
    if node is None or problems.error_count > before or not check(node, schema, problems):
        return None
    return node if isinstance(node, MappingNode) else None


def fitting(node: Node, schema: str, problems: Problems) -> Node | None:
    """
    Check as `check` does, and return the document without the parts that do not fit.

    What a mapping lacks it lacks still: whoever reads on must expect that, and learns so of
    mistakes elsewhere in the same document.

    Returns:
        The document itself when all of it fits; None when nothing is left.
    """
    document = node.plain()
    try:
        if conforms(document, schema):
            return node
    except Unsure:
        pass
    unfit: set[_Path] = set()
    found = False
    for error in _leaves(_validator(schema).iter_errors(document)):
        _report(error, node, problems)
        unfit.update(_unfit(error, node))
        found = True
    return _without(node, unfit, ()) if found else node


_Path = tuple[str | int, ...]


def _unfit(error: "ValidationError", root: Node) -> Iterator[_Path]:
    """Return the paths of what must go for an error to go, as far as leaving out can do that."""
    path = tuple(error.absolute_path)
    node, _ = _find(root, path)
    if "propertyNames" in error.absolute_schema_path:
        yield (*path, str(error.instance))
    elif error.validator == "additionalProperties" and isinstance(node, MappingNode):
        schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # never a bool: the schema true fails nothing and false stands nowhere
        yield from ((*path, name) for name in node.entries if name not in schema["properties"])
    elif not isinstance(node, MappingNode) or error.validator in ("type", "not"):
        yield path
    else:
        yield (*path, "")  # nothing to leave out, but it is not as it should be


def _without(node: Node, unfit: set[_Path], path: _Path) -> Node | None:
    if path in unfit:
        return None
    if isinstance(node, MappingNode):
        entries = {
            name: Entry(entry.key, value)
            for name, entry in node.entries.items()
            if (value := _without(entry.value, unfit, (*path, name))) is not None
        }
        below = any(part[: len(path)] == path for part in unfit)
        return MappingNode(entries, node.location, unfit=below)
    if isinstance(node, SequenceNode):
        items = (_without(item, unfit, (*path, at)) for at, item in enumerate(node.items))
        return SequenceNode(tuple(item for item in items if item is not None), node.location)
    return node


@functools.cache
def _validator(schema: str) -> "jsonschema.Draft202012Validator":
    import jsonschema  # noqa: PLC0415 - slow to import, and needed for what is wrong alone

    return jsonschema.Draft202012Validator(schemas.load(schema))


def _leaves(errors: "Iterable[ValidationError]") -> "Iterator[ValidationError]":
    """
    Follow errors down to those that say something.

    Of alternatives, the one is followed that the author most likely meant: the one whose failure
    lies deepest in the document, and not at all when all fail at the top.
    """
    for error in errors:
        if not error.context or _own_words(error):
            yield error
            continue
        if error.validator in ("anyOf", "oneOf"):
            branches: dict[int, list[ValidationError]] = {}
            for inner in error.context:
                branches.setdefault(int(inner.schema_path[0]), []).append(inner)
            best = max(branches.values(), key=_depth)
            if _depth(best) > len(error.absolute_path) or all(
                inner.validator != "type" for inner in best
            ):
                yield from _leaves(best)
            else:
                yield error
        else:
            yield from _leaves(error.context)


def _depth(branch: "list[ValidationError]") -> int:
    return min(len(error.absolute_path) for error in branch)


def _own_words(error: "ValidationError") -> bool:
    return bool(_saying(error, "x-message"))


def _saying(error: "ValidationError", keyword: str) -> str:
    text = error.schema.get(keyword) if isinstance(error.schema, Mapping) else None
    return text if isinstance(text, str) else ""


def _report(error: "ValidationError", root: Node, problems: Problems) -> None:
    node, key = _find(root, error.absolute_path)
    path = error.absolute_path
    if "propertyNames" in error.absolute_schema_path and isinstance(node, MappingNode):
        entry = node.entries.get(str(error.instance))
        message = _saying(error, "x-message") or f"{error.instance!r} cannot be a name here"
        location = (entry.key if entry else node).location
        problems.error(location, "wrong-value", message, _examples(error))
        return
    what = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "this"
    if error.validator == "additionalProperties" and isinstance(node, MappingNode):
        _report_unknown_keys(error, node, problems)
        return
    location = (key or node).location
    if isinstance(node, ScalarNode) and error.validator != "required":
        location = node.location
    elif isinstance(node, MappingNode | SequenceNode) and key is None:
        location = _first_line(node.location)
    saying = _saying(error, "x-message")
    if saying and error.validator not in ("type", "required"):
        kind = "missing-key" if error.validator == "dependentRequired" else "wrong-value"
        problems.error(location, kind, saying, _meant(error) or _saying(error, "x-hint"))
        return
    code, message, hint = _words(error, what, node)
    problems.error(location, code, message, hint)


def _words(error: "ValidationError", what: str, node: Node) -> tuple[str, str, str]:
    """Say what a validator's keyword found: code, message and hint."""
    value: Any = error.validator_value
    got: Any = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in value if name not in got)
            return "missing-key", f"`{missing}` is missing", _describe(error, missing)
        case "type":
            listed = [value] if isinstance(value, str) else value
            wanted = " or ".join(_KINDS[kind] for kind in listed)
            hint = _type_hint(error, value, node) or _saying(error, "x-hint")
            return "wrong-type", f"{what} must be {wanted}, not {_kind(got)}", hint
        case "enum":
            known = [str(one) for one in value]
            hint = did_you_mean(str(got), known)
            return "wrong-value", f"{what} cannot be {got!r}", hint
        case "anyOf" | "oneOf" if kinds := _kinds_of(value):
            return "wrong-type", f"{what} must be {kinds}, not {_kind(got)}", ""
        case keyword if keyword in _SAYINGS:
            saying, hint = _SAYINGS[keyword]
            message = saying.format(what=what, value=_literal(value), got=got)
            example = "" if keyword in _TOO_MANY else _examples(error)
            return "wrong-value", message, hint or example
        case _:
            return "wrong-value", f"{what} is not valid here", _examples(error)


_EMPTY: Final = ("{what} is empty", "an empty list never means all; name at least one")
_LONG: Final = ("{what} is too long; at most {value}", "")
_TOO_MANY: Final = frozenset({"maxItems", "maxProperties", "maxLength"})
"""What examples of good values do not help with."""
_SAYINGS: Final[dict[str, tuple[str, str]]] = {
    "const": ("{what} must be {value}", ""),
    "minItems": _EMPTY,
    "minProperties": ("{what} is empty", "write an entry, or leave it out"),
    "minLength": ("{what} is empty", ""),
    "maxItems": _LONG,
    "maxProperties": _LONG,
    "maxLength": _LONG,
    "uniqueItems": ("{what} names something twice", "name each once"),
    "pattern": ("{got!r} cannot be {what}", ""),
    "minimum": ("{what} must be at least {value}", ""),
    "maximum": ("{what} must be at most {value}", ""),
}


def _report_unknown_keys(error: "ValidationError", node: MappingNode, problems: Problems) -> None:
    schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # never a bool: the schema true fails nothing and false stands nowhere
    known = list(schema.get("properties", {}))
    patterns = schema.get("patternProperties", {})
    for name, entry in node.entries.items():
        if name in known:
            continue
        if patterns:
            problems.error(
                entry.key.location,
                "unknown-key",
                f"`{name}` cannot be a name here",
                schema.get("x-hint", "") or _examples(error),
            )
            continue
        hint = did_you_mean(name, known)
        problems.error(entry.key.location, "unknown-key", f"unknown key `{name}`", hint)


def _find(root: Node, path: Iterable[str | int]) -> tuple[Node, ScalarNode | None]:
    """Return the node at a path, with its key when it stands in a mapping."""
    node, key = root, None
    for step in path:
        if isinstance(node, MappingNode) and isinstance(step, str) and step in node.entries:
            entry = node.entries[step]
            node, key = entry.value, entry.key
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            node, key = node.items[step], None
    return node, key


def _first_line(location: Location) -> Location:
    """Point at the beginning of something long, not at all of it."""
    return Location(
        location.file, location.line, location.column, location.line, location.column + 1
    )


def _describe(error: "ValidationError", name: str) -> str:
    schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]  # never a bool: the schema true fails nothing and false stands nowhere
    about = schema.get("properties", {}).get(name, {})
    hint = about.get("x-hint") or schema.get("x-hint")
    if isinstance(hint, str):
        return hint
    examples = about.get("examples", [])
    if examples and isinstance(examples[0], str) and "\n" not in examples[0]:
        return f"add it, for example `{name}: {examples[0]}`"
    text = about.get("description", "")
    return text.partition(". ")[0].rstrip(".") if isinstance(text, str) else ""


def _examples(error: "ValidationError") -> str:
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    if hint := _saying(error, "x-hint"):
        return hint
    examples = schema.get("examples", [])
    return f"for example {_literal(examples[0])}" if examples else ""


def _kinds_of(branches: list[Any]) -> str:
    kinds = [branch.get("type") for branch in branches if isinstance(branch, Mapping)]
    return " or ".join(_KINDS[kind] for kind in kinds if isinstance(kind, str))


def _meant(error: "ValidationError") -> str:
    """Return the hint for a value that authors write for another, or that is misspelt."""
    written = error.instance
    about: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    others: Mapping[str, str] = about.get("x-hint-for", {})
    if not isinstance(written, str) or error.validator != "enum" or not others:
        return ""
    return others.get(written.lower()) or did_you_mean(written, map(str, about["enum"]), "")


def _type_hint(error: "ValidationError", wanted: object, node: Node) -> str:
    if isinstance(node, MappingNode) and wanted == "array":
        return _as_items(node)
    if isinstance(node, SequenceNode):
        if wanted == "object":
            return "write each under its name, `NAME:`, without `- `"
        return _saying(error, "x-hint-list") or _single(node)
    if not isinstance(node, ScalarNode) or not node.text:
        return ""
    pattern: Any = error.schema.get("pattern", "") if isinstance(error.schema, Mapping) else ""
    if wanted == "string" and re.search(pattern, node.text):
        return f'quote it: "{node.text}"'
    if wanted == "array" and "\n" not in node.text:
        return f"write it as a list: [{node.text}]"
    return ""


def _as_items(node: MappingNode) -> str:
    """Say how a mapping is written as the list that is wanted."""
    if not node.entries:
        return "write each item behind `- `"
    first = next(iter(node.entries))
    if "name" in node.entries:
        return f"an item of a list begins with `- `: write `- {first}: ...`, its other keys below"
    if all(isinstance(entry.value, MappingNode) for entry in node.entries.values()):
        return f"write each as an item of a list, with its name in it: `- name: {first}`"
    return "write each item behind `- `"


def _single(node: SequenceNode) -> str:
    """Say that one value is wanted where a list of one stands."""
    one = node.items[0] if len(node.items) == 1 else None
    return f"write it without the brackets: {one.text}" if isinstance(one, ScalarNode) else ""


def _kind(value: object) -> str:
    match value:
        case bool():
            return f"{value}".lower()
        case None:
            return "nothing"
        case int() | float():
            return f"the number {value}"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _literal(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
