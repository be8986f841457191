"""Problems as text: the line, the stretch, the hint, and nothing that steers a terminal."""

import pytest

from regauth.engine import Location, Problem, Severity, render_text
from regauth.engine.source.rendering import wants_color

SOURCE = "first\n\tsecond line\nthird"


def rendered(location: Location, hint: str = "", **more: object) -> list[str]:
    problem = Problem(location, "some-code", "it is wrong", hint)
    return render_text([problem], {"p.yaml": str(more.get("source", SOURCE))}).split("\n")


def test_the_line_the_stretch_and_the_hint() -> None:
    assert rendered(Location("p.yaml", 1, 2, 1, 4), "do it right") == [
        "p.yaml:1:2: error: it is wrong [some-code]",
        "  1 | first",
        "    |  ^^",
        "  = do it right",
    ]


def test_a_tab_before_the_place_keeps_its_width() -> None:
    assert rendered(Location("p.yaml", 2, 2, 2, 8))[1:] == ["  2 | \tsecond line", "    | \t^^^^^^"]


def test_a_stretch_over_several_lines_is_shown_to_the_end_of_the_first() -> None:
    assert rendered(Location("p.yaml", 1, 3, 3, 2))[2] == "    |   ^^^"


def test_a_place_without_an_end_is_one_character() -> None:
    assert rendered(Location("p.yaml", 1, 3))[2] == "    |   ^"


def test_a_place_behind_the_line_is_one_character() -> None:
    assert rendered(Location("p.yaml", 1, 6, 1, 9))[2] == "    |      ^"


@pytest.mark.parametrize(
    "location", [Location("p.yaml", 99, 1, 99, 2), Location("other.yaml", 1, 1, 1, 2)]
)
def test_without_the_line_the_place_is_enough(location: Location) -> None:
    assert rendered(location) == [f"{location}: error: it is wrong [some-code]"]


def test_problems_are_apart() -> None:
    problem = Problem(Location("x"), "a", "b", severity=Severity.WARNING)

    assert render_text([problem, problem], {}) == "x:1:1: warning: b [a]\n\nx:1:1: warning: b [a]"
    assert render_text([], {}) == ""


def test_colours_are_asked_for() -> None:
    error = Problem(Location("p.yaml", 1, 1, 1, 2), "a", "b", "c")
    warning = Problem(Location("p.yaml", 1, 1, 1, 2), "a", "b", "c", Severity.WARNING)

    assert "\033[" not in render_text([error], {"p.yaml": SOURCE})
    assert "\033[31m" in render_text([error], {"p.yaml": SOURCE}, color=True)
    assert "\033[33m" in render_text([warning], {"p.yaml": SOURCE}, color=True)


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
    ],
)
def test_the_environment_says_whether_there_are_colours(
    environment: dict[str, str], terminal: bool, wanted: bool
) -> None:
    assert wanted == wants_color(environment, terminal=terminal)


def test_nothing_of_the_author_steers_the_terminal() -> None:
    evil = "a\033[2Jb\u202ec\rd"
    problem = Problem(Location(f"{evil}.yaml", 1, 1, 1, 3), "a", evil, evil)
    text = render_text([problem], {f"{evil}.yaml": evil})

    assert not any(character in text for character in "\033\u202e\r")
    assert "a\ufffd[2Jb\ufffdc\ufffdd" in text


def test_a_byte_order_mark_and_carriage_returns_are_not_shown() -> None:
    lines = rendered(Location("p.yaml", 1, 1, 1, 2), source="\ufeffabc\r\ndef")

    assert lines[1:] == ["  1 | abc", "    | ^"]
