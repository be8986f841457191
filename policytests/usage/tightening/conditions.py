"""
Conditions: the alternatives of a grant's condition that requests needed, and narrower texts.

What lives here: an alternative is an operand of `||`, or an item of the list in `x in [...]`, where
it can only help the condition to be true; and the text of a condition without some of them.
Not here: a second meaning of any operator.  Each alternative is lowered and run as the whole is
(`regauth.engine.cel.evaluation.lowering`).

Alternatives of definitions stay: rules and denials may read them too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from regauth.engine.cel import BOOL, CelError, Node, Program, unparse
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.errors import RejectedError
from regauth.engine.cel.syntax.nodes import Binary, Conditional, Constant, ListLiteral, Logic
from regauth.engine.cel.syntax.parsing import parse

Span = tuple[int, int]
"""Where an alternative stands in the text of its condition."""


class Splice(NamedTuple):
    """A part of a text, and what takes its place."""

    start: int
    end: int
    text: str


def _span(node: Node) -> Span:
    return node.start, node.end


def _choices(node: Node) -> tuple[Node, ...]:
    """Return the alternatives of a node that is a choice; none of another."""
    match node:
        case Logic(operator="||"):
            return node.operands
        case Binary(operator="in", right=ListLiteral(items=items)):
            return items if all(isinstance(one, Constant) for one in items) else ()
        case _:
            return ()


def _alternatives(node: Node) -> Iterator[Node]:
    """Yield every alternative, the outer ones first."""
    if isinstance(node, Logic) and node.operator == "&&":
        for operand in node.operands:
            yield from _alternatives(operand)
    for one in _choices(node):
        yield one
        yield from _alternatives(one)


class Alternatives:
    """
    Finds which alternatives of a condition are needed, request by request.

    Args:
        when: The condition.
    """

    def __init__(self, when: Program) -> None:
        self._when = when
        self._tests: dict[Span, Program] = {}
        self._unused = {_span(one): one for one in _alternatives(when.node)}

    @property
    def unused(self) -> Mapping[Span, Node]:
        """Those that no request needed so far."""
        return self._unused

    def need_all(self) -> None:
        """Take every alternative as needed: what a request needs cannot be told."""
        self._unused.clear()

    def note(self, variables: Mapping[str, Any]) -> None:
        """Note what a request needs for which the condition is true."""
        if self._unused:
            self._note(self._when.node, variables)

    def _note(self, node: Node, variables: Mapping[str, Any]) -> None:
        if isinstance(node, Logic) and node.operator == "&&":
            for operand in node.operands:
                self._note(operand, variables)
            return
        choices = _choices(node)
        if not choices:
            return
        # Those that are needed anyway come first, so that few are.
        for one in sorted(choices, key=lambda one: _span(one) in self._unused):
            if self._holds(node, one, variables):
                self._unused.pop(_span(one), None)
                self._note(one, variables)
                return
        self.need_all()  # the request got what the condition does not give: nothing is known of it

    def _holds(self, choice: Node, one: Node, variables: Mapping[str, Any]) -> bool:
        test = self._tests.get(_span(one))
        if test is None:
            tested: Node = one
            if isinstance(choice, Binary):
                tested = replace(choice, operator="==", right=one)
            test = make(unparse(tested), tested, BOOL, self._when.definitions)
            self._tests[_span(one)] = test
        try:
            return test.holds(variables)
        except CelError:
            return False


def outermost(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans that lie in no other."""
    last = -1
    for start, end in sorted(spans, key=lambda one: (one[0], -one[1])):
        if end > last:
            yield start, end
            last = end


# --- text ----------------------------------------------------------------------------------------

_SPACE: Final = " \t\r\n"


def narrowed(text: str, unused: Mapping[Span, Node], added: Sequence[str]) -> list[Splice]:
    """
    Return the changes that make a condition narrower.

    Args:
        text: The condition.
        unused: Alternatives that go.
        added: Conditions that must hold too.

    The author's spelling stays where it can; otherwise the whole text is written anew.
    """
    node = parse(text)
    kept = _without(node, unused)
    operands = kept.operands if isinstance(kept, Logic) and kept.operator == "&&" else (kept,)
    wanted = kept
    for one in added:
        more = parse(one)
        chain = isinstance(more, Logic) and more.operator == "&&"
        operands = (*operands, *(more.operands if chain and isinstance(more, Logic) else (more,)))
        wanted = Logic(0, 0, "&&", operands)
    meaning = unparse(wanted)
    for tidy in (True, False):
        found = [*_cuts(text, node, unused, tidy=tidy), *_additions(node, kept, added)]
        if _means(spliced(text, found), meaning):
            return found
    return [Splice(0, len(text), meaning)]


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """Return a text after changes, none of which lies in another."""
    for one in sorted(splices, reverse=True):
        text = text[: one.start] + one.text + text[one.end :]
    return text


def _means(text: str, meaning: str) -> bool:
    try:
        return unparse(parse(text)) == meaning
    except RejectedError:
        return False


def _without(node: Node, unused: Mapping[Span, Node]) -> Node:
    if isinstance(node, Logic) and node.operator == "&&":
        return replace(node, operands=tuple(_without(one, unused) for one in node.operands))
    left = tuple(_without(one, unused) for one in _choices(node) if _span(one) not in unused)
    if isinstance(node, Logic) and left:
        return left[0] if len(left) == 1 else replace(node, operands=left)
    if isinstance(node, Binary) and left:
        return replace(node, right=ListLiteral(0, 0, left))
    return node


def _cuts(text: str, node: Node, unused: Mapping[Span, Node], *, tidy: bool) -> Iterator[Splice]:
    if isinstance(node, Logic) and node.operator == "&&":
        for operand in node.operands:
            yield from _cuts(text, operand, unused, tidy=tidy)
        return
    choices = _choices(node)
    whole, mark = (node, "||") if isinstance(node, Logic) else (None, ",")
    inner = (node.right.start + 1, node.right.end - 1) if isinstance(node, Binary) else _span(node)
    bounds = [inner[0]]  # where the part of each alternative begins; its mark ends the part before
    for before, after in pairwise(choices):
        at = text.find(mark, before.end, after.start)
        bounds.append(at if at >= 0 else before.end)
    bounds.append(inner[1])
    kept = [number for number, one in enumerate(choices) if _span(one) not in unused]
    for number, one in enumerate(choices):
        if number in kept:
            yield from _cuts(text, one, unused, tidy=tidy)
            continue
        start, end = bounds[number], bounds[number + 1]
        if kept and number < kept[0]:  # with the mark behind it; else with the one before it
            start = start + len(mark) if number else start
            end += len(mark)
            end += len(text[end:]) - len(text[end:].lstrip(_SPACE))
            start += len(text[start:end]) - len(text[start:end].lstrip(_SPACE)) if number else 0
        else:
            start = len(text[:start].rstrip(_SPACE))
            end = len(text[:end].rstrip(_SPACE))
        yield Splice(start, end, "")
    if tidy and whole is not None and len(kept) == 1 and len(choices) > 1:
        yield from _brackets(text, whole)


def _brackets(text: str, node: Node) -> Iterator[Splice]:
    """Yield the brackets right around a node, which one alternative alone does not need."""
    if text[: node.start].endswith("(") and text[node.end :].startswith(")"):
        yield Splice(node.start - 1, node.start, "")
        yield Splice(node.end, node.end + 1, "")


def _additions(node: Node, kept: Node, added: Sequence[str]) -> Iterator[Splice]:
    if not added:
        return
    binds = not (
        isinstance(kept, Conditional) or (isinstance(kept, Logic) and kept.operator == "||")
    )
    if not binds:
        yield Splice(node.start, node.start, "(")
    close = "" if binds else ")"
    yield Splice(node.end, node.end, close + "".join(f" && {one}" for one in added))
