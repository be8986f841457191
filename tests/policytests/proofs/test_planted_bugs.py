"""
Planted bugs: each makes the prover wrong in one place, and a directed check finds it.

A bug is a change of the prover's own text, loaded in its place.  Where the text has moved on, the
bug no longer fits and its test says so: write it anew, do not take it out.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

import regauth.engine.languages
import regauth.policytests.proofs
from tests.generated import some
from tests.policytests.proofs.directed import CONDITIONS, GAINS
from tests.policytests.proofs.kept import CHECKS

PACKAGE = "regauth.policytests.proofs"
FOLDER = Path(regauth.policytests.proofs.__file__).parent
LANGUAGES = "regauth.engine.languages"
RELOADED = (
    PACKAGE,
    LANGUAGES,
    "tests.policytests.proofs.clients",
    "tests.policytests.proofs.directed",
    "tests.policytests.proofs.kept",
    "tests.policytests.proofs.lasting",
    "tests.policytests.proofs.random_policies",
)

CELLS = "cells"
CLIENTS = "tests.policytests.proofs.clients"
LASTING = "tests.policytests.proofs.lasting"

Bug = tuple[str, str, str, str]
"""A file of the prover or of the engine, what stands there, what is planted, and the check."""


def for_any(part: str, check: str) -> Bug:
    """Return the bug that outcomes are kept for one context, universe and lists and found by others."""
    whole = "(universe, context, shape)"
    return (
        "evaluation/evaluator.py",
        f"return _known.setdefault({whole}, {{}})",
        f"return _known.setdefault({part}, {{}})",
        f"kept:{check}",
    )


def for_any_context(part: str, check: str) -> Bug:
    """Return the bug that outcomes are kept for contexts that differ in a part."""
    less = f"__import__('dataclasses').replace(context, {part}='')"
    return for_any(f"(universe, {less}, shape)", check)


def for_any_scope(part: str, value: str, check: str) -> Bug:
    """Return the bug that outcomes are kept for scopes that differ in a part."""
    replace = "__import__('dataclasses').replace"
    less = f"{replace}(context, scope={replace}(context.scope, {part}={value}))"
    return for_any(f"(universe, {less} if context.scope else context, shape)", check)


CUT = "found, cost = _cut(tuple(languages), wanted, bound, tuple(examples))"


def remembered(key: str) -> str:
    """Return code that keeps cells under another key."""
    kept = 'globals().setdefault("_planted", {})'
    made = "_cut(tuple(languages), wanted, bound, tuple(examples))"
    return f"found, cost = {kept}.setdefault(({key},), {made})"


def not_asked_again(line: str, check: str) -> Bug:
    """Return the bug that what is found again asks less of lists than what is made anew."""
    return "evaluation/quantifiers.py", line, "pass", f"kept:{check}"


KEPT: dict[str, Bug] = {
    # What is kept under a key that leaves something out stands for something else, too.
    "kept-for-every-universe": for_any("(context, shape)", "universe"),
    "kept-for-every-provider": for_any_context("provider", "provider"),
    "kept-for-every-service": for_any_context("service", "service"),
    # The type follows from the action: `*` is that of the catalog alone.
    "kept-for-every-class": for_any_scope("class_", "''", "class"),
    "kept-for-every-name": for_any_scope("name", "''", "name"),
    "kept-for-every-action": for_any_scope("action", "''", "action"),
    "kept-for-every-tag": for_any_scope("reference", "''", "reference"),
    "kept-for-every-number-of-slots": for_any("(universe, context, shape[1])", "slots"),
    "kept-for-every-number-of-positions": for_any("(universe, context, shape[0])", "ahead"),
    "kept-without-its-quantifiers": not_asked_again(
        "self.quantified.setdefault(path, set()).update(keys)", "slots"
    ),
    "kept-without-its-positions": not_asked_again(
        "self.positions.setdefault(path, set()).update(numbers)", "asked_positions"
    ),
    "kept-without-its-sizes": not_asked_again("self.sized |= others.sized", "asked_sizes"),
    "kept-without-its-seconds": not_asked_again("self.floored |= others.floored", "asked_seconds"),
    "kept-without-its-counts": not_asked_again("self.counted |= others.counted", "asked_counts"),
    "kept-for-every-text-of-definitions": (
        "evaluation/evaluator.py",
        "(program, self._before),",
        "(program.text, self._before),",
        "kept:definition",
    ),
    "kept-whatever-is-before": (
        "evaluation/evaluator.py",
        "(program, self._before),",
        "(program,),",
        "kept:before",
    ),
    "kept-without-what-the-scope-is": (
        "evaluation/evaluator.py",
        'reads = bool(self._before) or "scope" in program.variables',
        "reads = bool(self._before)",
        "kept:scope",
    ),
    "kept-for-every-claim": ("evaluation/evaluator.py", '("claim", path),', '("claim",),', "kept:claim"),
    "kept-for-what-is-gone": (
        "evaluation/evaluator.py",
        "found = self._known[key] = (about, made, asked)",
        "found = self._known[key] = (None, made, asked)",
        "kept:identities",
    ),
    "kept-for-every-provider-of-a-name": (
        "logins.py",
        '("login", id(self.provider), self._sessions, self._lasting)',
        '("login", self._sessions, self._lasting)',
        "kept:login",
    ),
    "kept-for-logins-and-sessions": (
        "logins.py",
        '("login", id(self.provider), self._sessions, self._lasting)',
        '("login", id(self.provider), self._lasting)',
        "kept:sessions",
    ),
    "kept-for-sessions-of-others": (
        "logins.py",
        '("login", id(self.provider), self._sessions, self._lasting)',
        '("login", id(self.provider), self._sessions)',
        "kept:lasting",
    ),
    "kept-for-every-statement": (
        "statements.py",
        'key = ("statement", id(statement), self.target.reference)',
        'key = ("statement", self.target.reference)',
        "kept:statement",
    ),
    "kept-for-every-kind-of-reference": (
        "statements.py",
        'key = ("statement", id(statement), self.target.reference)',
        'key = ("statement", id(statement))',
        "kept:kind_of_reference",
    ),
    "kept-for-every-grant": (
        "refinement.py",
        'key = ("targets", id(grant))',
        'key = ("targets",)',
        "kept:targets",
    ),
    "kept-for-every-pattern": (
        "statements.py",
        'read, ("ways", tuple(parts), within)',
        'read, ("ways", within)',
        "kept:ways",
    ),
    "kept-for-names-and-tags": (
        "statements.py",
        'read, ("ways", tuple(parts), within)',
        'read, ("ways", tuple(parts))',
        "kept:ways_within",
    ),
    "kept-for-patterns-of-every-scope": (
        "evaluation/evaluator.py",
        'reads = any("scope" in one.variables for one in programs)',
        "reads = False",
        "kept:ways_of_scopes",
    ),
    "patterns-that-begin-longer-are-not-found": (
        "logic/patterns.py",
        "for one in takewhile(lambda one: one.startswith(start), longer):",
        "for one in ():",
        "kept:fitting",
    ),
    "patterns-that-begin-shorter-are-not-found": (
        "logic/patterns.py",
        "for size in range(len(start)):",
        "for size in ():",
        "kept:fitting",
    ),
    "patterns-that-begin-open-are-not-found": (
        "logic/patterns.py",
        "return sorted((*self._open, *self._begun_like(start)))",
        "return sorted(self._begun_like(start))",
        "kept:fitting",
    ),
    "patterns-whatever-they-begin-with": (
        "logic/patterns.py",
        "if start is None or not self._ways or own[:size] != self._ways[0][1][:size]:",
        "if start is None or not self._ways:",
        "kept:fitting",
    ),
    "keys-of-what-is-gone": (
        "comparison.py",
        "known = _keys[id(statement)] = (statement, _statement_key(statement))",
        "known = _keys[id(statement)] = (None, _statement_key(statement))",
        "kept:identities",
    ),
    "one-universe-of-all-schemas": (
        "logic/universe.py", "key = (id(schema), anything)", "key = (0, anything)", "kept:schema",
    ),
    "one-universe-of-all-tokens": (
        "logic/universe.py", "key = (id(schema), anything)", "key = (id(schema), 0)", "kept:universe",
    ),
    "solved-for-every-universe": (
        "solving/search.py",
        "return _solved.setdefault(universe, {})",
        "return _solved.setdefault(None, {})",
        "kept:universe_of_solved",
    ),
    "solved-for-every-wish": (
        "question.py", "for kept in (universes, evaluator, search, atoms):", "for kept in ():",
        "kept:wishes",
    ),
    "formulas-that-others-made": (
        "logic/formulas.py", "    _known.clear()", "    pass", "kept:formulas",
    ),
    "cells-for-nothing": (
        "languages/cells.py", "    pay(cost)", "    pass", "kept:steps",
    ),
    "automata-for-nothing": (
        "languages/language.py", "            pay(self._cost)", "            pass", "kept:steps",
    ),
    "cells-of-other-languages": (
        "languages/cells.py", CUT, remembered("bound, wanted, tuple(examples)"), "kept:cells",
    ),
    "cells-of-other-numbers": (
        "languages/cells.py", CUT, remembered("tuple(languages), bound, tuple(examples)"), "kept:cells",
    ),
    "cells-of-other-bounds": (
        "languages/cells.py", CUT, remembered("tuple(languages), wanted, tuple(examples)"), "kept:cells",
    ),
    "cells-of-other-examples": (
        "languages/cells.py", CUT, remembered("tuple(languages), wanted, bound"), "kept:cells",
    ),
}  # fmt: skip

ADDRESSES: dict[str, Bug] = {
    "network-a-bit-too-wide": (
        "languages/addresses.py", "[: 1 + network.prefixlen]", "[: network.prefixlen]", "clients",
    ),
    "one-family-of-addresses": (
        "languages/addresses.py", 'f"{address.version}{int', 'f"4{int', "clients",
    ),
    "address-that-is-always-known": (
        "evaluation/evaluator.py",
        "return certain(Unclear(calls.CLIENT), known)",
        "return certain(Unclear(calls.CLIENT))",
        "clients",
    ),
    "no-addresses-of-six": (
        "languages/language.py",
        "return _either_but(*map(build, expressions.ADDRESSES))",
        "return build(expressions.ADDRESSES[0])",
        "clients",
    ),
    "mapped-addresses-too": (
        "languages/language.py",
        "return _either_but(*map(build, expressions.ADDRESSES))",
        "return build(expressions.either(*expressions.ADDRESSES))",
        "same:client-mapped",
    ),
    "networks-that-are-not-told-apart": (
        "evaluation/calls.py",
        "beginning = addresses.beginning(read_network(text))",
        "beginning = addresses.beginning(read_network(text))[:1]",
        "clients",
    ),
    "asked-from-nowhere": (
        "confirmation.py", "placed = identity.from_client(asked.client)", "placed = identity", "clients",
    ),
}  # fmt: skip

TABLES: dict[str, Bug] = {
    "table-without-its-last-entry": (
        "evaluation/tables.py",
        "for keys, found in _by_value(table)\n",
        "for keys, found in _by_value(table)[:-1]\n",
        "pair:table",
    ),
    "table-whose-misses-are-empty": (
        "evaluation/tables.py",
        "return _outcome_of(held[key]) if key in held else ERROR",
        'return _outcome_of(held.get(key, ""))',
        "same:table-miss",
    ),
    "table-of-one-value": (
        "evaluation/tables.py",
        "found.setdefault(repr(value), ([], value))",
        "found.setdefault(type(value).__name__, ([], value))",
        "pair:table",
    ),
    "table-key-of-any-kind": (
        "evaluation/tables.py",
        "return certain(Bool(atoms.is_text(text, *(table.table or {}))))",
        "return certain(Bool(formulas.TRUE))",
        "pair:table-key",
    ),
}  # fmt: skip

BUGS: dict[str, Bug] = {
    **KEPT,
    **ADDRESSES,
    **TABLES,
    "and-is-error-when-one-is": (
        "evaluation/evaluator.py",
        "return truth(formulas.every(true), formulas.some(false))",
        "return truth(formulas.every(true), formulas.both(formulas.some(false), formulas.every(one.defined for one in operands)))",
        'condition:has(claims.m.o) && claims.m.o == "x"',
    ),
    "or-does-not-forgive": (
        "evaluation/evaluator.py",
        "return truth(formulas.some(true), formulas.every(false))",
        "return truth(formulas.both(formulas.some(true), formulas.every(one.defined for one in operands)), formulas.every(false))",
        "condition:claims.y || claims.b",
    ),
    "not-of-an-error-is-true": (
        "evaluation/evaluator.py",
        "for when, value in self.condition(operand).cases\n                if isinstance(value, Bool)\n            )",
        "for when, value in self.condition(operand).cases\n                if isinstance(value, Bool)\n            ) if self.condition(operand).defined is TRUE else truth(self.condition(operand).true.negation, self.condition(operand).true)",
        'condition:!(claims.c == "x")',
    ),
    "has-of-anything": (
        "evaluation/evaluator.py",
        "cases.append((when, Bool(self.is_there((*path, node.field)))))",
        "cases.append((when, Bool(TRUE)))",
        "condition:has(claims.c)",
    ),
    "null-is-absent": (
        "evaluation/evaluator.py",
        "return self.is_kind(path, Kind.ABSENT).negation",
        "return formulas.both(self.is_kind(path, Kind.ABSENT).negation, self.is_kind(path, Kind.NULL).negation)",
        'condition:claims.l.all(g, g == "x")',
    ),
    "conditional-takes-both": (
        "evaluation/evaluator.py",
        "return outcome([*within(test.true, yes), *within(test.false, no)])",
        "return outcome([*within(test.true, yes), *within(test.true.negation, no)])",
        "condition:(claims.y ? claims.a : claims.d) == claims.a",
    ),
    "null-equals-nothing": (
        "evaluation/operations.py",
        "return certain(Bool(formulas.of(left == right)))",
        "return ERROR",
        "condition:claims.y == null",
    ),
    "other-kinds-are-unequal": (
        "evaluation/operations.py",
        'return evaluator.opaque(("==", _pair(left, right)), Kind.BOOL)\n    return ERROR',
        'return evaluator.opaque(("==", left, right), Kind.BOOL)\n    return certain(Bool(formulas.FALSE))',
        'condition:claims.y == "x"',
    ),
    "order-the-wrong-way": (
        "evaluation/operations.py",
        'return _ordered(evaluator, "<" if operator == ">" else "<=", right, left)',
        'return _ordered(evaluator, "<" if operator == ">" else "<=", left, right)',
        "condition:size(claims.a) > 1",
    ),
    "at-least-is-more-than": (
        "evaluation/operations.py",
        '"<" if operator == ">" else "<=", right, left',
        '"<", right, left',
        "condition:claims.n >= 1",
    ),
    "in-a-list-without-errors": (
        "evaluation/operations.py",
        "        formulas.some(pair.true for pair in pairs), formulas.every(pair.false for pair in pairs)\n    )\n\n\n# -- subscripts",
        "        formulas.some(pair.true for pair in pairs), formulas.some(pair.true for pair in pairs).negation\n    )\n\n\n# -- subscripts",
        'condition:claims.y in ["x", "y"]',
    ),
    "key-of-a-map-is-its-value": (
        "evaluation/operations.py",
        "return certain(Bool(evaluator.is_there((*path, name))))",
        "return certain(Bool(evaluator.is_kind((*path, name), Kind.STRING)))",
        'condition:"x" in claims.y',
    ),
    "lists-of-other-sizes-are-errors": (
        "evaluation/operations.py",
        "    if len(items) != len(others):\n        return certain(Bool(formulas.FALSE))",
        "    if len(items) != len(others):\n        return ERROR",
        'condition:[claims.a] == ["x", "y"]',
    ),
    "position-one-off": (
        "evaluation/operations.py",
        'piece = atoms.applied(TextFunction("piece", (separator, number)), text)',
        'piece = atoms.applied(TextFunction("piece", (separator, max(number - 1, 0))), text)',
        'condition:claims.a.split("/")[1] == "y"',
    ),
    "piece-without-a-guard": (
        "evaluation/operations.py",
        "return certain(Str(piece), there)",
        "return certain(Str(piece))",
        'condition:claims.a.split("/")[1] == "y"',
    ),
    "exists-without-errors": (
        "evaluation/quantifiers.py",
        "return truth(holds, both(holds.negation, formulas.some(failed).negation))",
        "return truth(holds, holds.negation)",
        'condition:"x" in claims.l',
    ),
    "exists-of-what-is-not-there": (
        "evaluation/quantifiers.py",
        "true.append(both(here, found.true))",
        "true.append(found.true)",
        "condition:claims.l.all(g, claims.b)",
    ),
    "all-is-exists": (
        "evaluation/quantifiers.py",
        'if self._node.kind == "exists":\n            return exists(',
        'if self._node.kind != "":\n            return exists(',
        'condition:claims.l.all(g, g == "x")',
    ),
    "all-of-elements-is-exists": (
        "evaluation/quantifiers.py",
        "return truth(formulas.every(true), formulas.some(false))",
        "return truth(formulas.some(true), formulas.every(false))",
        "condition:[claims.a, claims.d].all(g, g != 'x')",
    ),
    "one-slot-for-all-quantifiers": (
        "evaluation/quantifiers.py",
        "return {path: len(keys) for path, keys in self.quantified.items()}",
        "return {path: 1 for path, keys in self.quantified.items()}",
        "pair:list-exists",
    ),
    "a-size-is-its-slots": (
        "evaluation/quantifiers.py",
        'reached = atoms.compares(atoms.constant(number), "<", size)',
        'reached = atoms.compares(size, "==", atoms.constant(element.number + 1))',
        "pair:sized-elements",
    ),
    "numbers-without-bounds-are-errors": (
        "evaluation/calls.py",
        "return certain(Num(kind, number), there)  # type: ignore[arg-type]",
        "return certain(Num(kind, number), there.negation)  # type: ignore[arg-type]",
        "condition:claims.n + 1 == 2",
    ),
    "what-is-not-followed-is-an-error": (
        "evaluation/calls.py",
        "    if found is None:\n        return evaluator.opaque((name, *values), _result(function, values))",
        "    if found is None:\n        return ERROR",
        'condition:!(claims.a.indexOf("x") == 2)',
    ),
    "minus-adds": (
        "evaluation/calls.py",
        'factor = 1 if operator == "+" else -1',
        "factor = 1",
        "condition:claims.n - 1 < 0",
    ),
    "substring-without-a-guard": (
        "evaluation/calls.py",
        'return certain(Str(atoms.applied(TextFunction("part", (start, end)), text)), there)',
        'return certain(Str(atoms.applied(TextFunction("part", (start, end)), text)))',
        'condition:claims.a.substring(1) == "yx"',
    ),
    "a-character-at-the-end": (
        "evaluation/calls.py",
        '(atoms.compares(size, "==", atoms.constant(start)), Str(atoms.EMPTY_TEXT)),',
        "",
        'condition:claims.a.charAt(1) == "y"',
    ),
    "ends-with-begins-with": (
        "evaluation/calls.py",
        '"endsWith": languages.ends_with,',
        '"endsWith": languages.starts_with,',
        'condition:claims.c.endsWith("x")',
    ),
    "seconds-are-milliseconds": (
        "evaluation/calls.py",
        "_SECOND: Final = 1_000_000_000",
        "_SECOND: Final = 1_000_000",
        "condition:timestamp(claims.exp) > now",
    ),
    "definitions-by-name-alone": (
        "evaluation/closed_text.py",
        "    return unparse(node), tuple(\n        (name, key_of(definitions[name])) for name in names if name in definitions\n    )",
        "    return unparse(node), ()",
        "pair:definition",
    ),
    "less-is-at-most": (
        "logic/atoms.py",
        '"<": ("<=", True),',
        '"<": ("<", True),',
        'condition:claims.a.split("/")[1] == "y"',
    ),
    "equal-texts-of-one-case": (
        "logic/atoms.py",
        'case "lowerAscii", ():\n            return is_in(of, languages.matches("[A-Z]")).negation',
        'case "lowerAscii", ():\n            return is_in(of, languages.matches("[a-z]")).negation',
        "condition:claims.d.lowerAscii() == claims.d",
    ),
    "joined-ends-are-dropped": (
        "logic/atoms.py",
        "first, second = first[1:], second[1:]",
        "first, second = first[1:], second[2:]",
        'condition:claims.a + "x" == claims.a + "x" + claims.d',
    ),
    "null-is-no-kind": (
        "logic/universe.py",
        "if self.anything:\n            return ANY_KIND",
        "if self.anything:\n            return tuple(kind for kind in ANY_KIND if kind is not Kind.NULL)",
        "condition:claims.y == null",
    ),
    "what-is-usual-is-certain": (
        "logic/universe.py",
        "if always and claim is not None and claim.presence_guaranteed:",
        "if claim is not None:",
        "schema pair:not-always-there",
    ),
    "strips-too-much": (
        "logic/patterns.py",
        "same = first.text[:size] == second.text[:size]",
        "same = first.text[:1] == second.text[:1]",
        'condition:("ab" + claims.a).startsWith("ac" + claims.a)',
    ),
    "between-begins-anywhere": (
        "logic/patterns.py",
        "starts = [size for size in range(len(text) + 1) if before.accepts(text[:size])]",
        "starts = list(range(len(text) + 1))",
        'condition:"xy".startsWith(claims.d)',
    ),
    "lower-case-of-capitals-too": (
        "languages/images.py",
        "return _by_character(base, lambda among: _unfolded(among, _UPPER, _LOWER, -32))",
        "return _by_character(base, lambda among: _unfolded(among, (), _LOWER, -32))",
        CELLS,
    ),
    "replace-forgets-what-it-holds": (
        "languages/images.py",
        "return self._base.run(at, self._text[:held]) in self._base.finals\n\n\nclass _Splitting",
        "return at in self._base.finals\n\n\nclass _Splitting",
        'condition:claims.a.replace("xy", "").endsWith("x")',
    ),
    "split-counts-overlapping": (
        "languages/images.py",
        "if found:\n            piece += 1",
        "if found:\n            piece += 2",
        CELLS,
    ),
    "star-is-plus": (
        "languages/automata.py",
        'self.moves[loop] += [("", end), ("", inside)]',
        'self.moves[loop] += [("", inside)]\n        self.moves[after].append(("", end))',
        CELLS,
    ),
    "end-is-anywhere": (
        "languages/automata.py",
        'reached = (parts.reach(targets, ("",)), is_word)',
        'reached = (parts.reach(targets, ("", "$")), is_word)',
        CELLS,
    ),
    "minimised-too-far": (
        "languages/automata.py",
        "blocks = [int(state in automaton.finals) for state in range(len(rows))]",
        "blocks = [int(bool(row)) for row in rows]",
        CELLS,
    ),
    "line-ends-are-dots": (
        "engine/languages/syntax.py",
        "characters.ALL if self._flags.newline else classes.BUT_NEWLINE",
        "characters.ALL",
        "pair:regex-line",
    ),
    "classes-end-early": (
        "engine/languages/classes.py",
        '"alpha": characters.between("az", "AZ"),',
        '"alpha": characters.between("az"),',
        "pair:regex-class",
    ),
    "negated-class-is-not": (
        "engine/languages/syntax.py",
        "return characters.others(found) if negated else found",
        "return found",
        CELLS,
    ),
    "cells-by-one-character": (
        "languages/cells.py",
        "at = low\n    while len(readable) < wanted and at <= high:",
        "at = low\n    while not readable and at <= high:",
        "cells-complete",
    ),
    "one-sample-is-enough": (
        "solving/theory.py",
        "wanted = max(MIN_SAMPLES, len(holders) + 1)",
        "wanted = 1",
        "pair:three-claims",
    ),
    "equal-texts-in-any-cell": (
        "solving/theory.py",
        "[-literal, -own, *others, *([same] if same else [])]",
        "[-literal, -own, *others]",
        "schema pair:equal-claims",
    ),
    "two-kinds-at-once": (
        "solving/theory.py",
        "good = answers[holder].get(_answer(about), [])",
        "good = []",
        "pair:has",
    ),
    "whole-numbers-everywhere": (
        "solving/arithmetic.py",
        "if all(one is _ZERO or one.is_whole for one in (bound.first, bound.second)):",
        "if True:",
        "pair:doubles-between",
    ),
    "strict-is-not": (
        "solving/arithmetic.py",
        'fails = [_bound(opposite, strict=one.operator == "<=")]',
        "fails = [_bound(opposite, strict=True)]",
        "pair:numbers-border",
    ),
    "one-of-more-is-one": (
        "evaluation/quantifiers.py",
        "one = formulas.some((both(one, true.negation), both(none, true)))",
        "one = formulas.some((one, both(none, true)))",
        "schema pair:list-one-twice",
    ),
    "one-forgives": (
        "evaluation/quantifiers.py",
        "return truth(both(defined, one), both(defined, one.negation))",
        "return truth(one, both(defined, one.negation))",
        'condition:claims.l.exists_one(g, g == "x")',
    ),
    "times-have-their-fraction": (
        "evaluation/evaluator.py",
        "if kind is Kind.DOUBLE and path in TIMES:",
        "if False:",
        "attack:exp-with-a-fraction",
    ),
    "times-are-whole": (
        "logic/universe.py",
        "kinds = (*kinds, Kind.DOUBLE)",
        "pass",
        "schema attack:exp-with-a-fraction",
    ),
    "zero-has-no-sign": (
        "evaluation/calls.py",
        "if math.isfinite(value) and (value or math.copysign(1, value) > 0):",
        "if math.isfinite(value):",
        "attack:minus-zero",
    ),
    "unequal-is-less": (
        "solving/arithmetic.py",
        "for arc in self._arcs[zero][1]:",
        "for arc in self._arcs[zero][1][:1]:",
        "inequalities",
    ),
    "learns-too-much": (
        "solving/solver.py",
        "                if self._levels[variable] == level:\n                    open_ += 1\n                else:\n                    learnt.append(other)",
        "                if self._levels[variable] == level:\n                    open_ += 1\n                elif self._levels[variable] == 1:\n                    learnt.append(other)",
        "clauses",
    ),
    "a-failing-denial-lets-go": (
        "statements.py",
        "parts.append(when.false.negation if denies else when.true)",
        "parts.append(when.true)",
        "pair:denial-without-errors",
    ),
    "a-failing-pattern-lets-go": (
        "statements.py",
        "if errors and failing is not FALSE:",
        "if False and failing is not FALSE:",
        "pair:denial-template",
    ),
    "a-long-value-is-good": (
        "statements.py",
        "return formulas.atom(TooLong(text, bound))",
        "return FALSE",
        "pair:denial-long-template",
    ),
    "a-failing-tag-lets-go": (
        "statements.py",
        "found += [fitting, failing] if denies else [fitting]",
        "found += [fitting]",
        "pair:tag-denial-template",
    ),
    "tags-do-not-matter": (
        "statements.py",
        "self._tagged(statement) if statement.tags else TRUE,",
        "TRUE,",
        "pair:no-tag",
    ),
    "new-tags-are-all-tags": (
        "statements.py",
        "and (not self._creates_tag(statement) or target.tag_state is TagState.NEW)",
        "",
        "pair:tags-that-exist",
    ),
    "new-tags-are-no-tags": (
        "statements.py",
        "target.tag_state is TagState.NEW)",
        "False)",
        "pair:more-new-tags",
    ),
    "only-new-tags-are-asked-about": (
        "question.py",
        "states = (TagState.EXISTING, TagState.NEW)",
        "states = (TagState.NEW,)",
        "pair:tags-that-exist",
    ),
    "only-tags-that-exist-are-asked-about": (
        "question.py",
        "states = (TagState.EXISTING, TagState.NEW)",
        "states = (TagState.EXISTING,)",
        "pair:more-new-tags",
    ),
    "new-tags-by-text": (
        "comparison.py",
        "        statement.new_tags_only,\n",
        "",
        "pair:tags-that-exist",
    ),
    "the-state-of-a-tag-is-lost": (
        "tokens.py",
        "return Access(resource, target.action, reference, target.tag_state)",
        "return Access(resource, target.action, reference)",
        "pair:more-new-tags",
    ),
    "an-end-is-past": (
        "statements.py",
        'return atoms.compares(atoms.quantity(atoms.NOW), "<", atoms.constant(end))',
        'return atoms.compares(atoms.quantity(atoms.NOW), "<=", atoms.constant(end))',
        "pair:same-second",
    ),
    "statements-never-end": (
        "statements.py",
        "    if statement.expires is None:\n        return TRUE",
        "    if True:\n        return TRUE",
        "pair:no-end",
    ),
    "classes-do-not-matter": (
        "statements.py",
        "and (statement.class_ == class_ or any_class)",
        "",
        "pair:class-of-the-bound",
    ),
    "denials-of-one-class-alone": (
        "statements.py",
        "any_class = isinstance(statement, Denial) and not statement.class_",
        "any_class = False",
        "pair:class-denied-too",
    ),
    "one-wildcard-crosses-slashes": (
        "languages/language.py",
        '"*": expressions.Star(expressions.NOT_A_SLASH),',
        '"*": ANYTHING,',
        "pair:wider-name",
    ),
    "digests-are-of-sha256": (
        "languages/language.py",
        "if one or (two and not three):",
        "if one and not two:",
        "pair:digest",
    ),
    "skew-does-not-matter": (
        "logins.py",
        "skew = atoms.constant(length(self.provider.clock_skew))",
        "skew = atoms.constant(30)",
        "pair:skew-alone",
    ),
    "age-does-not-matter": (
        "logins.py",
        "    if oldest is None:\n            return TRUE",
        "    if True:\n            return TRUE",
        "pair:no-age",
    ),
    "any-audience": (
        "logins.py",
        "language = languages.one_of(frozenset(map(str, wanted)))",
        "language = languages.EVERY_TEXT",
        "pair:more-audiences",
    ),
    "rules-that-fail-hold": (
        "logins.py",
        "self.evaluator.condition(self.evaluator.program(rule.check)).true\n",
        "self.evaluator.condition(self.evaluator.program(rule.check)).false.negation\n",
        "pair:rule-that-only-fails",
    ),
    "subjects-may-fail": (
        "logins.py",
        "return formulas.every([*parts, self._moment(), self._subject(), *rules])",
        "return formulas.every([*parts, self._moment(), *rules])",
        "pair:subject",
    ),
    "gone-denials-are-left-out": (
        "refinement.py",
        "used.old.update((one.name, one) for one in self._gone)",
        "self._gone = []",
        "equal:gone-denial",
    ),
    "denials-of-other-providers-are-left-out": (
        "refinement.py",
        "denied |= {one.name: one for one in self.pair.bound.denials if reads_provider(one)}",
        "pass",
        "equal:provider-denial",
    ),
    "conditions-do-not-matter": (
        "comparison.py",
        "None if statement.when is None else key_of(statement.when),",
        "",
        "pair:wider-condition",
    ),
    "expiry-does-not-matter": (
        "comparison.py",
        "        statement.expires,\n",
        "",
        "pair:later-end",
    ),
    "providers-by-name": (
        "comparison.py",
        "        frozenset(key_of(rule.check) for rule in provider.rules),\n",
        "",
        "pair:no-rule",
    ),
    "compound-needs-no-value": (
        "solving/compound.py",
        "(there.negation, formulas.same(formulas.atom(In(name, language)), inside))",
        "(formulas.FALSE, formulas.same(formulas.atom(In(name, language)), inside))",
        "pair:compound-of-what-is-missing",
    ),
    "compound-in-no-language": (
        "solving/compound.py",
        "formulas.same(formulas.atom(In(name, language)), inside)",
        "formulas.atom(In(name, language)).negation",
        "pair:compound-name",
    ),
    "compounds-fit-nothing": (
        "solving/compound.py",
        "self._facts.append(formulas.some((one.negation, formulas.every([made, *shapes]))))",
        "self._facts.append(one.negation)",
        "pair:compound-fits",
    ),
    "filter-forgives": (
        "evaluation/quantifiers.py",
        '(both(defined, none), Num("int", atoms.constant(0))),',
        '(none, Num("int", atoms.constant(0))),',
        'condition:claims.l.filter(g, g.startsWith("x")).size() == 0',
    ),
    "filter-keeps-one": (
        "evaluation/quantifiers.py",
        '(formulas.every((defined, none.negation, single.negation)), Num("int", many)),',
        "",
        "pair:list-filter",
    ),
    "positions-are-no-elements": (
        "evaluation/quantifiers.py",
        "*(Slot(number, position=True) for number in range(self.ahead.get(path, 0))),",
        "",
        "same:position-is-an-element",
    ),
    "lists-are-as-long-as-they-are-written": (
        "evaluation/operations.py",
        "(same.negation, Bool(formulas.FALSE)),",
        "",
        'condition:claims.l == ["x", "y"]',
    ),
    "trim-takes-the-front": (
        "languages/images.py",
        "return (before, self._base.step(at, code), 1) if begun else state",
        "return (at, self._base.step(at, code), 1) if begun else state",
        "image",
    ),
    "words-end-nowhere": (
        "languages/automata.py",
        'edge = "b" if after_word else ""',
        'edge = ""',
        'condition:claims.a.matches("\\\\bx\\\\b")',
    ),
    "made-names-have-one-segment": (
        "statements.py",
        'yield from self._made(parts, "$wildcard", _PATHS, whole)',
        'yield from self._made(parts, "$wildcard", _TAG_PARTS, whole)',
        "attack:template-with-two-segments",
    ),
    "digests-are-not-given": (
        "statements.py",
        "parts = [not_expired(grant), TRUE if made or not grant.tags else self._tagged(grant)]",
        "parts = [TRUE if made or not grant.tags else FALSE]",
        "pair:digest",
    ),
    "long-lists-are-short": (
        "languages/automata.py",
        "if high - low >= most:\n                    return None",
        "if high - low >= most:\n                    continue",
        "pair:regex-class",
    ),
    "fits-unless-it-is-the-same": (
        "solving/compound.py",
        "self._facts.append(formulas.some((self._same(fits.text, made).negation, one)))",
        "self._facts.append(formulas.some((self._same(fits.text, made), one)))",
        "pair:compound-does-not-fit-a-longer-one",
    ),
    "functions-keep-the-length": (
        "solving/compound.py",
        'while isinstance(text, Applied) and text.function.name in ("lowerAscii", "upperAscii"):',
        "while isinstance(text, Applied):",
        "attack:short-value-of-a-long-claim",
    ),
    "wholes-begin-otherwise": (
        "languages/cells.py",
        "repeats = layer.keys() == layers[-1].keys()",
        "repeats = len(layers) > 1",
        "pair:denial-long-template-with-a-beginning",
    ),
    "keys-of-tables-are-parts-of-the-token": (
        "evaluation/steps.py",
        'return path is not None and (path[0] == "claims" or path[0] in loops.parts)',
        "return path is not None",
        "attack:steps-of-a-table",
    ),
    "steps-begin-anew": (
        "evaluation/evaluator.py",
        "(*before, key_of_node(node, definitions))",
        "(key_of_node(node, definitions),)",
        "attack:steps-of-what-is-before",
    ),
    "steps-are-not-counted": (
        "evaluation/evaluator.py",
        "self._before = () if may_run_out(program, self.universe) else None",
        "self._before = None",
        "attack:steps-of-what-is-before",
    ),
    "not-both-is-neither": (
        "logic/formulas.py",
        "found = _make(_DUAL[self.operator], _sorted(parts))",
        "found = _make(self.operator, _sorted(parts))",
        "pair:denial-template",
    ),
    "what-became-smaller-is-forgotten": (
        "logic/formulas.py",
        'smaller.append(some(kept) if operator == "and" else every(kept))',
        "pass",
        "same:guard-that-others-decide",
    ),
    "what-is-decided-is-not-left-out": (
        "logic/formulas.py",
        "kept = [part for part in formula.parts if not part.contradicts(found)]",
        "kept = [part for part in formula.parts if part.contradicts(found)]",
        "pair:denial-without-errors",
    ),
    "alternatives-need-no-part": (
        "solving/theory.py",
        'for clause in [parts] if one.operator == "or" else [[part] for part in parts]:',
        'for clause in [] if one.operator == "or" else [[part] for part in parts]:',
        "same:in-two-parts",
    ),
    "what-is-taken-back-is-forgotten": (
        "solving/solver.py",
        "heappush(self._open, (-self._activity[variable], variable))",
        "pass",
        "solutions",
    ),
    "long-clauses-are-searched-to-their-end-alone": (
        "solving/solver.py",
        "chain(range(start, len(clause)), range(2, start))",
        "range(start, len(clause))",
        "long-clauses",
    ),
    "long-clauses-are-searched-from-the-next-place": (
        "solving/solver.py",
        "chain(range(start, len(clause)), range(2, start))",
        "chain(range(start + 1, len(clause)), range(2, start))",
        "long-clauses",
    ),
    "added-clauses-are-not-watched": (
        "solving/solver.py",
        "        self._backtrack(second if second < first else first - 1)\n        self._watch(clause)",
        "        self._backtrack(second if second < first else first - 1)",
        "solutions",
    ),
    "what-follows-from-an-added-clause-is-not-chosen": (
        "solving/solver.py",
        "        self._backtrack(second if second < first else first - 1)",
        "        self._backtrack(first)",
        "solutions",
    ),
    "denials-that-wait-refuse": (
        "statements.py",
        "case Reference.PENDING:\n",
        "case Reference.PENDING:\n                return TRUE\n",
        "longer:denial-that-waits-is-gone",
    ),
    "grants-that-wait-are-evaluated": (
        "statements.py",
        "self.target.reference is Reference.PENDING\n            and",
        "False\n            and",
        "longer:longer-by-a-condition-that-waits",
    ),
    "what-waits-is-never-ruled-out": (
        "statements.py",
        "parts.append(self._not_ruled_out(statement))",
        "parts.append(TRUE)",
        "as-long:shorter-one-that-a-claim-rules-out-is-gone",
    ),
    "what-waits-counts-as-what-matches": (
        "longer.py",
        "return not one.tags and lasts(one, self.limit)",
        "return lasts(one, self.limit)",
        "longer:shorter-one-is-gone",
    ),
    "nothing-limits-what-waits": (
        "longer.py",
        "if not self.grant.tags or one is self.grant or not isinstance(one, Grant):",
        "if True:",
        "as-long:shorter-one-is-kept",
    ),
    "just-the-limit-is-shorter": (
        "longer.py",
        "if one.token_lifetime == self.limit and may_meet(one, self.grant)",
        "if one.token_lifetime is None and may_meet(one, self.grant)",
        "longer:shorter-one-for-a-team-is-gone",
    ),
    "what-waits-meets-by-its-values": (
        "longer.py",
        "and (_is_open(one) or _is_open(other) or share_a_value(one, other))",
        "and share_a_value(one, other)",
        "longer:shorter-one-of-another-tag-is-gone",
    ),
    "grants-that-are-gone-limit-nothing": (
        "question.py",
        "if grant.tags and any(may_meet(one, grant) for one in self._gone):",
        "if False:",
        "longer:shorter-one-is-gone",
    ),
    "longer-without-an-engine": (
        "longer.py",
        "if new.most <= limit:",
        "if False:",
        "as-long:shorter-one-is-kept",
    ),
    "logins-are-always-implied": (
        "question.py",
        "return one.find(formula, lambda _: True) is None",
        "return True",
        "pair:no-rule",
    ),
}


class _Planted(importlib.machinery.SourceFileLoader):
    """Loads a module with a bug in its text."""

    def __init__(self, name: str, path: str, before: str, after: str) -> None:
        super().__init__(name, path)
        self._change = before, after

    def get_data(self, path: str) -> bytes:
        text = super().get_data(path)
        if not path.endswith(".py"):
            raise OSError
        before, after = self._change
        return text.replace(before.encode(), after.encode())


class _Finder:
    """Finds one module of the prover with its bug."""

    def __init__(self, name: str, path: Path, before: str, after: str) -> None:
        self._name = name
        self._path = path
        self._change = before, after

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self._name:
            return None
        loader = _Planted(name, str(self._path), *self._change)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


def place(file: str) -> tuple[Path, str]:
    """Return the path and the name of a module in which a bug is planted."""
    package, folder = PACKAGE, FOLDER
    if file.startswith("engine/languages/"):
        package, folder = LANGUAGES, Path(regauth.engine.languages.__file__).parent
        file = file.removeprefix("engine/languages/")
    return folder / file, ".".join((package, *Path(file).with_suffix("").parts))


@contextmanager
def planted(file: str, before: str, after: str) -> Iterator[ModuleType]:
    """Load the prover with a bug, and the directed checks for it."""
    path, name = place(file)
    saved = {one: module for one, module in sys.modules.items() if one.startswith(RELOADED)}
    for one in saved:
        del sys.modules[one]
    finder = _Finder(name, path, before, after)
    sys.meta_path.insert(0, finder)
    try:
        yield importlib.import_module("tests.policytests.proofs.directed")
    finally:
        sys.meta_path.remove(finder)
        for one in [one for one in sys.modules if one.startswith(RELOADED)]:
            del sys.modules[one]
        sys.modules.update(saved)


def check(directed: ModuleType, by: str) -> None:
    """Run the directed check that is to find a bug."""
    kind, _, about = by.partition(":")
    checks: dict[str, Callable[[], object]] = {
        CELLS: directed.check_cells,
        "image": directed.check_trimming,
        "cells-complete": directed.check_complete_cells,
        "clauses": directed.check_clauses,
        "solutions": directed.check_solutions,
        "long-clauses": directed.check_long_clauses,
        "inequalities": directed.check_inequalities,
        "condition": lambda: directed.check_condition(about, directed.edge_tokens()),
        "pair": lambda: directed.check_pair(about),
        "schema pair": lambda: directed.check_pair(about, directed.About.SCHEMA),
        "equal": lambda: directed.check_equal(about),
        "same": lambda: directed.check_same(about),
        "clients": lambda: importlib.import_module(CLIENTS).check_random(2, 40),
        "attack": lambda: directed.check_attack(about),
        "schema attack": lambda: directed.check_attack(about, directed.About.SCHEMA),
        "longer": lambda: importlib.import_module(LASTING).check_longer(about),
        "as-long": lambda: importlib.import_module(LASTING).check_as_long(about),
        "kept": lambda: importlib.import_module("tests.policytests.proofs.kept").CHECKS[about](),
    }
    checks[kind]()


@pytest.mark.parametrize("name", list(BUGS))
def test_a_bug_has_its_place(name: str) -> None:
    file, before, after, by = BUGS[name]
    path, _ = place(file)
    assert path.read_text().count(before) == 1, f"{before!r} stands once in {file}"
    assert after != before
    assert by


@pytest.mark.fuzz
@pytest.mark.parametrize("name", some(list(BUGS)))
def test_a_planted_bug_is_found(name: str) -> None:
    file, before, after, by = BUGS[name]
    with planted(file, before, after) as directed, pytest.raises(Exception):  # noqa: B017 - whatever notices the bug
        check(directed, by)


DIRECTED = {
    CELLS,
    *(f"condition:{text}" for text in CONDITIONS),
    *(f"{kind}:{name}" for name in GAINS for kind in ("pair", "schema pair")),
    *(f"kept:{name}" for name in CHECKS),
    *("clients", "solutions", "long-clauses"),
}
"""Checks that `test_directed`, `test_client` and `test_solving` run on the prover as it is."""


@pytest.mark.fuzz
@pytest.mark.parametrize("by", some(sorted({by for *_, by in BUGS.values()} - DIRECTED)))
def test_the_check_itself_passes_without_a_bug(by: str) -> None:
    check(importlib.import_module("tests.policytests.proofs.directed"), by)


def test_there_are_many_bugs() -> None:
    assert len(BUGS) >= 40
