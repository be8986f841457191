"""Languages are what they say: against RE2, the engine's grammars, and all short texts."""

import itertools
import random

import pytest
import re2

from regauth.engine.access import references, scope
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.automata import UndecidedError
from regauth.policytests.proofs.languages.cells import cut
from regauth.policytests.proofs.languages.images import TextFunction
from regauth.policytests.proofs.languages.language import Language

PATTERNS = [
    *(r"^refs/tags/v[0-9]+[.][0-9]+[.][0-9]+$", r"a|^b$", r"x(ab)*y", r"^a.c", r"\d+\s"),
    *(r"[^a-c]{2,3}$", r"(^|/)main$", r"a*?b+", r"^$", r"\.$|^\w", "$^", "^$|x", "(?i)kS"),
    *("[[:alpha:]]+1$", "a{,3}", "a{2}", "(?s).x", "[^[:digit:]]$", r"\Aa\z", "(?i:a)b"),
    *(r"\x41|\x{17f}", "[a-]x", "[]a]", r"\Qa.b\E+", "(?P<n>a)b", "x{0,2}y", r"[\w.]+$", "a||b"),
    *(r"(?i)\W", r"(?i)[\W1]", r"(?i)\w", "(?i)[[:^lower:]]", r"[\d-z]", r"(?i)[^\W]", r"\07|\101"),
    *("^*a", "(?:$)*a", "(^)+a", "(?U)a+b", "(?i)[[:word:]]$", "(?i)[^[:^upper:]]", "(?-m)^a"),
    *(r"\bx", r"x\b", r"\b", r"^\ba+\b/", r"(\b|1)*S$", r"\bk\b|\b\.\b"),
    *("()", "a$b", "(a$)*b", r"[\d-]x", "(?i)[^k]", "(?:a|b)$", "^^a", "a$$", "(?s:.)x"),
]
ALPHABET = "abckKsS1/.\nvx0rm\u212a\u017féAB\U0001f600- "


def random_pattern(choose: random.Random, depth: int = 2) -> str:
    def part(depth: int) -> str:
        options = ["a", "b", "k", "S", "1", "/", r"\.", "[a-c]", "[^ab]", "[[:alpha:]]", r"\d"]
        options += [r"\W", ".", "[^[:upper:]x]", "^", "$", "[[:^lower:]]", r"[\d-z]", r"\b"]
        if depth:
            options += [
                f"({random_pattern(choose, depth - 1)})",
                f"(?:{random_pattern(choose, depth - 1)}|{random_pattern(choose, depth - 1)})",
                part(depth - 1) + choose.choice(["*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"]),
                f"(?i){random_pattern(choose, depth - 1)}",
            ]
        return choose.choice(options)

    return "".join(part(depth) for _ in range(choose.randrange(4)))


def finds(pattern: str) -> re2._Regexp | None:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_patterns_mean_what_re2_says(seed: int) -> None:
    choose = random.Random(seed)
    decided = 0
    for pattern in [*PATTERNS, *(random_pattern(choose) for _ in range(250))]:
        compiled = finds(pattern)
        if compiled is None:
            continue
        try:
            automaton = languages.matches(pattern).automaton
        except UndecidedError:
            continue
        decided += 1
        for _ in range(40):
            text = "".join(choose.choice(ALPHABET) for _ in range(choose.randrange(6)))
            assert automaton.accepts(text) == bool(compiled.search(text)), (pattern, text)
    assert decided > 200


@pytest.mark.parametrize("pattern", [r"\Bx", r"\pL", r"\p{Greek}", "(?m)^a", r"\C", "(?i)é"])
def test_what_is_not_read_as_re2_reads_it_is_undecided(pattern: str) -> None:
    with pytest.raises(UndecidedError):
        _ = languages.matches(pattern).automaton


def test_case_folding_is_re2s_for_every_character() -> None:
    for letter in "aksKSz":
        automaton = languages.matches(f"(?i)^{letter}$").automaton
        compiled = finds(f"(?i)^{letter}$")
        assert compiled is not None
        for code in itertools.chain(range(0xD800), range(0xE000, 0x11000)):
            assert automaton.accepts(chr(code)) == bool(compiled.search(chr(code))), chr(code)


FUNCTIONS = [
    *(TextFunction("lowerAscii"), TextFunction("upperAscii"), TextFunction("replace", ("ab", "a"))),
    *(TextFunction("replace", ("aa", "")), TextFunction("replace", ("a", "ba"))),
    *(
        TextFunction("replace", ("abab", "x")),
        TextFunction("piece", ("/", 0)),
        TextFunction("piece", ("/", 1)),
    ),
    *(
        TextFunction("piece", ("aa", 1)),
        TextFunction("part", (1, 3)),
        TextFunction("part", (1, -1)),
    ),
    TextFunction("trim"),
    *(TextFunction("part", (0, 2)), TextFunction("part", (2, 2)), TextFunction("part", (3, 1))),
]
LANGUAGES = [
    *(languages.one_of(["a", "ab", "", "A/b"]), languages.starts_with("a")),
    *(languages.ends_with("b"), languages.contains("ba"), languages.matches("^a+b")),
    *(languages.PATH, languages.length("<=", 2), languages.length("==", 1), languages.TAG),
]


def short_texts(alphabet: str, longest: int) -> list[str]:
    return [
        "".join(letters)
        for size in range(longest + 1)
        for letters in itertools.product(alphabet, repeat=size)
    ]


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
@pytest.mark.parametrize("language", LANGUAGES, ids=[str(one) for one in range(len(LANGUAGES))])
def test_images_are_what_functions_take_into_a_language(
    function: TextFunction, language: Language
) -> None:
    automaton = languages.image(language, function).automaton

    for text in short_texts("abA/", 5):
        value = function.apply(text)
        assert automaton.accepts(text) == (value is not None and language.holds(value)), text


@pytest.mark.parametrize("separator", ["/", "aa", "ab"])
def test_pieces_are_counted_as_split_counts(separator: str) -> None:
    for operator, bound in itertools.product(("<", "<=", "=="), range(4)):
        automaton = languages.pieces(separator, operator, bound).automaton
        for text in short_texts("ab/", 6):
            count = len(text.split(separator))
            wanted = {"<": count < bound, "<=": count <= bound, "==": count == bound}[operator]
            assert automaton.accepts(text) == wanted, text


@pytest.mark.parametrize("seed", range(40))
def test_cells_hold_all_texts_and_their_samples(seed: int) -> None:
    choose = random.Random(seed)
    pool = [*LANGUAGES, *(languages.matches(one) for one in ("^x", "a$", "[0-9]"))]
    pool += [languages.one_of([choose.choice(["a", "ab", "b", "x", "a/b"])]) for _ in range(3)]
    some = choose.sample(pool, choose.randrange(1, 5))
    wanted, bound = choose.randrange(2, 5), choose.choice([None, None, 2, 5])

    cells = cut(sorted(some), wanted, bound, ["ab", "a/b"])

    found = {}
    for cell in cells:
        found[cell.languages, cell.long] = cell
        assert len(set(cell.samples)) == len(cell.samples)
        assert cell.complete or cell.long or len(cell.samples) >= wanted
        for sample in cell.samples:
            assert frozenset(one for one in some if one.holds(sample)) == cell.languages
            assert cell.long == (bound is not None and len(sample) > bound)
    for text in short_texts("abx/", 5):
        where = frozenset(one for one in some if one.holds(text))
        cell = found[where, bound is not None and len(text) > bound]
        assert not cell.complete or text in cell.samples


def test_the_grammars_are_the_engines() -> None:
    choose = random.Random(1)
    grammars = {
        languages.DIGEST: references.is_digest,
        languages.TAG: references.is_tag,
        languages.TAG_PART: references.is_tag_part,
        languages.NAME: scope.is_repository_name,
        languages.PATH: scope.is_repository_path,
    }
    names = [
        "".join(choose.choice("ab0.-_/:A__") for _ in range(choose.randrange(8)))
        for _ in range(4000)
    ]
    starts = ["sha256:", "sha512:", "sha384:", "b+c:", "x:", "sha25:", "a..b:"]
    names += [
        start + "a1" * half + end
        for start in starts
        for half in (15, 16, 32, 64, 128, 129)
        for end in ("", "Z", "=")
    ]
    for language, is_one in grammars.items():
        for name in names:
            assert language.automaton.accepts(name) == is_one(name), (language, name)


def test_a_text_of_which_very_much_is_asked_is_left_open_before_it_costs_memory() -> None:
    """Few states have wide rows here: a bound on states alone would let them fill gigabytes."""
    asked = [languages.starts_with(f"group-{number}/") for number in range(600)]

    with pytest.raises(UndecidedError):
        cut(asked, 1)
