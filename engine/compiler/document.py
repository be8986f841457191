"""
The policy as written: several files put together, before anything is compiled.

What lives here: composition (policy language, "Meaning", 7) and names that must be unique.
Not here: what an expression means (`expressions`), what a pattern means (`policy.patterns`), and
comments that silence warnings (`silencing`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from regauth.engine.source import nodes, schema
from regauth.engine.source.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems


@dataclass(frozen=True, slots=True)
class Document:
    """Everything the files of a policy say, in the order of the files."""

    services: tuple[ScalarNode, ...] = ()
    definitions: Mapping[str, Entry] = field(default_factory=dict)
    providers: Mapping[str, Entry] = field(default_factory=dict)
    grants: tuple[MappingNode, ...] = ()
    denials: tuple[MappingNode, ...] = ()
    anonymous: Entry | None = None
    complete: bool = True
    """Whether every file could be read.  Otherwise a missing name may stand in an unread file."""


def read(files: Mapping[str, str], problems: Problems, *, whole: bool = True) -> Document:
    """
    Read and put together the YAML files of a policy.

    Args:
        files: The texts by file name; those that are not YAML are passed over.
        problems: Takes what is wrong with the YAML, its shape and its names.
        whole: Whether these are all files of the policy.

    Returns:
        What could be read.  Values with a wrong shape are left out.  Later steps report other
        problems, and no policy is made.
    """
    merge = _Merge(problems)
    merge.incomplete = not whole
    for name in sorted(files):
        if not name.endswith((".yaml", ".yml")):
            continue
        root = nodes.parse(files[name], name, problems)
        merge.begin = merge.begin or (root.location if root else Location(name))
        if root is None:
            merge.incomplete |= bool(problems.error_count)
            continue
        if not isinstance(root, MappingNode):
            problems.error(
                root.location,
                "wrong-type",
                "a policy file must be a mapping",
                "begin with `version: 1`",
            )
            merge.incomplete = True
        else:
            fitting = schema.fitting(root, "policy", problems)
            merge.incomplete |= fitting is None or _names(fitting) != _names(root)
            if isinstance(fitting, MappingNode):
                merge.add(fitting)
    return merge.document()


def _names(root: Node) -> list[object]:
    """Return the names that the rest of a policy may refer to, to see whether any was left out."""
    if not isinstance(root, MappingNode):
        return []
    parts = [root.get(part) for part in ("providers", "definitions", "services")]
    return list(root.entries) + [  # a key that was left out may have been meant for one of them
        list(part.entries) if isinstance(part, MappingNode) else part and part.plain()
        for part in parts
    ]


class _Merge:
    """Appends file after file; reports what is declared twice."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._services: dict[str, ScalarNode] = {}
        self._definitions: dict[str, Entry] = {}
        self._providers: dict[str, Entry] = {}
        self._statements: dict[str, list[MappingNode]] = {"grants": [], "denials": []}
        self._names: dict[str, Location] = {}
        self._anonymous: Entry | None = None
        self.begin: Location | None = None
        self.incomplete = False

    def add(self, root: MappingNode) -> None:
        for service in _items(root.get("services")):
            if isinstance(service, ScalarNode):
                self._services.setdefault(service.text, service)
        self._add_named(root.get("definitions"), self._definitions, "definition")
        self._add_named(root.get("providers"), self._providers, "provider")
        for kind, statements in self._statements.items():
            for node in _items(root.get(kind)):
                if isinstance(node, MappingNode):
                    self._claim_name(node)
                    statements.append(node)
        if anonymous := root.entries.get("anonymous"):
            if self._anonymous is not None:
                self._twice(anonymous.key, "`anonymous`", self._anonymous.key.location)
            else:
                self._anonymous = anonymous

    def _add_named(self, node: Node | None, known: dict[str, Entry], what: str) -> None:
        if not isinstance(node, MappingNode):
            return
        for name, entry in node.entries.items():
            if name in known:
                self._twice(entry.key, f"the {what} `{name}`", known[name].key.location)
            else:
                known[name] = entry

    def _claim_name(self, node: MappingNode) -> None:
        name = node.get("name")
        if not isinstance(name, ScalarNode):
            return
        if name.text == "anonymous":
            self._problems.error(
                name.location,
                "duplicate-name",
                "`anonymous` is the name of anonymous access",
                "choose another name",
            )
        elif name.text in self._names:
            self._twice(name, f"the name `{name.text}`", self._names[name.text])
        else:
            self._names[name.text] = name.location

    def _twice(self, node: ScalarNode, what: str, first: Location) -> None:
        self._problems.error(
            node.location,
            "duplicate-name",
            f"{what} is given twice; it stands in {first.file}, line {first.line} already",
            "reports and tests call each by its name; rename one",
        )

    def document(self) -> Document:
        document = Document(
            services=tuple(self._services.values()),
            definitions=self._definitions,
            providers=self._providers,
            grants=tuple(self._statements["grants"]),
            denials=tuple(self._statements["denials"]),
            anonymous=self._anonymous,
            complete=not self.incomplete,
        )
        if not self.incomplete and not self._problems.error_count:
            self._check_whole(document)
        return document

    def _check_whole(self, document: Document) -> None:
        """Say what a policy lacks as a whole; no absent part means "everything"."""
        begin = self.begin or Location("policy.yaml")
        where = Location(begin.file, begin.line, begin.column, begin.line, begin.column + 1)
        if not document.services:
            self._problems.error(
                where,
                "missing-key",
                "the policy names no service",
                "add `services:` with what the registry's configuration calls its service",
            )
        if not document.providers and document.anonymous is None:
            self._problems.error(
                where,
                "missing-key",
                "the policy has neither a provider nor anonymous access",
                "add `providers:`; without one every login is refused",
            )


def _items(node: Node | None) -> Iterable[Node]:
    return node.items if isinstance(node, SequenceNode) else ()
