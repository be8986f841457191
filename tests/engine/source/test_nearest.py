"""The known name that is most like a wrong one."""

import pytest

from regauth.engine.source.nearest import MAX_LISTED, did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("pul", ["delete", "pull", "push"], "pull"),
        ("MAIN", ["branch", "main"], "main"),
        ("zzz", ["delete", "pull", "push"], None),
        ("pull", [], None),
    ],
)
def test_the_nearest_name(name: str, known: list[str], near: str | None) -> None:
    assert nearest(name, known) == near
    assert nearest(name, iter(known)) == near


def test_the_hint_names_the_nearest_or_lists_what_there_is() -> None:
    assert did_you_mean("pul", ["push", "pull"]) == "did you mean `pull`?"
    assert did_you_mean("zzz", ["push", "pull"]) == "known here: `pull`, `push`"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", ["push", "pull"], "see the manual") == "see the manual"
    assert did_you_mean("pul", ["push", "pull"], "see the manual") == "did you mean `pull`?"


def test_a_long_list_says_how_many_more_there_are() -> None:
    hint = did_you_mean("zzz", [f"name-{number:02}" for number in range(MAX_LISTED + 3)])
    assert hint.endswith("`name-11` and 3 more")
    assert "name-12" not in hint
