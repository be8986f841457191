"""
The parts of a condition, whether each decides the whole, and the points that coverage counts.

What lives here: the value of every atomic condition in a situation, and whether the whole depends
on it there (masking MC/DC: NASA/TM-2001-210876).  Not here: which situations there were
(`coverage`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from regauth.engine.cel import BOOL, CelError, Node, Part, Program
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import Conditional, Logic, Unary
from regauth.engine.source.problems import Location

TRUE, FALSE, ERROR = "T", "F", "E"


@dataclass(frozen=True)
class Parts:
    """The parts of one program."""

    program: Program

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The atomic conditions, left to right."""
        return self.program.parts

    @cached_property
    def _programs(self) -> tuple[Program, ...]:
        definitions = self.program.definitions
        return tuple(make(part.text, part.node, BOOL, definitions) for part in self.parts)

    def values(self, variables: Mapping[str, object]) -> tuple[str, ...]:
        """Return each part's value: true, false or error."""
        return tuple(_value(program, variables) for program in self._programs)

    def whole(self, variables: Mapping[str, object]) -> str:
        """Return the whole condition's value."""
        return _value(self.program, variables)

    def effects(self, values: Sequence[str]) -> Iterator[int]:
        """Yield the parts whose value alone decides the whole, while the others keep theirs."""
        known = {id(part.node): value for part, value in zip(self.parts, values, strict=True)}
        whole = combine(self.program.node, known) == TRUE
        for number, part in enumerate(self.parts):
            value = values[number]
            flipped = {**known, id(part.node): FALSE if value == TRUE else TRUE}
            if value != ERROR and (combine(self.program.node, flipped) == TRUE) != whole:
                yield number


def _value(program: Program, variables: Mapping[str, object]) -> str:
    try:
        return TRUE if program.evaluate(variables) is True else FALSE
    except CelError:
        return ERROR


def combine(node: Node, known: Mapping[int, str]) -> str:
    """Combine the values of parts as CEL does: one decisive operand outweighs an error."""
    match node:
        case Logic(operator=operator, operands=operands):
            values = [combine(operand, known) for operand in operands]
            decisive = FALSE if operator == "&&" else TRUE
            if decisive in values:
                return decisive
            return ERROR if ERROR in values else (TRUE if operator == "&&" else FALSE)
        case Unary(operator="!", operand=operand):
            value = combine(operand, known)
            return {TRUE: FALSE, FALSE: TRUE}.get(value, ERROR)
        case Conditional(test=test, yes=yes, no=no):
            value = combine(test, known)
            return ERROR if value == ERROR else combine(yes if value == TRUE else no, known)
        case _:
            return known[id(node)]


@dataclass(slots=True)
class Point:
    """
    One point to cover, with its possible outcomes.

    `wanted` are the possible outcomes: true, false, error for a condition or a part.  `seen` are
    those that occurred.
    """

    kind: str
    name: str
    text: str
    location: Location
    wanted: tuple[str, ...]
    seen: set[str] = field(default_factory=set)
    suggestions: dict[str, str] = field(default_factory=dict)
    """For each outcome that was not seen, a token that would show it."""
    impossible: tuple[str, ...] = ()
    """Outcomes that it is proved no possible token shows; they are not wanted."""

    def give_up(self, outcome: str) -> None:
        """Record that no possible token shows an outcome."""
        self.wanted = tuple(one for one in self.wanted if one != outcome)
        self.impossible += (outcome,)

    @property
    def missing(self) -> tuple[str, ...]:
        """The outcomes that were not seen."""
        return tuple(one for one in self.wanted if one not in self.seen)
