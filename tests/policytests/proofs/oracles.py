"""
Other solvers, asked the prover's formulas: z3, and cvc5 by what z3 writes.

They read formulas as the evaluator made them, with strings and regular expressions of their own,
and know nothing of automata, cells and slots.  Where a formula holds what they cannot say they do
not answer.
"""

import sys
from fractions import Fraction

import cvc5
import z3

from regauth.engine.languages.characters import ALL, Characters
from regauth.policytests.proofs.languages import expressions, re2_syntax
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.expressions import (
    Chain,
    Edge,
    Either,
    Expression,
    Nothing,
    OneOf,
    Star,
    Times,
)
from regauth.policytests.proofs.languages.language import Language
from regauth.policytests.proofs.logic.atoms import (
    Compares,
    In,
    IsTrue,
    Joined,
    KindIs,
    Literal_,
    Opaque,
    OpaqueText,
    Quantity,
    SameText,
    Text,
    TooLong,
    Variable,
)
from regauth.policytests.proofs.logic.formulas import Formula
from regauth.policytests.proofs.logic.universe import Universe

sys.setrecursionlimit(20_000)  # repetitions with bounds nest

MILLISECONDS = 4_000
LAST = 0x2FFFF
"""The last character that these solvers know (SMT-LIB, "Strings")."""


class UnsaidError(Exception):
    """A formula holds what the other solvers cannot say."""


def text_value(text: str) -> z3.SeqRef:
    # A backslash would begin an escape.
    escaped = (
        one if 32 <= ord(one) < 127 and one != "\\" else f"\\u{{{ord(one):x}}}" for one in text
    )
    return z3.StringVal("".join(escaped))


def among(characters: Characters) -> z3.ReRef:
    if characters == ALL:
        return z3.AllChar(z3.ReSort(z3.StringSort()))
    ranges = [
        z3.Range(text_value(chr(low)), text_value(chr(min(high, LAST))))
        for low, high in characters
        if low <= LAST
    ]
    if not ranges:
        return z3.Empty(z3.ReSort(z3.StringSort()))
    return ranges[0] if len(ranges) == 1 else z3.Union(*ranges)


def regular(expression: Expression) -> z3.ReRef:
    match expression:
        case Nothing():
            return z3.Empty(z3.ReSort(z3.StringSort()))
        case OneOf(characters=characters):
            return among(characters)
        case Chain(parts=parts):
            made = [regular(part) for part in parts]
            if not made:
                return z3.Re(z3.StringVal(""))
            return made[0] if len(made) == 1 else z3.Concat(*made)
        case Either(options=options):
            made = [regular(option) for option in options]
            return made[0] if len(made) == 1 else z3.Union(*made)
        case Star(of=of):
            return z3.Star(regular(of))
        case Times(of=of, least=least, most=most):
            # z3 writes a loop without an end, which cvc5 does not read.
            upper = least if most is None else most
            nothing = z3.Re(z3.StringVal(""))
            some = z3.Loop(regular(of), least, upper) if upper else nothing
            return z3.Concat(some, z3.Star(regular(of))) if most is None else some
    raise UnsaidError


def unanchored(expression: Expression) -> Expression:
    """Return a search without its anchors, which stand at its ends alone."""
    assert isinstance(expression, Chain)
    parts = _flat(expression.parts[1])
    start, end = Edge(start=True), Edge(start=False)
    ahead = [] if parts[:1] == [start] else [expressions.ANYTHING]
    behind = [] if parts[-1:] == [end] else [expressions.ANYTHING]
    while parts[:1] == [start]:
        parts = parts[1:]
    while parts[-1:] == [end]:
        parts = parts[:-1]
    return expressions.chain(*ahead, *parts, *behind)


def _flat(expression: Expression) -> list[Expression]:
    if isinstance(expression, Chain):
        return [one for part in expression.parts for one in _flat(part)]
    return [expression]


class Oracle:
    """One formula, for another solver."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._texts: dict[Text, z3.SeqRef] = {}
        self._kinds: dict[tuple[object, ...], dict[str, z3.BoolRef]] = {}
        self._known: dict[int, z3.BoolRef] = {}
        self.side: list[z3.BoolRef] = []

    def text(self, text: Text) -> z3.SeqRef:
        match text:
            case Literal_(text=known):
                return text_value(known)
            case Joined(parts=parts):
                return z3.Concat(*map(self.text, parts))
            case Variable() | OpaqueText():
                return self._texts.setdefault(text, z3.String(repr(text)))
        raise UnsaidError

    def kind(self, path: tuple[object, ...], kind: str) -> z3.BoolRef:
        if path not in self._kinds:
            made = {str(one): z3.Bool(f"{path}:{one}") for one in self._universe.kinds(path)}
            self._kinds[path] = made
            every = list(made.values())
            self.side.append(z3.Or(*every))
            self.side += [
                z3.Not(z3.And(one, other))
                for number, one in enumerate(every)
                for other in every[number + 1 :]
            ]
        return self._kinds[path][str(kind)]

    def language(self, text: Text, language: Language) -> z3.BoolRef:
        term = self.text(text)
        match language.kind, language.about:
            case "in", (frozenset() as texts,):
                return z3.Or(*(term == text_value(one) for one in sorted(texts)))
            case "startsWith", (str(part),):
                return z3.PrefixOf(text_value(part), term)
            case "endsWith", (str(part),):
                return z3.SuffixOf(text_value(part), term)
            case "contains", (str(part),):
                return z3.Contains(term, text_value(part))
            case "matches", (str(pattern),):
                return z3.InRe(term, regular(unanchored(re2_syntax.search(pattern))))
            case "length", (str(operator), int(bound)):
                size = z3.Length(term)
                return {"<": size < bound, "<=": size <= bound, "==": size == bound}[operator]
            case "pattern", (tuple() as parts,):
                made = [
                    expressions.literal(one) if kind == "literal" else _WILDCARDS[one]
                    for kind, one in parts
                ]
                return z3.InRe(term, regular(expressions.chain(*made)))
            case ("path" | "name" | "tag" | "tag part") as kind, ():
                return z3.InRe(term, regular(_NAMED[kind]))
            case "every text", ():
                return z3.BoolVal(val=True)
        raise UnsaidError

    def number(self, quantity: Quantity) -> z3.ArithRef:
        if quantity.kind == "length":
            return z3.ToReal(z3.Length(self.text(quantity.about)))
        if quantity.kind == "int":
            return z3.ToReal(z3.Int(repr(quantity)))
        if quantity.kind in ("double", "now", "at", "rounded"):
            return z3.Real(repr(quantity))
        raise UnsaidError

    def atom(self, about: object) -> z3.BoolRef:
        match about:
            case In(text=text, language=language):
                return self.language(text, language)
            case KindIs(path=path, kind=kind):
                return self.kind(path, kind)
            case IsTrue() | Opaque():
                return z3.Bool(repr(about))
            case SameText(left=left, right=right):
                return self.text(left) == self.text(right)
            case TooLong(text=text, bound=bound):
                return z3.Length(self.text(text)) > bound
            case Compares(operator=operator, sum=total):
                value = z3.Sum(
                    *(_real(by) * self.number(one) for one, by in total.terms),
                    _real(total.constant),
                )
                return {"<": value < 0, "<=": value <= 0, "==": value == 0}[operator]
        raise UnsaidError

    def formula(self, formula: Formula) -> z3.BoolRef:
        known = self._known.get(formula.number)
        if known is None:
            match formula.operator:
                case "atom":
                    known = self.atom(formula.atom)
                case "not":
                    known = z3.Not(self.formula(formula.parts[0]))
                case "and":
                    known = z3.And(*map(self.formula, formula.parts))
                case "or":
                    known = z3.Or(*map(self.formula, formula.parts))
                case _:
                    known = z3.BoolVal(val=formula.operator == "true")
            self._known[formula.number] = known
        return known


_WILDCARDS = {
    "*": Star(expressions.NOT_A_SLASH),
    "**/": expressions.maybe(expressions.chain(expressions.ANYTHING, expressions.literal("/"))),
    "**": expressions.some(expressions.ANY),
    "tag*": expressions.ANYTHING,
}
_NAMED = {
    "path": expressions.PATH,
    "name": expressions.NAME,
    "tag": expressions.TAG,
    "tag part": expressions.TAG_PART,
}


def _real(number: Fraction | int) -> z3.RatNumRef:
    value = Fraction(number)
    return z3.Q(value.numerator, value.denominator)


Answers = dict[str, bool | None]
"""By solver, whether there is a model; None where it does not answer."""


def asked(universe: Universe, formula: Formula) -> Answers:
    """Ask the other solvers whether a formula has a model."""
    oracle = Oracle(universe)
    try:
        said = oracle.formula(formula)
    except (UnsaidError, UndecidedError):
        return {}
    solver = z3.Solver()
    solver.set("timeout", MILLISECONDS)
    solver.add(said, *oracle.side)
    text = solver.to_smt2()
    verdict = {"sat": True, "unsat": False}.get(str(solver.check()))
    return {"z3": verdict, "cvc5": _by_cvc5(text)}


def _by_cvc5(text: str) -> bool | None:
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("tlimit-per", str(MILLISECONDS))
    solver.setOption("strings-exp", "true")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, "(set-logic ALL)\n" + text, "formula")
    symbols = parser.getSymbolManager()
    answer = ""
    while not (command := parser.nextCommand()).isNull():
        answer = str(command.invoke(solver, symbols)).strip() or answer
    return {"sat": True, "unsat": False}.get(answer)
