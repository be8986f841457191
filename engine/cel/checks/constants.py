"""
Conditions that are always true, or that can never be true.

What lives here: findings that hold for every value of the claims.  Not here: types (`checking`).
"""

from collections.abc import Iterator, Mapping

from regauth.engine.cel.evaluation.program import Program
from regauth.engine.cel.library.types import RecordType, Type
from regauth.engine.cel.syntax import analysis
from regauth.engine.cel.syntax.errors import CelError, Finding, FindingCode
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Comprehension,
    Conditional,
    Constant,
    Has,
    Logic,
    Node,
    Unary,
    path_of,
    walk,
)
from regauth.engine.cel.syntax.unparsing import unparse
from regauth.engine.source.problems import Severity

ALWAYS, NEVER = "this is always true", "this can never be true"


def constant_conditions(program: Program, variables: Mapping[str, Type]) -> Iterator[Finding]:
    """Find the conditions of a program that have the same value for every request."""
    chosen = _chosen(program.node)
    for part in program.parts:
        if part.node in chosen:
            continue
        if analysis.is_constant(part.node):
            yield from _constant(part.node, program)
        elif not all(analysis.equalities(part.node, {}).values()):
            yield _warn(part.node, NEVER)
    known = {name: other.equalities for name, other in program.definitions.items()}
    for node in walk(program.node):
        if isinstance(node, Logic):
            message = _logic(node, known)
            if message:
                yield _warn(node, message)
        elif isinstance(node, Has):
            yield from _has(node, variables, program)


def _chosen(node: Node) -> set[Node]:
    """Return the literals that a `? :` chooses between: `false` there is an answer."""
    conditionals = (part for part in walk(node) if isinstance(part, Conditional))
    return {
        branch
        for part in conditionals
        for branch in (part.yes, part.no)
        if isinstance(branch, Constant) and not isinstance(part.test, Constant)
    }


def _warn(node: Node, message: str, hint: str = "") -> Finding:
    code = FindingCode.CONSTANT.value
    return Finding(node.start, node.end, code, message, hint, Severity.WARNING)


def _constant(node: Node, program: Program) -> Iterator[Finding]:
    """Evaluate a condition that reads nothing."""
    try:
        value = program.evaluate_part(node)
    except CelError as error:
        yield _warn(node, f"this is always an error: {error.message}")
        return
    if value is True:
        yield _warn(node, ALWAYS)
    elif value is False:
        yield _warn(node, NEVER)


def _logic(node: Logic, known: Mapping[str, analysis.Equalities]) -> str:
    """Say whether operands make `&&` never true or `||` always true; empty for neither."""
    message = NEVER if node.operator == "&&" else ALWAYS
    negated = {unparse(one.operand) for one in node.operands if isinstance(one, Unary)}
    if negated and not negated.isdisjoint(map(unparse, node.operands)):
        return message
    if node.operator == "&&":
        return NEVER if _contradicts(node, known) else ""
    return ALWAYS if _excludes_nothing(node) else ""


def _contradicts(node: Logic, known: Mapping[str, analysis.Equalities]) -> bool:
    """Whether two operands ask the same value to equal different strings."""
    whole = analysis.equalities(node, known)
    if all(whole.values()):
        return False
    parts = [analysis.equalities(operand, known) for operand in node.operands]
    return any(
        not texts and all(part.get(path, texts or {""}) for part in parts)
        for path, texts in whole.items()
    )


def _excludes_nothing(node: Logic) -> bool:
    """Whether two operands ask the same value to differ from different strings."""
    excluded: dict[analysis.Path, str] = {}
    for operand in node.operands:
        match operand:
            case Binary(operator="!=", left=left, right=Constant(value=str(text))):
                path = path_of(left)
                if path is not None and excluded.setdefault(path, text) != text:
                    return True
            case _:
                pass
    return False


def _has(node: Has, variables: Mapping[str, Type], program: Program) -> Iterator[Finding]:
    """Find a `has()` of a member that is always there."""
    path = path_of(node.operand)
    if path is None or any(path[0] == name for name in _macro_variables(program.node)):
        return
    at: Type | None = variables.get(path[0])
    required = True
    for name in (*path[1:], node.field):
        if not isinstance(at, RecordType):
            return
        member = at.field(name)
        if member is None:
            return
        at, required = member.type, required and member.required
    if required:
        yield _warn(node, ALWAYS, f"'{node.field}' is always present; has() is not needed")


def _macro_variables(node: Node) -> Iterator[str]:
    return (part.variable for part in walk(node) if isinstance(part, Comprehension))
