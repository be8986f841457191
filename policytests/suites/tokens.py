"""
The tokens and groups of a suite.

What lives here: reading them, following `from`.  Not here: making a token
(`regauth.policytests.tokens.issuing`).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from regauth.engine.source.addresses import parse_ip
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.nodes import MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems
from regauth.policytests.tokens.forgeries import known as forgeries
from regauth.policytests.tokens.profiles.profile import merge
from regauth.policytests.tokens.spec import UNKNOWN_CLIENT, TokenSpec

from .times import looks_like_time, parse_shift, parse_time


def read_tokens(
    node: Node | None, problems: Problems, shared: Mapping[str, TokenSpec] = MappingProxyType({})
) -> dict[str, TokenSpec]:
    """
    Read `tokens`, each with all it takes from the token it is made from, here or in `shared`.

    The codes are `unknown-token`, `token-cycle`, `unknown-forgery`, `bad-time`, `captured-token`.
    """
    if not isinstance(node, MappingNode):
        return {}
    reader = _TokenReader(node, problems, shared)
    for name in node.entries:
        reader.spec(name, ())
    return {name: reader.known[name] for name in node.entries if name in reader.known}


def read_groups(
    node: Node | None, tokens: Iterable[str], problems: Problems
) -> dict[str, tuple[str, ...]]:
    """Read `groups`; the codes are `unknown-token` and `duplicate-name`."""
    groups: dict[str, tuple[str, ...]] = {}
    if not isinstance(node, MappingNode):
        return groups
    known = list(tokens)
    for name, entry in node.entries.items():
        members: dict[str, None] = {}
        items = entry.value.items if isinstance(entry.value, SequenceNode) else ()
        for item in items:
            if not isinstance(item, ScalarNode):
                continue
            if item.text not in known:
                hint = did_you_mean(item.text, known)
                message = f"there is no token `{item.text}`"
                problems.error(item.location, "unknown-token", message, hint)
            elif item.text in members:
                message = f"`{item.text}` is in this group twice"
                problems.error(item.location, "duplicate-name", message, "keep one of the two")
            members[item.text] = None
        groups[name] = tuple(members)
    return groups


class _TokenReader:
    """Reads tokens in the order they are made from one another."""

    def __init__(
        self, node: MappingNode, problems: Problems, shared: Mapping[str, TokenSpec]
    ) -> None:
        self._node = node
        self._problems = problems
        self._shared = shared
        self.known: dict[str, TokenSpec] = {}

    def spec(self, name: str, path: tuple[str, ...]) -> TokenSpec:
        if name in self.known:
            return self.known[name]
        entry = self._node.entries[name]
        token = entry.value
        base = TokenSpec(name, entry.key.location)
        if isinstance(token, MappingNode):
            base = self._made_from(name, token, path)
            self.known[name] = spec = self._read(name, token, base)
            return spec
        self.known[name] = base
        return base

    def _made_from(self, name: str, token: MappingNode, path: tuple[str, ...]) -> TokenSpec:
        location = self._node.entries[name].key.location
        empty = TokenSpec(name, location)
        origin = token.get("from")
        if not isinstance(origin, ScalarNode):
            return empty
        path = (*path, name)
        if origin.text in path:
            circle = " → ".join((*path[path.index(origin.text) :], origin.text))
            message = f"the token is made from itself: {circle}"
            self._problems.error(origin.location, "token-cycle", message)
            return empty
        if origin.text in self._shared and origin.text not in self._node.entries:
            return self._shared[origin.text]
        if origin.text not in self._node.entries:
            known = [one for one in (*self._node.entries, *self._shared) if one != name]
            hint = did_you_mean(origin.text, known)
            message = f"there is no token `{origin.text}`"
            self._problems.error(origin.location, "unknown-token", message, hint)
            return empty
        return self.spec(origin.text, path)

    def _read(self, name: str, token: MappingNode, base: TokenSpec) -> TokenSpec:
        self._check_origin(token, base)
        claims = token.get("claims")
        given = claims.plain() if isinstance(claims, MappingNode) else {}
        moment, shift = self._time(token.get("at"))
        subject = _text(token.get("sub"))
        return TokenSpec(
            name=name,
            location=self._node.entries[name].key.location,
            profile=_text(token.get("profile")) or base.profile,
            profile_at=_place(token.get("profile")),
            claims=merge(base.claims, given if isinstance(given, dict) else {}),
            without=base.without + _texts(token.get("without")),
            named=dict((*_named(claims, ()), *_left_out(token.get("without")))),
            immutable_subject=subject == "immutable" if subject else base.immutable_subject,
            provider=_text(token.get("provider")) or base.provider,
            username=base.username if "username" not in token else _text(token.get("username")),
            at=moment or base.at,
            shift=base.shift if shift is None else shift,
            forge=self._forgery(token) or base.forge,
            impossible=_text(token.get("impossible")) or base.impossible,
            impossible_at=_place(token.get("impossible")),
            jwt=_text(token.get("jwt")) or base.jwt,
            keys=_text(token.get("keys")) or base.keys,
            client=read_client(token.get("client"), self._problems) or base.client,
        )

    def _check_origin(self, token: MappingNode, base: TokenSpec) -> None:
        """Refuse to change a captured token: nobody here can sign it again."""
        if base.jwt is None:
            return
        for key in ("claims", "without", "forge", "impossible", "sub"):
            if key in token:
                location = token.entries[key].key.location
                message = f"a captured token is signed; it cannot have `{key}`"
                self._problems.error(location, "captured-token", message)

    def _forgery(self, token: MappingNode) -> str | None:
        node = token.get("forge")
        if not isinstance(node, ScalarNode):
            return None
        if node.text not in forgeries.FORGERIES:
            hint = did_you_mean(node.text, list(forgeries.FORGERIES))
            message = f"there is no forgery `{node.text}`"
            self._problems.error(node.location, "unknown-forgery", message, hint)
            return None
        return node.text

    def _time(self, node: Node | None) -> tuple[datetime | None, timedelta | None]:
        if not isinstance(node, ScalarNode):
            return None, None
        shift = parse_shift(node.text)
        if shift is not None:
            return None, shift
        moment = parse_time(node.text)
        if moment is None and looks_like_time(node.text):
            self._problems.error(node.location, "bad-time", f"there is no time `{node.text}`")
        return moment, None


def read_client(node: Node | None, problems: Problems) -> str | None:
    """Read the address of a client, or `unknown`; the code is `bad-address`."""
    if not isinstance(node, ScalarNode):
        return None
    if node.text != UNKNOWN_CLIENT and parse_ip(node.text) is None:
        message = f"`{node.text}` is no IP address"
        problems.error(node.location, "bad-address", message, "write it such as 192.0.2.7")
    return node.text


def _text(node: Node | None) -> str | None:
    return node.text if isinstance(node, ScalarNode) else None


def _place(node: Node | None) -> Location | None:
    return node.location if isinstance(node, ScalarNode) else None


def _texts(node: Node | None) -> tuple[str, ...]:
    items = node.items if isinstance(node, SequenceNode) else ()
    return tuple(item.text for item in items if isinstance(item, ScalarNode))


def _named(
    claims: Node | None, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Location]]:
    """Yield each claim and each member of one that is written, outer ones first."""
    if isinstance(claims, MappingNode):
        for name, entry in claims.entries.items():
            yield (*path, name), entry.key.location
            yield from _named(entry.value, (*path, name))


def _left_out(names: Node | None) -> Iterator[tuple[tuple[str, ...], Location]]:
    for item in names.items if isinstance(names, SequenceNode) else ():
        if isinstance(item, ScalarNode):
            yield tuple(item.text.split("/")), item.location
