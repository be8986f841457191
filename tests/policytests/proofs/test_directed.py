"""The prover as it is passes every directed check (`directed`)."""

import pytest

from regauth.policytests.proofs import About
from tests.policytests.proofs import directed, kept


def test_each_construct_is_the_engines_outcome() -> None:
    directed.check_constructs()


@pytest.mark.parametrize("seed", range(4))
def test_random_conditions_are_the_engines_outcome(seed: int) -> None:
    directed.check_random_conditions(seed, 60)


@pytest.mark.parametrize("about", list(About))
@pytest.mark.parametrize("name", list(directed.GAINS))
def test_a_policy_that_gives_a_little_more_is_seen_to(name: str, about: About) -> None:
    directed.check_pair(name, about)


def test_what_is_equal_is_proved() -> None:
    directed.check_equals()


def test_the_cell_law_holds() -> None:
    directed.check_cells()


@pytest.mark.parametrize("name", list(kept.CHECKS))
def test_what_is_kept_is_what_would_be_made_anew(name: str) -> None:
    kept.CHECKS[name]()
