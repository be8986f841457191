"""
RE2 patterns as expressions of the prover.

What lives here: the expression of what the engine's parser has read.  Not here: RE2's syntax
(`regauth.engine.languages.syntax`), and what RE2 refuses (`regauth.engine.cel.library.regex`).

Only patterns that the engine has compiled come here.
"""

from regauth.engine.languages import UnsupportedPatternError
from regauth.engine.languages.syntax import parse
from regauth.engine.languages.tree import (
    Alternation,
    Anchor,
    CharacterClass,
    Repeat,
    Sequence,
    Tree,
    WordBoundary,
)

from . import expressions
from .automata import UndecidedError
from .expressions import ANYTHING, Edge, Expression, OneOf, WordEdge


def search(pattern: str) -> Expression:
    """
    Return the expression of the texts in which RE2 finds a pattern.

    Raises:
        UndecidedError: The pattern holds something that is not decided here.
    """
    try:
        found = _expression(parse(pattern))
    except UnsupportedPatternError as error:
        raise UndecidedError(f"the regular expression {error}") from error
    return expressions.chain(ANYTHING, found, ANYTHING)


def _expression(tree: Tree) -> Expression:
    match tree:
        case CharacterClass(found):
            return OneOf(found)
        case Anchor(end):
            return Edge(start=not end)
        case WordBoundary():
            return WordEdge()
        case Sequence(parts):
            return expressions.chain(*map(_expression, parts))
        case Alternation(parts):
            return expressions.either(*map(_expression, parts))
        case Repeat(part, least, most):
            return expressions.times(_expression(part), least, most)
