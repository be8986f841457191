"""
Weakening: small changes of a condition or a pattern, most of which allow more.

What lives here: every change of an expression's tree, and every wider pattern of repositories and
tags.  Not here: where they stand in a policy (`mutants`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from regauth.engine.cel import Node, Program, unparse
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Conditional,
    Constant,
    ListLiteral,
    Logic,
    Unary,
)
from regauth.engine.policy.patterns.names import Part, Pattern, Wildcard
from regauth.engine.policy.patterns.tags import STAR, TagPattern

# --- conditions ----------------------------------------------------------------------------------

Change = tuple[str, Node, Node, str]
"""Operator, the whole tree after the change, the part before it, and the part's text after."""


Mutable = Callable[[Node], bool]
"""Tells whether an operand is a name that a person chooses, so that a similar name can exist."""


def conditions(program: Program, mutable: Mutable) -> Iterator[tuple[str, Program, Node, str]]:
    """Yield each change of a condition: operator, new program, old part, its new text."""
    for operator, root, part, after in _changes(program.node, lambda node: node):
        if operator in WIDENINGS and not mutable(part):
            continue
        yield operator, make(unparse(root), root, program.type, program.definitions), part, after


def _changes(node: Node, rebuild: Callable[[Node], Node], within: str = "") -> Iterator[Change]:
    match node:
        case Logic(operator=operator, operands=operands):
            other = "||" if operator == "&&" else "&&"
            swapped = replace(node, operator=other)
            yield f"{operator} to {other}", rebuild(swapped), node, unparse(swapped)
            for number, operand in enumerate(operands):
                rest = (*operands[:number], *operands[number + 1 :])
                left = rest[0] if len(rest) == 1 else replace(node, operands=rest)
                yield "drop-part", rebuild(left), operand, ""

                def inside(new: Node, number: int = number) -> Node:
                    inner = (*operands[:number], new, *operands[number + 1 :])
                    return rebuild(replace(node, operands=inner))

                yield from _changes(operand, inside, operator)
        case Unary(operator="!", operand=operand):
            yield "drop-not", rebuild(operand), node, unparse(operand)
            yield from _changes(operand, lambda new: rebuild(replace(node, operand=new)))
        case Conditional():
            yield "only-yes", rebuild(node.yes), node, unparse(node.yes)
            yield "only-no", rebuild(node.no), node, unparse(node.no)
        case _:
            yield from _atom(node, rebuild, within)


def _atom(node: Node, rebuild: Callable[[Node], Node], within: str) -> Iterator[Change]:
    negated = Unary(node.start, node.end, "!", node)
    if isinstance(node, Binary) and node.operator in _OPPOSITES:
        negated = replace(node, operator=_OPPOSITES[node.operator])  # type: ignore[assignment]  # of another kind than the line above, and both are nodes
    yield "negate", rebuild(negated), node, unparse(negated)
    # In a chain, another mutant already drops the part.
    if within != "&&":
        always = Constant(node.start, node.end, value=True)
        yield "always-true", rebuild(always), node, "true"
    if within != "||":
        never = Constant(node.start, node.end, value=False)
        yield "never-true", rebuild(never), node, "false"
    for operator, changed in _literals(node):
        yield operator, rebuild(changed), node, unparse(changed)


WIDENINGS: Final = frozenset({"widen-to-prefix", "widen-to-suffix"})
_OPPOSITES: Final[Mapping[str, str]] = dict(
    pair.split() for pair in ("== !=", "!= ==", "< >=", ">= <", "> <=", "<= >")
)


def _literals(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the condition with one of its literals changed, or widened."""
    match node:
        case Binary(operator="==", left=left, right=Constant(value=str(text)) as literal) if text:
            yield "other-literal", replace(node, right=replace(literal, value=f"{text}-x"))
            prefix = Call(node.start, node.end, "startsWith", left, (literal,), node.start)
            yield "widen-to-prefix", prefix
            # The text before the last slash is a form that all values share: refs/heads/main.
            tail = replace(literal, value=text[max(text.rfind("/"), 0) :])
            yield (
                "widen-to-suffix",
                Call(node.start, node.end, "endsWith", left, (tail,), node.start),
            )
        case Binary(operator="in", right=ListLiteral(items=items) as listed) if len(items) > 1:
            for number in range(len(items)):
                rest = (*items[:number], *items[number + 1 :])
                yield "drop-item", replace(node, right=replace(listed, items=rest))
        case Call(function="startsWith" | "endsWith", arguments=(Constant(value=str(text)) as it,)):
            if text:
                wider = text[:-1] if node.function == "startsWith" else text[1:]
                yield "widen-literal", replace(node, arguments=(replace(it, value=wider),))
                if "/" not in text:
                    yield "widen-to-contains", replace(node, function="contains")
        case _:
            pass


# --- patterns ------------------------------------------------------------------------------------


def wider_patterns(pattern: Pattern) -> Iterator[tuple[str, Pattern]]:
    """Yield patterns that match more than this one."""
    parts = pattern.parts
    for number, part in enumerate(parts):
        before, after = parts[:number], parts[number + 1 :]
        if part is Wildcard.STAR and (not before or _ends(before[-1])) and not after:
            yield "widen-star", _pattern((*before, Wildcard.REST))
        elif isinstance(part, Program):
            yield "widen-expression", _pattern((*before, Wildcard.STAR, *after))
    if pattern.text == "**":
        return
    last = parts[-1]
    if isinstance(last, str):
        head, slash, tail = last.rpartition("/")
        if tail:
            yield (
                "widen-last-segment",
                _pattern((*parts[:-1], *_segment(head + slash), Wildcard.STAR)),
            )
            yield "widen-suffix", _pattern((*parts, Wildcard.STAR))
    elif isinstance(last, Program):
        yield "widen-suffix", _pattern((*parts, Wildcard.STAR))
    first = parts[0]
    if isinstance(first, str) and last is Wildcard.REST and len(parts) > 1:
        yield "widen-to-all", _pattern((Wildcard.REST,))


def wider_tags(tag: TagPattern) -> Iterator[tuple[str, TagPattern]]:
    """Yield tag patterns that match more than this one."""
    parts = tag.parts
    for number, part in enumerate(parts):
        if isinstance(part, Program):
            yield "widen-expression", _tag((*parts[:number], STAR, *parts[number + 1 :]))
    if parts[-1] != STAR:
        yield "widen-suffix", _tag((*parts, STAR))
    if len(parts) > 1:
        yield "widen-to-all", _tag((STAR,))


def _tag(parts: tuple[str | Program, ...]) -> TagPattern:
    shown = (f"${{{part.text}}}" if isinstance(part, Program) else part for part in parts)
    return TagPattern("".join(shown), parts)


def _ends(part: Part) -> bool:
    return isinstance(part, str) and part.endswith("/")


def _segment(text: str) -> tuple[Part, ...]:
    return (text,) if text else ()


def _pattern(parts: tuple[Part, ...]) -> Pattern:
    def shown(part: Part) -> str:
        if isinstance(part, Wildcard):
            return part.value
        return f"${{{part.text}}}" if isinstance(part, Program) else part

    return Pattern("".join(map(shown, parts)), parts)
