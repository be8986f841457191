"""
Rewriting: the files of a policy after a plan.

What lives here: which edits of the text a plan needs.  Not here: making an edit (`edits`).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from regauth.engine.source.nodes import MappingNode, ScalarNode, SequenceNode
from regauth.policytests.usage.uses import NOTHING

from .conditions import narrowed
from .edits import Edit, ListEdit, NewEntries, TextEdit, apply, document
from .plans import TighteningPlan

REPOSITORIES: Final = "repositories"
_POLICY_FILES: Final = (".yaml", ".yml")


def edited(files: Mapping[str, str], planned: TighteningPlan) -> dict[str, str]:
    """
    Return the files of a policy after a plan.

    Raises:
        EditError: A file cannot be edited so.
    """
    changed = dict(files)
    for name, text in files.items():
        if not name.endswith(_POLICY_FILES):
            continue
        edits = list(_edits(document(text, name), planned))
        if edits:
            changed[name] = apply(text, name, edits)
    return changed


def _edits(root: MappingNode, planned: TighteningPlan) -> Iterable[Edit]:
    grants = root.get("grants")
    if not isinstance(grants, SequenceNode):
        return
    gone: list[tuple[str, ...] | None] = []
    for grant in grants.items:
        name = _name(grant)
        gone.append(() if name in planned.removed else None)
        if isinstance(grant, MappingNode) and gone[-1] is None:
            yield from _edits_of(grant, name, planned)
    if any(one is not None for one in gone):
        yield ListEdit(grants, tuple(gone), root.entries["grants"].key)


def _edits_of(grant: MappingNode, name: str, planned: TighteningPlan) -> Iterable[Edit]:
    parts = planned.parts.get(name, NOTHING)
    for key, gone in (("actions", parts.actions), ("providers", parts.providers)):
        if gone and isinstance(listed := grant.get(key), SequenceNode):
            items = tuple(() if one.plain() in gone else None for one in listed.items)
            yield ListEdit(listed, items)
    if parts.tags and isinstance(tags := grant.get("tags"), SequenceNode):
        numbers = range(len(tags.items))
        yield ListEdit(tags, tuple(() if one in parts.tags else None for one in numbers))
    changes = dict.fromkeys(parts.patterns, ()) | planned.names.get(name, {})
    if changes and isinstance(patterns := grant.get(REPOSITORIES), SequenceNode):
        yield _patterns(patterns, changes)
    yield from _condition(grant, name, planned)


def _patterns(patterns: SequenceNode, changes: Mapping[int, tuple[str, ...]]) -> ListEdit:
    # A name that two patterns narrow to, or that stands there already, is written once.
    numbered = list(enumerate(patterns.items))
    written = {str(one.plain()) for number, one in numbered if number not in changes}
    found: list[tuple[str, ...] | None] = []
    for number in range(len(patterns.items)):
        new = changes.get(number)
        fresh = None if new is None else tuple(one for one in new if one not in written)
        written |= set(fresh or ())
        found.append(fresh)
    return ListEdit(patterns, tuple(found))


def _condition(grant: MappingNode, name: str, planned: TighteningPlan) -> Iterable[Edit]:
    unused = planned.parts.get(name, NOTHING).alternatives
    claims = planned.claims.get(name, [])
    added = [one.condition for one in claims]
    comment = "; ".join(one.comment for one in claims if one.comment)
    new: dict[str, str | tuple[str, ...]] = {}
    if name in planned.providers:
        new["providers"] = planned.providers[name]
    when = grant.entries.get("when")
    if when is None:
        new |= {"when": " && ".join(added)} if added else {}
    elif (unused or added) and isinstance(when.value, ScalarNode):
        text = when.value.text
        yield TextEdit(when.value, narrowed(text, unused, added), when.key, comment)
    if new:
        after = "providers" if "providers" in grant else "name"
        yield NewEntries(grant, after, new, comment if "when" in new else "")


def _name(grant: object) -> str:
    name = grant.get("name") if isinstance(grant, MappingNode) else None
    return "" if name is None else str(name.plain())


def lines_of(files: Mapping[str, str]) -> dict[str, tuple[str, int, int]]:
    """Return the file and the first and last line of each grant, by name."""
    found: dict[str, tuple[str, int, int]] = {}
    for name, text in files.items():
        grants = document(text, name).get("grants") if name.endswith(_POLICY_FILES) else None
        for grant in grants.items if isinstance(grants, SequenceNode) else ():
            place = grant.location
            found[_name(grant)] = (name, place.line, max(place.line, place.end_line))
    return found
