"""A sample token that no issuer makes is an error of the suite, with the value that would be right."""

import pytest

from regauth.policytests.collection.fixtures import AskedToken, PolicyError, load
from regauth.policytests.execution.run import SuiteError
from tests.policytests.conftest import Repository

MAIN = """
at: 2026-11-01T12:00:00Z
tokens:
  main: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
"""


def using(tokens: list[str]) -> str:
    """Return a test for each token: an unused one is another error."""
    grid = "".join(f"      {token} acme/app A\n" for token in tokens)
    return f"tests:\n  - name: grid\n    grid: |\n      token repository pull\n{grid}"


def found(house: Repository, *tokens: str) -> list[tuple[str, str, str]]:
    """Return the place, claim and fix of each impossible claim of a suite's tokens."""
    text = MAIN + "".join(f"  {token}\n" for token in tokens)
    try:
        house.load(using(["main", *(token.partition(":")[0] for token in tokens)]), text)
    except SuiteError as error:
        return [
            (
                f"{one.location.line}:{one.location.column}",
                one.message.split("`")[1],
                (one.hint or "").partition(";")[0],
            )
            for one in error.problems
            if one.code == "impossible-claim"
        ]
    return []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ("event_name: pull-request", ("4:28", "event_name", "`pull_request` would be right")),
        (
            "repository_owner_id: 1342004",
            ("4:28", "repository_owner_id", "`1342004` would be right"),
        ),
        ("ref: refs/tags/v1, ref_type: branch", ("4:47", "ref_type", "`tag` would be right")),
        ("ref_protected: null", ("4:28", "ref_protected", "correct the claim")),
    ],
    ids=["value", "type", "relation", "null"],
)
def test_a_claim_that_contradicts_the_schema_is_told_once_at_its_place(
    house: Repository, claims: str, expected: tuple[str, str, str]
) -> None:
    """`author/consistent-typo-is-green`: the policy may have the same mistake."""
    assert [expected] == found(house, f"x: {{from: main, claims: {{{claims}}}}}")


def test_a_claim_that_is_left_out_although_others_ask_for_it_is_told(house: Repository) -> None:
    token = 'x: {from: main, claims: {enterprise_id: "7"}, without: [enterprise]}'
    expected = ("4:59", "enterprise", "keep it, or leave out what asks for it too")
    assert found(house, token) == [expected]


def test_a_token_made_from_an_impossible_one_is_not_told_again(house: Repository) -> None:
    one = "x: {from: main, claims: {event_name: pull-request}}"
    assert 1 == len(found(house, one, "y: {from: x, at: +1m}"))


@pytest.mark.parametrize(
    "tokens",
    [
        ("x: {from: main, impossible: a reason, claims: {event_name: pull-request}}",),
        (
            "x: {from: main, impossible: a reason, claims: {event_name: pull-request}}",
            "y: {from: x, claims: {actor: b}}",
        ),
        ("x: {profile: plain, provider: github, claims: {event_name: pull-request}}",),
        ("x: {from: main, forge: alg-none}",),
        ("x: {from: main, claims: {event_name: pull_request, ref: refs/pull/7/merge}}",),
        ("x: {from: main, without: [repository, sub]}",),
        ("x: {from: main, claims: {environment: e}}", "y: {from: x, without: [environment]}"),
    ],
    ids=["reason", "inherited", "plain", "forgery", "possible", "left out", "no environment"],
)
def test_what_is_possible_or_excused_is_no_error(
    house: Repository, tokens: tuple[str, ...]
) -> None:
    assert [] == found(house, *tokens)


def test_a_reason_is_not_empty(house: Repository) -> None:
    with pytest.raises(SuiteError) as caught:
        house.load(using(["main", "x"]), MAIN + "  x: {from: main, impossible: ''}\n")
    assert "`impossible` is a reason" in caught.value.problems[0].message


def test_an_impossible_token_of_a_python_test_is_an_error(house: Repository) -> None:
    policy = load(house.root / "policy")
    main: AskedToken = policy.token(
        "github-actions", repository="acme/app", repository_owner_id="1342004"
    )
    typo = main.but(event_name="pull-request")
    with pytest.raises(PolicyError, match="`pull_request` would be right"):
        typo.may("pull", "acme/app")
    assert typo.impossible("an event that is not known yet").may("pull", "acme/app")
    with pytest.raises(PolicyError, match="write why"):
        typo.impossible(" ")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"evnt_name": "pull_request"}, "evnt_name"),
        ({"repository_owner_id": 1342004}, "repository_owner_id"),
        ({"head": {"ref": "main"}}, "head"),
    ],
)
def test_python_unknown_claim_is_no_green_test(
    house: Repository, claims: dict[str, object], said: str
) -> None:
    """A misspelt claim, or one of another type, changes nothing, so the test would prove nothing."""
    main = load(house.root / "policy").token(
        "github-actions", repository="acme/app", repository_owner_id="1342004"
    )
    with pytest.raises(PolicyError, match=said):
        main.but(**claims).may("push", "acme/app")


@pytest.mark.parametrize("name", ["evnt_name", "kubernetes.io/pod", "repository/owner"])
def test_python_unknown_claim_that_is_taken_away(house: Repository, name: str) -> None:
    main = load(house.root / "policy").token("github-actions", repository="acme/app")
    with pytest.raises(PolicyError, match=f"no claim `{name.removesuffix('/pod')}`"):
        main.without(name)
