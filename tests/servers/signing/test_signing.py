"""The signing key, in each form that a registry knows it by."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.engine.tokens.key_ids import key_id
from regauth.servers.configuration.settings import FixedKeyId, KeyFiles, KeyFolder, SigningSettings
from regauth.servers.signing import key_folder
from regauth.servers.signing.certificates import (
    certificate_pem,
    make_authority,
    make_key,
    private_pem,
)
from regauth.servers.signing.signer import SigningError, load_signer

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key_folder.create(tmp_path, "ES256", NOW)
    return tmp_path


def test_a_folder_gives_its_current_key_with_its_certificate(folder: Path) -> None:
    signer = load_signer(SigningSettings(KeyFolder(folder)), NOW)
    stored = key_folder.read(folder).current

    assert signer.key.key_id == key_id(stored.key.public_key(), "libtrust")
    assert signer.key.x5c == stored.chain
    assert signer.key.algorithm == "ES256"
    assert signer.expires == stored.chain[0].not_valid_after_utc


@pytest.mark.parametrize("choice", ["rfc7638", FixedKeyId("mine")])
def test_the_key_id_is_the_one_that_was_chosen(folder: Path, choice: object) -> None:
    settings = SigningSettings(KeyFolder(folder), key_id=choice)
    signer = load_signer(settings, NOW)
    public = signer.key.public_key

    assert signer.key.key_id == ("mine" if choice != "rfc7638" else key_id(public, "rfc7638"))


def test_the_keys_before_are_published_beside_the_current_one(folder: Path) -> None:
    key_folder.rotate(folder, "RS256", NOW)
    signer = load_signer(SigningSettings(KeyFolder(folder)), NOW)

    assert [algorithm for _, _, algorithm in signer.published] == ["RS256", "ES256"]


def test_a_key_before_is_published_with_the_algorithm_it_signed_with(folder: Path) -> None:
    key_folder.create(folder / "rsa", "RS512", NOW)
    key_folder.rotate(folder / "rsa", "ES256", NOW)
    key_folder.rotate(folder / "rsa", "RS512", NOW)
    signer = load_signer(SigningSettings(KeyFolder(folder / "rsa"), algorithm="RS512"), NOW)

    assert [algorithm for _, _, algorithm in signer.published] == ["RS512", "ES256", "RS512"]


def test_a_fixed_key_id_is_published_once(folder: Path) -> None:
    key_folder.rotate(folder, "ES256", NOW)
    signer = load_signer(SigningSettings(KeyFolder(folder), key_id=FixedKeyId("mine")), NOW)

    assert [name for _, name, _ in signer.published] == ["mine"]


def test_no_certificates_are_sent_when_they_are_switched_off(folder: Path) -> None:
    signer = load_signer(SigningSettings(KeyFolder(folder), x5c=False), NOW)

    assert signer.key.x5c == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "RS256"}, "RS256 does not fit"),
        ({"source": KeyFolder(Path("/nowhere"))}, "is not a key folder"),
        ({"source": KeyFiles(Path("/nowhere"))}, "cannot be read"),
    ],
)
def test_keys_that_cannot_sign_are_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    settings = SigningSettings(**{"source": KeyFolder(folder), **change})

    with pytest.raises(SigningError, match=message):
        load_signer(settings, NOW)


@pytest.mark.parametrize("moment", [NOW - timedelta(days=1), NOW + timedelta(days=398)])
def test_a_certificate_that_registries_would_refuse_today_is_refused(
    folder: Path, moment: datetime
) -> None:
    with pytest.raises(SigningError, match="registries check that"):
        load_signer(SigningSettings(KeyFolder(folder)), moment)
    assert load_signer(SigningSettings(KeyFolder(folder), x5c=False), moment).expires is None


def test_a_chain_holds_as_long_as_all_of_it_does(folder: Path, tmp_path: Path) -> None:
    stored = key_folder.read(folder).current
    intermediate = make_authority("intermediate", NOW, timedelta(days=1)).certificate
    key, chain = tmp_path / "own.key", tmp_path / "chain.crt"
    key.write_bytes(private_pem(stored.key))
    chain.write_bytes(certificate_pem(*stored.chain, intermediate))
    settings = SigningSettings(KeyFiles(key, chain))

    assert load_signer(settings, NOW).expires == NOW + timedelta(days=1)
    with pytest.raises(SigningError, match="registries check that"):
        load_signer(settings, NOW + timedelta(days=2))


def test_a_key_file_needs_its_own_certificate_and_not_another_s(
    folder: Path, tmp_path: Path
) -> None:
    key, chain = tmp_path / "own.key", tmp_path / "other.crt"
    key.write_bytes(private_pem(make_key("ES256")))
    chain.write_bytes(certificate_pem(*key_folder.read(folder).current.chain))

    with pytest.raises(SigningError, match="is not this key's"):
        load_signer(SigningSettings(KeyFiles(key, chain)), NOW)
    with pytest.raises(SigningError, match="needs the key's certificates"):
        load_signer(SigningSettings(KeyFiles(key), x5c=True), NOW)
    assert load_signer(SigningSettings(KeyFiles(key)), NOW).key.x5c == ()
