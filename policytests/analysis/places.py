"""
Places: where in its files each part of a policy stands.

What lives here: finding rules, definitions, conditions and patterns by name.  Not here: what the
parts mean.  The policy was compiled from the same text (`regauth.engine.compiler`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from regauth.engine.source import nodes
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems


@dataclass(slots=True)
class Places:
    """The nodes of a policy's files, by name."""

    sources: Mapping[str, str]
    definitions: dict[str, ScalarNode] = field(default_factory=dict)
    tables: dict[str, MappingNode] = field(default_factory=dict)
    statements: dict[str, MappingNode] = field(default_factory=dict)
    rules: dict[tuple[str, str], MappingNode] = field(default_factory=dict)
    providers: dict[str, MappingNode] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Mapping[str, str]) -> "Places":
        """Find everything in the texts of a policy that compiled."""
        places = cls(sources)
        for file, text in sources.items():
            if file.endswith((".yaml", ".yml")):
                root = nodes.parse(text, file, Problems())
                if isinstance(root, MappingNode):
                    places._add(root)
        return places

    def _add(self, root: MappingNode) -> None:
        for name, entry in _entries(root.get("definitions")):
            if isinstance(entry, ScalarNode):
                self.definitions[name] = entry
            elif isinstance(entry, MappingNode):
                self.tables[name] = entry
        for name, entry in _entries(root.get("providers")):
            if isinstance(entry, MappingNode):
                self.providers[name] = entry
                for rule, node in _named(entry.get("rules")):
                    self.rules[name, rule] = node
        for key in ("grants", "denials"):
            self.statements.update(_named(root.get(key)))

    def part(self, kind: str, name: str, start: int, end: int) -> Location | None:
        """Return where some characters of a condition stand."""
        node = self.condition(kind, name)
        return node.locate(start, end) if node is not None else None

    def condition(self, kind: str, name: str) -> ScalarNode | None:
        """Return the text of a rule's, a statement's or a definition's condition."""
        node: Node | None = None
        if kind == "definition":
            node = self.definitions.get(name)
        elif kind == "rule":
            found = (rule for (_, rule_name), rule in self.rules.items() if rule_name == name)
            rule = next(found, None)
            node = rule.get("check") if rule is not None else None
        elif name in self.statements:
            node = self.statements[name].get("when")
        return node if isinstance(node, ScalarNode) else None

    def item(self, name: str, key: str, text: str) -> Location | None:
        """Return where an item of a statement's list stands."""
        statement = self.statements.get(name)
        listed = statement.get(key) if statement is not None else None
        for item in listed.items if isinstance(listed, SequenceNode) else ():
            if isinstance(item, ScalarNode) and item.text == text:
                return item.location
        return None

    def key(self, name: str, key: str) -> Location | None:
        """Return where a key of a statement stands."""
        statement = self.statements.get(name)
        found = statement.entries.get(key) if statement is not None else None
        return found.key.location if found is not None else None

    def entry(self, table: str, key: str) -> Location | None:
        """Return where an entry of a table stands."""
        found = self.tables[table].entries.get(key) if table in self.tables else None
        return found.key.location if found is not None else None

    def table(self, name: str) -> Location | None:
        """Return where a table stands."""
        return self.tables[name].location if name in self.tables else None

    def line(self, location: Location) -> str:
        """Return the text of a location's first line."""
        lines = self.sources.get(location.file, "").split("\n")
        return lines[location.line - 1] if location.line <= len(lines) else ""


def _entries(node: Node | None) -> list[tuple[str, Node]]:
    if not isinstance(node, MappingNode):
        return []
    return [(name, entry.value) for name, entry in node.entries.items()]


def _named(node: Node | None) -> list[tuple[str, MappingNode]]:
    return [
        (name.text, item)
        for item in (node.items if isinstance(node, SequenceNode) else ())
        if isinstance(item, MappingNode) and isinstance(name := item.get("name"), ScalarNode)
    ]
