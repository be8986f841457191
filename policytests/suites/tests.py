"""
The tests of a suite: grids, requests, snapshots.

What lives here: reading them.  Not here: running them (`execution.cases`), and names of the policy
(`linking`).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from regauth.engine.access.scope import (
    Access,
    Scope,
    ScopeError,
    accesses,
    parse_scope,
    repository_access,
)
from regauth.engine.decisions.decide import unknown
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems
from regauth.engine.source.quantities import parse_duration

from .grid import Names, read_grid
from .suite import (
    FORBIDDEN_IN_NAMES,
    Because,
    Exemption,
    GridTest,
    RequestTest,
    SnapshotTest,
    Test,
)
from .times import parse_date


def read_tests(node: Node | None, names: Names, problems: Problems) -> tuple[Test, ...]:
    """
    Read `tests`.

    What the schema tells is told already.  The codes are those of grids, and `duplicate-name`,
    `bad-name`, `unknown-token`, `outside-grid`, `outside-request`, `bad-scope`, `bad-repository`
    and `no-cases`.
    """
    tests: dict[str, Test] = {}
    for item in node.items if isinstance(node, SequenceNode) else ():
        if not isinstance(item, MappingNode) or not isinstance(item.get("name"), ScalarNode):
            continue
        test = _TestReader(item, names, problems).read()
        if test is None:
            continue
        first = tests.setdefault(test.name, test)
        if first is not test:
            problems.error(
                item["name"].location,
                "duplicate-name",
                f"a test is called `{test.name}` in line {first.location.line} already",
                "give each test a name of its own",
            )
    return tuple(tests.values())


def read_places(node: Node | None, problems: Problems) -> tuple[str, ...]:
    """Read repositories, with a tag or digest or without; the code is `bad-repository`."""
    places = []
    for item in _items(node):
        if repository_access(item.text, "pull") is None:
            message = f"`{item.text}` is not a repository's name"
            problems.error(item.location, "bad-repository", message)
        else:
            places.append(item.text)
    return tuple(places)


class _TestReader:
    """Reads one test."""

    def __init__(self, node: MappingNode, names: Names, problems: Problems) -> None:
        self._node = node
        self._names = names
        self._problems = problems
        self._name = _text(node, "name") or ""
        self._location = node["name"].location

    def read(self) -> Test | None:
        """Read it as the one kind of test that its keys say; the schema has told of others."""
        for text in FORBIDDEN_IN_NAMES:
            if text in self._name:
                message = f"a test's name cannot hold `{text}`: it is a part of case ids"
                self._error(self._location, "bad-name", message)
        if not self._name.isprintable():
            message = "a test's name cannot hold a character that is not seen"
            self._error(self._location, "bad-name", message)
        if "grid" in self._node:
            return self._grid()
        return self._request() if "expect" in self._node else self._snapshot()

    def _error(self, location: Location, code: str, message: str, hint: str = "") -> None:
        self._problems.error(location, code, message, hint)

    def _grid(self) -> GridTest | None:
        node = self._node.get("grid")
        if not isinstance(node, ScalarNode):
            return None
        if not isinstance(node.value, str):
            return None
        cells = read_grid(node, self._names, self._problems)
        inside = {cell.token for cell in cells}
        return GridTest(
            self._name,
            self._location,
            cells,
            tuple(self._because(inside)),
            _text(self._node, "service"),
            self._exemption(),
        )

    def _because(self, inside: set[str]) -> Iterator[Because]:
        node = self._node.get("because")
        if not isinstance(node, MappingNode):
            return
        seen: set[str] = set()
        for word, entry in node.entries.items():
            members = self._names.members(word)
            if members is None:
                message = f"there is no token `{word}`"
                self._error(entry.key.location, "unknown-token", message, self._names.nearest(word))
                continue
            for token in members:
                if token not in inside:
                    message = f"`{token}` is not in this grid"
                    self._error(entry.key.location, "outside-grid", message, "add its row")
                elif token in seen:
                    message = f"`{token}` is expected here twice"
                    self._error(entry.key.location, "duplicate-name", message)
                seen.add(token)
                yield _because(token, entry.key.location, entry.value, self._problems)

    def _tokens(self) -> tuple[str, ...]:
        """Return the token that the test names, or those of the group."""
        node = self._node.get("token")
        if not isinstance(node, ScalarNode):
            return ()
        members = self._names.members(node.text)
        if members is None:
            kind = "group" if node.text.startswith("@") else "token"
            message = f"there is no {kind} `{node.text.removeprefix('@')}`"
            self._error(node.location, "unknown-token", message, self._names.nearest(node.text))
        return members or ()

    def _request(self) -> RequestTest | None:
        tokens = self._tokens()
        self._check_known(self._node.get("scopes"))
        scopes = self._scopes(self._node.get("scopes"))
        expect = self._node.get("expect")
        if not isinstance(expect, MappingNode) or not tokens:
            return None
        if len(tokens) > 1:
            message = "a request is made by one token"
            self._error(self._node["token"].location, "unknown-token", message, "use a grid")
        because = self._node.get("because")
        if isinstance(because, MappingNode):
            because = self._own_because(because, tokens[0])
        return RequestTest(
            name=self._name,
            location=self._location,
            token=tokens[0],
            scopes=scopes,
            granted=self._asked(expect, "granted", scopes),
            refused=_text(expect, "refused"),
            denied=self._asked(expect, "denied", scopes) or (),
            deferred=self._asked(expect, "deferred", scopes) or (),
            errors=tuple((item.text, item.location) for item in _items(expect.get("errors"))),
            because=_because(tokens[0], because.location, because, self._problems)
            if because
            else None,
            lifetime=self._lifetime(expect.get("lifetime")),
            service=_text(self._node, "service"),
            exemption=self._exemption(),
        )

    def _lifetime(self, node: Node | None) -> "timedelta | Literal['server'] | None":
        if not isinstance(node, ScalarNode):
            return None
        if node.text == "server":
            return "server"
        try:
            return parse_duration(node.text)
        except ValueError as error:
            self._error(node.location, "bad-time", str(error))
            return None

    def _own_because(self, node: MappingNode, token: str) -> Node | None:
        for name, entry in node.entries.items():
            if name != token:
                message = f"`{name}` does not make this request"
                self._error(entry.key.location, "outside-request", message, f"`{token}` does")
        return node.get(token)

    def _scopes(self, node: Node | None) -> tuple[Scope, ...]:
        scopes = []
        for item in _items(node):
            for text in item.text.split() or [""]:
                try:
                    scopes.append(parse_scope(text))
                except ScopeError as error:
                    self._error(item.location, "bad-scope", str(error))
        return tuple(scopes)

    def _check_known(self, node: Node | None) -> None:
        """Report an access that every policy refuses: expecting its refusal proves nothing."""
        for item in _items(node):
            try:
                asked = [
                    access for text in item.text.split() for access in parse_scope(text).accesses
                ]
            except ScopeError:
                continue  # reported where the scopes are read
            for access in asked:
                why = unknown(access)
                if why is not None:
                    message = (
                        f"`{access}` is refused by every policy ({why}), so this tests nothing"
                    )
                    hint = "pull, push, delete or `*` of a repository, or registry:catalog:*"
                    self._error(item.location, "bad-scope", message, hint)

    def _asked(
        self, expect: MappingNode, key: str, scopes: tuple[Scope, ...]
    ) -> tuple[Access, ...] | None:
        """Return the accesses that `granted` or `denied` names, all of which must be asked for."""
        node = expect.get(key)
        if not isinstance(node, SequenceNode):
            return None
        asked = set(accesses(scopes))
        named: dict[Access, None] = {}
        for item in _items(node):
            for access in accesses(self._scopes(SequenceNode((item,), item.location))):
                if access not in asked:
                    message = f"`{access}` is not asked for, so it cannot be {key}"
                    self._error(item.location, "outside-request", message, "add it to `scopes`")
                named[access] = None
        return tuple(named)

    def _snapshot(self) -> SnapshotTest | None:
        tokens = self._tokens()
        repositories = read_places(self._node.get("repositories"), self._problems)
        if not tokens or not repositories:
            return None
        return SnapshotTest(
            self._name,
            self._location,
            tokens,
            repositories,
            _text(self._node, "service"),
            self._exemption(),
        )

    def _exemption(self) -> Exemption | None:
        skip = self._node.get("skip")
        node = skip or self._node.get("xfail")
        if not isinstance(node, ScalarNode):
            return None
        text = _text(self._node, "until")
        until = parse_date(text) if text else None
        if text and until is None:
            message = f"there is no day `{text}`"
            self._error(self._node["until"].location, "bad-time", message)
        return Exemption(node.location, node.text, skip is not None, until)


def _because(token: str, location: Location, node: Node, problems: Problems) -> Because:
    items = _items(node)
    names: dict[str, Location] = {}
    for item in items:
        if item.text in names:
            message = f"`{item.text}` stands here twice"
            problems.error(item.location, "duplicate-name", message)
        names[item.text] = item.location
    return Because(token, tuple(names), location, tuple(names.values()))


def _text(node: MappingNode, name: str) -> str | None:
    value = node.get(name)
    return value.text if isinstance(value, ScalarNode) else None


def _items(node: Node | None) -> list[ScalarNode]:
    if not isinstance(node, SequenceNode):
        return []
    return [item for item in node.items if isinstance(item, ScalarNode)]
