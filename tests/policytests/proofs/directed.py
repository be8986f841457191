"""
Directed checks of the prover: what finds an encoder bug, one construct at a time.

Each check raises AssertionError when the prover and the engine disagree.  The tests run them on
the prover as it is (`test_directed`), and on one with a bug planted (`test_planted_bugs`).
"""

import json
import random
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, product

from regauth.engine.cel import Program
from regauth.engine.cel.library import strings
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import About, Question, Status, more_access
from regauth.policytests.proofs.budget import Steps
from regauth.policytests.proofs.evaluation.evaluator import Context, Evaluator, ScopeTerms
from regauth.policytests.proofs.evaluation.quantifiers import Lists
from regauth.policytests.proofs.evaluation.values import Outcome
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.cells import cut
from regauth.policytests.proofs.languages.images import TextFunction
from regauth.policytests.proofs.languages.language import Language
from regauth.policytests.proofs.logic import atoms
from regauth.policytests.proofs.logic.atoms import (
    Applied,
    Compares,
    In,
    IsTrue,
    Joined,
    KindIs,
    Literal_,
    Quantity,
    SameText,
    Slot,
    Text,
    TooLong,
    Unclaimed,
    Variable,
)
from regauth.policytests.proofs.logic.formulas import Formula
from regauth.policytests.proofs.logic.universe import Universe
from regauth.policytests.proofs.solving.arithmetic import Arithmetic
from regauth.policytests.proofs.solving.expansion import Expansion
from regauth.policytests.proofs.solving.solver import Solver
from tests.policytests.proofs.adversarial import ATTACKS
from tests.policytests.proofs.adversarial import compiled as attacked
from tests.policytests.proofs.conditions import NAME, compiled_condition, engine_outcome
from tests.policytests.proofs.random_policies import (
    AUDIENCE,
    ISSUER,
    NOW,
    SCHEMA,
    Random,
    compiled,
    refutation,
)

# -- the value of a formula for one token


class Undecidable(Exception):  # noqa: N818 - no error
    """An atom is opaque: the formula has no value for the token."""


class Valuation:
    """The values of atoms for one token, by what they say and not by how they are solved."""

    def __init__(self, claims: dict[str, object]) -> None:
        self._claims = claims

    def at(self, path: tuple[object, ...]) -> object:
        value: object = self._claims
        for name in path:
            if isinstance(name, Slot):
                if not isinstance(value, list) or name.number >= len(value):
                    return ...
                value = value[name.number]
            elif isinstance(value, dict) and name in value:
                value = value[name]
            else:
                return ...
        return value

    def kind(self, path: tuple[object, ...]) -> str:
        value = self.at(path)
        if value is ...:
            return "absent"
        kinds = {str: "string", bool: "bool", int: "int", float: "double", list: "list"}
        return kinds.get(type(value), "null" if value is None else "map")

    def text(self, text: Text) -> str | None:
        match text:
            case Literal_(text=known):
                return known
            case Variable(path=(Unclaimed(name="$name"),)):
                return NAME
            case Variable(path=path):
                value = self.at(path)
                return value if isinstance(value, str) else None
            case Applied(function=function, to=to):
                inner = self.text(to)
                return None if inner is None else function.apply(inner)
            case Joined(parts=parts):
                found = [self.text(part) for part in parts]
                return None if None in found else "".join(map(str, found))
        raise Undecidable

    def number(self, quantity: Quantity) -> Fraction | None:
        about = quantity.about
        match quantity.kind:
            case "int" | "double":
                value = self.at(about)
                wanted = int if quantity.kind == "int" else float
                return Fraction(value) if type(value) is wanted else None
            case "floor":
                value = self.at(about)
                return Fraction(int(value)) if type(value) is float else None
            case "now" | "at":
                return Fraction(int(NOW.timestamp()))
            case "length":
                known = self.text(about)
                return None if known is None else Fraction(len(known))
            case "size":
                held = self.at(about)
                return Fraction(len(held)) if isinstance(held, list) else None
            case "pieces":
                text, separator = about
                known = self.text(text)
                return None if known is None else Fraction(len(known.split(separator)))
        raise Undecidable

    def atom(self, about: object) -> bool:
        match about:
            case In(text=text, language=language):
                known = self.text(text)
                try:
                    return known is not None and language.automaton.accepts(known)
                except UndecidedError:
                    raise Undecidable from None
            case KindIs(path=path, kind=kind):
                return self.kind(path) == kind
            case IsTrue(path=path):
                return self.at(path) is True
            case SameText(left=left, right=right):
                one, other = self.text(left), self.text(right)
                return one is not None and one == other
            case TooLong(text=text, bound=bound):
                known = self.text(text)
                return known is not None and len(known) > bound
            case Compares(operator=operator, sum=total):
                value = Fraction(total.constant)
                for quantity, by in total.terms:
                    number = self.number(quantity)
                    if number is None:
                        return False
                    value += Fraction(by) * number
                return {"<": value < 0, "<=": value <= 0, "==": value == 0}[operator]
        raise Undecidable

    def holds(self, formula: Formula) -> bool:
        """Return a formula's value; an opaque atom matters only where the others leave it open."""
        match formula.operator:
            case "true" | "false":
                return formula.operator == "true"
            case "atom":
                return self.atom(formula.atom)
            case "not":
                return not self.holds(formula.parts[0])
        deciding = formula.operator == "or"
        open_ = False
        for part in formula.parts:
            try:
                if self.holds(part) is deciding:
                    return deciding
            except Undecidable:
                open_ = True
        if open_:
            raise Undecidable
        return not deciding


def slots_for(claims: dict[str, object]) -> dict[tuple[object, ...], int]:
    """Return slots for every element of every list of a token, and one that is not filled."""
    found: dict[tuple[object, ...], int] = {}

    def visit(value: object, path: tuple[object, ...]) -> None:
        if isinstance(value, list):
            found[path] = len(value) + 1
            for number, one in enumerate(value):
                visit(one, (*path, Slot(number)))
        elif isinstance(value, dict):
            for name, one in value.items():
                visit(one, (*path, name))

    visit(claims, ())
    return found


class OutcomeFormulas:
    """The prover's formulas of a condition; tokens whose lists are as long have the same."""

    def __init__(self, program: Program, schema_of: Policy) -> None:
        self._program = program
        self._universe = Universe(schema_of.providers["o"].claims, anything=True)
        self._known: dict[object, tuple[Outcome, Callable[[Formula], Formula]]] = {}

    def of(self, claims: dict[str, object]) -> tuple[Outcome, Callable[[Formula], Formula]]:
        """Return the outcome, and what expands its formulas."""
        slots = slots_for(claims)
        key = frozenset(slots.items())
        if key not in self._known:
            name = Variable((Unclaimed("$name"),))
            scope = ScopeTerms("repository", "", name, "pull", atoms.EMPTY_TEXT)
            evaluator = Evaluator(self._universe, Context("o", "r", scope), Lists(slots))
            outcome = evaluator.condition(evaluator.program(self._program))
            self._known[key] = outcome, cache(Expansion().expand)
        return self._known[key]


def formula_outcome(made: OutcomeFormulas, claims: dict[str, object]) -> str | None:
    """Return the outcome by the prover's formulas, or None where something opaque matters."""
    found, expand = made.of(claims)
    valuation = Valuation(claims)
    said = []
    for name, formula in (("true", found.true), ("false", found.false)):
        try:
            exact = valuation.holds(formula)
        except Undecidable:
            return None
        try:
            # What the solver sees says the same, but for what it does not know of other texts.
            if valuation.holds(expand(formula)) != exact:
                return f"{name}, otherwise after expansion"
        except Undecidable:
            pass
        if exact:
            said.append(name)
    return said[0] if len(said) == 1 else "both" if said else "error"


_POLICY: list[Policy] = []


def any_policy() -> Policy:
    if not _POLICY:
        choose = Random(1)
        found = None
        while found is None:
            found = compiled(choose.policy())
        _POLICY.append(found)
    return _POLICY[0]


def check_condition(text: str, tokens: list[dict[str, object]]) -> int:
    """Check that the formulas of a condition are the engine's outcome; return how often they are."""
    program = compiled_condition(text)
    if program is None:
        return 0
    decided, made = 0, OutcomeFormulas(program, any_policy())
    for claims in tokens:
        audience = claims["aud"]
        normal = {**claims, "aud": audience if isinstance(audience, list) else [audience]}
        found = formula_outcome(made, normal)
        if found is not None:
            decided += 1
            wanted = engine_outcome(program, normal)
            assert found == wanted, (text, json.dumps(claims), found, wanted)
    return decided


EDGES: list[dict[str, object]] = [
    {"a": a, "d": d, "c": c, "y": y, "l": items}
    for a, d in [
        ("", "x"),
        ("x", "x"),
        ("acme/x", "Acme"),
        ("x/y/x", "xx"),
        ("xyx", "y"),
        ("X", "x"),
    ]
    for c, y, items in [
        (..., ..., ...),
        ("x", "x", ["x"]),
        ("Acme", None, []),
        ("é", 1, ["y", 1]),
        ("", True, ["acme", "x"]),
        ("acme", {"k": "x", "x": 1}, "x"),
        ("x-y", 1.5, [None]),
        ("x", "x", ["x", 1]),
    ]
]


def edge_tokens() -> list[dict[str, object]]:
    """Return tokens at the edges: missing, null, of the wrong kind, empty, other case."""
    choose = Random(5)
    found = []
    for edge in EDGES:
        base = choose.token(anything=False)
        for name, value in edge.items():
            if value is ...:
                base.pop(name, None)
            else:
                base[name] = value
        found.append(base)
    return found


CONDITIONS = [
    *(
        'claims.c == "x"',
        'claims.c != "x"',
        '!(claims.c == "x")',
        "has(claims.c)",
        "!has(claims.c)",
    ),
    *(
        'has(claims.m.o) && claims.m.o == "x"',
        'claims.m.k == "x" || has(claims.m)',
        "has(claims.p.k)",
    ),
    *(
        "claims.y == null",
        "claims.y != null",
        'claims.y == "x"',
        "claims.y == 1",
        "claims.y == 1.5",
    ),
    *("claims.y", "!claims.y", "claims.y || claims.b", "claims.b && claims.y", "claims.y == true"),
    *(
        'claims.c == "x" || claims.b',
        'claims.c == "x" && claims.b',
        "claims.b ? claims.y : claims.b",
    ),
    *('(claims.b ? claims.c : claims.a) == "x"', "(claims.y ? claims.a : claims.d) == claims.a"),
    *('claims.c.startsWith("x")', 'claims.c.endsWith("x")', 'claims.c.contains("x")'),
    *('claims.a.startsWith("")', 'claims.a.contains("/")', 'claims.a.matches("^x|y$")'),
    *('claims.a.matches("[^/]+$")', 'claims.a in ["x", "y"]', 'claims.y in ["x", "y"]'),
    *("claims.y in [1, 2]", "claims.y in [1, 2]", '"x" in claims.l', "1 in claims.y"),
    *("claims.c in claims.l", '"k" in claims.m', '"k" in claims.y', '"x" in claims.p'),
    *('claims.l.exists(g, g == "x")', 'claims.l.all(g, g == "x")', 'claims.l.all(g, g != "x")'),
    *('claims.l.exists_one(g, g == "x")', 'claims.y.exists_one(g, g == "x" || g == claims.a)'),
    *('[claims.a, claims.c].exists_one(g, g == "x")', "!claims.l.exists_one(g, g != claims.a)"),
    *('claims.y.exists(g, g == "x")', 'claims.l.exists(g, g == claims.a && g != "y")'),
    *(
        'claims.l.exists(g, g == "x") && claims.l.exists(g, g == "acme")',
        "claims.l.all(g, claims.b)",
    ),
    *('["x", claims.c].exists(g, g == claims.a)', '[claims.a, claims.c].all(g, g != "y")'),
    *(
        'claims.a.lowerAscii() == "acme/x"',
        'claims.d.lowerAscii() == "acme"',
        'claims.d.upperAscii() == "X"',
    ),
    *("claims.d.lowerAscii() == claims.d", 'claims.a.replace("x", "y") == "yyy"'),
    *('claims.a.replace("/", "").contains("xy")', 'claims.a.split("/")[0] == "x"'),
    *(
        'claims.a.split("/")[1] == "y"',
        'size(claims.a.split("/")) == 2',
        'claims.a.split("x")[1] == ""',
    ),
    *(
        'claims.a.substring(1) == "yx"',
        'claims.a.substring(0, 1) == "x"',
        'claims.a.charAt(1) == "y"',
    ),
    *(
        'claims.a.charAt(1) == ""',
        "size(claims.a) > 1",
        "size(claims.a) == 0",
        "size(claims.l) == 1",
    ),
    *("size(claims.l) < 2", "size(claims.l) != 0", 'claims.l[0] == "x"', 'claims.l[1] == "x"'),
    *(
        "claims.l[0] == claims.a",
        'claims.a + "/" + claims.d == "x/x"',
        'claims.a + claims.d == "xx"',
    ),
    *(
        'claims.c + "x" == "xx"',
        'claims.a + claims.a == "xx"',
        "claims.a == claims.d",
        "claims.a != claims.c",
    ),
    *(
        "claims.n < 2",
        "claims.n >= 1",
        "claims.n == 1",
        "claims.n != 1",
        "claims.n > 0 && claims.n < 2",
    ),
    *(
        "claims.n + 1 == 2",
        "claims.n - 1 < 0",
        "claims.y < 2",
        "claims.y <= 1.5",
        "dyn(claims.n) < 1.5",
    ),
    *(
        "claims.x < 1.0",
        "claims.x == 0.5",
        "dyn(claims.x) > 1",
        "claims.n == claims.y",
        "-claims.n < 0",
    ),
    *('scope.name == "acme/x"', 'scope.name.startsWith("acme/")', 'scope.action == "pull"'),
    *('scope.type == "repository"', 'scope.class == ""', 'provider == "o"', 'service == "s"'),
    *("timestamp(claims.exp) > now", "now - timestamp(claims.iat) < duration('1m')"),
    *("timestamp(claims.exp) - now > duration('10m')", "now < timestamp('2026-11-01T12:00:01Z')"),
    *(
        "1 / 0 == 1 || claims.b",
        "claims.y == claims.l",
        '[claims.a] == ["x"]',
        '[claims.a, claims.c] == ["x", "y"]',
    ),
    *(
        '"x" < claims.a',
        "claims.b == true",
        "claims.b != claims.y",
        '!(claims.y == "x") && claims.b',
    ),
    *(
        'claims["a"] == "x"',
        'claims["y"].k == "x"',
        "dyn(claims.a) == 1",
        'string(claims.a) == "x"',
    ),
    *(
        "[claims.a, claims.d].all(g, g != 'x')",
        '"x" in claims.y',
        '!(claims.a.substring(3) == "x")',
    ),
    *("claims.b && (!claims.b || claims.a == 'x')", '"xy".startsWith(claims.d)'),
    *('claims.a + "x" == claims.a + "x" + claims.d', '[claims.a] == ["x", "y"]'),
    *('claims.c.trim() == "x"', "claims.n * 2 == 2", 'claims.a.matches("\\\\bx\\\\b")'),
    *('claims.l == ["x"]', 'claims.l == ["x", "y"]', 'claims.a.split("/") == ["x", "y", "x"]'),
    *(
        'claims.l.filter(g, g != "x").size() == 0',
        'claims.l.filter(g, g.startsWith("x")).size() == 0',
        'claims.l.filter(g, g != "acme").size() > 0',
    ),
]
"""Conditions, one construct each."""


def check_constructs() -> None:
    """Check each construct against the engine, on tokens at its edges."""
    tokens = edge_tokens()
    decided = sum(check_condition(text, tokens) for text in CONDITIONS)
    assert decided > 0.7 * len(CONDITIONS) * len(tokens), decided


def check_random_conditions(seed: int, count: int) -> None:
    """Check random conditions on random tokens."""
    choose = Random(seed)
    for _ in range(count):
        tokens = [choose.token(anything=True) for _ in range(8)]
        check_condition(choose.condition(1), tokens)


# -- pairs that are nearly equal


BASE = {
    "version": 1,
    "services": ["r"],
    "providers": {
        "o": {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["RS256"],
            "claims": "ours.json",
            "maxTokenAge": "10m",
            "clockSkew": "30s",
            "rules": [{"name": "r", "check": 'claims.a != "bad"'}],
        }
    },
    "grants": [
        {"name": "g", "repositories": ["acme/*"], "actions": ["pull"], "when": 'claims.d == "x"'}
    ],
    "denials": [
        {
            "name": "d",
            "repositories": ["acme/frozen"],
            "actions": ["pull"],
            "when": 'claims.c == "x"',
        }
    ],
}
"""A small policy; each pair changes it a little."""


def changed(change: Callable[[dict[str, object]], None], base: dict[str, object] = BASE) -> Policy:
    document = json.loads(json.dumps(base))
    change(document)
    compilation = compile_policy({"policy.yaml": json.dumps(document), "ours.json": SCHEMA})
    assert compilation.policy is not None, [str(one) for one in compilation.problems]
    return compilation.policy


def _set(*path: object) -> Callable[[dict[str, object]], None]:
    *places, name, value = path

    def change(document: dict[str, object]) -> None:
        at: object = document
        for place in places:
            at = at[place]
        if value is ...:
            del at[name]
        else:
            at[name] = value

    return change


G, D, P = ("grants", 0), ("denials", 0), ("providers", "o")

Change = Callable[[dict[str, object]], None]


def _both(*changes: Change) -> Change:
    def change(document: dict[str, object]) -> None:
        for one in changes:
            one(document)

    return change


SAME: Change = lambda document: None  # noqa: E731 - as the table's rows

GAINS: dict[str, tuple[Change, Change]] = {
    # What NEW is, what BOUND is: NEW gives more.
    "wider-name": (_set(*G, "repositories", ["acme/**"]), SAME),
    "other-name": (_set(*G, "repositories", ["acme/*", "other"]), SAME),
    "more-actions": (_set(*G, "actions", ["pull", "push"]), SAME),
    "no-condition": (_set(*G, "when", ...), SAME),
    "wider-condition": (_set(*G, "when", 'claims.d.startsWith("x")'), SAME),
    "other-case": (_set(*G, "when", 'claims.d.lowerAscii() == "x"'), SAME),
    "no-denial": (_set("denials", ...), SAME),
    "narrower-denial": (_set(*D, "when", 'claims.c == "x" && claims.b'), SAME),
    "denial-without-errors": (_set(*D, "when", 'has(claims.c) && claims.c == "x"'), SAME),
    "denial-of-null": (_set(*D, "when", "claims.y == null"), _set(*D, "when", 'claims.y == "x"')),
    "denial-template": (
        _set("denials", ...),
        _set(*D, "repositories", ["acme/${claims.c}/**"]),
    ),
    "denial-long-template": (
        _both(_set("denials", ...),
              _set(*P, "rules", [{"name": "r", "check": 'claims.a.matches("^[a-z0-9]+$")'}])),
        _both(_set(*D, "repositories", ["acme/${claims.a}/**"]), _set(*D, "when", ...),
              _set(*P, "rules", [{"name": "r", "check": 'claims.a.matches("^[a-z0-9]+$")'}])),
    ),
    "denial-long-template-with-a-beginning": (
        _both(_set("denials", ...),
              _set(*P, "rules", [{"name": "r", "check": 'claims.a.matches("^xyz[a-z]+$")'}])),
        _both(_set(*D, "repositories", ["acme/${claims.a}/**"]), _set(*D, "when", ...),
              _set(*P, "rules", [{"name": "r", "check": 'claims.a.matches("^xyz[a-z]+$")'}])),
    ),
    "no-rule": (_set(*P, "rules", ...), SAME),
    "older-tokens": (_set(*P, "maxTokenAge", "11m"), SAME),
    "no-age": (_set(*P, "maxTokenAge", ...), SAME),
    "more-skew": (_set(*P, "clockSkew", "31s"), SAME),
    "more-audiences": (_set(*P, "audience", [AUDIENCE, "https://other.example.com"]), SAME),
    "no-end": (SAME, _set(*G, "expires", "2026-12-01T00:00:00Z")),
    "later-end": (
        _set(*G, "expires", "2026-12-01T00:00:01Z"),
        _set(*G, "expires", "2026-12-01T00:00:00Z"),
    ),
    "denial-ends": (_set(*D, "expires", "2026-12-01T00:00:00Z"), SAME),
    "catalog": (_set("grants", [{"name": "g", "catalog": True}]), SAME),
    "class": (_set(*G, "class", "plugin"), SAME),
    "class-denied-too": (
        _both(_set(*G, "class", "plugin"), _set("denials", ...)),
        _set(*G, "class", "plugin"),
    ),
    "anonymous": (_set("anonymous", {"repositories": ["acme/*"]}), SAME),
    "anonymous-denied": (
        _both(_set("anonymous", {"repositories": ["acme/*"]}), _set("denials", ...)),
        _set("anonymous", {"repositories": ["acme/*"]}),
    ),
    "service": (_set("services", ["r", "s"]), SAME),
    "tag": (_set(*G, "tags", ["x*"]), _set(*G, "tags", ["x"])),
    "no-tag": (SAME, _set(*G, "tags", ["x"])),
    "tag-of-claim": (_set(*G, "tags", ["${claims.a}"]), _set(*G, "tags", ["x"])),
    "tag-denial": (_set("denials", ...), _set(*D, "tags", ["x"])),
    "tag-denial-template": (
        _set(*D, "tags", ["x"]),
        _set(*D, "tags", ["x", "${claims.c}"]),
    ),
    "every-tag": (_set(*G, "tags", ["*"]), _set(*G, "tags", ["x*", "y*"])),
    "tags-that-exist": (
        _both(_set(*G, "tags", ["x"]), _set(*G, "actions", ["push"])),
        _both(_set(*G, "tags", ["x"]), _set(*G, "actions", ["push"]),
              _set(*G, "newTagsOnly", True)),
    ),
    "more-new-tags": (
        _both(_set(*G, "tags", ["x*"]), _set(*G, "actions", ["push"]),
              _set(*G, "newTagsOnly", True)),
        _both(_set(*G, "tags", ["x"]), _set(*G, "actions", ["push"])),
    ),
    "digest": (
        _both(_set(*G, "tags", ["*"]), _set(*G, "when", 'scope.reference.startsWith("sha512:")')),
        _both(_set(*G, "tags", ["*"]), _set(*G, "when", 'scope.reference.startsWith("sha256:")')),
    ),
    "list-one-of-two": (
        _set(*G, "when", 'claims.l.exists_one(g, g == "x")'),
        _set(*G, "when", 'claims.l.exists_one(g, g == "x") && claims.l.all(g, g != "y")'),
    ),
    "list-one-twice": (
        _set(*G, "when", 'claims.l.exists(g, g == "x")'),
        _set(*G, "when", 'claims.l.exists_one(g, g == "x")'),
    ),
    "list-exists": (
        _set(*G, "when", 'claims.l.exists(g, g == "x") && claims.l.exists(g, g == "y")'),
        _set(*G, "when", 'claims.l.exists(g, g == "x" && g == "y")'),
    ),
    "list-split": (
        _set(*G, "when", 'claims.l.exists(g, g == "x")'),
        _set(*G, "when", 'claims.l.exists(g, g == "x") && claims.l.all(g, g != "y")'),
    ),
    "list-empty": (
        _set(*G, "when", 'claims.l.all(g, g == "x")'),
        _set(*G, "when", 'claims.l.exists(g, g == "x") && claims.l.all(g, g == "x")'),
    ),
    "list-size": (_set(*G, "when", "size(claims.l) <= 2"), _set(*G, "when", "size(claims.l) < 2")),
    "list-position": (
        _set(*G, "when", 'claims.l[0] == "x"'),
        _set(*G, "when", 'claims.l[0] == "x" && size(claims.l) > 1'),
    ),
    "list-position-among-others": (
        _set(*G, "when", 'claims.l[0] == "y"'),
        _set(*G, "when", 'claims.l[0] == "y" && claims.l.filter(g, g != "x").size() > 1'),
    ),
    "list-filter": (
        _set(*G, "when", 'claims.l.filter(g, g == "x").size() > 0'),
        _set(*G, "when", 'claims.l.filter(g, g == "x").size() == 1'),
    ),
    "list-equal": (
        _set(*G, "when", 'claims.l == ["x", "y"]'),
        _set(*G, "when", 'claims.l == ["x", "y"] && claims.c == "x"'),
    ),
    "compound": (
        _set(*G, "when", "claims.a.lowerAscii() == claims.d.upperAscii()"),
        _set(*G, "when", 'claims.a.lowerAscii() == claims.d.upperAscii() && claims.a == "1"'),
    ),
    "compound-of-two": (
        _set(*G, "when", "claims.a + claims.d == claims.c"),
        _set(*G, "when", 'claims.a + claims.d == claims.c && claims.c != "xyx"'),
    ),
    "compound-fits": (
        _set(*G, "when", 'claims.c.startsWith(claims.a + "/")'),
        _set(*G, "when", 'claims.c.startsWith(claims.a + "/") && claims.c.endsWith("/x")'),
    ),
    "compound-does-not-fit": (
        _set(*G, "when", "!claims.d.startsWith(claims.a)"),
        _set(*G, "when", '!claims.d.startsWith(claims.a) && claims.a != "xy"'),
    ),
    "compound-does-not-fit-a-longer-one": (
        _set(*G, "when", "!claims.d.startsWith(claims.a)"),
        _set(*G, "when", "!claims.d.startsWith(claims.a) && size(claims.a) < 2"),
    ),
    "compound-of-what-is-missing": (
        _set(*G, "when", 'claims.d.matches("(?s).*") && (claims.y.trim() == claims.d || !has(claims.y))'),
        _set(*G, "when", 'claims.d.matches("(?s).*") && claims.y.trim() == claims.d'),
    ),
    "compound-name": (
        _set(*G, "when", 'scope.name == claims.d.replace("x", "z")'),
        _set(*G, "when", 'scope.name == claims.d.replace("x", "z") && claims.d.endsWith("y")'),
    ),
    "three-claims": (
        _set(*G, "when", "claims.a != claims.d && claims.d != claims.c && claims.a != claims.c"),
        _set(*G, "when", 'claims.a == "x" && claims.d == "y"'),
    ),
    "equal-claims": (
        _set(*G, "when", "claims.a == claims.d"),
        _set(*G, "when", 'claims.a == claims.d && claims.a.startsWith("x")'),
    ),
    "numbers": (_set(*G, "when", "claims.n <= 3"), _set(*G, "when", "claims.n < 3")),
    "doubles": (_set(*G, "when", "claims.x <= 2.5"), _set(*G, "when", "claims.x < 2.5")),
    "numbers-between": (
        _set(*G, "when", "claims.n > 1 && claims.n < 4"),
        _set(*G, "when", "claims.n == 2"),
    ),
    "doubles-between": (
        _set(*G, "when", "claims.x > 1.0 && claims.x < 2.0"),
        _set(*G, "when", "claims.x > 1.0 && claims.x < 1.5"),
    ),
    "numbers-border": (
        _set(*G, "when", "claims.n >= 3 && claims.n <= 3"),
        _set(*G, "when", "claims.n > 3 && claims.n < 3"),
    ),
    "sized-elements": (
        _set(*G, "when", 'claims.l.exists(g, g == "x") && size(claims.l) <= 2'),
        _set(*G, "when", 'claims.l.exists(g, g == "x") && size(claims.l) < 2'),
    ),
    "not-always-there": (SAME, _set(*G, "when", 'claims.d == "x" && has(claims.c)')),
    "skew-alone": (
        _both(_set(*P, "maxTokenAge", ...), _set(*P, "clockSkew", "31s")),
        _set(*P, "maxTokenAge", ...),
    ),
    "rule-that-only-fails": (SAME, _set(*P, "rules", [
        {"name": "r", "check": 'claims.a != "bad"'},
        {"name": "q", "check": 'claims.c == "x" || claims.c != "x"'}])),
    "same-second": (
        _set(*G, "when", 'now == timestamp("2026-12-01T00:00:00Z")'),
        _both(_set(*G, "when", 'now == timestamp("2026-12-01T00:00:00Z")'),
              _set(*G, "expires", "2026-12-01T00:00:00Z")),
    ),
    "class-of-the-bound": (SAME, _set(*G, "class", "plugin")),
    "rule-that-fails": (SAME, _set(*P, "rules", [
        {"name": "r", "check": 'claims.a != "bad"'}, {"name": "q", "check": 'claims.c != "bad"'}])),
    "number-differs": (_set(*G, "when", "claims.n != 3"), _set(*G, "when", "claims.n < 3")),
    "time-of-token": (
        _set(*G, "when", "now < timestamp(claims.exp)"),
        _set(*G, "when", 'now + duration("1s") < timestamp(claims.exp)'),
    ),
    "expired-by-skew": (SAME, _set(*G, "when", 'claims.d == "x" && now < timestamp(claims.exp)')),
    "regex-end": (
        _set(*G, "when", 'claims.a.matches("^x+")'),
        _set(*G, "when", 'claims.a.matches("^x+$")'),
    ),
    "regex-line": (
        _set(*G, "when", 'claims.a.matches("(?s)^x.$")'),
        _set(*G, "when", 'claims.a.matches("^x.$")'),
    ),
    "regex-class": (
        _set(*G, "when", 'claims.a.matches("^[[:alpha:]]$")'),
        _set(*G, "when", 'claims.a.matches("^[a-z]$")'),
    ),
    "replaced": (
        _set(*G, "when", 'claims.a.replace("ab", "") == "c"'),
        _set(*G, "when", 'claims.a in ["c", "abc", "cab"]'),
    ),
    "piece": (
        _set(*G, "when", 'claims.a.split("/")[1] == "x"'),
        _set(*G, "when", 'claims.a.endsWith("/x")'),
    ),
    "piece-count": (
        _set(*G, "when", 'size(claims.a.split("/")) >= 2'),
        _set(*G, "when", 'size(claims.a.split("/")) == 2'),
    ),
    "part": (
        _set(*G, "when", 'claims.a.substring(1, 2) == "x"'),
        _set(*G, "when", 'claims.a.substring(1) == "x"'),
    ),
    "part-errors": (
        _set(*G, "when", '!(claims.a.substring(3) == "x") || claims.b'),
        _set(*G, "when", '!(claims.a.substring(3) == "x")'),
    ),
    "joined": (
        _set(*G, "when", 'claims.a + claims.d == "xx"'),
        _set(*G, "when", 'claims.a == "x" && claims.d == "x"'),
    ),
    "or-forgives": (
        _set(*G, "when", 'claims.c == "x" || claims.b'),
        _set(*G, "when", '(has(claims.c) && claims.c == "x") || (has(claims.c) && claims.b)'),
    ),
    "and-forgives": (
        _set(*D, "when", 'claims.c == "x" && claims.b'),
        _set(*D, "when", 'claims.c == "x" && true'),
    ),
    "negated-error": (
        _set(*D, "when", "!(claims.c != claims.a) && has(claims.c)"),
        _set(*D, "when", "!(claims.c != claims.a)"),
    ),
    "conditional": (
        _set(*G, "when", '(has(claims.c) ? claims.c : "x") == "x"'),
        _set(*G, "when", 'has(claims.c) && claims.c == "x"'),
    ),
    "in-list": (_set(*G, "when", 'claims.d in ["x", "y"]'), SAME),
    "in-map": (
        _set(*G, "when", '"k" in claims.p'),
        _set(*G, "when", 'claims.p.k == "x"'),
    ),
    "has": (_set(*G, "when", "has(claims.c)"), _set(*G, "when", 'claims.c != ""')),
    "claim-like-the-name": (
        _both(_set(*P, "claims", "generic"), _set(*P, "rules", ...),
              _set("denials", ...), _set(*G, "when", 'claims["$name"] == "acme/x"')),
        _both(_set(*P, "claims", "generic"), _set(*P, "rules", ...),
              _set("denials", ...), _set(*G, "when", 'scope.name == "acme/x"')),
    ),
    "claim-like-the-tag": (
        _both(_set(*P, "claims", "generic"), _set("denials", ...), _set(*G, "tags", ["*"]),
              _set(*G, "when", 'claims["$any0"] == "x"')),
        _both(_set(*P, "claims", "generic"), _set("denials", ...), _set(*G, "tags", ["*"]),
              _set(*G, "when", 'scope.reference == "x"')),
    ),
    "long-claim-like-the-name": (
        _both(_set(*P, "claims", "generic"), _set("denials", ...),
              _set(*G, "when", 'claims["$name"].matches("^x+$")')),
        _both(_set(*P, "claims", "generic"), _set("denials", ...),
              _set(*G, "when", 'claims["$name"].matches("^x+$") && size(claims["$name"]) <= 255')),
    ),
    "wrong-kind": (
        _set(*G, "when", '!(claims.y == "x") || has(claims.y)'),
        _set(*G, "when", '!(claims.y == "x")'),
    ),
    "template": (
        _set(*G, "repositories", ["${claims.a.lowerAscii()}/**"]),
        _set(*G, "repositories", ["${claims.a}/**"]),
    ),
    "template-with-wildcard": (
        _set(*G, "repositories", ["${claims.a}/*"]),
        _both(_set(*G, "repositories", ["x/*"]), _set(*G, "when", 'claims.d == "x" && claims.a == "x"')),
    ),
    "double-star": (_set(*G, "repositories", ["**/x"]), _set(*G, "repositories", ["*/x", "*/*/x"])),
    "star-in-segment": (_set(*G, "repositories", ["a*/x"]), _set(*G, "repositories", ["acme/x"])),
    "provider-name": (
        _both(_set("providers", "q", {**BASE["providers"]["o"], "maxTokenAge": "11m"}),
              _set(*G, "when", 'claims.d == "x"')),
        _set(*G, "when", 'claims.d == "x"'),
    ),
    "scope-action": (
        _set(*G, "actions", ["pull", "push"]),
        _both(_set(*G, "actions", ["pull", "push"]),
              _set(*G, "when", 'claims.d == "x" && scope.action == "pull"')),
    ),
    "subject": (SAME, _set(*P, "subject", "claims.c")),
    "client": (
        _set(*G, "when", 'client.inNetwork("10.0.0.0/8")'),
        _set(*G, "when", 'client.inNetwork("10.0.0.0/9")'),
    ),
    "client-unknown": (SAME, _set(*G, "when", 'claims.d == "x" && (!client.inNetwork("::/0") || claims.b)')),
    "table": (
        _both(_set("definitions", {"t": {"x": "x", "y": "z"}}), _set(*G, "when", "defs.t[claims.d] == 'z'")),
        _both(_set("definitions", {"t": {"x": "x", "y": "z"}}), _set(*G, "when", "defs.t[claims.d] == 'x'")),
    ),
    "table-key": (
        _both(_set("definitions", {"t": {"x": "x"}}), _set(*G, "when", '!(claims.d in defs.t) && claims.d == "y"')),
        _both(_set("definitions", {"t": {"x": "x"}}), _set(*G, "when", "claims.d in defs.t")),
    ),
    "definition": (
        _both(_set("definitions", {"x": 'claims.d.startsWith("x")'}), _set(*G, "when", "defs.x")),
        _both(_set("definitions", {"x": 'claims.d == "x"'}), _set(*G, "when", "defs.x")),
    ),
}  # fmt: skip
"""Pairs of policies of which the first gives more, by the construct that makes it so."""

EQUALS: dict[str, tuple[Change, Change]] = {
    "order": (_set(*G, "when", 'claims.b && claims.d == "x"'), _set(*G, "when", 'claims.d == "x" && claims.b')),
    "one": (
        _set(*G, "when", 'claims.l.exists_one(g, g == "x")'),
        _set(*G, "when", 'claims.l.exists_one(g, g == "x") && claims.l.exists(g, g == "x")'),
    ),
    "not-not": (_set(*G, "when", '!!(claims.d == "x")'), SAME),
    "whole": (_set(*G, "when", "claims.n > 1 && claims.n < 3"), _set(*G, "when", "claims.n == 2")),
    "in": (_set(*G, "when", 'claims.d in ["x"]'), SAME),
    "guard": (_set(*G, "when", 'has(claims.c) && claims.c == "x"'), _set(*G, "when", 'claims.c == "x"')),
    "prefix": (_set(*G, "when", 'claims.d.matches("^x$")'), SAME),
    "guard-that-others-decide": (
        _set(*G, "when", 'claims.b && (!claims.b || claims.d == "x")'),
        _set(*G, "when", 'claims.b && claims.d == "x"'),
    ),
    "in-two-parts": (
        _set(*G, "when", '(claims.b && (claims.n == 1 || claims.a == "x") || claims.d == "x") && '
             'claims.d == "y" && claims.n == 2 && claims.a == "y"'),
        _set(*G, "when", "false"),
    ),
    "joined": (_set(*G, "when", 'claims.d + "y" == "xy"'), SAME),
    "names": (_set(*G, "repositories", ["acme/*", "acme/x"]), SAME),
    "one-element": (
        _set(*G, "when", 'claims.l.filter(g, g == "x").size() == 1 && claims.b'),
        _set(*G, "when", 'claims.l.exists_one(g, g == "x") && claims.b'),
    ),
    "position-is-an-element": (
        _set(*G, "when", 'claims.l[0] == "x" && claims.l.all(g, g != "x")'),
        _set(*G, "when", "false"),
    ),
    "list": (
        _set(*G, "when", 'claims.l == ["x"]'),
        _set(*G, "when", 'claims.l[0] == "x" && size(claims.l) == 1'),
    ),
    "compound": (
        _set(*G, "when", 'claims.a.lowerAscii() == claims.d && claims.d.contains("X")'),
        _set(*G, "when", "false"),
    ),
    "compound-of-two": (
        _set(*G, "when", 'claims.a + "/x" == claims.d'),
        _set(*G, "when", 'claims.a + "/x" == claims.d && claims.d.endsWith("x")'),
    ),
    "compound-of-a-literal": (
        _set(*G, "when", 'claims.a == "X" && claims.a.lowerAscii() == claims.d.trim()'),
        _set(*G, "when", 'claims.a == "X" && claims.d.trim() == "x"'),
    ),
    "fits-itself": (
        _set(*G, "when", "claims.a == claims.d && !claims.d.startsWith(claims.a)"),
        _set(*G, "when", "false"),
    ),
    "listed": (
        _set(*G, "when", 'claims.d.replace("x", "y") == "é" && claims.a + claims.d != "é"'),
        _set(*G, "when", 'claims.d == "é" && claims.a != ""'),
    ),
    "long-part": (
        _set(*G, "repositories", ["acme/${claims.a.lowerAscii()}/**"]),
        _both(_set(*G, "repositories", ["acme/${claims.a.lowerAscii()}/**"]),
              _set(*G, "when", 'claims.d == "x" && size(claims.a) <= 255')),
    ),
    "compound-name": (
        _set(*G, "when", 'scope.name == claims.d.replace("x", "y")'),
        _set(*G, "when", 'scope.name == claims.d.replace("x", "y") && !claims.d.startsWith("x")'),
    ),
    "compound-fits": (
        _set(*G, "when", "claims.d.startsWith(claims.c) && claims.c.contains('/x')"),
        _set(*G, "when", "claims.d.startsWith(claims.c) && claims.c.contains('/x') && claims.d.contains('x')"),
    ),
    "table-miss": (
        _both(_set("definitions", {"t": {"x": "x"}}), _set(*G, "when", 'defs.t[service] == ""')),
        _set(*G, "when", "false"),
    ),
    "client-mapped": (
        _set(*G, "when", 'client.inNetwork("::fffe:0:0/95")'),
        _set(*G, "when", 'client.inNetwork("::fffe:0:0/96")'),
    ),
    "client-of-two-halves": (
        _set(*G, "when", 'client.inNetwork("10.0.0.0/8")'),
        _set(*G, "when", 'client.inNetwork("10.0.0.0/9") || client.inNetwork("10.128.0.0/9")'),
    ),
    "all": (
        _set(*G, "when", '!claims.l.all(g, g != "x")'),
        _set(*G, "when", '!claims.l.all(g, !(g == "x"))'),
    ),
}  # fmt: skip
"""Pairs of policies that are equal, which the prover proves."""


def check_pair(name: str, about: About = About.ANY_JSON) -> None:
    """Check that the first of two policies is seen to give more."""
    more, less = GAINS[name]
    answer = more_access(
        Question(changed(more), changed(less), universes=(about,), steps=3_000_000, first=True)
    )
    assert answer.status is Status.WITNESS, (name, answer)


def check_attack(name: str, about: About = About.ANY_JSON) -> None:
    """Check that what gives more is not proved to give nothing (`adversarial`)."""
    attack = ATTACKS[name]()
    answer = more_access(
        Question(
            attacked(attack.new),
            attacked(attack.bound),
            universes=(about,),
            steps=3_000_000,
            first=True,
        )
    )
    assert answer.status is not Status.PROVED, name


def check_pairs() -> None:
    """Check every pair."""
    for name in GAINS:
        check_pair(name)


def check_equal(name: str) -> None:
    """Check that what gives nothing more, and seems to with a bug, is not said to be wider."""
    more, less = SEEMS[name]
    answer = more_access(Question(changed(more), changed(less), steps=3_000_000, first=True))
    assert answer.status is Status.WITNESS, (name, answer)


SEEMS: dict[str, tuple[Change, Change]] = {
    "gone-denial": (_set("denials", ...), SAME),
    "provider-denial": (
        _both(_set("providers", {"q": BASE["providers"]["o"]}),
              _set(*D, "when", 'provider == "o"')),
        _set(*D, "when", 'provider == "o"'),
    ),
}  # fmt: skip
"""Pairs of which the first gives more by a denial that the bound alone has for its tokens."""


def check_complete_cells() -> None:
    """Check that a cell with few samples has no other texts."""
    for cell in cut([languages.length("==", 1)], 3):
        assert cell.complete is (len(cell.samples) < 3)
    letters = languages.matches("^[0-9]$")
    found = {cell.languages: cell for cell in cut([letters], 4)}
    assert not found[frozenset({letters})].complete
    odd = languages.matches("^[!-,]$")
    assert not {cell.languages: cell for cell in cut([odd], 4)}[frozenset({odd})].complete


def check_clauses() -> None:
    """Check the solver of clauses against trying everything."""
    for seed in range(400):
        choose = random.Random(seed)
        solver = Solver(Steps(10**7))
        variables = [solver.variable(likely=choose.random() < 0.5) for _ in range(8)]
        clauses = [
            [
                choose.choice([1, -1]) * choose.choice(variables)
                for _ in range(choose.randrange(1, 4))
            ]
            for _ in range(choose.randrange(10, 45))
        ]
        for clause in clauses:
            solver.add(clause)
        wanted = any(
            all(
                any((bits >> abs(one) - 1 & 1) == (one > 0) for one in clause) for clause in clauses
            )
            for bits in range(1 << len(variables))
        )
        assert solver.solve() == wanted, clauses
    for seed in range(60):
        choose = random.Random(seed)
        solver = Solver(Steps(10**7))
        variables = [solver.variable(likely=choose.random() < 0.5) for _ in range(40)]
        hidden = {one: choose.choice([1, -1]) for one in variables}
        for _ in range(170):
            clause = [choose.choice([1, -1]) * one for one in choose.sample(variables, 3)]
            if any(one * hidden[abs(one)] > 0 for one in clause):
                solver.add(clause)
        assert solver.solve(), seed


def check_solutions() -> None:
    """Check that every solution is found when each that was found is refused."""
    for seed in range(240):
        choose = random.Random(seed)
        solver = Solver(Steps(10**7))
        variables = [solver.variable() for _ in range(choose.randrange(1, 7))]
        clauses = [
            [choose.choice([1, -1]) * choose.choice(variables) for _ in range(3)]
            for _ in range(choose.randrange(1, 12))
        ]
        for clause in clauses:
            solver.add(clause)
        found = set()
        while solver.solve():
            solution = tuple(solver.value(one) for one in variables)
            assert solution not in found
            assert all(
                any(solution[abs(one) - 1] * one > 0 for one in clause) for clause in clauses
            )
            found.add(solution)
            solver.add(-one * value for one, value in zip(variables, solution, strict=True))
        wanted = {
            values
            for values in product([-1, 1], repeat=len(variables))
            if all(any(values[abs(one) - 1] * one > 0 for one in clause) for clause in clauses)
        }
        assert found == wanted


def check_long_clauses() -> None:
    """Check that of many values each is found when those before it are refused."""
    for seed in range(6):
        choose = random.Random(seed)
        solver = Solver(Steps(10**7))
        first, second = ([solver.variable() for _ in range(90)] for _ in range(2))
        for values in (first, second):
            solver.add(values)
            for one, other in combinations(values, 2):
                solver.add([-one, -other])
        paired = choose.sample(second, len(second))
        for one, other in zip(first, paired, strict=True):
            solver.add([-one, other])
        gone = set(choose.sample(range(90), 30))
        for number in gone:
            solver.add([-choose.choice([first[number], paired[number]])])
        found = set()
        while solver.solve():
            number = next(at for at, one in enumerate(first) if solver.value(one) == 1)
            assert solver.value(paired[number]) == 1
            found.add(number)
            solver.add([-first[number], -paired[number]])
        assert found == set(range(90)) - gone


def check_inequalities() -> None:
    """Check that both sides of an inequality are looked at, whichever values come first."""
    number = atoms.quantity(Quantity("int", ("n",)))
    for sign in (1, -1):
        # Zero is the value that is found first, and on one side of it there are none.
        side = Compares("<=", atoms.added(atoms.constant(0), number, sign))
        for by in (1, -1):
            zero = Compares("==", atoms.added(atoms.constant(0), number, by))
            literals = {side: True, zero: False}
            assert Arithmetic(literals).conflict(literals) is None, (sign, by)


def check_equals() -> None:
    """Check that what is equal is proved, for any token or for those of the schema."""
    for name in EQUALS:
        check_same(name)


def check_same(name: str) -> None:
    """Check that two policies that are equal are proved to be."""
    one, other = EQUALS[name]
    for new, bound in ((one, other), (other, one)):
        answer = more_access(Question(changed(new), changed(bound), steps=3_000_000))
        assert answer.status is Status.PROVED, (name, answer)


def check_trimming() -> None:
    """Check that what is trimmed into a language is so, with white space anywhere."""
    for language in (languages.one_of(["", "a", "a b"]), languages.matches("a$"), languages.PATH):
        automaton = languages.image(language, TextFunction("trim")).automaton
        for size in range(6):
            for letters in product("ab \u00a0", repeat=size):
                text = "".join(letters)
                assert automaton.accepts(text) == language.holds(strings.trim(text)), text


def check_cells() -> None:
    """
    Check the cell law: a token made of any sample of any cell gives its atoms the cell's values.

    The engine says which: each language is asked by the condition that it was made of.
    """
    for texts in ASKED:
        programs = {text: compiled_condition(text) for text in texts}
        universe = Universe(any_policy().providers["o"].claims, anything=True)
        evaluator = Evaluator(universe, Context("o", "r", None), Lists())
        expansion = Expansion()
        formulas_of = {
            text: expansion.expand(evaluator.condition(evaluator.program(program)).true)
            for text, program in programs.items()
            if program is not None
        }
        asked = {
            about.language
            for formula in formulas_of.values()
            for about in formula.atoms
            if isinstance(about, In)
        }
        cells = cut(sorted(asked), 3)
        assert len(cells) > 1
        for cell in cells:
            for sample in cell.samples:
                claims: dict[str, object] = {"a": sample, "aud": []}
                for text, formula in formulas_of.items():
                    said = _by_cell(formula, cell.languages)
                    program = programs[text]
                    assert program is not None
                    wanted = engine_outcome(program, claims) == "true"
                    assert said == wanted, (text, sample)


def _by_cell(formula: Formula, languages: frozenset[Language]) -> bool:
    """Return a formula's value for a text of a cell."""
    match formula.operator:
        case "true" | "false":
            return formula.operator == "true"
        case "not":
            return not _by_cell(formula.parts[0], languages)
        case "and":
            return all(_by_cell(part, languages) for part in formula.parts)
        case "or":
            return any(_by_cell(part, languages) for part in formula.parts)
    about = formula.atom
    if isinstance(about, In):
        return about.language in languages
    assert isinstance(about, KindIs), about
    return about.kind == "string"


ASKED = [
    ['claims.a.lowerAscii().contains("A")', 'claims.a.replace("ab", "").endsWith("a")', 'claims.a == "A"'],
    ['claims.a == "x"', 'claims.a.startsWith("x")', 'claims.a.endsWith("/x")', 'claims.a.contains("x/")'],
    ['claims.a.matches("^x+$")', 'claims.a.matches("x$")', 'claims.a.lowerAscii() == "xx"'],
    ['claims.a.matches("[^a-x]")', 'claims.a in ["", "x", "xy"]', "size(claims.a) <= 2"],
    ['claims.a.replace("ab", "b").startsWith("ab")', 'claims.a.upperAscii().contains("AB")'],
    ['claims.a.split("/")[0] == "x"', 'claims.a.split("/")[1].matches("^x*$")'],
    ['size(claims.a.split("/")) == 2', 'claims.a.substring(1).startsWith("x")', 'claims.a.charAt(0) == "x"'],
    ['claims.a.matches("(?i)^ks$")', 'claims.a.lowerAscii() == "ks"', "size(claims.a) == 2"],
    ['("x" + claims.a).matches("^x[xy]$")', '(claims.a + claims.a) == "xyxy"', 'claims.a != "xy"'],
]  # fmt: skip
"""Conditions on one claim, a division each."""


def check_random_pairs(seed: int, count: int) -> None:
    """Check that no proof about a random pair is refuted by random tokens."""
    for number in range(count):
        choose = Random(seed * 1000 + number)
        before = choose.policy()
        after = choose.edited(before)
        old, new = compiled(before), compiled(after)
        if old is None or new is None:
            continue
        for one, bound in ((new, old), (old, new)):
            answer = more_access(
                Question(one, bound, universes=(About.ANY_JSON,), first=True, steps=2_000_000)
            )
            if answer.status is Status.PROVED:
                against = refutation(choose, one, bound, 6, anything=True)
                assert against is None, against
