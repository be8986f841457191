"""
Regular expressions as trees, and the languages of the registry's own grammar.

What lives here: the nodes, and the grammars of repository names, tags and digests as the engine has
them (`regauth.engine` scope and references).  Not here: RE2's syntax (`re2_syntax`), and automata
(`automata`).

Lengths are left out of names and tags: a longer name makes more accesses to look at, never fewer,
and where a bound decides the other way (`TooLong` in `atoms`) it is asked for by itself.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from regauth.engine.languages import characters
from regauth.engine.languages.characters import Characters


class Nothing(Struct, frozen=True):
    """No text at all."""


class OneOf(Struct, frozen=True):
    """One character of a set."""

    characters: Characters


class Chain(Struct, frozen=True):
    """The parts one after another; without any, the empty text."""

    parts: tuple["Expression", ...]


class Either(Struct, frozen=True):
    """One of the options."""

    options: tuple["Expression", ...]


class Star(Struct, frozen=True):
    """Any number of repetitions, none included."""

    of: "Expression"


class Times(Struct, frozen=True):
    """From `least` to `most` repetitions; without `most`, any number from `least` on."""

    of: "Expression"
    least: int
    most: int | None


class Edge(Struct, frozen=True):
    """An anchor: the empty text, where the whole text begins or ends."""

    start: bool


class WordEdge(Struct, frozen=True):
    """The empty text where a word of ASCII begins or ends."""


Expression: TypeAlias = Nothing | OneOf | Chain | Either | Star | Times | Edge | WordEdge

EMPTY: Final = Chain(())
ANY: Final = OneOf(characters.ALL)
ANYTHING: Final = Star(ANY)


def literal(text: str) -> Expression:
    """Return the expression of one text."""
    return Chain(tuple(OneOf(characters.of(character)) for character in text))


def chain(*parts: Expression) -> Expression:
    """Return the parts one after another."""
    return Chain(parts)


def either(*options: Expression) -> Expression:
    """Return one of the options."""
    return Either(options)


def maybe(expression: Expression) -> Expression:
    """Return the expression or the empty text."""
    return Either((EMPTY, expression))


def some(expression: Expression) -> Expression:
    """Return one repetition or more."""
    return Chain((expression, Star(expression)))


def times(expression: Expression, least: int, most: int | None) -> Expression:
    """Return `least` to `most` repetitions; without `most`, any number from `least` on."""
    return Times(expression, least, most)


_LOWER: Final = OneOf(characters.between("az", "09"))
_DIGIT: Final = OneOf(characters.between("09"))
_HOST_INNER: Final = OneOf(characters.union(_LOWER.characters, characters.of(".-")))
_SEPARATOR: Final = either(literal("."), literal("_"), literal("__"), some(literal("-")))
_COMPONENT: Final = chain(some(_LOWER), Star(chain(_SEPARATOR, some(_LOWER))))
PATH: Final = chain(_COMPONENT, Star(chain(literal("/"), _COMPONENT)))
"""One or more segments of a repository's name."""

_HOST: Final = chain(
    _LOWER,
    maybe(chain(Star(_HOST_INNER), _LOWER)),
    maybe(chain(literal(":"), times(_DIGIT, 1, 5))),
    literal("/"),
)
NAME: Final = chain(maybe(_HOST), PATH)
"""A repository's name, optionally with a registry's host before it."""

_WORD: Final = characters.union(characters.between("AZ", "az", "09"), characters.of("_"))
_TAG_CHARACTER: Final = OneOf(characters.union(_WORD, characters.of(".-")))
TAG_PART: Final = some(_TAG_CHARACTER)
"""What can stand within a tag."""

TAG: Final = chain(OneOf(_WORD), Star(_TAG_CHARACTER))
"""A tag (OCI Distribution Spec 1.1, "Pulling manifests")."""

_HEX: Final = OneOf(characters.between("af", "09"))
_ENCODED: Final = OneOf(
    characters.union(characters.between("AZ", "az", "09"), characters.of("=_-"))
)
_ALGORITHM: Final = chain(some(_LOWER), Star(chain(OneOf(characters.of("+._-")), some(_LOWER))))
SHA256: Final = chain(literal("sha256:"), times(_HEX, 64, 64))
SHA512: Final = chain(literal("sha512:"), times(_HEX, 128, 128))
OTHER_DIGEST: Final = chain(_ALGORITHM, literal(":"), times(_ENCODED, 32, 256))
"""A digest by an algorithm; those of sha256 and sha512 have their own lengths."""

NOT_A_SLASH: Final = OneOf(characters.others(characters.of("/")))

_BIT: Final = OneOf(characters.of("01"))
_IPV6: Final = chain(literal("6"), times(_BIT, 128, 128))
_MAPPED: Final = chain(literal("6" + "0" * 80 + "1" * 16), times(_BIT, 32, 32))
ADDRESSES: Final = (chain(literal("4"), times(_BIT, 32, 32)), _IPV6, _MAPPED)
"""Addresses of IPv4 (`addresses`), of IPv6, and those of IPv6 that stand for one of IPv4."""
