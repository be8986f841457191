"""A grid's cells are cases: what each mark demands, and what is wrong with a grid."""

import pytest

from tests.policytests.conftest import Repository

GRID = """
tests:
  - name: grid
    grid: |
      token  repository  pull  push
      {rows}
"""


def grid(*rows: str) -> str:
    """Return a test with the rows."""
    return GRID.replace("{rows}", "\n      ".join(rows))


def test_every_cell_is_a_case_with_an_id_and_a_place(house: Repository) -> None:
    loaded = house.load(grid("main acme/app A A", "main acme/lib A ."))
    assert [
        ("grid[main-acme/app-pull]", 8, 21),
        ("grid[main-acme/app-push]", 8, 23),
        ("grid[main-acme/lib-pull]", 9, 21),
        ("grid[main-acme/lib-push]", 9, 23),
    ] == [(case.id, case.location.line, case.location.column) for case in loaded.cases]


@pytest.mark.parametrize(
    ("tokens", "row", "expected"),
    [
        ("", "main acme/app A A", ["passed", "passed"]),
        ("", "main acme/app . .", ["failed", "failed"]),
        ("", "main acme/lib A A", ["passed", "failed"]),
        ("", "main acme/lib U U", ["failed", "failed"]),
        ("", "main broken/x E .", ["passed", "passed"]),
    ],
)
def test_a_cell_passes_only_as_marked(
    house: Repository, tokens: str, row: str, expected: list[str]
) -> None:
    text = grid(row).replace("run_number", tokens)
    claims = 'claims: {repository: acme/app, repository_owner_id: "1342004", run_number: many}'
    claims += ", impossible: the condition must fail"
    tokens = f"""
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {{profile: github-actions, {claims}}}
    """
    assert expected == list(house.outcomes(text, tokens).values())


@pytest.mark.parametrize("mark", ["A", "."])
def test_an_unexpected_cel_error_is_an_error_and_no_pass(house: Repository, mark: str) -> None:
    claims = '{repository: acme/app, repository_owner_id: "1342004", run_number: many}'
    tokens = f"""
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {{profile: github-actions, claims: {claims}, impossible: it must fail}}
    """
    judged = house.judge(grid(f"main broken/x {mark} ."), tokens)
    assert judged["grid[main-broken/x-pull]"].outcome.value == "error"
    assert "an error in `broken`" in judged["grid[main-broken/x-pull]"].summary


@pytest.mark.parametrize("mark", ["A", ".", "E"])
def test_an_access_that_is_allowed_despite_an_error_passes_as_nothing(
    house: Repository, mark: str
) -> None:
    """`E` must not hide that another grant gives what the broken one was to give."""
    oops = "  - {name: oops, repositories: [broken/x], actions: [pull]}\n"
    policy = (house.root / "policy/policy.yaml").read_text()
    house.write("policy/policy.yaml", policy.replace("denials:\n", f"{oops}denials:\n"))
    claims = '{repository: acme/app, repository_owner_id: "1342004", run_number: many}'
    tokens = f"""
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {{profile: github-actions, claims: {claims}, impossible: it must fail}}
    """
    judged = house.judge(grid(f"main broken/x {mark} ."), tokens)["grid[main-broken/x-pull]"]

    assert "error" == judged.outcome.value
    assert "`oops` allows it" in judged.summary


def test_refused_because_never_authenticated_is_an_error(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {profile: github-actions, claims: {repository_owner_id: "999"}}
    """
    judged = house.judge(grid("main acme/app . U"), tokens)
    assert ["error", "passed"] == [one.outcome.value for one in judged.values()]
    assert "rule:our-organisation" in next(iter(judged.values())).summary


def test_an_allowed_cell_that_never_authenticated_fails(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {profile: github-actions, claims: {repository_owner_id: "999"}}
    """
    assert ["failed", "failed"] == list(house.outcomes(grid("main acme/app A A"), tokens).values())


def test_a_group_stands_for_its_tokens(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      a: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
      b: {from: a, claims: {ref: refs/heads/x}}
    groups: {all: [a, b]}
    """
    assert {
        "grid[a-acme/app-pull]": "passed",
        "grid[a-acme/app-push]": "passed",
        "grid[b-acme/app-pull]": "passed",
        "grid[b-acme/app-push]": "failed",
    } == house.outcomes(grid("@all acme/app A A"), tokens)


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (["nobody acme/app A A"], ["8:7 unknown-token", "3:3 unused-token"]),
        (["@nobody acme/app A A"], ["8:7 unknown-token", "3:3 unused-token"]),
        (["main Acme/App A A"], ["8:12 bad-repository"]),
        (["main acme/app A"], ["8:21 grid-row"]),
        (["main acme/app A A A"], ["8:25 grid-row"]),
        (["main acme/app A X"], ["8:23 grid-cell"]),
        (
            ["main acme/app A A", "main acme/app A A"],
            ["9:21 duplicate-case", "9:23 duplicate-case"],
        ),
        ([""], ["6:11 no-cases", "3:3 unused-token"]),
        (["# main acme/app A A"], ["6:11 no-cases", "3:3 unused-token"]),
    ],
)
def test_what_is_wrong_with_a_row_is_told_with_its_place(
    house: Repository, rows: list[str], problems: list[str]
) -> None:
    assert sorted(problems) == sorted(house.problems(grid(*rows)))


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("token repository", "7:7 grid-header"),
        ("who repository pull", "7:7 grid-header"),
        ("token repository pull pull", "7:29 duplicate-case"),
        ("token repository pull psh", "7:29 unknown-action"),
        ("token repository *", "7:24 unknown-action"),
    ],
)
def test_what_is_wrong_with_a_header_is_told(house: Repository, header: str, problem: str) -> None:
    text = grid("main acme/app A A").replace("token  repository  pull  push", header)
    assert problem in house.problems(text)


def test_all_that_is_wrong_is_told_at_once(house: Repository) -> None:
    text = grid("nobody acme/app A A", "main acme/app X Y") + "  - {name: grid, grid: x}\n"
    assert [
        "10:12 duplicate-name",
        "10:24 grid-header",
        "8:7 unknown-token",
        "9:21 grid-cell",
        "9:23 grid-cell",
    ] == sorted(house.problems(text))


def test_because_names_exactly_what_decided(house: Repository) -> None:
    rows = ("main acme/app A A", "main acme/frozen A .")
    right = grid(*rows) + "    because: {main: [pull-all, push-own, frozen]}\n"
    less = grid(*rows) + "    because: {main: [pull-all, push-own]}\n"
    more = grid(*rows) + "    because: {main: [pull-all, push-own, frozen, broken]}\n"
    assert house.outcomes(right)["grid[main-because]"] == "passed"
    assert house.outcomes(less)["grid[main-because]"] == "failed"
    assert house.outcomes(more)["grid[main-because]"] == "failed"


@pytest.mark.parametrize(
    ("because", "problem"),
    [
        ("{other: [pull-all]}", "9:15 unknown-token"),
        ("{main: [pull-al]}", "9:22 unknown-grant"),
    ],
)
def test_because_of_unknown_names_is_wrong(house: Repository, because: str, problem: str) -> None:
    text = grid("main acme/app A A") + f"    because: {because}\n"
    assert [problem] == house.problems(text)


def test_because_of_a_token_outside_the_grid_is_wrong(house: Repository) -> None:
    tokens = """
    at: 2026-11-01T12:00:00Z
    tokens:
      main: {profile: github-actions, claims: {repository_owner_id: "1342004"}}
      two: {from: main}
    """
    text = (
        grid("main acme/app A A")
        + "    because: {two: [pull-all]}\n"
        + "  - {name: b, token: two, expect: {granted: []}}\n"
    )
    assert ["10:15 outside-grid"] == house.problems(text, tokens)


def test_a_quoted_grid_is_located_too(house: Repository) -> None:
    text = 'tests:\n  - {name: g, grid: "token repository pull\\nmain acme/app X"}\n'
    assert ["5:59 grid-cell"] == house.problems(text)
