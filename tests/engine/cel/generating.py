"""
Random expressions and random claims.

What lives here: a seeded generator with one production for each pitfall of evaluating CEL in
Python.  Not here: anything that evaluates.
"""

import random
from collections.abc import Callable
from typing import Any

from regauth.engine.cel.library.values import Value

STRINGS = (
    "",
    "a",
    "b",
    "ab",
    "A",
    "x/y",
    "refs/heads/main",
    "repo:acme/app",
    "true",
    "1",
    "-7",
    "é",
    "É",
    "👍b",
    " a ",
    "1h30m",
    "2024-02-29T12:30:45Z",
    "kubernetes.io",
)
INTS = (0, 1, 2, 3, -1, -7, 5, 2**31, 2**63 - 1, -(2**63), 2**53 + 1)
DOUBLES = (0.0, 1.0, 1.5, -2.5, 1e18, 9.3e18, 0.1, float(2**53))
PATTERNS = ("^a", "b$", "a|x/.*", "[a-z]+/[a-z]+", "^refs/heads/(main|rel)$", "", "é", ".")
ESCAPED = (r'"\x61"', r'"\u00e9"', r'"\141"', r"r'\n'", r'"\n"', "'''a'b'''", r'"\"q\""')


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def random_value(pick: random.Random, depth: int = 2) -> Value:
    """A JSON value of any kind."""
    kind = pick.randrange(10 if depth else 7)
    if kind < 3:
        return pick.choice(STRINGS)
    if kind == 3:
        return pick.choice(INTS)
    if kind == 4:
        return pick.choice(DOUBLES)
    if kind == 5:
        return pick.choice((True, False))
    if kind == 6:
        return None
    size = pick.randrange(4)
    if kind == 7:
        return {pick.choice("abcde"): random_value(pick, depth - 1) for _ in range(size)}
    if kind == 8:
        return [pick.choice(STRINGS) for _ in range(size)]
    return [random_value(pick, depth - 1) for _ in range(size)]


class Untyped:
    """
    Expressions over `c`, a map of anything, whose operands mostly but not always fit.

    Variables: `c` (members named `s i d b n l m` after the kind they usually have, and `x`, which
    has none), `now`, `span`.
    """

    wrong = 0.04
    """How often an operand is of any kind."""

    def __init__(self, seed: int) -> None:
        self._pick = random.Random(seed)
        self._local: list[str] = []

    def claims(self) -> dict[str, Any]:
        pick = self._pick
        value: dict[str, Any] = {
            "s": pick.choice(STRINGS),
            "t": pick.choice(STRINGS),
            "i": pick.choice(INTS),
            "d": pick.choice(DOUBLES),
            "b": pick.choice((True, False)),
            "n": None,
            "l": [pick.choice(STRINGS) for _ in range(pick.randrange(4))],
            "m": {pick.choice("abcde"): random_value(pick, 1) for _ in range(pick.randrange(4))},
            "z": [random_value(pick, 1) for _ in range(pick.randrange(4))],
            "kubernetes.io": {"namespace": pick.choice(STRINGS)},
        }
        for name in list(value):
            if pick.random() < 0.08:
                value[name] = random_value(pick)
            elif pick.random() < 0.04:
                del value[name]
        return value

    def expression(self) -> str:
        self._local = []
        return self.condition(self._pick.choice((1, 2, 2, 3)))

    def any(self, depth: int) -> str:
        """An expression of a random kind."""
        kinds: list[Callable[[int], str]] = [
            self.condition,
            self.condition,
            self.text,
            self.text,
            self.whole,
            self.fraction,
            self.items,
            self.moment,
            self.span,
        ]
        return self._pick.choice(kinds)(depth)

    def _wrong(self, depth: int, right: Callable[[int], str]) -> str:
        """Mostly what fits, now and then anything."""
        return self.any(depth) if self._pick.random() < self.wrong else right(depth)

    def _name(self) -> str:
        return self._pick.choice("abcde")

    def _member(self, usual: str) -> str:
        name = usual if self._pick.random() < 0.95 else self._pick.choice("sidbnlmtzx")
        roll = self._pick.random()
        if roll < 0.08:
            return f'c["{name}"]'
        if roll < 0.12:
            return f"c.m.{self._name()}"
        if roll < 0.15:
            return f'c["kubernetes.io"].{self._pick.choice(("namespace", "other"))}'
        if self._local and roll < 0.6:
            return self._pick.choice(self._local)
        return f"c.{name}"

    def condition(self, depth: int) -> str:  # noqa: C901, PLR0912 - a branch for each production
        """One branch a production."""
        pick = self._pick
        if depth <= 0:
            return pick.choice(("true", "false", self._member("b")))
        below = depth - 1
        match pick.randrange(25):
            case 0 | 1:
                operands = [self._wrong(below, self.condition) for _ in range(pick.randrange(2, 4))]
                return "(" + " && ".join(operands) + ")"
            case 2 | 3:
                operands = [self._wrong(below, self.condition) for _ in range(pick.randrange(2, 4))]
                return "(" + " || ".join(operands) + ")"
            case 4:
                return f"!({self._wrong(below, self.condition)})"
            case 5:
                test, yes, no = (self._wrong(below, self.condition) for _ in range(3))
                return f"({test} ? {yes} : {no})"
            case 6 | 7:
                operator = pick.choice(("==", "!="))
                return f"({self.text(below)} {operator} {self._wrong(below, self.text)})"
            case 8:
                return f"({self.any(below)} {pick.choice(('==', '!='))} {self.any(below)})"
            case 9:
                kind = pick.choice((self.whole, self.fraction, self.text, self.condition))
                operator = pick.choice(("<", "<=", ">", ">="))
                return f"({kind(below)} {operator} {self._wrong(below, kind)})"
            case 10:
                kind = pick.choice((self.whole, self.fraction))
                operator = pick.choice(("<", "<=", ">", ">=", "==", "!="))
                return (
                    f"({kind(below)} {operator} {pick.choice((self.whole, self.fraction))(below)})"
                )
            case 11 | 12:
                return f"({self._wrong(below, self.text)} in {self._wrong(below, self.items)})"
            case 13:
                return f"({self._wrong(0, self.text)} in {self._member('m')})"
            case 14:
                return f"({self.any(below)} in {self.items(below)})"
            case 15:
                path = pick.choice(("c", "c.m", "c.m.a", "c.s", "c.x", 'c["kubernetes.io"]'))
                return f"has({path}.{pick.choice('sidbnlmtxabcde')})"
            case 16 | 17:
                name = pick.choice(("startsWith", "endsWith", "contains"))
                target = self._wrong(below, self.text)
                return f"{target}.{name}({self._wrong(below, self.text)})"
            case 18:
                pattern = quoted(pick.choice(PATTERNS))
                return f"{self._wrong(below, self.text)}.matches({pattern})"
            case 19 | 20 | 21:
                return self._macro(pick.choice(("all", "exists", "exists_one")), below)
            case 22:
                kind = pick.choice((self.moment, self.span))
                operator = pick.choice(("<", "<=", ">", ">=", "==", "!="))
                return f"({kind(below)} {operator} {self._wrong(below, kind)})"
            case 23:
                return f"bool({self._wrong(below, self.condition)})"
            case _:
                return f"({self.items(below)} {pick.choice(('==', '!='))} {self.items(below)})"

    def _macro(self, kind: str, depth: int) -> str:
        maps = (self.items, lambda _depth: self._member("m"))
        source = self._wrong(0, self._pick.choice(maps) if kind != "map" else self.items)
        if len(self._local) >= 2:
            return f"size({source}) > 1"
        variable = f"v{len(self._local)}"
        if self._pick.random() < 0.2 and self._local:
            variable = self._local[-1]
        self._local.append(variable)
        body = self._wrong(depth, self.condition)
        self._local.pop()
        return f"{source}.{kind}({variable}, {body})"

    def text(self, depth: int) -> str:  # noqa: C901 - a branch for each production
        pick = self._pick
        if depth <= 0:
            literal = pick.choice(ESCAPED) if pick.random() < 0.1 else quoted(pick.choice(STRINGS))
            return pick.choice((literal, self._member("s"), self._member("t")))
        below = depth - 1
        match pick.randrange(12):
            case 0 | 1:
                return f"({self.text(below)} + {self._wrong(below, self.text)})"
            case 2:
                name = pick.choice(("lowerAscii", "upperAscii", "trim", "reverse"))
                return f"{self._wrong(below, self.text)}.{name}()"
            case 3:
                # The C++ library refuses an end that is the length of the string.
                end = pick.choice(("", ", 1", ", 0", ", -1", ", true"))
                return f'({self.text(below)} + "bc").substring({self._small()}{end})'
            case 4:
                count = pick.choice(("", f", {self._small()}"))
                return f"{self.text(below)}.replace({self.text(0)}, {self.text(0)}{count})"
            case 5:
                return f"{self.items(below)}.join({pick.choice(('', quoted('-')))})"
            case 6:
                return f"string({self._wrong(below, self.whole)})"
            case 7:
                return f"{self.items(below)}[{self._small()}]"
            case 8:
                return f"{self.text(below)}.charAt({self._small()})"
            case 9:
                test = self._wrong(below, self.condition)
                return f"({test} ? {self.text(below)} : {self.text(below)})"
            case _:
                return self.text(0)

    def _small(self) -> str:
        odd = ("2", "3", "-1", "1.0", "1.5", "c.i", "c.d", "true")
        return self._pick.choice(("0", "0", "0", "1", "1", self._pick.choice(odd)))

    def whole(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            # In brackets: a number before a dot reads as a double.
            return pick.choice((f"({pick.choice(INTS)})", self._member("i")))
        below = depth - 1
        match pick.randrange(10):
            case 0 | 1 | 2:
                operator = pick.choice("+-*/%")
                return f"({self.whole(below)} {operator} {self._wrong(below, self.whole)})"
            case 3:
                return f"-({self.whole(below)})"
            case 4:
                return f"size({self._wrong(below, pick.choice((self.text, self.items)))})"
            case 5:
                kind = pick.choice((self.text, self.fraction, self.whole, self.moment))
                return f"int({kind(below)})"
            case 6:
                name = pick.choice(("indexOf", "lastIndexOf"))
                start = pick.choice(("", f", {self._small()}"))
                return f"{self.text(below)}.{name}({self.text(0)}{start})"
            case 7:
                parts = "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
                name = pick.choice(f"{parts} getHours getMinutes getSeconds".split())
                zone = pick.choice(("", "'UTC'", "'+02:00'", "'-09:30'", "'13:45'"))
                return f"{self.moment(below)}.{name}({zone})"
            case 8:
                name = pick.choice(("getHours", "getMinutes", "getSeconds", "getMilliseconds"))
                return f"{self.span(below)}.{name}()"
            case _:
                return self.whole(0)

    def fraction(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice((f"({pick.choice(DOUBLES)!r})", self._member("d")))
        below = depth - 1
        match pick.randrange(4):
            case 0:
                operator = pick.choice("+-*/")
                return f"({self.fraction(below)} {operator} {self._wrong(below, self.fraction)})"
            case 1:
                return f"double({self._wrong(below, self.whole)})"
            case 2:
                return f"-({self.fraction(below)})"
            case _:
                return self.fraction(0)

    def items(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice((self._member("l"), self._member("z")))
        below = depth - 1
        match pick.randrange(8):
            case 0 | 1:
                items = [self.text(0) for _ in range(pick.randrange(4))]
                return f"[{', '.join(items)}]"
            case 2:
                kind = pick.choice((self.whole, self.fraction, self.condition, self.any))
                return f"[{', '.join(kind(0) for _ in range(pick.randrange(3)))}]"
            case 3:
                return f"({self.items(below)} + {self._wrong(below, self.items)})"
            case 4:
                count = pick.choice(("", "", f", {self._small()}"))
                return f"{self.text(below)}.split({self.text(0)}{count})"
            case 5:
                return self._transform(below)
            case _:
                return self.items(0)

    def _transform(self, depth: int) -> str:
        source = self.items(0)
        if len(self._local) >= 2:
            return source
        variable = f"v{len(self._local)}"
        self._local.append(variable)
        body, made = self._wrong(depth, self.condition), self.any(depth)
        self._local.pop()
        # Over a map the order of the elements is nobody's promise.
        source = f"({source} + [])"
        match self._pick.randrange(3):
            case 0:
                return f"{source}.filter({variable}, {body})"
            case 1:
                return f"{source}.map({variable}, {made})"
            case _:
                return f"{source}.map({variable}, {body}, {made})"

    def moment(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice(("now", 'timestamp("2024-02-29T23:59:59.5Z")', "timestamp(0)"))
        below = depth - 1
        match pick.randrange(4):
            case 0:
                return f"({self.moment(below)} {pick.choice('+-')} {self.span(below)})"
            case 1:
                return f"timestamp({self._wrong(below, self.whole)})"
            case 2:
                return f"timestamp({self.text(0)})"
            case _:
                return self.moment(0)

    def span(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice(
                ("span", 'duration("1h30m")', 'duration("-1.5s")', 'duration("90m")')
            )
        below = depth - 1
        match pick.randrange(4):
            case 0:
                return f"({self.span(below)} {pick.choice('+-')} {self.span(below)})"
            case 1:
                return f"({self.moment(below)} - {self.moment(below)})"
            case 2:
                return f"duration({self.text(0)})"
            case _:
                return self.span(0)


class Conforming(Untyped):
    """Claims that conform to `SCHEMA`, and expressions whose operands fit."""

    wrong = 0.01

    def claims(self) -> dict[str, Any]:
        pick = self._pick
        value: dict[str, Any] = {
            "s": pick.choice(STRINGS),
            "t": pick.choice(STRINGS),
            "i": pick.choice(INTS),
            "d": pick.choice(DOUBLES),
            "b": pick.choice((True, False)),
            "l": [pick.choice(STRINGS) for _ in range(pick.randrange(4))],
            "z": [pick.choice(STRINGS) for _ in range(pick.randrange(4))],
            "m": {pick.choice("abcde"): pick.choice(STRINGS) for _ in range(pick.randrange(4))},
            "kubernetes.io": {"namespace": pick.choice(STRINGS)},
        }
        if pick.random() < 0.5:
            value["x"] = pick.choice(STRINGS)
        return value


class Plain(Conforming):
    """Without what cel-python does not have: strings extension, strict bool(), much about time."""

    def condition(self, depth: int) -> str:
        while "bool(" in (text := super().condition(depth)):
            pass
        return text

    def text(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0 or pick.random() < 0.6:
            return super().text(0)
        match pick.randrange(3):
            case 0:
                return f"({self.text(depth - 1)} + {self.text(depth - 1)})"
            case 1:
                return f"string({self.whole(0)})"
            case _:
                test = self.condition(depth - 1)
                return f"({test} ? {self.text(depth - 1)} : {self.text(depth - 1)})"

    def whole(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0 or pick.random() < 0.4:
            return super().whole(0)
        match pick.randrange(3):
            case 0:
                return f"({self.whole(depth - 1)} {pick.choice('+-*/%')} {self.whole(depth - 1)})"
            case 1:
                return f"size({self.items(0)})"
            case _:
                return f"-({self.whole(depth - 1)})"

    def fraction(self, depth: int) -> str:
        # cel-python gives the wrong infinity when it divides by zero.
        if depth <= 0 or self._pick.random() < 0.6:
            return super().fraction(0)
        left, right = self.fraction(depth - 1), self.fraction(depth - 1)
        return f"({left} {self._pick.choice('+-*')} {right})"

    def items(self, depth: int) -> str:
        if self._pick.random() < 0.5:
            items = [quoted(self._pick.choice(STRINGS)) for _ in range(self._pick.randrange(1, 4))]
            return f"[{', '.join(items)}]"
        return super().items(0)

    def moment(self, depth: int) -> str:
        return "now"

    def span(self, depth: int) -> str:
        return "span" if self._pick.random() < 0.7 else f"(span {self._pick.choice('+-')} span)"


class Typed(Untyped):
    """Expressions over variables of declared types: `s t i d b l z m now span x c`."""

    wrong = 0.08

    def _member(self, usual: str) -> str:
        if self._local and self._pick.random() < 0.4:
            return self._pick.choice(self._local)
        return usual if self._pick.random() < 0.9 else self._pick.choice("sidblmtzxn")
