"""
The policy as written: several files put together, before anything is compiled.

What lives here: composition (policy language, "Meaning", 7), names that must be unique, and
comments that silence a warning.  What must not: what an expression or a pattern means.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from . import nodes, schema
from .nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from .problems import Location, Problem, Problems, Severity

_SILENCE = re.compile(r"#\s*policytest:\s*ignore\[([a-z0-9, -]+)\](.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """Everything the files of a policy say, in the order of the files."""

    services: tuple[ScalarNode, ...] = ()
    definitions: Mapping[str, Entry] = field(default_factory=dict)
    providers: Mapping[str, Entry] = field(default_factory=dict)
    grants: tuple[MappingNode, ...] = ()
    denials: tuple[MappingNode, ...] = ()
    anonymous: Entry | None = None


def read(files: Mapping[str, str], problems: Problems) -> Document:
    """
    Read and put together the YAML files of a policy.

    Args:
        files: The texts by file name; those that are not YAML are passed over.
        problems: Takes what is wrong with the YAML, its shape and its names.

    Returns:
        What could be read.  A file with a wrong shape contributes nothing, so that no later step
        meets one.
    """
    merge = _Merge(problems)
    for name in sorted(files):
        if not name.endswith((".yaml", ".yml")):
            continue
        root = nodes.parse(files[name], name, problems)
        if root is None:
            continue
        if not isinstance(root, MappingNode):
            problems.error(
                root.location,
                "wrong-type",
                "a policy file must be a mapping",
                "begin with `version: 1`",
            )
        elif schema.check(root, "policy", problems):
            merge.add(root)
        else:
            merge.incomplete = True
    return merge.document()


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
        name = node["name"]
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
            f"{what} is used twice; it stands in {first.file}, line {first.line} already",
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
        )
        if not self.incomplete and not self._problems.error_count:
            self._check_whole(document)
        return document

    def _check_whole(self, document: Document) -> None:
        """Say what a policy lacks as a whole; nothing of it means everything by being absent."""
        file = min((entry.key.location.file for entry in document.providers.values()), default="")
        where = Location(file or "policy.yaml")
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


UNSILENCED: Final = frozenset({"silence-without-reason", "silence-unused"})


def silence(files: Mapping[str, str], found: Iterable[Problem]) -> list[Problem]:
    """
    Leave out the warnings that a comment silences, in the warning's line or in the line above.

    The comment is `# policytest: ignore[CODE] REASON`, with several codes separated by commas.
    One without a reason silences nothing, and one that silences nothing is reported itself:
    otherwise it would go on to hide the next mistake.  Errors cannot be silenced.
    """
    comments = [comment for name in sorted(files) for comment in _comments(name, files[name])]
    by_line = {(c.location.file, line): c for c in comments for line in c.lines}
    used: set[tuple[Location, str]] = set()
    kept: list[Problem] = []
    for problem in found:
        comment = by_line.get((problem.location.file, problem.location.line))
        if problem.severity is Severity.ERROR or comment is None or not comment.reason:
            kept.append(problem)
        elif problem.code in comment.codes:
            used.add((comment.location, problem.code))
        else:
            kept.append(problem)
    for comment in comments:
        if not comment.reason:
            kept.append(
                Problem(
                    comment.location,
                    "silence-without-reason",
                    "a warning is silenced without a reason",
                    "write the reason behind the bracket; until then nothing is silenced",
                    Severity.WARNING,
                )
            )
            continue
        kept.extend(
            Problem(
                comment.location,
                "silence-unused",
                f"there is no warning `{code}` here to silence",
                "remove the comment",
                Severity.WARNING,
            )
            for code in comment.codes
            if (comment.location, code) not in used
        )
    return kept


@dataclass(frozen=True, slots=True)
class _Comment:
    location: Location
    codes: tuple[str, ...]
    reason: str
    lines: tuple[int, ...]


def _comments(name: str, text: str) -> Iterable[_Comment]:
    if "policytest:" not in text or not name.endswith((".yaml", ".yml")):
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = _SILENCE.search(line)
        if match is None:
            continue
        alone = not line[: match.start()].strip()
        yield _Comment(
            Location(name, number, match.start() + 1, number, len(line) + 1),
            tuple(code.strip() for code in match[1].split(",") if code.strip()),
            match[2].strip(" -:\r"),
            (number, number + 1) if alone else (number,),
        )
