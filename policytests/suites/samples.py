"""
Shared samples: tokens and groups that several suites use, in a file of their own.

What lives here: reading the files that a suite names under `samples`, and who uses what of them.
Not here: which file a suite may name (`execution.policies`), and what a token means (`tokens`).

A file of samples is read for each suite that names it: what is wrong with it is an error of all of
them.  It is whole by itself: its tokens are made from one another, never from a suite's.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from regauth.engine.source import nodes, schema
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Problems
from regauth.policytests.tokens.spec import TokenSpec

from .tokens import read_groups, read_tokens

SAMPLES_SUFFIX: Final = ".samples.yaml"
"""How the name of a file of samples ends, so that nothing takes it for a suite or a policy."""

MAX_SAMPLES_BYTES: Final = 1024 * 1024
"""The size over which a file of samples is not read."""

Resolve = Callable[[str], Path]
"""Finds a file that a suite names; raises ValueError or OSError where the suite may not have it."""


@dataclass(slots=True)
class Samples:
    """What the files of samples of one suite hold."""

    tokens: dict[str, TokenSpec] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _entries: list[tuple[ScalarNode, frozenset[str]]] = field(default_factory=list)
    """Each file where the suite names it, with all names that it brings."""

    def check_use(self, used: set[str], problems: Problems) -> None:
        """Report files of which a suite uses nothing: the code is `unused-samples`."""
        for node, names in self._entries:
            if not names & used:
                message = f"this suite uses no token and no group of {node.text}"
                problems.error(node.location, "unused-samples", message, "use one, or remove it")


@dataclass(frozen=True, slots=True)
class SamplesReader:
    """
    Reads the files of samples of one suite.

    `folder` is the suite's; `shown` gives what locations call a file.
    """

    folder: Path
    resolve: Resolve
    shown: Callable[[Path], str]
    problems: Problems
    sources: dict[str, str] = field(default_factory=dict)
    """The text of each file that was read, by what locations call it."""

    def read(self, node: Node | None) -> Samples:
        """
        Read `samples`.

        The codes are `samples-file` for a file that cannot be read, `duplicate-name` for a name
        that stands in two files, and those of tokens and groups.
        """
        found = Samples()
        for item in node.items if isinstance(node, SequenceNode) else ():
            if isinstance(item, ScalarNode):
                self._add(item, found)
        return found

    def _add(self, item: ScalarNode, found: Samples) -> None:
        read = self._text(item)
        if read is None:
            return
        path, text = read
        file = self.shown(path)
        self.sources[file] = text
        before = self.problems.error_count
        root = nodes.parse(text, file, self.problems)
        if root is None and self.problems.error_count == before:
            self._fault(item, "it is empty")
        if not isinstance(root, MappingNode) or not schema.check(root, "samples", self.problems):
            if root is not None and self.problems.error_count == before:
                self._fault(item, "it is no mapping")
            return
        tokens = read_tokens(root.get("tokens"), self.problems)
        groups = read_groups(root.get("groups"), tokens, self.problems)
        for name in (*(tokens.keys() & found.tokens), *(groups.keys() & found.groups)):
            message = f"`{name}` stands in two files of samples"
            self.problems.error(item.location, "duplicate-name", message, "rename one")
        placed = {name: self._placed(spec, path) for name, spec in tokens.items()}
        found.tokens.update(placed)
        found.groups.update(groups)
        names = frozenset((*tokens, *(f"@{group}" for group in groups)))
        found._entries.append((item, names))  # noqa: SLF001 - made here, read there

    def _text(self, item: ScalarNode) -> tuple[Path, str] | None:
        if not item.text.endswith(SAMPLES_SUFFIX):
            self._fault(item, f"its name does not end in {SAMPLES_SUFFIX}")
            return None
        try:
            path = self.resolve(item.text)
            with path.open("rb") as stream:
                data = stream.read(MAX_SAMPLES_BYTES + 1)
            text = data.decode()
        except UnicodeDecodeError:
            self._fault(item, "it is not UTF-8 text")
            return None
        except (OSError, ValueError) as error:
            self._fault(item, getattr(error, "strerror", None) or str(error))
            return None
        if len(data) > MAX_SAMPLES_BYTES:
            self._fault(item, f"it is larger than {MAX_SAMPLES_BYTES // 1024} KiB")
            return None
        return path, text

    def _fault(self, item: ScalarNode, what: str) -> None:
        message = f"the samples {item.text} cannot be read: {what}"
        self.problems.error(item.location, "samples-file", message)

    def _placed(self, spec: TokenSpec, path: Path) -> TokenSpec:
        """Return a captured token with its files named from the suite's folder on."""

        def from_suite(file: str | None) -> str | None:
            return (
                None if file is None else os.path.relpath(path.parent / file, self.folder.resolve())
            )

        return replace(spec, jwt=from_suite(spec.jwt), keys=from_suite(spec.keys))


def names_in_use(own: Node | None, mentioned: set[str]) -> set[str]:
    """Return the names that a suite's tests mention, and those that its own tokens are made of."""
    tokens = own.entries.values() if isinstance(own, MappingNode) else ()
    bases = (entry.value.get("from") for entry in tokens if isinstance(entry.value, MappingNode))
    return mentioned | {base.text for base in bases if isinstance(base, ScalarNode)}
