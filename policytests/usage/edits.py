"""
Edits of a policy's text: list items taken out or replaced, with everything else as it stands.

What lives here: the characters that an edit changes, by the places that the YAML reader gives.
Not here: which edits a policy needs (`tightening`).

Comments and layout stay, but for the comment right above a grant that goes.  Every edited text is
read again, and an edit that has not the meaning it should have is an error.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode, parse
from regauth.engine.source.problems import Location, Problems


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


def apply(text: str, file: str, edits: Sequence[ListEdit]) -> str:
    """
    Return a text after edits of lists, of which none lies in a part that another takes out.

    Raises:
        EditError: The text cannot be edited so.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix("\ufeff")
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
    expected = _edited(document(body, file), {id_of(one.node): one for one in edits})
    if document(changed, file).plain() != expected:
        raise EditError(f"{file}: the layout of a list is not understood; make this change by hand")
    return bom + changed


def id_of(node: Node) -> tuple[int, int]:
    """Return what tells a list of a document from the others: where it begins."""
    return node.location.line, node.location.column


def _edited(node: Node, edits: Mapping[tuple[int, int], ListEdit]) -> object:
    """Return what a document should mean after the edits."""
    if isinstance(node, MappingNode):
        gone = {id_of(one.node) for one in edits.values() if one.empties and one.key is not None}
        return {
            name: _edited(entry.value, edits)
            for name, entry in node.entries.items()
            if id_of(entry.value) not in gone
        }
    if isinstance(node, SequenceNode):
        edit = edits.get(id_of(node))
        items: list[object] = []
        for number, item in enumerate(node.items):
            new = None if edit is None else edit.items[number]
            items += [_edited(item, edits)] if new is None else new
        return items
    return node.plain()


def _changes(text: str, starts: Sequence[int], edit: ListEdit) -> list[tuple[int, int, str]]:
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
    """Write a text of a log into YAML: quoted as JSON, whatever it is, which YAML 1.2 reads."""
    return json.dumps(text)
