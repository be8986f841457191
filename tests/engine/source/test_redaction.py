"""What looks like a token is taken out of a log's text, and nothing else is."""

import base64

import pytest

from regauth.engine.source.redaction import REDACTED, without_tokens


def written(blank: str, before: str = "") -> str:
    """Return a token by an issuer that writes blanks about the brace; it is a good one."""
    texts = ('"alg": "RS256"}', '"sub": "somebody"}')
    parts = [*(f"{before}{{{blank}{text}" for text in texts), "signature-of-it"]
    return ".".join(base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode() for one in parts)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n", "\t", "  "])
@pytest.mark.parametrize("before", ["", " ", "\n", "\r\n", " " * 40])
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        '{{"detail":"{}"}}',
        "Bearer {},",
        "no token {} of ours",
        "Ihost.example.com.{}",
        "..{}",
    ],
)
def test_a_token_is_taken_out_wherever_it_stands(blank: str, before: str, around: str) -> None:
    assert without_tokens(around.format(written(blank, before))) == around.format(REDACTED)


def test_the_beginning_of_a_token_is_one() -> None:
    assert without_tokens(f"it was {written('')[:30]}, cut off") == f"it was {REDACTED}, cut off"


@pytest.mark.parametrize(
    "text",
    [
        *("", "a key", "eyes.eye.ewe", "sha256:" + "e" * 64, "repository:acme/eyJ:pull"),
        "https://new.example.com/eyeglasses",
        "https://oidc.ewr-cluster-01.internal-net.example.com",
        "registry.ewr1-production.acme-corp.example.com newrelic-agent.monitoring.svc",
        "eyA-somewhere-1.Ireland-west.Internal.example.com",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert without_tokens(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "eyA" * 100_000 + " .ey",
        "eyJ." * 100_000,
        "e.I." * 100_000,
        "ewo" + "." * 100_000,
        "a" * 300_000 + " .I",
        "ICAg" * 100_000 + ".I.I",
    ],
    ids=lambda text: text[:8],
)
def test_a_long_text_is_read_in_no_time(text: str) -> None:
    """In time that grows with its square, this test would not end for hours."""
    assert REDACTED not in without_tokens(text)
