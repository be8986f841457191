"""Lifetimes in suites, snapshots and mutants."""

from regauth.policytests.analysis.mutation import mutate
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution.access_table import parse_table
from tests.policytests.conftest import POLICY, Repository

GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    A
"""
REQUEST = """
  - name: pushes
    token: main
    scopes: ["repository:acme/app:pull,push"]
    expect: {granted: ["repository:acme/app:pull,push"], lifetime: LIFETIME}
"""


def shortened(house: Repository) -> Repository:
    text = POLICY.replace(
        "    actions: [pull, push]\n", "    actions: [pull, push]\n    tokenLifetime: 2m\n"
    )
    house.write("policy/policy.yaml", text)
    return house


def test_a_request_says_how_long_its_token_is_valid(house: Repository) -> None:
    shortened(house)
    right = GRID + REQUEST.replace("LIFETIME", "120s")
    longer, server = (GRID + REQUEST.replace("LIFETIME", one) for one in ("5m", "server"))

    assert set(house.outcomes(right).values()) == {"passed"}
    assert house.outcomes(longer)["pushes"] == house.outcomes(server)["pushes"] == "failed"
    assert "expected a token that is valid for at most 300 seconds, it is for at most 120" in (
        house.judge(longer)["pushes"].summary
    )


def test_a_pull_alone_is_not_shortened(house: Repository) -> None:
    """Another grant allows it without a limit."""
    text = GRID + REQUEST.replace("pull,push", "pull").replace("LIFETIME", "server")

    assert shortened(house).outcomes(text)["pushes"] == "passed"


def test_a_wrong_lifetime_is_an_error(house: Repository) -> None:
    for wrong in ("soon", "''", "5"):
        assert shortened(house).problems(GRID + REQUEST.replace("LIFETIME", wrong))


def test_a_suite_that_does_not_ask_for_the_lifetime_leaves_a_mutant(house: Repository) -> None:
    policy = shortened(house).root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().partition("  - name: broken\n")[0])
    for more, left in (("", 1), (REQUEST.replace("LIFETIME", "2m"), 0)):
        loaded = house.load(GRID + more)
        compilation = loaded.compiled.compilation
        assert compilation.policy is not None
        passed = [(loaded, case) for case in loaded.cases]
        found = mutate(compilation.policy, "policy", Places.of(compilation.sources), passed)
        survivors = [one for one in found.survivors if one.mutant.operator == "drop-token-lifetime"]

        assert len(survivors) == left
        for one in survivors:
            witness = one.witness
            assert witness.token == "main"
            assert (witness.before, witness.after) == (
                "a token of 0:02:00",
                "a token of the server's",
            )


def test_a_longer_lifetime_widens_a_snapshot() -> None:
    def table(cell: str) -> str:
        return f"token  repository  pull\nmain   acme/app    {cell}\n"

    cells = [". x", "A g 60s", "A g 120s", "A g"]
    for low, before in enumerate(cells):
        for high, after in enumerate(cells):
            found = list(parse_table(table(after)).widenings(parse_table(table(before))))

            assert bool(found) == (high > low), (before, after)
