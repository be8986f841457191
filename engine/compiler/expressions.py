"""
CEL expressions where they stand in a policy: compiled once, with problems at their place.

What lives here: which variables an expression sees, which definitions, and where in the file a
finding belongs.  Not here: CEL itself (`regauth.engine.cel`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from regauth.engine.cel import (
    ADDRESS,
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
from regauth.engine.issuers import MOVED, ClaimSchema
from regauth.engine.source.nodes import Entry, MappingNode, ScalarNode, SequenceNode
from regauth.engine.source.problems import Problem, Problems

from .tables import read_table

_SCOPE_FIELDS: Final = ("type", "class", "name", "action")


def _scope(*fields: str) -> RecordType:
    return RecordType("scope", dict.fromkeys(fields, Field(STRING, required=True)), open=False)


SCOPE: Final = _scope(*_SCOPE_FIELDS)
SCOPE_WITH_REFERENCE: Final = _scope(*_SCOPE_FIELDS, "reference")
_Key = tuple[int, bool, bool, bool]
_DEFINITION: Final = re.compile(r"\bdefs\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class VisibleNames:
    """What an expression sees: the claims of an issuer, or none, and how much of the scope."""

    claims: ClaimSchema | None
    scope: bool
    reference: bool = False
    """Whether the scope has the reference, a tag or digest."""
    client: bool = False
    """Whether it sees the address of the client."""

    @property
    def key(self) -> _Key:
        """What distinguishes these names from others; two claim schemas may have the same name."""
        return id(self.claims), self.scope, self.reference, self.client

    def variables(self) -> Mapping[str, Type]:
        """Return the variables and their types."""
        seen: dict[str, Type] = {"service": STRING, "provider": STRING, "now": TIMESTAMP}
        if self.claims is not None:
            seen["claims"] = self.claims.type
        if self.scope:
            seen["scope"] = SCOPE_WITH_REFERENCE if self.reference else SCOPE
        if self.client:
            seen["client"] = ADDRESS
        return seen


@dataclass(slots=True)
class _View:
    """The declarations of what an expression sees, with the definitions that compile there."""

    declarations: Declarations
    failed: Mapping[str, Sequence[Problem]]


@dataclass(slots=True)
class Expressions:
    """Compiles the expressions of one policy."""

    problems: Problems
    definitions: Mapping[str, Entry]
    complete: bool = True
    """Whether every file could be read, so that a missing definition does not exist."""
    _views: dict[_Key, _View] = field(default_factory=dict)
    _compiled: dict[tuple[_Key, str, str], Compiled] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _tables: dict[str, Program | None] = field(default_factory=dict)

    def compile(
        self,
        node: ScalarNode,
        all_visible: Sequence[VisibleNames],
        expected: Type,
        *,
        text: str | None = None,
        offset: int = 0,
    ) -> Program | None:
        """
        Compile an expression for everything it can be evaluated with.

        Args:
            node: The scalar it stands in, for positions.
            all_visible: What it sees: one for each claim schema of the providers it serves.
            expected: The type it must have.
            text: The expression, where it is only a part of the scalar.
            offset: Where in the scalar the expression begins.

        Returns:
            The program, or None when it is wrong for one of them, which is then reported.
        """
        source = node.text if text is None else text
        program: Program | None = None
        good = bool(all_visible)
        for match in _DEFINITION.finditer(source):
            self._use(match[1])
        each = [self._compile(source, visible, expected) for visible in all_visible]
        for visible, compiled in zip(all_visible, each, strict=True):
            told = compiled
            if len(each) > 1 and compiled.findings:
                told = replace(compiled, findings=_of_others(compiled, all_visible, each))
            self.problems.extend(self._located(node, source, told, visible, offset))
            program = program or compiled.program
            good = good and compiled.program is not None
        return program if good else None

    def _compile(self, text: str, visible: VisibleNames, expected: Type) -> Compiled:
        key = (visible.key, text, str(expected))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = compile_expression(text, self._view(visible).declarations, expected)
            self._compiled[key] = compiled
        return compiled

    def _view(self, visible: VisibleNames) -> _View:
        view = self._views.get(visible.key)
        if view is None:
            view = self._views[visible.key] = self._define(visible)
        return view

    def _define(self, visible: VisibleNames) -> _View:
        """Compile the definitions in their order, each seeing those before it."""
        known: dict[str, Program] = {}
        failed: dict[str, Sequence[Problem]] = {}
        view = _View(Declarations(visible.variables(), known), failed)
        for name, entry in self.definitions.items():
            if isinstance(entry.value, MappingNode):
                table = self._table(name, entry.value)
                if table is not None:
                    known[name] = table
                else:
                    failed[name] = ()  # what is wrong with it is said, and not of each use
                continue
            if not isinstance(entry.value, ScalarNode):
                continue
            text = entry.value.text
            declarations = replace(view.declarations, definitions=dict(known))
            compiled = compile_expression(text, declarations, DYN)
            if compiled.program is not None:
                known[name] = compiled.program
            else:
                failed[name] = self._explained(entry.value, text, compiled, visible, view, 0)
        return view

    def _table(self, name: str, node: MappingNode) -> Program | None:
        """Read a table once: it is the same wherever it is seen."""
        if name not in self._tables:
            self._tables[name] = read_table(node, self.problems)
        return self._tables[name]

    def _located(
        self, node: ScalarNode, text: str, compiled: Compiled, visible: VisibleNames, offset: int
    ) -> Sequence[Problem]:
        return self._explained(node, text, compiled, visible, self._view(visible), offset)

    def _explained(
        self,
        node: ScalarNode,
        text: str,
        compiled: Compiled,
        visible: VisibleNames,
        view: _View,
        offset: int,
    ) -> Sequence[Problem]:
        """Return the findings as problems; what is wrong with a definition stands there."""
        problems: list[Problem] = []
        used = {match.start(1): match for match in _DEFINITION.finditer(text)}
        for finding in compiled.findings:
            match = used.get(finding.start)
            if finding.code != FindingCode.UNDECLARED or match is None:
                hint = _hint(finding, visible)
            elif match[1] in view.failed:
                problems.extend(self._broken(node, match, visible, view, offset))
                continue
            elif match[1] in self.definitions:
                hint = "a definition can use those above it, and not itself"
            elif self.complete:
                hint = finding.hint
            else:
                continue
            place = node.locate(finding.start + offset, finding.end + offset)
            problems.append(Problem(place, finding.code, finding.message, hint, finding.severity))
        return problems

    def _broken(
        self,
        node: ScalarNode,
        match: re.Match[str],
        visible: VisibleNames,
        view: _View,
        offset: int,
    ) -> Sequence[Problem]:
        """Return what is wrong with a definition for what the expression that uses it sees."""
        name = match[1]
        wrong = view.failed[name]
        place = node.locate(offset + match.start(), offset + match.end())
        if visible.claims is None and any("claims" in problem.message for problem in wrong):
            message = f"`defs.{name}` reads claims, and a request without credentials has none"
            return [Problem(place, FindingCode.UNDECLARED, message)]
        more = (
            replace(visible, scope=True),
            replace(visible, scope=True, reference=True),
            replace(visible, scope=True, client=True),
        )
        names = ("scope", "scope.reference", "client")
        for wider, what, hint in zip(more, names, _UNSEEN, strict=True):
            if wider != visible and self._compiles(name, wider):
                message = f"`defs.{name}` uses `{what}`, which cannot be seen here"
                return [Problem(place, FindingCode.UNDECLARED, message, hint)]
        return wrong

    def _compiles(self, name: str, visible: VisibleNames) -> bool:
        return name in self._view(visible).declarations.definitions

    def _use(self, name: str) -> None:
        """Note a definition as used, and those that it uses."""
        if name in self._used or name not in self.definitions:
            return
        self._used.add(name)
        value = self.definitions[name].value
        if isinstance(value, ScalarNode):
            for match in _DEFINITION.finditer(value.text):
                self._use(match[1])

    def check_unused(self, all_visible: Sequence[VisibleNames]) -> None:
        """Report definitions that nothing uses, and what is wrong with them if anything is."""
        for name, entry in self.definitions.items():
            if name in self._used or isinstance(entry.value, SequenceNode):
                continue
            self.problems.warning(
                entry.key.location,
                "unused-definition",
                f"nothing uses `defs.{name}`",
                "remove it, or use it",
            )
            views = [self._view(visible) for visible in all_visible]
            if views and all(name in view.failed for view in views):
                self.problems.extend(views[0].failed[name])

    def definitions_of(self, visible: VisibleNames) -> Mapping[str, Program]:
        """Return the definitions that compile with these names."""
        return self._view(visible).declarations.definitions


_NO_REFERENCE: Final = (
    "only the `when` of a grant with `tags` sees it; write `tags: ['*']` for all tags"
)
_NO_SCOPE: Final = "a login is decided before anything is asked for; put the condition into a grant"
_NO_CLIENT: Final = (
    "only the `when` of a grant or a denial sees it: a login does not depend on where it comes from"
)
_UNSEEN: Final = (_NO_SCOPE, _NO_REFERENCE, _NO_CLIENT)


def _of_others(
    compiled: Compiled, all_visible: Sequence[VisibleNames], each: Sequence[Compiled]
) -> tuple[Finding, ...]:
    """Return the findings; that of an unknown claim says whose tokens have it, if any have."""

    def told(finding: Finding) -> Finding:
        if finding.code != FindingCode.UNKNOWN_CLAIM:
            return finding
        having = [
            visible.claims.title
            for visible, other in zip(all_visible, each, strict=True)
            if visible.claims is not None
            and not any(
                (one.code, one.start) == (finding.code, finding.start) for one in other.findings
            )
        ]
        if not having:
            return finding
        titles = " and ".join(dict.fromkeys(having))
        hint = f"only tokens of {titles} have it; say with `providers:` whose tokens this is for"
        return replace(finding, hint=hint)

    return tuple(map(told, compiled.findings))


def _hint(finding: Finding, visible: VisibleNames) -> str:
    """Return a finding's hint, or a better one that needs the policy."""
    if finding.code == FindingCode.UNKNOWN_CLAIM:
        for old, new in MOVED.items():
            if f"'{old}'" in finding.message:
                return f"only old tokens in Secrets have it; read {new}"
        if finding.message == f"{SCOPE.name} has no 'reference'":
            return _NO_REFERENCE
    if finding.code == FindingCode.UNDECLARED:
        if "'scope'" in finding.message and not visible.scope:
            return _NO_SCOPE
        if "'client'" in finding.message and not visible.client:
            return _NO_CLIENT
        if "'claims'" in finding.message and visible.claims is None:
            return "a request without credentials has no claims"
    return finding.hint
