"""
Comparison as text: which statements and providers of two policies are the same for certain.

What lives here: keys that are equal only for statements that mean the same, and what cannot be
compared otherwise: keys and algorithms.  Not here: statements that mean the same and are written
otherwise (`question`).
"""

from collections.abc import Hashable
from typing import Final

from regauth.engine.cel import Program
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.policy.policy import KeySource, Provider, Statement, StaticKeys

from .evaluation.closed_text import key_of


def statement_key(statement: Statement) -> Hashable:
    """
    Return all that a statement means to a provider and a service that it is about.

    Its name and its place are no part of it, and lists are sets.
    """
    known = _keys.get(id(statement))
    if known is None:
        if len(_keys) >= MAX_KEYS:
            _keys.clear()
        known = _keys[id(statement)] = (statement, _statement_key(statement))
    return known[1]


MAX_KEYS: Final = 50_000
"""Keys that are kept to be found again: most statements of two policies are the same objects."""

_keys: Final[dict[int, tuple[Statement, Hashable]]] = {}
"""By its identity, a statement, which is kept with it, and its key."""


def _statement_key(statement: Statement) -> Hashable:
    return (
        type(statement),
        None if statement.when is None else key_of(statement.when),
        frozenset(map(_pattern_key, statement.patterns)),
        statement.actions,
        statement.catalog,
        statement.class_,
        statement.expires,
        frozenset(map(_pattern_key, statement.tags)),
        statement.new_tags_only,
    )


def is_about(statement: Statement, provider: str, service: str) -> bool:
    """Tell whether a statement is about a provider's tokens and a service."""
    return service in statement.services and (
        statement.providers is None or provider in statement.providers
    )


def reads_provider(statement: Statement) -> bool:
    """Tell whether a statement may mean something else to another provider's tokens."""
    patterns: tuple[Pattern | TagPattern, ...] = (*statement.patterns, *statement.tags)
    programs = [program for one in patterns for program in one.programs]
    if statement.when is not None:
        programs.append(statement.when)
    return statement.providers is not None or any(
        "provider" in program.variables for program in programs
    )


def _pattern_key(pattern: Pattern | TagPattern) -> Hashable:
    return tuple(_part_key(part) for part in pattern.parts)


def _part_key(part: str | Wildcard | Program) -> Hashable:
    return key_of(part) if isinstance(part, Program) else part


def login_key(provider: Provider) -> Hashable:
    """Return all that a provider asks of a token whose signature is good."""
    audiences = provider.audiences
    plain = audiences if type(audiences) is frozenset else id(audiences)
    return (
        provider.name,
        provider.issuer,
        plain,
        frozenset(key_of(rule.check) for rule in provider.rules),
        key_of(provider.subject),
        provider.clock_skew,
        provider.max_token_age,
        provider.max_session,
    )


def believes(new: Provider, old: Provider) -> bool:
    """Tell whether a provider believes every signature that another does, as far as is written."""
    return _source_key(new.keys) == _source_key(old.keys) and set(new.algorithms) <= set(
        old.algorithms
    )


def _source_key(source: KeySource) -> Hashable:
    if not isinstance(source, StaticKeys):
        return repr(source)
    return frozenset(
        (key.material.public_numbers(), key.algorithms, key.key_id)
        if hasattr(key.material, "public_numbers")
        else (key.material.public_bytes_raw(), key.algorithms, key.key_id)
        for key in source.key_set.keys
    )


def are_apart(left: Statement, right: Statement) -> bool:
    """Tell whether no name is certain to be in both of two statements, by literal beginnings."""
    if left.catalog or right.catalog:
        return left.catalog != right.catalog
    return all(
        _apart(one.prefix, other.prefix, literal=one.literal and other.literal)
        for one in left.patterns
        for other in right.patterns
    )


def _apart(one: str, other: str, *, literal: bool) -> bool:
    if literal:
        return one != other
    if not one or not other:
        return False
    return not (one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/"))


def share_a_value(left: Statement, right: Statement) -> bool:
    """Tell whether two conditions may hold for one token, by what claims must equal."""
    if left.when is None or right.when is None:
        return True
    first, second = left.when.equalities, right.when.equalities
    return all(first[path] & second[path] for path in first.keys() & second.keys())
