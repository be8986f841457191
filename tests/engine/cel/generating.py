"""
Random expressions and random claims.

What lives here: a seeded generator with one production for each pitfall of evaluating CEL in
Python.  What must not: anything that evaluates.
"""

import random
from collections.abc import Callable
from typing import Any

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


def random_value(pick: random.Random, depth: int = 2) -> Any:
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
        return self.bool(self._pick.choice((1, 2, 2, 3)))

    def any(self, depth: int) -> str:
        """An expression of a random kind."""
        kinds: list[Callable[[int], str]] = [
            self.bool,
            self.bool,
            self.string,
            self.string,
            self.int,
            self.double,
            self.list,
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

    def bool(self, depth: int) -> str:  # noqa: C901, PLR0911, PLR0912, PLR0915
        """One branch a production."""
        pick = self._pick
        if depth <= 0:
            return pick.choice(("true", "false", self._member("b")))
        below = depth - 1
        match pick.randrange(25):
            case 0 | 1:
                operands = [self._wrong(below, self.bool) for _ in range(pick.randrange(2, 4))]
                return "(" + " && ".join(operands) + ")"
            case 2 | 3:
                operands = [self._wrong(below, self.bool) for _ in range(pick.randrange(2, 4))]
                return "(" + " || ".join(operands) + ")"
            case 4:
                return f"!({self._wrong(below, self.bool)})"
            case 5:
                test, yes, no = (self._wrong(below, self.bool) for _ in range(3))
                return f"({test} ? {yes} : {no})"
            case 6 | 7:
                operator = pick.choice(("==", "!="))
                return f"({self.string(below)} {operator} {self._wrong(below, self.string)})"
            case 8:
                return f"({self.any(below)} {pick.choice(('==', '!='))} {self.any(below)})"
            case 9:
                kind = pick.choice((self.int, self.double, self.string, self.bool))
                operator = pick.choice(("<", "<=", ">", ">="))
                return f"({kind(below)} {operator} {self._wrong(below, kind)})"
            case 10:
                kind = pick.choice((self.int, self.double))
                operator = pick.choice(("<", "<=", ">", ">=", "==", "!="))
                return f"({kind(below)} {operator} {pick.choice((self.int, self.double))(below)})"
            case 11 | 12:
                return f"({self._wrong(below, self.string)} in {self._wrong(below, self.list)})"
            case 13:
                return f"({self._wrong(0, self.string)} in {self._member('m')})"
            case 14:
                return f"({self.any(below)} in {self.list(below)})"
            case 15:
                path = pick.choice(("c", "c.m", "c.m.a", "c.s", "c.x", 'c["kubernetes.io"]'))
                return f"has({path}.{pick.choice('sidbnlmtxabcde')})"
            case 16 | 17:
                name = pick.choice(("startsWith", "endsWith", "contains"))
                target = self._wrong(below, self.string)
                return f"{target}.{name}({self._wrong(below, self.string)})"
            case 18:
                pattern = quoted(pick.choice(PATTERNS))
                return f"{self._wrong(below, self.string)}.matches({pattern})"
            case 19 | 20 | 21:
                return self._macro(pick.choice(("all", "exists", "exists_one")), below)
            case 22:
                kind = pick.choice((self.moment, self.span))
                operator = pick.choice(("<", "<=", ">", ">=", "==", "!="))
                return f"({kind(below)} {operator} {self._wrong(below, kind)})"
            case 23:
                return f"bool({self._wrong(below, self.bool)})"
            case _:
                return f"({self.list(below)} {pick.choice(('==', '!='))} {self.list(below)})"

    def _macro(self, kind: str, depth: int) -> str:
        maps = (self.list, lambda _depth: self._member("m"))
        source = self._wrong(0, self._pick.choice(maps) if kind != "map" else self.list)
        if len(self._local) >= 2:
            return f"size({source}) > 1"
        variable = f"v{len(self._local)}"
        if self._pick.random() < 0.2 and self._local:
            variable = self._local[-1]
        self._local.append(variable)
        body = self._wrong(depth, self.bool)
        self._local.pop()
        return f"{source}.{kind}({variable}, {body})"

    def string(self, depth: int) -> str:  # noqa: C901, PLR0911
        pick = self._pick
        if depth <= 0:
            literal = pick.choice(ESCAPED) if pick.random() < 0.1 else quoted(pick.choice(STRINGS))
            return pick.choice((literal, self._member("s"), self._member("t")))
        below = depth - 1
        match pick.randrange(12):
            case 0 | 1:
                return f"({self.string(below)} + {self._wrong(below, self.string)})"
            case 2:
                name = pick.choice(("lowerAscii", "upperAscii", "trim", "reverse"))
                return f"{self._wrong(below, self.string)}.{name}()"
            case 3:
                # The C++ library refuses an end that is the length of the string.
                end = pick.choice(("", ", 1", ", 0", ", -1", ", true"))
                return f'({self.string(below)} + "bc").substring({self._small()}{end})'
            case 4:
                count = pick.choice(("", f", {self._small()}"))
                return f"{self.string(below)}.replace({self.string(0)}, {self.string(0)}{count})"
            case 5:
                return f"{self.list(below)}.join({pick.choice(('', quoted('-')))})"
            case 6:
                return f"string({self._wrong(below, self.int)})"
            case 7:
                return f"{self.list(below)}[{self._small()}]"
            case 8:
                return f"{self.string(below)}.charAt({self._small()})"
            case 9:
                test = self._wrong(below, self.bool)
                return f"({test} ? {self.string(below)} : {self.string(below)})"
            case _:
                return self.string(0)

    def _small(self) -> str:
        odd = ("2", "3", "-1", "1.0", "1.5", "c.i", "c.d", "true")
        return self._pick.choice(("0", "0", "0", "1", "1", self._pick.choice(odd)))

    def int(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            # In brackets: a number before a dot reads as a double.
            return pick.choice((f"({pick.choice(INTS)})", self._member("i")))
        below = depth - 1
        match pick.randrange(10):
            case 0 | 1 | 2:
                operator = pick.choice("+-*/%")
                return f"({self.int(below)} {operator} {self._wrong(below, self.int)})"
            case 3:
                return f"-({self.int(below)})"
            case 4:
                return f"size({self._wrong(below, pick.choice((self.string, self.list)))})"
            case 5:
                kind = pick.choice((self.string, self.double, self.int, self.moment))
                return f"int({kind(below)})"
            case 6:
                name = pick.choice(("indexOf", "lastIndexOf"))
                start = pick.choice(("", f", {self._small()}"))
                return f"{self.string(below)}.{name}({self.string(0)}{start})"
            case 7:
                parts = "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
                name = pick.choice(f"{parts} getHours getMinutes getSeconds".split())
                zone = pick.choice(("", "'UTC'", "'+02:00'", "'-09:30'", "'13:45'"))
                return f"{self.moment(below)}.{name}({zone})"
            case 8:
                name = pick.choice(("getHours", "getMinutes", "getSeconds", "getMilliseconds"))
                return f"{self.span(below)}.{name}()"
            case _:
                return self.int(0)

    def double(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice((f"({pick.choice(DOUBLES)!r})", self._member("d")))
        below = depth - 1
        match pick.randrange(4):
            case 0:
                operator = pick.choice("+-*/")
                return f"({self.double(below)} {operator} {self._wrong(below, self.double)})"
            case 1:
                return f"double({self._wrong(below, self.int)})"
            case 2:
                return f"-({self.double(below)})"
            case _:
                return self.double(0)

    def list(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0:
            return pick.choice((self._member("l"), self._member("z")))
        below = depth - 1
        match pick.randrange(8):
            case 0 | 1:
                items = [self.string(0) for _ in range(pick.randrange(4))]
                return f"[{', '.join(items)}]"
            case 2:
                kind = pick.choice((self.int, self.double, self.bool, self.any))
                return f"[{', '.join(kind(0) for _ in range(pick.randrange(3)))}]"
            case 3:
                return f"({self.list(below)} + {self._wrong(below, self.list)})"
            case 4:
                count = pick.choice(("", "", f", {self._small()}"))
                return f"{self.string(below)}.split({self.string(0)}{count})"
            case 5:
                return self._transform(below)
            case _:
                return self.list(0)

    def _transform(self, depth: int) -> str:
        source = self.list(0)
        if len(self._local) >= 2:
            return source
        variable = f"v{len(self._local)}"
        self._local.append(variable)
        body, made = self._wrong(depth, self.bool), self.any(depth)
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
                return f"timestamp({self._wrong(below, self.int)})"
            case 2:
                return f"timestamp({self.string(0)})"
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
                return f"duration({self.string(0)})"
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
    """Without what cel-python does not have: the strings extension, and much about time."""

    def string(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0 or pick.random() < 0.6:
            return super().string(0)
        match pick.randrange(3):
            case 0:
                return f"({self.string(depth - 1)} + {self.string(depth - 1)})"
            case 1:
                return f"string({self.int(0)})"
            case _:
                test = self.bool(depth - 1)
                return f"({test} ? {self.string(depth - 1)} : {self.string(depth - 1)})"

    def int(self, depth: int) -> str:
        pick = self._pick
        if depth <= 0 or pick.random() < 0.4:
            return super().int(0)
        match pick.randrange(3):
            case 0:
                return f"({self.int(depth - 1)} {pick.choice('+-*/%')} {self.int(depth - 1)})"
            case 1:
                return f"size({self.list(0)})"
            case _:
                return f"-({self.int(depth - 1)})"

    def list(self, depth: int) -> str:
        if self._pick.random() < 0.5:
            items = [quoted(self._pick.choice(STRINGS)) for _ in range(self._pick.randrange(1, 4))]
            return f"[{', '.join(items)}]"
        return super().list(0)

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
