"""`policytest check --explain CODE`: the page's section about each code, and the nearest code."""

from pathlib import Path

import pytest

from regauth.engine.compiler import lints
from regauth.policytests.cli import main
from regauth.policytests.reports.codes import read_sections

ROOT = Path(__file__).parents[3]


def test_the_copy_of_the_page_is_the_page() -> None:
    """It is a link in the repository, and a file where it is installed."""
    page = (ROOT / "docs" / "problems.md").read_text("utf-8")
    assert (ROOT / "policytests" / "reports" / "problems.md").read_text("utf-8") == page


@pytest.mark.parametrize("code", [*lints.CODES, "yaml-syntax", "cel-unknown-claim"])
def test_each_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", code]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{code}\n\n")
    assert "Avoid:" in said
    assert "Prefer:" in said
    for markup in ("```", "](", "*Warning.*", "*Error.*", "###"):
        assert markup not in said


def test_a_section_ends_where_the_next_begins() -> None:
    sections = read_sections()
    assert len(sections) > len(lints.CODES)
    for code, text in sections.items():
        assert text.startswith(("Error", "Warning")), code
        assert text.count("Avoid:") <= 1, code


def test_an_unknown_code_is_an_error_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "imposible-value"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "there is no problem 'imposible-value'; did you mean `impossible-value`?" in said.err
    assert main(["check", "--explain", "qqqqqq"]) == 4
    assert "shows codes in brackets" in capsys.readouterr().err
