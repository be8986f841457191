"""Coverage: what a suite exercises of a policy, and a token for what it does not."""

import pytest

from regauth.engine.access.scope import repository_access
from regauth.engine.cel.syntax.limits import REQUEST_STEPS
from regauth.engine.decisions.decide import STATEMENT_STEPS
from regauth.policytests.analysis.coverage import Coverage, cover
from regauth.policytests.analysis.mutation import questions
from regauth.policytests.analysis.parts import Parts, Point, combine
from regauth.policytests.analysis.places import Places
from tests.policytests.conftest import TOKENS, Repository

GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    A
"""


def measure(house: Repository, text: str = GRID, tokens: str = TOKENS) -> Coverage:
    """Return the coverage of a suite."""
    loaded = house.load(text, tokens)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    asked = [pair for case in loaded.cases for pair in questions(loaded, case)]
    return cover(compilation.policy, "policy", Places.of(compilation.sources), asked)


def point(coverage: Coverage, kind: str, name: str) -> Point:
    """Return one point."""
    return next(one for one in coverage.points if (one.kind, one.name) == (kind, name))


def test_a_grant_or_denial_is_covered_when_it_matches(house: Repository) -> None:
    coverage = measure(house)
    assert () == point(coverage, "grant", "pull-all").missing
    assert ("T",) == point(coverage, "grant", "broken").missing
    assert ("T",) == point(coverage, "denial", "frozen").missing
    assert (2, 3) == coverage.count("grant")


def test_a_rule_is_covered_when_it_lets_in_and_when_it_refuses(house: Repository) -> None:
    assert ("F",) == point(measure(house), "rule", "our-organisation").missing
    tokens = TOKENS + "  x: {from: main, claims: {repository_owner_id: '999'}}\n"
    text = GRID + "      x  acme/app   U    U\n"
    assert () == point(measure(house, text, tokens), "rule", "our-organisation").missing


def test_a_part_names_its_place_and_a_token_that_would_cover_it(house: Repository) -> None:
    part = point(measure(house), "part", "push-own")
    assert 'claims.ref == "refs/heads/main"' == part.text
    assert ("policy/policy.yaml", 17, 11) == (
        part.location.file,
        part.location.line,
        part.location.column,
    )
    assert ("F",) == part.missing
    suggestion = part.suggestions["F"]
    assert suggestion.startswith("{from: main, ")
    tokens = f"{TOKENS}  x: {suggestion}\n"
    text = GRID + "      x  acme/app   A    .\n"
    assert () == point(measure(house, text, tokens), "part", "push-own").missing


def test_an_absent_claim_is_an_outcome_of_its_own(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text().replace(
            'when: claims.ref == "refs/heads/main"',
            'when: has(claims.environment) && claims.environment == "live"',
        )
    )
    coverage = measure(house, GRID.replace("A    A", "A    ."))
    part = next(
        one for one in coverage.points if one.kind == "part" and one.text.startswith("claims.env")
    )
    assert ("T", "F", "E") == part.wanted
    assert {"E"} == part.seen


def test_mcdc_needs_each_part_to_decide_alone(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text().replace(
            'when: claims.ref == "refs/heads/main"',
            'when: claims.ref == "refs/heads/main" && claims.event_name == "push"',
        )
    )
    tokens = (
        TOKENS + "  both: {from: main, claims: {ref: refs/heads/x, event_name: schedule}}\n"
        "  one: {from: main, claims: {ref: refs/heads/x}}\n"
    )
    together = measure(
        house, GRID + "      both  acme/app   A    .\n      one acme/lib A .\n", tokens
    )
    pairs = [
        one.missing for one in together.points if one.kind == "mcdc" and one.name == "push-own"
    ]
    assert [("F",), ("F",)] == pairs
    alone = measure(house, GRID + "      both acme/app A .\n      one  acme/app   A    .\n", tokens)
    pairs = [one.missing for one in alone.points if one.kind == "mcdc" and one.name == "push-own"]
    assert [(), ("F",)] == pairs


def test_the_combination_of_parts_is_the_whole_condition(house: Repository) -> None:
    policy = house.root / "policy" / "policy.yaml"
    text = policy.read_text()
    for condition in (
        'claims.ref == "refs/heads/a" || !(claims.actor == "b") && claims.workflow != "c"',
        'claims.ref == "refs/heads/a" ? claims.actor == "b" : claims.workflow == "c"',
        'has(claims.environment) && claims.environment == "x" || claims.ref == "refs/heads/a"',
    ):
        block = f">-\n      {condition}"
        policy.write_text(text.replace('claims.ref == "refs/heads/main"', block))
        compiled = house.load(GRID).compiled.compilation.policy
        assert compiled is not None
        when = next(one.when for one in compiled.grants if one.name == "push-own")
        assert when is not None
        parts = Parts(when)
        for claims in (
            {"ref": "refs/heads/a", "actor": "b", "workflow": "c"},
            {"ref": "x", "actor": "b", "workflow": "c"},
            {"ref": "x", "actor": "x", "workflow": "x", "environment": "x"},
            {"actor": "b"},
        ):
            variables = {"claims": claims}
            values = zip(parts.parts, parts.values(variables), strict=True)
            known = {id(part.node): value for part, value in values}
            assert parts.whole(variables) == combine(when.node, known)


# --- possible tokens -----------------------------------------------------------------------------


def condition(house: Repository, text: str) -> None:
    """Give the grant `push-own` another condition."""
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(
        policy.read_text().replace('claims.ref == "refs/heads/main"', f">-\n      {text}")
    )


def own(coverage: Coverage, kind: str) -> list[Point]:
    """Return the points of the parts of `push-own`."""
    return [one for one in coverage.points if (one.kind, one.name) == (kind, "push-own")]


@pytest.mark.parametrize(
    "text",
    [
        'claims.event_name == "push"',
        'claims.ref == "refs/heads/main"',
        'claims.ref_type == "branch"',
        "claims.ref_protected == 'true'",
        "claims.head_ref == ''",
        "claims.runner_environment != 'self-hosted'",
        "claims.repository_visibility in ['public', 'private']",
        "claims.job_workflow_ref.endsWith('@refs/heads/main')",
        "has(claims.environment)",
        "claims.sub == 'repo:acme/app:ref:refs/heads/main'",
    ],
)
def test_a_suggested_token_is_one_that_the_suite_may_have(house: Repository, text: str) -> None:
    condition(house, text)
    points = own(measure(house), "part")
    (missing,) = set(points[0].missing) - {"E"}
    tokens = f"{TOKENS}  x: {points[0].suggestions[missing]}\n"
    rows = GRID + "      x  acme/app   A    .\n"  # an impossible token would be an error
    assert missing not in own(measure(house, rows, tokens), "part")[0].missing


@pytest.mark.parametrize(
    ("text", "number", "outcome"),
    [
        # By one claim's values, by a relation, by two.
        ('claims.repository.contains("/")', 0, "F"),
        ('claims.event_name == "push" && claims.head_ref == ""', 1, "F"),
        ('claims.ref_type == "tag" && claims.ref.startsWith("refs/tags/")', 1, "F"),
        ('claims.ref.startsWith("refs/pull/") || claims.ref_type == "branch"', 0, "T"),
    ],
)
def test_what_no_possible_token_shows_is_not_wanted(
    house: Repository, text: str, number: int, outcome: str
) -> None:
    condition(house, text)
    points = own(measure(house, GRID.replace("A    A", "A    .")), "mcdc")
    assert outcome in points[number].impossible
    assert outcome not in points[number].missing
    for point in points:
        assert not set(point.impossible) & set(point.wanted)


def test_what_is_possible_is_wanted_even_without_a_token_for_it(house: Repository) -> None:
    condition(house, 'claims.repository_id == "456789" && claims.run_id.matches("^[0-9]{30}$")')
    for point in own(measure(house), "part"):
        assert not point.impossible
        assert point.missing


def test_an_outcome_that_was_seen_is_never_impossible(house: Repository) -> None:
    """A suite shows it with a token that it calls impossible."""
    condition(house, 'claims.event_name == "psh"')
    tokens = TOKENS + "  x: {from: main, claims: {event_name: psh}, impossible: to see it}\n"
    part = own(measure(house, GRID + "      x acme/app A A\n", tokens), "part")[0]
    assert part.seen == {"T", "F"}
    assert part.wanted == ("T", "F")


@pytest.mark.slow
def test_a_suite_may_ask_more_of_one_token_than_a_server_answers_at_once(
    house: Repository,
) -> None:
    loaded = house.load(GRID)
    compilation = loaded.compiled.compilation
    assert compilation.policy is not None
    session, _ = next(pair for case in loaded.cases for pair in questions(loaded, case))
    number = REQUEST_STEPS // (STATEMENT_STEPS * len(compilation.policy.grants))
    asked = [(session, repository_access(f"acme/{one}", "pull")) for one in range(number)]

    coverage = cover(compilation.policy, "policy", Places.of(compilation.sources), asked)

    assert () == point(coverage, "grant", "pull-all").missing
