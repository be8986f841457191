"""
From the text of a suite to a `Suite`, with everything that is wrong with it.

What lives here: the shape of a suite and the order its parts are read in.  Not here: the meaning of
tokens (`tokens`) and tests (`tests`), and the policy (`linking`).
"""

from dataclasses import replace
from pathlib import Path

from regauth.engine.source import nodes, schema
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems
from regauth.policytests.tokens.spec import TokenSpec

from .grid import Names
from .invariants import read_invariants
from .samples import Samples, SamplesReader, names_in_use
from .suite import Hostile, Suite
from .tests import read_places, read_tests
from .times import looks_like_time, parse_time
from .tokens import read_client, read_groups, read_tokens


def read_suite(
    text: str, path: Path, file: str, problems: Problems, shared: SamplesReader
) -> Suite | None:
    """
    Read a suite.

    Args:
        text: The document.
        path: Where it stands; files it names are relative to it.
        file: What locations call it.
        problems: Takes what is wrong: the codes of YAML and shape, and those of tokens, grids and
            tests.
        shared: Reads the files of samples that the suite names.

    Returns:
        The suite, or None when anything is wrong: a suite is whole or it is not run.
    """
    root = nodes.parse(text, file, problems)
    if not isinstance(root, MappingNode):
        if not len(problems):
            location = root.location if root else Location(file)
            problems.error(location, "no-cases", "this suite is empty", "it needs `at` and `tests`")
        return None
    schema.check(root, "suite", problems)
    reader = _SuiteReader(root, problems)
    suite = reader.read(path, file, shared)
    return None if problems.errors else suite


class _SuiteReader:
    """Reads the parts of one suite; what has the wrong shape was reported and is passed over."""

    def __init__(self, root: MappingNode, problems: Problems) -> None:
        self._root = root
        self._problems = problems

    def read(self, path: Path, file: str, shared: SamplesReader) -> Suite | None:
        at_node = self._root.get("at")
        at = parse_time(at_node.text) if isinstance(at_node, ScalarNode) else None
        if isinstance(at_node, ScalarNode) and at is None and looks_like_time(at_node.text):
            message = f"there is no time `{at_node.text}`"
            self._problems.error(at_node.location, "bad-time", message)
        samples = shared.read(self._root.get("samples"))
        own = self._root.get("tokens")
        tokens = read_tokens(own, self._problems, samples.tokens)
        client = read_client(self._root.get("client"), self._problems)
        every = {
            name: replace(spec, client=spec.client or client)
            for name, spec in {**samples.tokens, **tokens}.items()
        }
        groups = read_groups(self._root.get("groups"), every, self._problems)
        self._check_names(samples)
        names = Names(frozenset(every), {**samples.groups, **groups})
        tests = read_tests(self._root.get("tests"), names, self._problems)
        named = {test.name: test.location for test in tests}
        invariants = read_invariants(self._root.get("invariants"), named, self._problems)
        hostile = self._hostile(names)
        self._check_use(tokens, names.mentioned, groups)
        used = names_in_use(own, names.mentioned)
        samples.check_use(used, self._problems)
        if at is None:
            return None
        policy = self._root.get("policy")
        return Suite(
            path=path,
            file=file,
            location=self._root.location,
            policy=_text(policy),
            policy_location=policy.location if policy else self._root.location,
            at=at,
            service=_text(self._root.get("service")),
            # Of the shared tokens only those it uses: its policy need not know the others.
            tokens={name: spec for name, spec in every.items() if name in tokens or name in used},
            groups={**samples.groups, **groups},
            tests=tests,
            hostile=hostile,
            invariants=invariants,
        )

    def _check_names(self, samples: Samples) -> None:
        """Report tokens and groups that have the name of a shared one: which is meant?"""
        for key, known in (("tokens", samples.tokens), ("groups", samples.groups)):
            node = self._root.get(key)
            for name, entry in node.entries.items() if isinstance(node, MappingNode) else ():
                if name in known:
                    message = f"`{name}` is the name of a shared sample already"
                    hint = "choose another name; `from` makes a token of the shared one"
                    self._problems.error(entry.key.location, "duplicate-name", message, hint)

    def _hostile(self, names: Names) -> Hostile | None:
        node = self._root.get("hostile")
        if not isinstance(node, MappingNode):
            return None
        tokens: dict[str, Location] = {}
        for item in _items(node.get("tokens")):
            members = names.members(item.text)
            if members is None:
                self._problems.error(
                    item.location,
                    "unknown-token",
                    f"there is no token `{item.text}`",
                    names.nearest(item.text),
                )
            else:
                for member in members:
                    tokens.setdefault(member, item.location)
        exceptions = {item.text: item.location for item in _items(node.get("except"))}
        repositories = read_places(node.get("repositories"), self._problems)
        return Hostile(node.location, tuple(tokens), repositories, exceptions, tokens)

    def _check_use(
        self,
        tokens: dict[str, TokenSpec],
        used: set[str],
        groups: dict[str, tuple[str, ...]],
    ) -> None:
        """Report unused tokens and groups: they look tested but are not."""
        bases = self._bases(tokens, used)
        for name, spec in tokens.items():
            if name not in used and name not in bases:
                self._problems.error(
                    spec.location,
                    "unused-token",
                    f"no test uses the token `{name}`",
                    "use it in a test, or remove it",
                )
        node = self._root.get("groups")
        for name in groups:
            if f"@{name}" not in used and isinstance(node, MappingNode):
                self._problems.error(
                    node.entries[name].key.location,
                    "unused-group",
                    f"no test uses the group `{name}`",
                    "use it in a grid as `@" + name + "`, or remove it",
                )

    def _bases(self, tokens: dict[str, TokenSpec], used: set[str]) -> set[str]:
        """Return the tokens that used ones are made from."""
        node = self._root.get("tokens")
        bases: set[str] = set()
        if not isinstance(node, MappingNode):
            return bases
        for name in used & tokens.keys():
            current: str | None = name
            while current is not None:
                token = node.get(current)
                base = token.get("from") if isinstance(token, MappingNode) else None
                current = base.text if isinstance(base, ScalarNode) else None
                if current is None or current in bases:
                    break
                bases.add(current)
        return bases


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, ScalarNode) else None


def _items(node: Node | None) -> list[ScalarNode]:
    if not isinstance(node, SequenceNode):
        return []
    return [item for item in node.items if isinstance(item, ScalarNode)]
