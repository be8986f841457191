"""
From text to program: the one way an expression enters the engine.

What lives here: the order of the steps, and the findings about the expression as a whole.
Not here: the steps themselves: parsing (`syntax.parsing`), the checks (`checking`, `constants`) and
lowering (`evaluation.program`).
"""

from dataclasses import dataclass
from functools import lru_cache

from regauth.engine.cel.evaluation.program import Program, make, too_large
from regauth.engine.cel.library.types import Type, accepts
from regauth.engine.cel.syntax import limits
from regauth.engine.cel.syntax.errors import Finding, FindingCode, RejectedError
from regauth.engine.cel.syntax.nodes import Node
from regauth.engine.cel.syntax.parsing import parse_with_shape
from regauth.engine.cel.syntax.unparsing import unparse
from regauth.engine.source.problems import Severity

from .checking import Declarations, check_node
from .constants import constant_conditions
from .wordless import is_wordless

# A condition is compiled for each provider it applies to, and parsing is most of the work.
_parse = lru_cache(maxsize=256)(parse_with_shape)


@dataclass(frozen=True)
class Compiled:
    """
    The result of compiling an expression.

    `program` is None exactly when a finding is an error; there may be warnings either way.
    """

    program: Program | None
    findings: tuple[Finding, ...]


def compile_expression(text: str, declarations: Declarations, expected: Type) -> Compiled:
    """Parse, check and lower an expression whose result must be of type `expected`."""
    try:
        node, shape = _parse(text)
    except RejectedError as error:
        return Compiled(None, (error.finding,))
    key = (shape, str(expected))
    like = declarations.checked.get(key)
    if like is not None:
        return Compiled(like.alike(text, node), ())
    compiled = compile_node(node, declarations, expected, text)
    program = compiled.program
    silent = program is not None and not (compiled.findings or program.definitions)
    if program is not None and silent and is_wordless(node):
        declarations.checked[key] = program
    return compiled


def compile_node(
    node: Node, declarations: Declarations, expected: Type, text: str = ""
) -> Compiled:
    """
    Check and lower a tree, such as one that was rebuilt.

    `text` is what its positions refer to; without it the program's text is written anew.
    """
    checked = check_node(node, declarations, expected)
    findings = list(checked.findings)
    if not accepts(expected, checked.type):
        message = f"this must be {expected}, it is {checked.type}"
        findings.append(Finding(node.start, node.end, FindingCode.RESULT_TYPE.value, message))
    if any(finding.severity is Severity.ERROR for finding in findings):
        return Compiled(None, _in_order(findings))
    program = make(text or unparse(node), node, checked.type, declarations.definitions)
    if too_large(program):
        message = (
            "with its definitions written out the expression has more than"
            f" {limits.EXPANDED_NODES} nodes or {limits.EXPANDED_LEVELS} levels"
        )
        findings.append(Finding(node.start, node.end, FindingCode.LIMIT.value, message))
        return Compiled(None, _in_order(findings))
    findings.extend(constant_conditions(program, declarations.variables))
    return Compiled(program, _in_order(findings))


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.start, finding.end)))
