"""Suites of a policy that asks from where: `client`."""

import pytest

from regauth.policytests.analysis.mutation import mutate
from regauth.policytests.analysis.places import Places
from regauth.policytests.cli import main
from tests.policytests.conftest import POLICY, TOKENS, Repository

OFFICE = 'client.inNetwork("10.0.0.0/8")'
SUITE = """
tests:
  - name: grid
    grid: |
      token repository pull push
      near  acme/app   A    A
      far   acme/app   A    .
"""
SAMPLES = (
    TOKENS.rstrip()
    + """
  near: {from: main, client: 10.1.2.3}
  far: {from: main, client: 192.0.2.1}
"""
)


@pytest.fixture
def office(house: Repository) -> Repository:
    when = 'when: claims.ref == "refs/heads/main"'
    house.write("policy/policy.yaml", POLICY.replace(when, f"{when} && {OFFICE}"))
    return house


def test_each_token_is_used_from_its_address(office: Repository) -> None:
    assert set(office.outcomes(SUITE, f"client: 192.0.2.9\n{SAMPLES}").values()) == {"passed"}


def test_a_suite_says_it_for_all_its_tokens(office: Repository) -> None:
    text = SUITE.replace("near", "main").replace("      far   acme/app   A    .\n", "")

    assert set(office.outcomes(text, f"client: 10.9.9.9\n{TOKENS}").values()) == {"passed"}
    outcomes = office.outcomes(text, f"client: 192.0.2.9\n{TOKENS}")
    assert outcomes["grid[main-acme/app-push]"] == "failed"


def test_without_a_client_every_token_is_an_error(office: Repository) -> None:
    text = SUITE.replace("near", "main")
    (problem,) = office.problems(
        text, SAMPLES.replace("  near: {from: main, client: 10.1.2.3}\n", "")
    )

    assert problem.endswith("missing-client")


def test_an_unknown_client_is_written_out_and_is_an_error_of_the_condition(
    office: Repository,
) -> None:
    text = SUITE.replace("far   acme/app   A    .", "far   acme/app   A    E")
    unknown = f"client: 10.1.2.3\n{SAMPLES}".replace("192.0.2.1", "unknown")

    assert set(office.outcomes(text, unknown).values()) == {"passed"}
    assert office.outcomes(SUITE, unknown)["grid[far-acme/app-push]"] == "error"


@pytest.mark.parametrize("written", ["10.0.0.0/8", "localhost", "10.1.2", "''", "Unknown", "[a]"])
def test_a_client_is_an_address(office: Repository, written: str) -> None:
    assert office.problems(SUITE, f"client: {written}\n{SAMPLES}")


def test_a_suite_of_a_policy_that_does_not_ask_needs_none(house: Repository) -> None:
    text = SUITE.replace("near", "main").replace("      far   acme/app   A    .\n", "")

    assert set(house.outcomes(text).values()) == {"passed"}


@pytest.mark.slow
def test_mutants_of_the_network_are_noticed(office: Repository) -> None:
    def survivors(text: str) -> list[str]:
        loaded = office.load(text, f"client: 192.0.2.9\n{SAMPLES}")
        compilation = loaded.compiled.compilation
        assert compilation.policy is not None
        passed = [(loaded, case) for case in loaded.cases]
        found = mutate(compilation.policy, "policy", Places.of(compilation.sources), passed)
        missed = [
            *(one.mutant for one in found.survivors),
            *(one.mutant for one in found.undecided),
        ]
        assert not [one for one in found.equivalent if OFFICE in one.before]
        return [one.operator for one in missed if OFFICE in one.before]

    only = SUITE.replace("      far   acme/app   A    .\n", "      far   acme/other A    .\n")
    assert survivors(SUITE) == []
    assert "drop-part" in survivors(only)


def test_why_and_can_take_an_address(
    office: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    office.suite(SUITE, f"client: 192.0.2.9\n{SAMPLES}")
    monkeypatch.chdir(office.root)

    def said(*words: str) -> str:
        main([*words])
        output = capsys.readouterr()
        return output.out + output.err

    assert "ALLOWED by push-own" in said("why", "near", "acme/app:push")
    assert "REFUSED" in said("why", "far", "acme/app:push")
    assert "ALLOWED by push-own" in said("why", "far", "acme/app:push", "--client", "10.0.0.1")
    assert "A push-own" not in said("can", "far", "acme/app")
    assert "A push-own" in said("can", "far", "acme/app", "--client", "10.0.0.1")
    assert "is no IP address" in said("why", "far", "acme/app:push", "--client", "home")
