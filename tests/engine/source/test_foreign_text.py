"""What strangers wrote, as it is shown to people."""

import pytest

from regauth.engine.source.foreign_text import quoted, visible

STEERING = [
    ("\x1b[2J", "\\x1b[2J"),
    ("a\x07b", "a\\x07b"),
    ("a\r\nb", "a\\r\\nb"),
    ("\u202eexe.txt", "\\u202eexe.txt"),
    ("\u2066x\u2069", "\\u2066x\\u2069"),
    ("\x9b31m", "\\x9b31m"),
    ("\ud800", "\\ud800"),
    ("\U000e0041", "\\U000e0041"),
    ("schön ✓", "schön ✓"),
]


@pytest.mark.parametrize(("text", "seen"), STEERING)
def test_s11_what_steers_a_terminal_is_shown_as_an_escape(text: str, seen: str) -> None:
    assert visible(text) == seen
    assert quoted(text) == f"'{seen}'"
    assert visible(text).isprintable()


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x061C, *range(0x200B, 0x2010), 0x2028])  # fmt: skip
def test_s11_no_control_or_format_character_is_left(code: int) -> None:
    assert visible(f"a{chr(code)}b").isprintable()


def test_text_of_several_lines_keeps_them_when_asked_to() -> None:
    assert visible("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


@pytest.mark.parametrize("text", ["it's", "a\\", "\\'", "'; drop"])
def test_a_text_cannot_end_its_own_quotes(text: str) -> None:
    inner = quoted(text)[1:-1]
    assert "'" not in inner.replace("\\\\", "").replace("\\'", "")


def test_a_long_text_is_cut_and_says_so() -> None:
    assert quoted("x" * 300) == f"'{'x' * 200}...'"
    assert quoted("xy", 1) == "'x...'"
