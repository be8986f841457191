"""
Questions: the accesses that a record's request asked for.

What lives here: a record's texts as accesses, and which of its answers is about which.
Not here: deciding (`deciding`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from regauth.engine.access.scope import Access, ScopeError, accesses, parse_access, parse_scopes

from .records import Answered, Record


class IncoherentError(ValueError):
    """A record contradicts itself."""


@dataclass(frozen=True, slots=True)
class AskedAccesses:
    """The accesses that were asked for, in their order."""

    choices: tuple[tuple[Access, ...], ...]
    """
    For each access its alternatives, one of which is enough: a request at a proxy names no class.
    """
    accesses: tuple[Access, ...]
    """All of them."""
    names: tuple[tuple[str, ...], ...]
    """The name of each choice."""

    @classmethod
    def of(cls, choices: Iterable[tuple[Access, ...]]) -> "AskedAccesses":
        """Make it of choices."""
        listed = tuple(choices)
        names = tuple(tuple(map(str, choice)) for choice in listed)
        return cls(listed, tuple(access for choice in listed for access in choice), names)

    def recorded(self, answers: Mapping[str, Answered]) -> tuple[Answered, ...]:
        """
        Return what was answered, by choice.

        Raises:
            IncoherentError: There is not one answer for each.
        """
        found = [[answers[name] for name in names if name in answers] for names in self.names]
        if len(found) != len(answers) or any(len(one) != 1 for one in found):
            raise IncoherentError("its accesses are not those of its scopes")
        return tuple([answered for [answered] in found])


def asked_of(record: Record) -> AskedAccesses:
    """
    Return what a record's request was for.

    Raises:
        IncoherentError: Its texts are not what they should be.
    """
    return asked_for(record.asked, by_reference=record.by_reference)


def asked_for(texts: tuple[str, ...], *, by_reference: bool) -> AskedAccesses:
    """
    Return what a request was for by the texts of its record.

    Raises:
        IncoherentError: The texts are not what they should be.
    """
    try:
        return _choices(texts) if by_reference else _scopes(texts)
    except ScopeError as error:
        raise IncoherentError(str(error)) from error


@lru_cache(maxsize=4096)
def _scopes(texts: tuple[str, ...]) -> AskedAccesses:
    return AskedAccesses.of((access,) for access in accesses(parse_scopes(texts)))


@lru_cache(maxsize=4096)
def _choices(texts: tuple[str, ...]) -> AskedAccesses:
    choices: dict[Access, dict[Access, None]] = {}
    for access in map(parse_access, texts):
        plain = replace(access, resource=replace(access.resource, class_=""))
        choices.setdefault(plain, {})[access] = None
    return AskedAccesses.of(map(tuple, choices.values()))
