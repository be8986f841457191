"""
Edits of a policy's text: lists, texts and entries change, and everything else stays as it stands.

What lives here: the characters that an edit changes, by the places that the YAML reader gives.
Not here: which edits a policy needs (`rewriting`).

Comments and layout stay, but for the comment right above a grant that goes.  Every edited text is
read again, and an edit that has not the meaning it should have is an error.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode, parse
from regauth.engine.source.problems import Location, Problems
from regauth.policytests.suites.writing import yaml_value

from .conditions import Splice, spliced


class EditError(Exception):
    """A text cannot be edited as is needed; the message says where."""


@dataclass(frozen=True, slots=True)
class ListEdit:
    """
    What becomes of a list: for each item None to keep it, or the texts that take its place.

    No text takes the item out.
    """

    node: SequenceNode
    items: tuple[tuple[str, ...] | None, ...]
    key: ScalarNode | None = None
    """The key of the whole list, which goes with its last item; a policy has no empty list."""

    @property
    def empties(self) -> bool:
        """Whether nothing stays of the list."""
        return all(one == () for one in self.items)


@dataclass(frozen=True, slots=True)
class TextEdit:
    """What becomes of a text: changes by their offsets in it."""

    node: ScalarNode
    splices: Sequence[Splice]
    key: ScalarNode | None = None
    comment: str = ""
    """What is said in a line of its own above the key; it can be a log's text."""

    @property
    def text(self) -> str:
        """The text after the changes."""
        return spliced(self.node.text, self.splices)


@dataclass(frozen=True, slots=True)
class NewEntries:
    """Entries that a mapping gets, after one that it has."""

    node: MappingNode
    after: str
    entries: Mapping[str, str | tuple[str, ...]]
    comment: str = ""
    """What is said in a line of its own above the last one; it can be a log's text."""


Edit = ListEdit | TextEdit | NewEntries


def document(text: str, file: str) -> MappingNode:
    """
    Return a policy file's root.

    Raises:
        EditError: It cannot be read.
    """
    problems = Problems()
    node = parse(text, file, problems)
    if not isinstance(node, MappingNode) or problems.errors:
        raise EditError(f"{file} cannot be read")
    return node


def apply(text: str, file: str, edits: Sequence[Edit]) -> str:
    """
    Return a text after edits, of which none lies in a part that another takes out.

    Raises:
        EditError: The text cannot be edited so.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix("\ufeff")
    # Lines that are added end as the others do; the places of values are the same either way.
    returns = body.count("\r\n") == body.count("\n") > 0
    if returns:
        body = body.replace("\r\n", "\n")
    starts = [0]
    for line in body.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    changes = list(chain.from_iterable(_changes(body, starts, one) for one in edits))
    changed = body
    last = len(body) + 1
    for start, end, new in sorted(changes, reverse=True):
        if end > last:
            raise EditError(f"{file}: two changes meet; make this change by hand")
        changed = changed[:start] + new + changed[end:]
        last = start
    found = {(type(one.node), *id_of(one.node)): one for one in edits}
    node = parse(changed, file, broken := Problems())
    meant = _edited(document(body, file), found)
    if not isinstance(node, MappingNode) or broken.errors or node.plain() != meant:
        raise EditError(f"{file}: its layout is not understood; make this change by hand")
    return bom + (changed.replace("\n", "\r\n") if returns else changed)


def id_of(node: Node) -> tuple[int, int]:
    """Return what tells a value of a document from others of its type: where it begins."""
    return node.location.line, node.location.column


_Edits = Mapping[tuple[type, int, int], Edit]


def _edited(node: Node, edits: _Edits) -> object:
    """Return what a document should mean after the edits."""
    edit = edits.get((type(node), *id_of(node)))
    if isinstance(node, MappingNode):
        meant: dict[str, object] = {}
        for name, entry in node.entries.items():
            inner = edits.get((type(entry.value), *id_of(entry.value)))
            if not (isinstance(inner, ListEdit) and inner.key is not None and inner.empties):
                meant[name] = _edited(entry.value, edits)
        if isinstance(edit, NewEntries):
            for name, value in edit.entries.items():
                meant[name] = value if isinstance(value, str) else list(value)
        return meant
    if isinstance(node, SequenceNode):
        items: list[object] = []
        for number, item in enumerate(node.items):
            new = edit.items[number] if isinstance(edit, ListEdit) else None
            items += [_edited(item, edits)] if new is None else new
        return items
    return edit.text if isinstance(edit, TextEdit) else node.plain()


_Change = tuple[int, int, str]
"""Where a change of a file begins and ends, and what stands there then."""


def _changes(text: str, starts: Sequence[int], edit: Edit) -> list[_Change]:
    if isinstance(edit, TextEdit):
        return _text_changes(text, starts, edit)
    if isinstance(edit, NewEntries):
        return [_added(text, starts, edit)]
    return _list_changes(text, starts, edit)


def _list_changes(text: str, starts: Sequence[int], edit: ListEdit) -> list[_Change]:
    if edit.empties and edit.key is not None:
        start = text.rfind("\n", 0, _offset(starts, edit.key.location)) + 1
        end = text.find("\n", _end(text, starts, edit.node))
        return [(start, len(text) if end < 0 else end + 1, "")]
    begin = _offset(starts, edit.node.location)
    if text[begin : begin + 1] == "[":
        return [_flow(text, starts, edit, begin)]
    changes = []
    for number, new in enumerate(edit.items):
        if new is None:
            continue
        item = edit.node.items[number]
        if new:
            changes.append(_replaced(text, starts, item, new))
        else:
            changes.append(_removed(text, starts, item))
    return changes


_BARE: Final = re.compile(r"[A-Za-z(](?:(?!: |:$| #)[ -~])*", re.ASCII)
"""A text that YAML reads as it stands, outside brackets (YAML 1.2.2, section 7.3.3)."""


def _text_changes(text: str, starts: Sequence[int], edit: TextEdit) -> list[_Change]:
    begin, end = _offset(starts, edit.node.location), _end(text, starts, edit.node)
    changes = [
        (*_place(text, starts, edit.node, one), _in_style(one.text, text[begin]))
        for one in edit.splices
    ]
    source = text[begin:end]
    for start, stop, new in sorted(changes, reverse=True):
        source = source[: start - begin] + new + source[stop - begin :]
    plain = text[begin] not in "\"'|>"
    fits = all(new.isprintable() for _, _, new in changes)
    if not fits or (plain and _BARE.fullmatch(source.replace("\n", " ")) is None):
        changes = [(begin, end, _written(edit.text))]
    if edit.comment and edit.key is not None:
        line = text.rfind("\n", 0, _offset(starts, edit.key.location)) + 1
        indent = text[line : _offset(starts, edit.key.location)]
        if not indent.strip():
            changes.append((line, line, f"{indent}{_commented(edit.comment)}\n"))
    return changes


def _place(text: str, starts: Sequence[int], node: ScalarNode, splice: Splice) -> tuple[int, int]:
    """Return where a part of a text stands in its file."""
    quoted = text[_offset(starts, node.location)] in "\"'"

    def at(offset: int) -> int:
        if quoted and offset == len(node.text):  # the last character can be an escape of several
            return _end(text, starts, node) - 1
        # A folded line break is one character, and takes the next line's indent with it.
        if offset < len(node.text):
            return _offset(starts, node.locate(offset))
        return _offset(starts, node.locate(offset - 1), end=True)

    return at(splice.start), at(splice.end)


def _in_style(text: str, first: str) -> str:
    """Write a text as it stands within a value that begins so."""
    if first == "'":
        return text.replace("'", "''")
    return _written(text)[1:-1] if first == '"' else text


def _added(text: str, starts: Sequence[int], edit: NewEntries) -> _Change:
    entry = edit.node.entries[edit.after]
    end = _end(text, starts, entry.value)
    begin = _offset(starts, edit.node.location)
    if text[begin : begin + 1] == "{":
        return end, end, "".join(f", {name}: {_flowing(one)}" for name, one in edit.entries.items())
    line = text.find("\n", end)
    line = len(text) if line < 0 else line
    indent = " " * (entry.key.location.column - 1)
    lines = [f"{name}: {_flowing(one, bare=True)}" for name, one in edit.entries.items()]
    if edit.comment:
        lines.insert(-1, _commented(edit.comment))
    return line, line, "".join(f"\n{indent}{one}" for one in lines)


def _flowing(value: str | tuple[str, ...], *, bare: bool = False) -> str:
    if isinstance(value, str):
        if bare and _BARE.fullmatch(value):
            return value
        # Conditions have double quotes, which a person reads better between single ones.
        return f"'{value}'" if _SINGLE.fullmatch(value) else _written(value)
    return f"[{', '.join(one if _NAME.fullmatch(one) else _written(one) for one in value)}]"


_SINGLE: Final = re.compile(r"[ -&(-~]*", re.ASCII)
_NAME: Final = re.compile(r"(?!(?:null|true|false)$)[a-z][a-z0-9-]*", re.ASCII)


def _commented(text: str) -> str:
    """Write a comment; a log's text stays within its line, and is none that a tool reads."""
    return f"# Seen: {_written(text)[1:-1]}"


def _flow(text: str, starts: Sequence[int], edit: ListEdit, begin: int) -> tuple[int, int, str]:
    """Write a list in brackets anew, each item that stays as it was written."""
    end = _offset(starts, edit.node.location, end=True)
    if "#" in text[begin:end] and "\n" in text[begin:end]:
        raise EditError(f"{edit.node.location}: a list with comments; make this change by hand")
    items: list[str] = []
    for number, item in enumerate(edit.node.items):
        new = edit.items[number]
        items += (
            [text[_offset(starts, item.location) : _end(text, starts, item)]]
            if new is None
            else map(_written, new)
        )
    return begin, end, f"[{', '.join(items)}]"


def _replaced(
    text: str, starts: Sequence[int], item: Node, new: Sequence[str]
) -> tuple[int, int, str]:
    start = _offset(starts, item.location)
    if not isinstance(item, ScalarNode):
        raise EditError(f"{item.location}: only texts are replaced")
    indent = text[text.rfind("\n", 0, start) + 1 : _dash(text, start)]
    return start, _end(text, starts, item), f"\n{indent}- ".join(map(_written, new))


def _removed(text: str, starts: Sequence[int], item: Node) -> tuple[int, int, str]:
    """Return the lines of an item in a block list, with the comment right above them."""
    dash = _dash(text, _offset(starts, item.location))
    start = text.rfind("\n", 0, dash) + 1
    if text[start:dash].strip():
        raise EditError(f"{item.location}: a list within a line; make this change by hand")
    while start:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].lstrip().startswith("#"):
            break
        start = above
    end = text.find("\n", _end(text, starts, item))
    end = len(text) if end < 0 else end + 1
    before = text[:start].endswith("\n\n") or text[:start].rstrip(" ").endswith(":\n")
    if before and text[end : end + 1] == "\n":
        end += 1
    return start, end, ""


def _dash(text: str, start: int) -> int:
    """Return where the dash before an item of a block list stands."""
    dash = len(text[:start].rstrip()) - 1
    if dash < 0 or text[dash] != "-":
        raise EditError("a list without dashes; make this change by hand")
    return dash


def _end(text: str, starts: Sequence[int], node: Node) -> int:
    """Return where a value's own text ends, without blanks and comments after it."""
    start = _offset(starts, node.location)
    if not isinstance(node, ScalarNode) and text[start : start + 1] not in ("[", "{"):
        inner = (
            list(node.items)
            if isinstance(node, SequenceNode)
            else [entry.value for entry in node.entries.values()]
        )
        return max(_end(text, starts, one) for one in inner)
    end = _offset(starts, node.location, end=True)
    return start + len(text[start:end].rstrip())


def _offset(starts: Sequence[int], location: Location, *, end: bool = False) -> int:
    line = location.end_line if end else location.line
    column = location.end_column if end else location.column
    return starts[min(line - 1, len(starts) - 1)] + column - 1


def _written(text: str) -> str:
    """Write a text of a log into YAML: quoted, whatever characters it has."""
    return yaml_value(text)
