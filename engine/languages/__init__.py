"""
Regular languages: sets of texts that a pattern or a claim's form describes.

What lives here: the public names.  Not here: code, and which claim or condition a language is of
(`issuers.values`, `compiler.lints`).

`find_common` and `find_outside` answer what the checker asks of a condition: whether a claim can
ever satisfy it, and whether it can ever fail it.  Both answer with a text, so that a message can
show one.
"""

from .automaton import (
    ANYTHING,
    Nfa,
    UncomparableError,
    Work,
    allowed,
    both,
    containing,
    either,
    find_common,
    find_outside,
    literals,
    prefixed,
    suffixed,
)
from .patterns import fully_matched, searched
from .tree import UnsupportedPatternError

__all__ = [
    "ANYTHING",
    "Nfa",
    "UncomparableError",
    "UnsupportedPatternError",
    "Work",
    "allowed",
    "both",
    "containing",
    "either",
    "find_common",
    "find_outside",
    "fully_matched",
    "literals",
    "prefixed",
    "searched",
    "suffixed",
]
