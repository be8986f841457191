"""Compatibility: forms of tokens that were seen to be accepted, and those that were not."""

import pytest

from regauth.servers.configuration.settings import FixedKeyId, KeyIdChoice, Registry
from regauth.servers.signing.compat import Form, IncompatibleError, choose_form


def choose(
    *registries: Registry,
    algorithm: str = "ES256",
    key_id: KeyIdChoice | None = None,
    x5c: bool | None = None,
    certificates: bool = True,
) -> Form:
    return choose_form(registries, algorithm, key_id, x5c=x5c, certificates=certificates)


@pytest.mark.parametrize(
    ("registries", "form"),
    [
        ((), Form("ES256", "libtrust", x5c=True)),
        (("distribution-2.8",), Form("ES256", "libtrust", x5c=True)),
        (
            ("distribution-2.8", "distribution-3.0", "distribution-3.1", "zot"),
            Form("ES256", "libtrust", x5c=True),
        ),
        (("distribution-3-jwks",), Form("ES256", "libtrust", x5c=False)),
        (("distribution-2.8", "distribution-3-jwks"), Form("ES256", "libtrust", x5c=False)),
        (("distribution-3.1", "distribution-3-jwks"), Form("ES256", "rfc7638", x5c=False)),
    ],
)
def test_a_form_is_chosen_that_all_accept(registries: tuple[Registry, ...], form: Form) -> None:
    assert choose(*registries) == form


def test_without_certificates_the_key_id_decides() -> None:
    assert choose("distribution-2.8", certificates=False).key_id == "libtrust"
    assert choose("distribution-3.1", certificates=False).key_id == "rfc7638"
    assert choose("distribution-3.0", algorithm="RS256", certificates=False).key_id == "rfc7638"


@pytest.mark.parametrize(
    ("registries", "given", "message"),
    [
        (("distribution-2.8",), {"algorithm": "EdDSA"}, "does not know EdDSA"),
        (("distribution-2.8",), {"x5c": False, "key_id": "rfc7638"}, "libtrust id alone"),
        (("distribution-2.8", "distribution-3.1"), {"x5c": False}, "RFC 7638 id alone"),
        (("distribution-3.0",), {"certificates": False}, "fixed in 3.1"),
        (("distribution-3-jwks",), {"x5c": True}, "having no root"),
        (("distribution-2.8",), {"key_id": FixedKeyId("a"), "x5c": False}, "a name of its own"),
        (("harbor",), {}, "set up for RS256"),
        (
            ("harbor",),
            {"algorithm": "RS256", "x5c": False, "key_id": "rfc7638"},
            "libtrust id alone",
        ),
        (
            ("distribution-2.8", "distribution-3.1", "distribution-3-jwks"),
            {},
            "distribution-3-jwks objects",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_each_registry_s_reason(
    registries: tuple[Registry, ...], given: dict[str, object], message: str
) -> None:
    with pytest.raises(IncompatibleError, match=message):
        choose(*registries, **given)


def test_what_is_given_is_kept() -> None:
    assert choose("distribution-2.8", key_id=FixedKeyId("mine")) == Form(
        "ES256", FixedKeyId("mine"), x5c=True
    )
    assert choose("distribution-3.1", algorithm="EdDSA", x5c=True).x5c
