"""What is said of the values of a claim: "never" and "always" only when that is certain."""

from regauth.engine import languages
from regauth.engine.issuers.claims import Claim
from regauth.engine.issuers.values import ANY, Values

NAMES = Values(enum=("main", "next"))
COUNTED = Values(enum=(1, True))
REFS = Values(pattern="refs/(heads|tags)/[a-z]+")


def test_listed_values_are_always_in_a_language_that_has_all_of_them() -> None:
    assert NAMES.is_always_in(languages.literals(["next", "main", "other"]))
    assert not NAMES.is_always_in(languages.literals(["main"]))
    assert NAMES.can_be_in(languages.prefixed("n"))
    assert not NAMES.can_be_in(languages.prefixed("o"))


def test_of_values_that_are_no_texts_nothing_is_certain() -> None:
    for values in (COUNTED, ANY):
        assert not values.is_always_in(languages.literals(["1", "true"]))
        assert values.can_be_in(languages.literals(["other"]))


def test_an_example_tells_at_once_and_all_examples_tell_nothing_alone() -> None:
    claim = Claim(("ref",), always=True, values=REFS, examples=("refs/heads/main", 1))

    assert claim.is_always_in(languages.prefixed("refs/"))
    assert not claim.is_always_in(languages.prefixed("refs/tags/"))
    assert not claim.is_always_in(languages.prefixed("refs/heads/"))
