"""
CEL expressions where they stand in a policy: compiled once, with problems at their place.

What lives here: which variables an expression sees, which definitions, and where in the file a
finding belongs.  What must not: CEL itself (`regauth.engine.cel`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .cel import (
    DYN,
    STRING,
    TIMESTAMP,
    Compiled,
    Declarations,
    Field,
    Finding,
    FindingCode,
    Program,
    RecordType,
    Type,
    compile_expression,
)
from .claims import MOVED, ClaimSchema
from .nodes import Entry, ScalarNode
from .problems import Problem, Problems

SCOPE: Final = RecordType(
    "scope",
    {name: Field(STRING, required=True) for name in ("type", "class", "name", "action")},
    open=False,
)
_DEFINITION = re.compile(r"\bdefs\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Sight:
    """What an expression sees: the claims of an issuer, or none, and the scope or not."""

    claims: ClaimSchema | None
    scope: bool

    @property
    def key(self) -> tuple[int, bool]:
        """What tells it from other sights; two claim schemas may have the same name."""
        return id(self.claims), self.scope

    def variables(self) -> Mapping[str, Type]:
        """Return the variables and their types."""
        seen: dict[str, Type] = {"service": STRING, "provider": STRING, "now": TIMESTAMP}
        if self.claims is not None:
            seen["claims"] = self.claims.type
        if self.scope:
            seen["scope"] = SCOPE
        return seen


@dataclass(slots=True)
class _View:
    """The declarations of one sight, with the definitions that compile in it."""

    declarations: Declarations
    failed: Mapping[str, Sequence[Finding]]


@dataclass(slots=True)
class Expressions:
    """Compiles the expressions of one policy."""

    problems: Problems
    definitions: Mapping[str, Entry]
    _views: dict[tuple[int, bool], _View] = field(default_factory=dict)
    _compiled: dict[tuple[int, bool, str, str], Compiled] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def compile(
        self,
        node: ScalarNode,
        sights: Sequence[Sight],
        expected: Type,
        *,
        text: str | None = None,
        offset: int = 0,
    ) -> Program | None:
        """
        Compile an expression for everything it can be evaluated with.

        Args:
            node: The scalar it stands in, for positions.
            sights: What it sees: one for each claim schema of the providers it serves.
            expected: The type it must have.
            text: The expression, where it is only a part of the scalar.
            offset: Where in the scalar the expression begins.

        Returns:
            The program, or None when it is wrong for one of the sights, which is then reported.
        """
        source = node.text if text is None else text
        program: Program | None = None
        good = bool(sights)
        for sight in sights:
            broken = self._check_definitions(source, node, sight, offset)
            compiled = self._compile(source, sight, expected)
            # That a broken definition is not declared is no second problem.
            findings = [
                finding
                for finding in compiled.findings
                if not any(start <= finding.start < end for start, end in broken)
            ]
            self._report(node, findings, offset)
            program = program or compiled.program
            good = good and compiled.program is not None and not broken
        return program if good else None

    def _compile(self, text: str, sight: Sight, expected: Type) -> Compiled:
        key = (*sight.key, text, str(expected))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = compile_expression(text, self._view(sight).declarations, expected)
            self._compiled[key] = compiled
        return compiled

    def _view(self, sight: Sight) -> _View:
        view = self._views.get(sight.key)
        if view is None:
            view = self._views[sight.key] = self._define(sight)
        return view

    def _define(self, sight: Sight) -> _View:
        """Compile the definitions in their order, each seeing those before it."""
        known: dict[str, Program] = {}
        failed: dict[str, Sequence[Finding]] = {}
        variables = sight.variables()
        for name, entry in self.definitions.items():
            if not isinstance(entry.value, ScalarNode):
                continue
            compiled = compile_expression(
                entry.value.text, Declarations(variables, dict(known)), DYN
            )
            if compiled.program is not None:
                known[name] = compiled.program
            else:
                failed[name] = compiled.findings
        return _View(Declarations(variables, known), failed)

    def _check_definitions(
        self, text: str, node: ScalarNode, sight: Sight, offset: int
    ) -> list[tuple[int, int]]:
        """
        Report definitions that an expression uses and that do not compile for what it sees.

        Returns:
            Where they stand in the expression.
        """
        broken = []
        failed = self._view(sight).failed
        for match in _DEFINITION.finditer(text):
            name = match[1]
            self._use(name)
            if name not in failed:
                continue
            broken.append(match.span())
            definition = self.definitions[name].value
            if not sight.scope and self._compiles_with_scope(name, sight):
                self.problems.error(
                    node.locate(offset + match.start(), offset + match.end()),
                    "cel-undeclared",
                    f"`defs.{name}` uses `scope`, which cannot be seen here",
                    "a rule decides about the login as a whole; put the condition into a grant",
                )
            elif isinstance(definition, ScalarNode):
                self._report(definition, failed[name], 0)
        return broken

    def _compiles_with_scope(self, name: str, sight: Sight) -> bool:
        return name in self._view(Sight(sight.claims, scope=True)).declarations.definitions

    def _use(self, name: str) -> None:
        """Note a definition as used, and those that it uses."""
        if name in self._used or name not in self.definitions:
            return
        self._used.add(name)
        value = self.definitions[name].value
        if isinstance(value, ScalarNode):
            for match in _DEFINITION.finditer(value.text):
                self._use(match[1])

    def check_unused(self, sights: Sequence[Sight]) -> None:
        """Report definitions that nothing uses, and what is wrong with them if anything is."""
        for name, entry in self.definitions.items():
            if name in self._used or not isinstance(entry.value, ScalarNode):
                continue
            self.problems.warning(
                entry.key.location,
                "unused-definition",
                f"nothing uses `defs.{name}`",
                "remove it, or use it",
            )
            views = [self._view(sight) for sight in sights]
            if views and all(name in view.failed for view in views):
                self._report(entry.value, views[0].failed[name], 0)

    def definitions_of(self, sight: Sight) -> Mapping[str, Program]:
        """Return the definitions that compile in a sight."""
        return self._view(sight).declarations.definitions

    def _report(self, node: ScalarNode, findings: Sequence[Finding], offset: int) -> None:
        self.problems.extend(
            Problem(
                node.locate(finding.start + offset, finding.end + offset),
                finding.code,
                finding.message,
                _moved(finding) or finding.hint,
                finding.severity,
            )
            for finding in findings
        )


def _moved(finding: Finding) -> str:
    """Say where a claim is that only old tokens have."""
    if finding.code == FindingCode.UNKNOWN_CLAIM:
        for old, new in MOVED.items():
            if f"'{old}'" in finding.message:
                return f"only old tokens in Secrets have it; read {new}"
    return ""
