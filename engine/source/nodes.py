"""
YAML text to nodes that know where they stand: the one module that speaks YAML.

What lives here: reading a YAML document into immutable nodes, with a location for every value,
every key and every character inside a scalar.  Not here: what a key means (`schema`,
`compiler.document`).

The dialect is YAML's JSON-like core (YAML 1.2.2, section 10.3): `yes`, `on` and dates are plain
strings.  Anchors, aliases, tags and several documents in one file are refused: a reviewer must see
each value where it stands, and aliases can make a small file expand without end.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import yaml
from msgspec import Struct

from . import yaml_faults
from .alignment import align
from .foreign_text import INVISIBLE
from .problems import Location, Problems

# libyaml where it is installed: ten times faster, with the same positions.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024
"""The size over which a file is refused unread."""

MAX_DEPTH: Final = 32
"""How deep sequences and mappings may nest."""

_FOR_PEOPLE: Final = frozenset({"because", "description", "impossible", "message"})
"""The keys whose values are shown to people, and compared with nothing."""

_TOO_DEEP: Final = (f"values nest more than {MAX_DEPTH} deep", "flatten them")

_INT: Final = re.compile(r"[-+]?[0-9]+\Z", re.ASCII)
_OCTAL: Final = re.compile(r"0o[0-7]+\Z", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+\Z", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z", re.ASCII)
_CONSTANTS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""A value as JSON has it."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value; `text` is the spelling, `value` the meaning."""

    value: str | int | float | bool | None
    location: Location
    text: str
    _source: str = field(repr=False, default="")
    """The stretch of the file, quotes and block header included, where it differs from `text`."""

    def locate(self, start: int, end: int | None = None) -> Location:
        """
        Return where the characters `start` up to `end` of `text` stand in the file.

        It holds for plain, quoted, literal and folded scalars, over several lines and through
        escapes.  `end` defaults to one character after `start`.
        """
        end = start + 1 if end is None else max(end, start + 1)
        first = self._position(start)
        last = self._position(end - 1)
        return Location(self.location.file, first[0], first[1], last[0], last[1] + 1)

    def _position(self, offset: int) -> tuple[int, int]:
        if not self._source:
            return self.location.line, self.location.column + offset
        index = align(self.text, self._source, offset)
        before = self._source[:index]
        line = before.count("\n")
        if not line:
            return self.location.line, self.location.column + index
        return self.location.line + line, index - before.rindex("\n")

    def plain(self) -> Plain:
        """Return the value as JSON has it."""
        return self.value


class SequenceNode(Struct, frozen=True):
    """A list of values."""

    items: tuple["Node", ...]
    location: Location

    def plain(self) -> Plain:
        """Return the value as JSON has it."""
        return [item.plain() for item in self.items]

    def __iter__(self) -> Iterator["Node"]:
        return iter(self.items)


class Entry(Struct, frozen=True):
    """A key of a mapping with its value."""

    key: ScalarNode
    value: "Node"


class MappingNode(Struct, frozen=True):
    """Values by name, in the order written."""

    entries: Mapping[str, Entry]
    location: Location
    unfit: bool = False
    """Whether a part was left out of it because it does not fit its schema."""

    def plain(self) -> Plain:
        """Return the value as JSON has it."""
        return {name: entry.value.plain() for name, entry in self.entries.items()}

    def get(self, name: str) -> "Node | None":
        """Return the value called `name`, or None."""
        entry = self.entries.get(name)
        return entry.value if entry else None

    def __getitem__(self, name: str) -> "Node":
        return self.entries[name].value

    def __contains__(self, name: object) -> bool:
        return name in self.entries


Node = ScalarNode | SequenceNode | MappingNode


def parse(text: str, file: str, problems: Problems) -> Node | None:
    """
    Read one YAML document.

    Args:
        text: The document.
        file: What locations call it.
        problems: Takes what is wrong: `yaml-syntax`, `yaml-duplicate-key`, `yaml-unsupported`,
            `yaml-invisible`, `file-too-large`.

    Returns:
        The document's root, or None when it is empty or cannot be read at all.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_DOCUMENT_BYTES:
        problems.error(
            Location(file),
            "file-too-large",
            f"the file is larger than {MAX_DOCUMENT_BYTES // 1024 // 1024} MiB",
            "split the policy into several files",
        )
        return None
    if (found := yaml_faults.misleading(text)) is not None:
        at, why, hint = found
        location, what = _character(text, file, at)
        problems.error(location, "yaml-syntax", f"{what} cannot stand in it: {why}", hint)
        return None
    if not _check_events(text, file, problems):
        return None
    root = yaml.compose(text, _Loader)
    if INVISIBLE.search(text) is not None:
        _refuse_invisible(root, text, file, problems)
    return _Builder(text, file, problems).build(root)


def _refuse_invisible(root: yaml.Node | None, text: str, file: str, problems: Problems) -> None:
    for node in _exact(root):
        found = INVISIBLE.search(text, node.start_mark.index, node.end_mark.index)
        if found is not None:
            location, what = _character(text, file, found.start())
            message = f"nobody sees {what} here: the text is another than it looks"
            escape = f"\\U{ord(found[0]):08x}".replace("\\U0000", "\\u")
            hint = f"remove it; where it is meant, write `{escape}` in double quotes"
            problems.error(location, "yaml-invisible", message, hint)


def _exact(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield names and the values that are compared: all scalars but texts for people."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _exact(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _exact(key)
            if not isinstance(key, yaml.ScalarNode) or key.value not in _FOR_PEOPLE:
                yield from _exact(value)


def placed(value: object, location: Location) -> Node:
    """Return a JSON value as nodes that all stand at one place."""
    if isinstance(value, dict):
        entries = {
            name: Entry(ScalarNode(name, location, name), placed(inner, location))
            for name, inner in value.items()
        }
        return MappingNode(entries, location)
    if isinstance(value, list):
        return SequenceNode(tuple(placed(item, location) for item in value), location)
    if value is None or isinstance(value, str | int | float):
        return ScalarNode(value, location, "" if value is None else str(value))
    raise TypeError(f"{type(value).__name__} is not of JSON")


class Scalar(Struct, frozen=True):
    """Where a scalar stands in a text, in characters, and how it is written: `|`, `>`, a quote."""

    start: int
    end: int
    style: str | None
    line: int


def scalars(text: str) -> list[Scalar] | None:
    """Return the scalars of a document in their order, or None when it is not YAML."""
    try:
        return [
            Scalar(
                token.start_mark.index, token.end_mark.index, token.style, token.start_mark.line + 1
            )
            for token in yaml.scan(text, _Loader)
            if isinstance(token, yaml.ScalarToken)
        ]
    except yaml.YAMLError:
        return None


def _check_events(text: str, file: str, problems: Problems) -> bool:
    """Refuse what must not be composed: a single alias can make composing endless."""
    depth = documents = 0
    good = True
    try:
        for event in yaml.parse(text, _Loader):
            if type(event) is yaml.ScalarEvent and event.anchor is None and event.tag is None:
                continue  # most events; no scalar changes the depth
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            documents += isinstance(event, yaml.DocumentStartEvent)
            for what, hint in _unsupported(event, depth, documents):
                good = False
                location = _event_span(file, event)
                problems.error(location, "yaml-unsupported", what, hint)
            if depth > MAX_DEPTH or documents > 1:
                return False
    except yaml.YAMLError as error:
        problems.error(*_syntax_problem(text, file, error))
        return False
    except UnicodeEncodeError as error:  # half of a surrogate pair
        location, what = _character(text, file, error.start)
        problems.error(location, "yaml-syntax", f"{what} cannot stand in it", "remove it")
        return False
    except OverflowError:  # without libyaml
        message = "this escape stands for no character: `\\U` is followed by more than 0010ffff"
        problems.error(Location(file), "yaml-syntax", message, "write the character itself")
        return False
    return good


def decoded(data: bytes, file: str, problems: Problems) -> str | None:
    """
    Return the text of a file, or None when it is not UTF-8.

    Args:
        data: What the file holds.
        file: What locations call it.
        problems: Takes `yaml-syntax`, at the first byte that does not fit.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        line, column = len(before), len(before[-1]) + 1
        message = (
            f"the file is not UTF-8 text: the byte 0x{data[error.start]:02X} fits no character"
        )
        location = Location(file, line, column, line, column + 1)
        problems.error(location, "yaml-syntax", message, "save it as UTF-8")
        return None


def _unsupported(event: yaml.Event, depth: int, documents: int) -> Iterator[tuple[str, str]]:
    """Say what of an event is not part of the language, each with a hint."""
    if isinstance(event, yaml.AliasEvent):
        hint = "quote a text that begins with `*`; `definitions` name a condition used twice"
        yield f"an alias (*{event.anchor}) is not part of the language", hint
    elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
        hint = "write the value out where it is used; quote a text that begins with `&`"
        yield f"an anchor (&{event.anchor}) is not part of the language", hint
    tag = getattr(event, "tag", None)
    if tag is not None:
        hint = "quote the value: YAML reads what begins with `!` as a tag"
        short = tag.replace("tag:yaml.org,2002:", "!!")
        yield f"a tag ({short}) is not part of the language", hint
    if isinstance(event, yaml.DocumentStartEvent) and documents > 1:
        yield "a second YAML document in one file", "use one file for each"
    if isinstance(event, yaml.CollectionStartEvent) and depth > MAX_DEPTH:
        yield _TOO_DEEP


def _syntax_problem(text: str, file: str, error: yaml.YAMLError) -> tuple[Location, str, str, str]:
    if strange := yaml.reader.Reader.NON_PRINTABLE.search(text):
        location, what = _character(text, file, strange.start())
        return location, "yaml-syntax", f"{what} cannot stand in it", "remove it"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        where = f" at character {position + 1}" if isinstance(position, int) else ""
        reason = getattr(error, "reason", None) or "it cannot be read"
        return Location(file), "yaml-syntax", f"this is not YAML: {reason}{where}", ""
    began = getattr(error, "context_mark", None)
    complaint = yaml_faults.Complaint(
        getattr(error, "problem", None) or "it cannot be read",
        getattr(error, "context", None) or "",
        mark.line,
        mark.column,
        None if began is None else (began.line, began.column),
    )
    if yaml_faults.nests_too_deep(complaint):
        return _span(file, mark, mark), "yaml-unsupported", *_TOO_DEEP
    fault = yaml_faults.explain(text, complaint)
    line, column = fault.line + 1, fault.column + 1
    location = Location(file, line, column, line, column + 1)
    return location, "yaml-syntax", fault.message, fault.hint


def _character(text: str, file: str, at: int) -> tuple[Location, str]:
    """Return where a character stands, and what to call it."""
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return Location(file, line, column, line, column + 1), f"the character U+{ord(text[at]):04X}"


class _Mark(Protocol):
    """A position as PyYAML and libyaml both give it."""

    line: int
    column: int


def _event_span(file: str, event: yaml.Event) -> Location:
    if event.start_mark is None or event.end_mark is None:
        return Location(file)
    return _span(file, event.start_mark, event.end_mark)


def _span(file: str, start: _Mark, end: _Mark) -> Location:
    line = start.line + 1
    end_line = line if end.line == start.line else end.line + 1  # one number for both
    return Location(file, line, start.column + 1, end_line, end.column + 1)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Turns composed YAML nodes into this module's nodes."""

    text: str
    file: str
    problems: Problems

    def build(self, node: yaml.Node | None) -> Node | None:
        if node is None:
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            items = tuple(item for item in map(self.build, node.value) if item is not None)
            return SequenceNode(items, self._location(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return None

    def _mapping(self, node: yaml.MappingNode) -> MappingNode:
        entries: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.error(
                    self._location(key_node), "yaml-unsupported", "a key must be a single name"
                )
                continue
            key = self._scalar(key_node)
            value = self.build(value_node)
            if key.text in entries:
                first = entries[key.text].key.location
                self.problems.error(
                    key.location,
                    "yaml-duplicate-key",
                    f"`{key.text}` is written twice; it stands in line {first.line} already",
                    "keep one of the two",
                )
            elif value is not None:
                entries[key.text] = Entry(key, value)
        return MappingNode(entries, self._location(node))

    def _scalar(self, node: yaml.ScalarNode) -> ScalarNode:
        text: str = node.value
        source = self.text[node.start_mark.index : node.end_mark.index]
        return ScalarNode(
            value=text if node.style else _resolve(text),
            location=self._location(node),
            text=text,
            _source="" if source == text and "\n" not in source else source,
        )

    def _location(self, node: yaml.Node) -> Location:
        return _span(self.file, node.start_mark, node.end_mark)


def _resolve(text: str) -> str | int | float | bool | None:
    """Give a plain scalar its meaning in YAML 1.2's core schema."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if len(text) > 20:  # noqa: PLR2004 - digits of int64, and a sign
        return float(text) if _FLOAT.match(text) and not _INT.match(text) else text
    if _INT.match(text):
        return int(text)
    if _OCTAL.match(text):
        return int(text, 8)
    if _HEXADECIMAL.match(text):
        return int(text, 16)
    if _FLOAT.match(text):
        return float(text)
    return text
