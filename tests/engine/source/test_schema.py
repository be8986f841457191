"""A host's configuration is read and checked in one step."""

import pytest

from regauth.engine import Problems
from regauth.engine.source.schema import read


def test_what_fits_is_returned() -> None:
    problems = Problems()
    node = read('version: 1\nservices: ["r"]\n', "p.yaml", "policy", problems)

    assert node is not None
    assert list(problems) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "missing-key"),
        ("# nothing\n", "missing-key"),
        ("version: [", "yaml-syntax"),
        ("version: 1\nversion: 1\n", "yaml-duplicate-key"),
        ("vresion: 1\n", "unknown-key"),
        ("- 1\n", "wrong-type"),
    ],
)
def test_anything_wrong_is_reported_and_nothing_returned(text: str, code: str) -> None:
    problems = Problems()

    assert read(text, "p.yaml", "policy", problems) is None
    assert code in {problem.code for problem in problems}


def test_problems_of_other_documents_do_not_count() -> None:
    problems = Problems()
    read("", "a.yaml", "policy", problems)

    assert read('version: 1\nservices: ["r"]\n', "p.yaml", "policy", problems) is not None
