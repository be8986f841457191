"""Challenges: lists of them in one field and in several, and what is written is read back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.servers.protocol.challenges import (
    MAX_TEXT,
    basic_challenge,
    bearer_challenge,
    read_challenges,
)

BEARER = 'Bearer realm="https://auth.example.com/auth/token",service="registry.example.com"'
READ: dict[str, list[tuple[str, dict[str, str]]]] = {
    "": [],
    " , ,": [],
    "Basic": [("basic", {})],
    "Negotiate, Basic realm=reg": [("negotiate", {}), ("basic", {"realm": "reg"})],
    'Negotiate YII=, Basic realm="reg"': [("negotiate", {}), ("basic", {"realm": "reg"})],
    'bearer REALM = "a \\"b\\", c" ,service=s': [("bearer", {"realm": 'a "b", c', "service": "s"})],
    "Bearer realm=x,, ,service=y,Digest realm=z": [
        ("bearer", {"realm": "x", "service": "y"}),
        ("digest", {"realm": "z"}),
    ],
    'Bearer realm="a",realm="b", Basic realm="c"': [("basic", {"realm": "c"})],
    'Basic realm="a" oops, Bearer realm="b"': [("basic", {"realm": "a"})],
    'Basic realm="a"Bearer realm="b"': [("basic", {"realm": "a"})],
    'Basic realm="a", Bearer realm="b': [("basic", {"realm": "a"}), ("bearer", {})],
    "=, Basic": [],
}


@pytest.mark.parametrize("text", READ)
def test_a_field_is_a_list_of_challenges(text: str) -> None:
    assert [(one.scheme, dict(one.parameters)) for one in read_challenges(text)] == READ[text]


def test_fields_are_one_list() -> None:
    found = read_challenges(["Negotiate", BEARER, 'Basic realm="reg"'])

    assert [one.scheme for one in found] == ["negotiate", "bearer", "basic"]
    assert (found[1].realm, found[1].service) == (
        "https://auth.example.com/auth/token",
        "registry.example.com",
    )
    assert read_challenges(None) == []


def test_what_is_too_long_is_cut() -> None:
    assert len(read_challenges("Basic," * MAX_TEXT)) == (MAX_TEXT + 5) // 6


def test_challenges_are_written_as_distribution_writes_them() -> None:
    assert bearer_challenge("https://auth.example.com/auth/token", "registry.example.com") == BEARER
    scoped = bearer_challenge("r", "s", "repository:acme/app:pull", "invalid_token")
    assert scoped == (
        'Bearer realm="r",service="s",scope="repository:acme/app:pull",error="invalid_token"'
    )
    assert basic_challenge("token-server") == 'Basic realm="token-server", charset="UTF-8"'


WORDS = st.from_regex(r"\A[A-Za-z][A-Za-z0-9]{0,8}\Z")
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@st.composite
def challenges(draw: Any) -> tuple[str, tuple[str, dict[str, str]]]:  # noqa: ANN401 - hypothesis's
    """Draw a challenge in one of the forms that it can be written in, and what it says."""
    scheme = draw(WORDS)
    parameters = draw(st.dictionaries(WORDS.map(str.lower), VALUES, max_size=4))
    written = []
    for name, value in parameters.items():
        blank = draw(st.sampled_from(["", " ", "\t"]))
        quoted = "".join("\\" + one if one in '"\\' else one for one in value)
        plain = value.isalnum() and draw(st.booleans())
        text = value if plain else f'"{quoted}"'
        written.append(f"{draw(st.sampled_from([name, name.upper()]))}{blank}={blank}{text}")
    if not written:
        return scheme, (scheme.lower(), {})
    between = draw(st.sampled_from([",", ", ", " ,", ",,", " , ,\t"]))
    return f"{scheme} {between.join(written)}", (scheme.lower(), parameters)


@given(st.lists(challenges(), min_size=1, max_size=4), st.sampled_from([", ", ",", " ,, "]))
def test_every_list_of_challenges_is_read_in_one_field_and_in_several(
    drawn: list[tuple[str, tuple[str, dict[str, str]]]], between: str
) -> None:
    texts, values = [one[0] for one in drawn], [one[1] for one in drawn]

    for form in (between.join(texts), texts):
        assert [(one.scheme, dict(one.parameters)) for one in read_challenges(form)] == values


@given(st.text(st.characters(min_codepoint=9, max_codepoint=255)))
def test_nothing_that_a_server_sends_is_more_than_can_be_read(text: str) -> None:
    for one in read_challenges(text):
        assert one.scheme == one.scheme.lower()
