"""What is wrong with a YAML file is told in the words of this project, never in the parser's."""

import re

import pytest
import yaml

from regauth.engine.source import nodes
from regauth.engine.source.problems import Problems
from regauth.engine.source.yaml_faults import MAX_KEY

FOREIGN = re.compile(r"this is not YAML: |while (scanning|parsing)|did not find|could not find")
"""Words of the parser, or of the fallback that shows them."""

LONG = "k" * (MAX_KEY + 1)

CASES = {
    f"a: 1\n{LONG}: 1\n": ("2:1", "1,024 characters, quotes included; this one has 1,025"),
    f'a: 1\n"{LONG}": 1\n': ("2:1", "1,024 characters, quotes included; this one has 1,027"),
    f"a: 1\nb: {{c: 1, {LONG}: 1}}\n": ("2:11", "this one has 1,025"),
    f"a:\n  - {LONG} {LONG}: b\n": ("2:5", "this one has 2,051"),
    f"a: 1\n{LONG}\n": ("2:1", "a key, a colon and a blank are expected here"),
    "a: 1\nb\nc: 1\n": ("2:1", "a key, a colon and a blank are expected here"),
    "a: ? b\n": ("1:4", "a text that begins with `?` needs quotes"),
    "a: - b\n": ("1:4", "a list cannot begin in the line of its key"),
    "a: `b`\n": ("1:4", "a text that begins with ``` needs quotes"),
    "a: @b\n": ("1:4", "a text that begins with `@` needs quotes"),
    "a: %b\n": ("1:4", "a text that begins with `%` needs quotes"),
    "a: ]\n": ("1:4", "a text that begins with `]` needs quotes"),
    "a: , b\n": ("1:4", "a text that begins with `,` needs quotes"),
    "a: & b\n": ("1:4", "a text that begins with `&` needs quotes"),
    "a: &b[ c\n": ("1:4", "a text that begins with `&` needs quotes"),
    "a: **\n": ("1:4", "a text that begins with `*` needs quotes"),
    "a: *": ("1:4", "a text that begins with `*` needs quotes"),
    "a: !x!y z\n": ("1:4", "a text that begins with `!` needs quotes"),
    "a: !<b c\n": ("1:4", "a text that begins with `!` needs quotes"),
    "a: !b%zz c\n": ("1:4", "a text that begins with `!` needs quotes"),
    "a: !{b} c\n": ("1:4", "a text that begins with `!` needs quotes"),
    "%YAML 2.0\n---\na: 1\n": ("1:1", "the file says that it is YAML of another version"),
    "%YAML 1.1\n%YAML 1.1\n---\na: 1\n": ("2:1", "YAML has no such directive here"),
    "%YAML x\n---\na: 1\n": ("1:7", "YAML has no such directive here"),
    "%YAML 1.1 x\n---\na: 1\n": ("1:11", "YAML has no such directive here"),
    "%\n---\na: 1\n": ("1:2", "YAML has no such directive here"),
    "a: 1\n%b: 1\n": ("2:3", "YAML has no such directive here"),
    "%TAG x\n---\na: 1\n": ("1:6", "YAML has no such directive here"),
    "%TAG ! a\n%TAG ! b\n---\na: 1\n": ("2:1", "YAML has no such directive here"),
    "%YAML 1.2\na: 1\n": ("2:1", "after the lines that begin with `%` comes `---`"),
    "a: 1\n...\nb: 2\n": ("3:1", "nothing can follow `...`"),
    "  a: 1\nb: 2\n": ("2:1", "this line is indented less than the first one"),
    "a: |0\n  b\n": ("1:5", "the number after `|` or `>` is 1 to 9, or is left out"),
    "a: | b\n  c\n": ("1:6", "the text of a block begins in the line after `|` or `>`"),
    "a: >= 1\n": ("1:5", "the text of a block begins in the line after `|` or `>`"),
    "a: |\n\tb\n": ("2:1", "a tab cannot stand here"),
    "a: b\n\tc\n": ("2:1", "a tab cannot stand here"),
    "a:\n\tb: 1\n": ("2:1", "a tab cannot stand here"),
    'a: "b\n---\nc"\n': ("1:4", 'the " that begins here is never closed'),
    "a: 'b": ("1:4", "the ' that begins here is never closed"),
    'a: "v\\d+"\n': ("1:6", "`\\d` is no escape of a text in double quotes"),
    'a: "\n  v\\.1"\n': ("2:4", "`\\.` is no escape of a text in double quotes"),
    'a: "\\xzz"\n': ("1:5", "`\\x` needs 2 hexadecimal digits"),
    'a: "\\u12"\n': ("1:5", "`\\u` needs 4 hexadecimal digits"),
    'a: "\\Uffffffff"\n': ("1:5", "this escape stands for no character"),
    "a: 1\nb: \x07\n": ("2:4", "the character U+0007 cannot stand in it"),
    "a: 1\nb: \ud800\n": ("2:4", "the character U+D800 cannot stand in it"),
    "a: b: c\n": ("1:5", "a colon and a blank cannot stand here"),
    ": a\n": ("1:1", "a key is missing before the colon"),
    "a: [b, , c]\n": ("1:8", "a value is missing before `,`"),
    "a: [": ("1:5", "a bracket is not closed where the file ends"),
    "a: [b,\n": ("1:7", "a bracket is not closed where the file ends"),
    "a: [b\n": ("1:4", "the [ that begins here is not closed"),
    "a:\n  b: 1\n c: 2\n": ("3:2", "this line belongs to no mapping or list above it"),
    "a:\n  - b\n  c: d\n": ("3:3", "this line is no item of the list above it"),
    "a: 1\n- b\n": ("2:1", "this line belongs to no mapping or list above it"),
    "a: " + "[" * 1100: ("1:", "values nest more than 32 deep"),
    "# x\u2028a: 1\n": ("1:4", "the character U+2028 cannot stand in it: YAML begins a new line"),
    "# x\x85a: 1\n": ("1:4", "the character U+0085 cannot stand in it: YAML begins a new line"),
    "# x\ra: 1\n": ("1:4", "the character U+000D cannot stand in it: YAML begins a new line"),
    "a: x\ufeff\n": ("1:5", "the character U+FEFF cannot stand in it: it is a byte order mark"),
    "a: x\nb: y\u200bz\n": ("2:5", "nobody sees the character U+200B here"),
}
"""Files, and where and how each is told of."""


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with libyaml, and with its replica in Python, which is there where libyaml is not."""
    monkeypatch.setattr(nodes, "_Loader", getattr(yaml, request.param))
    return str(request.param)


def told(text: str) -> tuple[str, str]:
    problems = Problems()
    nodes.parse(text, "f", problems)
    [problem] = problems
    place = problem.location
    assert 1 <= place.line <= len(text.split("\n"))
    return f"{place.line}:{place.column}", problem.message


@pytest.mark.parametrize(("text", "wanted"), CASES.items())
def test_a_fault_is_told_in_our_words(text: str, wanted: tuple[str, str], loader: str) -> None:
    place, message = told(text)
    assert wanted[1] in message
    assert FOREIGN.search(message) is None
    if loader == "CSafeLoader":  # the places of the other are a little different
        assert place.startswith(wanted[0])


REORDERING = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]


@pytest.mark.parametrize("code", REORDERING, ids=hex)
@pytest.mark.parametrize(
    "text", ["# %s\na: 1\n", "a: %s\n", 'a: "x%sy"\n', "%s: 1\n", "a: |\n  x %s\n", "a: 1 # %s"]
)
@pytest.mark.usefixtures("loader")
def test_what_changes_the_order_of_a_line_is_refused_anywhere(text: str, code: int) -> None:
    """Trojan Source: a reviewer sees another policy than the engine reads."""
    place, message = told(text % chr(code))
    before = text.partition("%")[0]
    assert place == f"{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"
    assert message.startswith(f"the character U+{code:04X} cannot stand in it: an editor shows")


INVISIBLE = (
    0x00AD,
    0x034F,
    0x115F,
    0x180E,
    0x200B,
    0x200D,
    0x2060,
    0x3164,
    0xFE0F,
    0xE0041,
    0xE0101,
)


@pytest.mark.parametrize("code", INVISIBLE, ids=hex)
@pytest.mark.parametrize(
    "text",
    [
        "a: main%s\n",
        "a: '%s'\n",
        "main%s: 1\n",
        "a:\n  - {b: [x, y%s]}\n",
        "a: |\n  x\n  y%s\n",
        "message%s: x",
    ],
)
@pytest.mark.usefixtures("loader")
def test_what_nobody_sees_is_refused_in_names_and_values(text: str, code: int) -> None:
    place, message = told(text % chr(code))
    before = text.partition("%")[0]
    assert place == f"{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"
    assert (
        message == f"nobody sees the character U+{code:04X} here: the text is another than it looks"
    )


@pytest.mark.parametrize(
    "text",
    [
        *(f'a: "\\u{code:04x}"\n' for code in (*REORDERING, 0x200B, 0xFEFF)),
        'a: "\\U000e0041"\n',
        "# x\u200b\na: 1\n",
        "message: x\u200by\n",
        "because: |\n  x\u00ady\n",
        "a: \U0001f469\u200d\U0001f4bb\n",
        "a: 1\ufe0f\u20e3 \u26a0\ufe0f\n",
        "a: \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\n",
        "a: \u05e9\u05dc\u05d5\u05dd\n",
        "\ufeffa: 1\n",
    ],
)
@pytest.mark.usefixtures("loader")
def test_what_is_seen_or_shown_to_people_is_read(text: str) -> None:
    problems = Problems()
    assert nodes.parse(text, "f", problems) is not None
    assert not list(problems)


def test_the_hint_has_the_escape() -> None:
    problems = Problems()
    nodes.parse("a: x\u200b\nb: y\U000e0041\n", "f", problems)
    assert [one.hint for one in problems] == [
        "remove it; where it is meant, write `\\u200b` in double quotes",
        "remove it; where it is meant, write `\\U000e0041` in double quotes",
    ]


def test_the_longest_key_is_read() -> None:
    problems = Problems()
    root = nodes.parse(f"{'k' * MAX_KEY}: 1\n", "f", problems)
    assert root is not None
    assert not list(problems)


def test_ends_of_lines_that_every_editor_shows_are_read() -> None:
    problems = Problems()
    root = nodes.parse('a: 1\r\nb: "\\u2028\\x85\\r"\r\n', "f", problems)
    assert root is not None
    assert root.plain() == {"a": 1, "b": "\u2028\x85\r"}
    assert not list(problems)
