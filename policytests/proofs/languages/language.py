"""
Languages: a question about one text, by name, and the automaton that answers it.

What lives here: every kind of language, each made once.  Not here: what of a policy asks it
(`evaluation.calls`, `logic.patterns`).
"""

from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from regauth.policytests.proofs.budget import Cost, measured, pay, spend

from . import expressions, re2_syntax
from .automata import Automaton, UndecidedError, build, listing, minimised
from .expressions import ANY, ANYTHING, EMPTY, Expression, Nothing
from .images import TextFunction, preimage

MAX_COUNTED: Final = 300
"""The longest length that an automaton counts to."""


class Language:
    """
    A set of texts; equal languages by name are one object.

    `kind` and `about` name it: `("startsWith", ("acme/",))`.
    """

    __slots__ = ("_automaton", "_cost", "_error", "_order", "about", "kind")

    def __init__(self, kind: str, about: tuple[object, ...]) -> None:
        self.kind = kind
        self.about = about
        self._order: bytes | None = None
        self._automaton: Automaton | None = None
        self._error: UndecidedError | None = None
        self._cost: Cost | None = None

    def __repr__(self) -> str:
        return f"{self.kind}{self.about}"

    def __lt__(self, other: "Language") -> bool:
        return self.order < other.order

    @property
    def order(self) -> bytes:
        """What languages are sorted by: the same, whatever was made before."""
        if self._order is None:
            self._order = blake2b(f"{self.kind}{_written(self.about)}".encode()).digest()
        return self._order

    @property
    def automaton(self) -> Automaton:
        """
        The automaton of the language, made when it is first asked for.

        Raises:
            UndecidedError: There is none that is small enough.
        """
        if self._cost is not None:
            pay(self._cost)
        if self._automaton is None and self._error is None:
            made, failed = None, None
            with measured() as cost:
                try:
                    made = _automaton(self)
                except UndecidedError as error:
                    failed = error
            # Where the steps ran out, nothing is kept, and nothing is paid for again.
            self._automaton, self._error, self._cost = made, failed, cost
        if self._automaton is None:
            assert self._error is not None  # noqa: S101 - for the type checker
            raise self._error
        return self._automaton

    @property
    def texts(self) -> frozenset[str] | None:
        """The texts of a language that lists them, or None."""
        if self.kind == "in":
            return self.about[0]  # type: ignore[return-value]  # of `in`, a set of texts
        return None

    def holds(self, text: str) -> bool:
        """Tell whether a text is in the language."""
        match self.kind, self.about:
            case "in", (frozenset() as texts,):
                return text in texts
            case "startsWith", (str(part),):
                return text.startswith(part)
            case "endsWith", (str(part),):
                return text.endswith(part)
            case "contains", (str(part),):
                return part in text
            case _:
                spend(1 + len(text) // 2)
                return self.automaton.accepts(text)


_known: dict[tuple[str, tuple[object, ...]], Language] = {}


def _language(kind: str, *about: object) -> Language:
    key = (kind, about)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Language(kind, about)
    return found


def _written(about: object) -> str:
    """Return what a language is about as a text; the order in a set says nothing."""
    match about:
        case Language():
            return about.order.hex()
        case frozenset():
            return f"{{{','.join(sorted(map(_written, about)))}}}"
        case tuple():
            return f"({','.join(map(_written, about))})"
        case _:
            return repr(about)


def one_of(texts: Iterable[str]) -> Language:
    """Return the language of some texts."""
    return _language("in", frozenset(texts))


def starts_with(text: str) -> Language:
    """Return the texts that begin with a text."""
    return _language("startsWith", text)


def ends_with(text: str) -> Language:
    """Return the texts that end with a text."""
    return _language("endsWith", text)


def contains(text: str) -> Language:
    """Return the texts that hold a text."""
    return _language("contains", text)


def matches(pattern: str) -> Language:
    """Return the texts in which RE2 finds a pattern."""
    return _language("matches", pattern)


def length(operator: str, bound: int) -> Language:
    """Return the texts whose number of characters compares so (`<`, `<=`, `==`) with a bound."""
    return _language("length", operator, bound)


def pieces(separator: str, operator: str, bound: int) -> Language:
    """Return the texts of which `split(separator)` gives so many pieces."""
    return _language("pieces", separator, operator, bound)


def pattern(parts: tuple[tuple[str, str], ...]) -> Language:
    """Return the names that a pattern of literals and wildcards matches (`shape` of each part)."""
    return _language("pattern", parts)


def inside(base: Language, start: int, ends: frozenset[int]) -> Language:
    """Return the texts that lead a language's automaton from a state to one of some states."""
    return _language("inside", base, start, ends)


def image(base: Language, function: TextFunction) -> Language:
    """Return the texts whose value under a function is in a language."""
    return _language("image", base, function)


PATH: Final = _language("path")
"""One or more segments of a repository's name, of any length."""
NAME: Final = _language("name")
"""A repository's name, of any length."""
TAG: Final = _language("tag")
"""A tag, of any length."""
TAG_PART: Final = _language("tag part")
"""What can stand within a tag, of any length."""
DIGEST: Final = _language("digest")
"""A digest of any algorithm."""
EVERY_TEXT: Final = _language("every text")
ADDRESS: Final = _language("address")
"""The addresses of clients, as `addresses` writes them; an IPv4-mapped one is an IPv4 address."""

_WILDCARDS: Final[dict[str, Expression]] = {
    "*": expressions.Star(expressions.NOT_A_SLASH),
    "**/": expressions.maybe(expressions.chain(ANYTHING, expressions.literal("/"))),
    "**": expressions.some(ANY),
    "tag*": ANYTHING,
}
"""What a wildcard stands for (`Wildcard` in the engine's patterns; `tag*` is that of tags)."""

_NAMED: Final[dict[str, Expression]] = {
    "path": expressions.PATH,
    "name": expressions.NAME,
    "tag": expressions.TAG,
    "tag part": expressions.TAG_PART,
    "every text": ANYTHING,
}


def wildcard(text: str) -> Language:
    """Return what a wildcard stands for."""
    return pattern((("wildcard", text),))


def _automaton(language: Language) -> Automaton:
    if language.kind in _NAMED:
        return build(_NAMED[language.kind])
    match language.kind, language.about:
        case "inside", (Language() as base, int(start), frozenset() as ends):
            return _part(base.automaton, start, ends)
        case "image", (Language() as base, TextFunction() as function):
            return minimised(preimage(base.automaton, function))
        case "pieces", (str(separator), str(operator), int(bound)):
            counted = length(operator, bound).automaton
            return minimised(preimage(counted, TextFunction("pieces", (separator,))))
        case "digest", ():
            return _digests()
        case "address", ():
            return _either_but(*map(build, expressions.ADDRESSES))
        case "in", (frozenset() as texts,):
            return listing(sorted(texts))
        case _:
            return build(_expression(language))


def _expression(language: Language) -> Expression:
    match language.kind, language.about:
        case "startsWith", (str(text),):
            return expressions.chain(expressions.literal(text), ANYTHING)
        case "endsWith", (str(text),):
            return expressions.chain(ANYTHING, expressions.literal(text))
        case "contains", (str(text),):
            return expressions.chain(ANYTHING, expressions.literal(text), ANYTHING)
        case "matches", (str(text),):
            return re2_syntax.search(text)
        case "length", (str(operator), int(bound)):
            return _lengths(operator, bound)
        case "pattern", (tuple() as parts,):
            return expressions.chain(
                *(
                    expressions.literal(text) if kind == "literal" else _WILDCARDS[text]
                    for kind, text in parts
                )
            )
        case _:
            pass
    raise UndecidedError(f"the language {language!r}")


def _lengths(operator: str, bound: int) -> Expression:
    if operator == "<":
        operator, bound = "<=", bound - 1
    if bound < 0:
        return Nothing()
    if bound > MAX_COUNTED:
        raise UndecidedError(f"a length of {bound} characters")
    if operator == "==":
        return expressions.times(ANY, bound, bound)
    return expressions.times(ANY, 0, bound) if bound else EMPTY


def _part(base: Automaton, start: int, ends: frozenset[int]) -> Automaton:
    """Return the automaton of what leads from a state to some others."""
    order, known = [start], {start: 0}
    rows = []
    for state in order:
        row = []
        spend(1 + len(base.transitions[state]) // 4)
        for low, high, target in base.transitions[state]:
            if target not in known:
                known[target] = len(order)
                order.append(target)
            row.append((low, high, known[target]))
        rows.append(tuple(row))
    finals = frozenset(known[state] for state in ends if state in known)
    return minimised(Automaton(tuple(rows), finals))


def _digests() -> Automaton:
    """Return every digest: one of sha256 and sha512 has its own length, and no other."""
    other = build(expressions.OTHER_DIGEST)
    own = build(expressions.either(expressions.SHA256, expressions.SHA512))
    named = build(
        expressions.chain(
            expressions.either(expressions.literal("sha256:"), expressions.literal("sha512:")),
            ANYTHING,
        )
    )
    return _either_but(own, other, named)


def _either_but(own: Automaton, other: Automaton, but: Automaton) -> Automaton:
    """Return what is in `own`, or in `other` and not in `but`."""
    machines = (own, other, but)
    order, known = [(0, 0, 0)], {(0, 0, 0): 0}
    rows: list[tuple[tuple[int, int, int], ...]] = []
    finals = set()
    for number, states in enumerate(order):
        one, two, three = (
            state in machine.finals for state, machine in zip(states, machines, strict=True)
        )
        if one or (two and not three):
            finals.add(number)
        cuts = sorted(
            {
                cut
                for state, machine in zip(states, machines, strict=True)
                if state >= 0
                for low, high, _ in machine.transitions[state]
                for cut in (low, high + 1)
            }
        )
        row = []
        spend(len(cuts))
        for low, after in pairwise(cuts):
            target = tuple(
                machine.step(state, low) for state, machine in zip(states, machines, strict=True)
            )
            if target[0] < 0 and target[1] < 0:
                continue
            if target not in known:
                known[target] = len(order)  # type: ignore[index]  # a pair, as `strict` says
                order.append(target)  # type: ignore[arg-type]  # a pair, as `strict` says
            row.append((low, after - 1, known[target]))  # type: ignore[index]  # a pair, as `strict` says
        rows.append(tuple(row))
    return minimised(Automaton(tuple(rows), frozenset(finals)))
