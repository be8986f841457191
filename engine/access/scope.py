"""
Scopes: what a client asks for, from wire text to `Access` values and back.

What lives here: the Distribution scope grammar (distribution docs/spec/auth/scope.md), repository
names (OCI Distribution Spec 1.1, "Pulling manifests") and the actions the language knows.
Not here: who may do what (`decisions.decide`).
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from . import references
from .once import once
from .references import TagState

REPOSITORY: Final = "repository"
REGISTRY: Final = "registry"
CATALOG: Final = "catalog"

REPOSITORY_ACTIONS: Final = ("pull", "push", "delete")
"""The actions on a repository, in the order they are written everywhere."""

MAX_NAME_LENGTH: Final = 255
"""Characters in a repository name, host included (distribution/reference)."""

MAX_SCOPES: Final = 100
"""Scopes in one request.  A request with more is refused."""

MAX_ACTIONS: Final = 20
"""Different actions in one scope."""

MAX_ACCESSES: Final = 3 * MAX_SCOPES
"""
Accesses that the scopes of one request may ask for.  Each is decided, and logged with its reason.
"""

_REMEMBERED: Final = 300
"""Characters of the longest scope that is read once for many requests."""

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?"
_NAME: Final = re.compile(rf"{_HOST}{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_PATH: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TYPE: Final = re.compile(r"([a-z0-9]+)(?:\(([a-z0-9]+)\))?", re.ASCII)
_ACTION: Final = re.compile(r"[a-z]+|\*", re.ASCII)


class ScopeError(ValueError):
    """A scope is not of the grammar `type[(class)]:name:action[,action]`; the caller's fault."""


class ScopeSizeError(ScopeError):
    """A scope is too long, or a request has too many."""


class Resource(Struct, frozen=True, order=True):
    """Something in a registry: its type, its class (usually empty) and its name."""

    type: str
    name: str
    class_: str = ""

    def __str__(self) -> str:
        return (
            f"{self.type}({self.class_}):{self.name}" if self.class_ else f"{self.type}:{self.name}"
        )


class Access(Struct, frozen=True, order=True):
    """One action on one resource, or on what a reference names in it: the unit that is decided."""

    resource: Resource
    action: str
    reference: str = references.UNKNOWN
    """A tag or digest, or one of the constants of `references`; a scope never names one."""
    tag_state: TagState = TagState.UNKNOWN
    """Whether the tag exists, where the reference is a tag and the host has found that out."""

    @property
    def place(self) -> str:
        """
        The resource's name, with the reference if there is one: `acme/app:v1`.

        A known state of the tag stands behind it: `acme/app:v1=new`.
        """
        written = references.write(self.resource.name, self.reference)
        return f"{written}={self.tag_state}" if self.tag_state else written

    def __str__(self) -> str:
        return f"{Resource(self.resource.type, self.place, self.resource.class_)}:{self.action}"


class Scope(Struct, frozen=True, dict=True):
    """The wire text of a request for actions on one resource."""

    resource: Resource
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.resource}:{','.join(self.actions)}"

    @once
    def accesses(self) -> tuple[Access, ...]:
        """
        Each access that is asked for, once.

        `*` on a repository stands for every action on it.  A client that asks for everything is
        told what it gets.
        """
        actions: dict[str, None] = {}
        for action in self.actions:
            if action == "*" and self.resource.type == REPOSITORY:
                actions.update(dict.fromkeys(REPOSITORY_ACTIONS))
            else:
                actions[action] = None
        return tuple([Access(self.resource, action) for action in actions])


def parse_scope(text: str) -> Scope:
    """
    Read one scope.

    The type ends at the first colon and the actions begin after the last, because a name may hold
    a colon itself: `repository:host:5000/app:pull`.  An unknown type or action and an invalid name
    are not errors: they are decided, and refused.

    Raises:
        ScopeSizeError: The name is too long, or there are too many actions.
        ScopeError: The text is not of the grammar.
    """
    kind, _, rest = text.partition(":")
    name, colon, actions = rest.rpartition(":")
    match = _TYPE.fullmatch(kind)
    listed = tuple(dict.fromkeys(action for action in actions.split(",") if action))
    if len(name) > MAX_NAME_LENGTH * 2 or len(listed) > MAX_ACTIONS:
        raise ScopeSizeError(f"{text[:100]!r} is too long to be a scope")
    if match is None or not colon or not name:
        raise ScopeError(f"{text[:100]!r} is not a scope; a scope is TYPE:NAME:ACTION[,ACTION]")
    if not all(map(_ACTION.fullmatch, listed)):
        raise ScopeError(f"{text[:100]!r} is not a scope; actions are lower-case words or `*`")
    return Scope(Resource(match[1], name, match[2] or ""), listed)


def parse_access(text: str) -> Access:
    """
    Read what `str(Access)` writes: `repository:acme/app:v1:pull`.

    Raises:
        ScopeError: The text is not of that form.
    """
    kind, _, rest = text.partition(":")
    place, _, action = rest.rpartition(":")
    match, found = _TYPE.fullmatch(kind), _read_place(place)
    if match is None or found is None or not found[0] or not _ACTION.fullmatch(action):
        raise ScopeError(
            f"{text[:100]!r} is not an access; an access is "
            "TYPE:NAME[:TAG[=new|=existing]|@DIGEST]:ACTION"
        )
    name, reference, state = found
    return Access(Resource(match[1], name, match[2] or ""), action, reference, state)


def _read_place(place: str) -> tuple[str, str, TagState] | None:
    """Return the name, the reference and the state of a tag; None where the text is malformed."""
    named, state = references.split_state(place)
    found = references.read(named)
    if found is None or (state and not references.is_tag(found[1])):
        return None
    return (*found, state)


class RequestedScopes(Struct, frozen=True):
    """What the `scope` parameters of a request ask for."""

    scopes: tuple[Scope, ...]
    malformed: tuple[str, ...] = ()
    """The entries that are no scope.  They name nothing, so nothing is granted for them."""


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """
    Read scopes that must all be of the grammar; each text may hold several, or none.

    Raises:
        ScopeSizeError: There are more than `MAX_SCOPES`, or more accesses in them than
            `MAX_ACCESSES`.
        ScopeError: A scope is not of the grammar.
    """
    found = requested_scopes(texts)
    for text in found.malformed:
        parse_scope(text)
    return found.scopes


def requested_scopes(texts: Iterable[str]) -> RequestedScopes:
    """
    Read the values of all `scope` parameters of a request; each may hold several, or none.

    The answer to a token request is what is asked and allowed (distribution
    docs/spec/auth/token.md), so an entry that is no scope is left out as a whole.  Clients copy
    such entries from challenges: zot asks for `repository::pull`.

    Raises:
        ScopeSizeError: There are more than `MAX_SCOPES`, or more accesses in them than
            `MAX_ACCESSES`, or one is too long.
    """
    words = [word for text in texts for word in text.split()]
    if len(words) > MAX_SCOPES:
        raise ScopeSizeError(
            f"{len(words)} scopes in one request; at most {MAX_SCOPES} are answered"
        )
    found: list[Scope] = []
    malformed: list[str] = []
    for word in words:
        try:
            scope = _known_scope(word) if len(word) <= _REMEMBERED else parse_scope(word)
        except ScopeSizeError:
            raise
        except ScopeError:
            malformed.append(word)
        else:
            found.append(scope)
    # A few scopes cannot ask for more accesses than the limit, and clients send one or two.
    few = len(found) * (MAX_ACTIONS + len(REPOSITORY_ACTIONS)) <= MAX_ACCESSES
    asked = 0 if few else len(accesses(found))
    if asked > MAX_ACCESSES:
        raise ScopeSizeError(
            f"{asked} accesses in one request; at most {MAX_ACCESSES} are answered"
        )
    return RequestedScopes(tuple(found), tuple(malformed))


# Jobs send the same scopes again and again, and their meaning depends on the text alone.
_known_scope: Final = lru_cache(maxsize=1024)(parse_scope)


def accesses(scopes: Sequence[Scope]) -> tuple[Access, ...]:
    """Return each access that the scopes ask for, once, in their order."""
    if len(scopes) == 1:
        return scopes[0].accesses
    return tuple(dict.fromkeys([access for scope in scopes for access in scope.accesses]))


def scopes(granted: Iterable[Access]) -> tuple[Scope, ...]:
    """Return the accesses as scopes, one for each resource, in the order of first appearance."""
    actions: dict[Resource, list[str]] = {}
    for access in granted:
        actions.setdefault(access.resource, []).append(access.action)
    return tuple([Scope(resource, tuple(listed)) for resource, listed in actions.items()])


# The same names come again and again.  A look-up is cheaper than matching the grammar.
_matches_name: Final = lru_cache(maxsize=1024)(_NAME.fullmatch)
_matches_path: Final = lru_cache(maxsize=1024)(_PATH.fullmatch)


def is_repository_name(name: str) -> bool:
    """Tell whether `name` is a repository's name, optionally with a registry's host before it."""
    return len(name) <= MAX_NAME_LENGTH and _matches_name(name) is not None


def repository_access(place: str, action: str) -> Access | None:
    """Return an action on what `Access.place` writes; None when that is no repository."""
    found = _read_place(place)
    if found is None or not is_repository_name(found[0]):
        return None
    name, reference, state = found
    return Access(Resource(REPOSITORY, name), action, reference, state)


def repository_accesses(places: Iterable[str]) -> tuple[Access, ...]:
    """
    Return every action on each of some places, in their order.

    Raises:
        ScopeError: One is no repository.
    """
    found: list[Access] = []
    for place in places:
        for action in REPOSITORY_ACTIONS:
            access = repository_access(place, action)
            if access is None:
                raise ScopeError(f"{place[:100]!r} is not a repository's name")
            found.append(access)
    return tuple(found)


def is_repository_path(text: str) -> bool:
    """Tell whether `text` is one or more whole segments of a repository's name."""
    return len(text) <= MAX_NAME_LENGTH and _matches_path(text) is not None
