"""
The types of CEL expressions, as the checker sees them.

What lives here: the types a claim schema is written in (`RecordType`, `Field`), the rules of
assignment and comparison between types, and how types are named to an author.  Not here: values
(`values`), and walking an expression (`checks.checking`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A type without parameters; compare against the constants of this module."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ListType:
    """A list whose elements have one type."""

    element: "Type"

    @property
    def item(self) -> "Type":
        """What is known of an element that is there."""
        return DYN if self.element == NOTHING else self.element

    def __str__(self) -> str:
        return "list" if self.element == NOTHING else f"list({self.element})"


@dataclass(frozen=True, slots=True)
class MapType:
    """
    A map from strings to values of one type: a JSON object with free keys.

    `keys` are all there are, where that is known: those of a table.
    """

    value: "Type"
    keys: frozenset[str] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"map(string, {self.value})"


@dataclass(frozen=True, slots=True)
class Field:
    """
    One named member of a record.

    `required` says that every conforming value has it; the others are asked for with `has()`.
    `nullable` says that it can be null; `!= null` asks for that.
    """

    type: "Type"
    required: bool
    nullable: bool = False


@dataclass(frozen=True)
class RecordType:
    """
    A JSON object with named members, such as the claims of one issuer.

    An `open` record may have further members: they are optional and of type `DYN`.  `families` are
    members whose names begin alike and go on with words that the schema cannot know, by what they
    begin with.  `beside` says of an optional member beside which ones it is always there.
    """

    name: str
    fields: Mapping[str, Field]
    open: bool
    families: Mapping[str, Field] = field(default_factory=dict)
    beside: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.fields)))

    def field(self, name: str) -> Field | None:
        """Give the member called `name`, or None where the record cannot have it."""
        declared = self.fields.get(name)
        if declared is not None:
            return declared
        for beginning, member in self.families.items():
            if name.startswith(beginning) and name != beginning:
                return member
        return Field(DYN, required=False) if self.open else None


Type: TypeAlias = ScalarType | ListType | MapType | RecordType

DYN: Final = ScalarType("dyn")
"""Known only at run time; goes everywhere, and is checked where it is used."""
BOOL: Final = ScalarType("bool")
INT: Final = ScalarType("int")
DOUBLE: Final = ScalarType("double")
STRING: Final = ScalarType("string")
NULL: Final = ScalarType("null")
TIMESTAMP: Final = ScalarType("timestamp")
DURATION: Final = ScalarType("duration")
ADDRESS: Final = ScalarType("address")
"""An IP address, which is in networks or not, and does nothing else."""

NOTHING: Final = ScalarType("nothing")
"""The elements of `[]`: a list of nothing is a list of anything."""

NUMBERS: Final = frozenset({INT, DOUBLE})
_ANY: Final = frozenset({DYN, NOTHING})
ORDERED: Final = frozenset({BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION})


def accepts(wanted: Type, given: Type) -> bool:
    """Whether a value of type `given` may stand where `wanted` is asked for."""
    if wanted in _ANY or given in _ANY:
        return True
    if isinstance(wanted, ListType) and isinstance(given, ListType):
        return accepts(wanted.element, given.element)
    if isinstance(wanted, MapType):
        return _map_accepts(wanted, given)
    return wanted == given


def _map_accepts(wanted: MapType, given: Type) -> bool:
    if isinstance(given, MapType):
        return accepts(wanted.value, given.value)
    if isinstance(given, RecordType):
        return all(accepts(wanted.value, member.type) for member in given.fields.values())
    return False


def comparable(left: Type, right: Type) -> bool:
    """Whether `left == right` can be anything but an error, or false by the types alone."""
    if left in _ANY or right in _ANY:
        return True
    if isinstance(left, ListType) and isinstance(right, ListType):
        return comparable(left.element, right.element)
    if isinstance(left, (MapType, RecordType)) and isinstance(right, (MapType, RecordType)):
        return True
    return left == right


def common(left: Type, right: Type) -> Type | None:
    """
    Give the type of a place that holds values of both types, or None if there is none.

    Used for the elements of a list literal and the two branches of `? :`.
    """
    if left == right:
        return left
    if NOTHING in (left, right):
        return right if left == NOTHING else left
    if DYN in (left, right):
        return DYN
    if isinstance(left, ListType) and isinstance(right, ListType):
        element = common(left.element, right.element)
        return None if element is None else ListType(element)
    if isinstance(left, (MapType, RecordType)) and isinstance(right, (MapType, RecordType)):
        return MapType(DYN)
    return None
