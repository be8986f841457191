"""What looks like a token is taken out of a log's text, and nothing else is."""

import base64

import pytest

from regauth.engine.redaction import REDACTED, without_tokens


def written(blank: str) -> str:
    """Return a token by an issuer that writes a blank after the brace; it is a good one."""
    parts = [f'{{{blank}"alg": "RS256"}}', f'{{{blank}"sub": "somebody"}}', "signature-of-it"]
    return ".".join(base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode() for one in parts)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n", "\t", "  "])
@pytest.mark.parametrize("around", ["{}", '{{"detail":"{}"}}', "Bearer {},", "no token {} of ours"])
def test_a_token_is_taken_out_wherever_it_stands(blank: str, around: str) -> None:
    assert without_tokens(around.format(written(blank))) == around.format(REDACTED)


def test_the_beginning_of_a_token_is_one() -> None:
    assert without_tokens(f"it was {written('')[:30]}, cut off") == f"it was {REDACTED}, cut off"


@pytest.mark.parametrize(
    "text",
    [
        *("", "a key", "eyes.eye.ewe", "sha256:" + "e" * 64, "repository:acme/eyJ:pull"),
        "https://new.example.com/eyeglasses",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert without_tokens(text) == text
