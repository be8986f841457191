"""
What lints look at and what they find.

What lives here: the values that every lint takes and gives.  What must not: lints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..cel import Program
from ..cel.nodes import Node, path_of
from ..claims import Claim, ClaimSchema

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a lint found, between two offsets of an expression or at a whole node."""

    message: str
    hint: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A CEL condition with what stands around it."""

    program: Program
    claims: Sequence[ClaimSchema]
    """The schemas of the tokens that it is evaluated with."""
    pinned: frozenset[Path]
    """The claims that it, or every rule before it, compares with literals or other values."""
    denial: bool

    def claim(self, node: Node) -> Claim | None:
        """Return what is known of the claim that an expression reads, if it reads just one."""
        path = path_of(node)
        if path is None or path[0] != "claims":
            return None
        for schema in self.claims:
            if (known := schema.claims.get(path[1:])) is not None:
                return known
        return None
