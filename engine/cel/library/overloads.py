"""
The form of a declaration of a function or operator: one for the checker and for evaluation.

What lives here: `Overload` and `Function`, and the choice of an overload by the kinds of the values
at run time.  Not here: any particular function (`functions`) or operator (`operators`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from regauth.engine.cel.syntax.errors import CelError, CelErrorCode

from .types import (
    ADDRESS,
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    ListType,
    MapType,
    RecordType,
    Type,
)
from .values import Duration, Timestamp, Value, kind

Implementation: TypeAlias = Callable[..., Value]

_CLASSES: Final[dict[Type, type]] = {
    BOOL: bool,
    INT: int,
    DOUBLE: float,
    STRING: str,
    NULL: type(None),
    TIMESTAMP: Timestamp,
    DURATION: Duration,
}
_ADDRESSES: Final = (IPv4Address, IPv6Address)


@dataclass(frozen=True, slots=True)
class Overload:
    """
    One way to call a function or an operator.

    `apply` gets values of exactly these parameter types and raises `CelError` without a position.
    A parameter of type `DYN` takes a value of any kind.
    """

    parameters: tuple[Type, ...]
    result: Type
    apply: Implementation


@dataclass(frozen=True)
class Function:
    """
    A function or an operator with its overloads.

    `member`: called as `target.name(...)`, the target being the first parameter; `free`: called as
    `name(...)`.
    """

    name: str
    overloads: tuple[Overload, ...]
    member: bool = False
    free: bool = False
    _table: dict[tuple[type, ...], Implementation] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for overload in self.overloads:
            for classes in _products(overload.parameters):
                self._table.setdefault(classes, overload.apply)

    def select(self, *classes: type) -> Implementation | None:
        """Give what computes values of these exact Python types, or None."""
        return self._table.get(classes)

    def refuse(self, *values: Value) -> CelError:
        """Make the error of a call whose values no overload takes."""
        kinds = ", ".join(kind(value) for value in values)
        return CelError(CelErrorCode.TYPE, f"{self.name} does not take ({kinds})")


def _products(parameters: Iterable[Type]) -> list[tuple[type, ...]]:
    """List every tuple of Python types that a tuple of parameters takes."""
    found: list[tuple[type, ...]] = [()]
    for parameter in parameters:
        found = [(*head, last) for head in found for last in _classes(parameter)]
    return found


def _classes(parameter: Type) -> tuple[type, ...]:
    if isinstance(parameter, ListType):
        return (list,)
    if isinstance(parameter, (MapType, RecordType)):
        return (dict,)
    if parameter == DYN:
        return (*_CLASSES.values(), *_ADDRESSES, list, dict)
    if parameter == ADDRESS:
        return _ADDRESSES
    return (_CLASSES[parameter],)
