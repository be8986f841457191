"""The key folder: made, rotated, retired, and never half there."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import BasicConstraints

from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import algorithms_of
from regauth.engine.tokens.pem import load_certificates
from regauth.servers.signing import key_folder
from regauth.servers.signing.certificates import make_key
from regauth.servers.signing.key_folder import KeyFolderError
from tests.servers.full_disk import no_file_larger_than

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def test_a_new_folder_has_a_current_key_signed_by_its_authority(tmp_path: Path) -> None:
    stored = key_folder.create(tmp_path / "keys", "ES256", NOW)
    root = load_certificates((tmp_path / "keys" / "root.crt").read_bytes())[0]
    leaf = stored.current.chain[0]

    leaf.verify_directly_issued_by(root)
    assert leaf.public_key() == stored.current.key.public_key()
    assert stored.others == ()
    assert key_folder.read(tmp_path / "keys").current.name == "20261101T120000Z"


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")}

    assert set(modes.values()) == {0o600}
    assert "root.key" in modes


def test_rotation_keeps_the_keys_before_and_publishes_all(tmp_path: Path) -> None:
    first = key_folder.create(tmp_path, "ES256", NOW)
    second = key_folder.rotate(tmp_path, "RS256", NOW + timedelta(days=30))
    published = parse_jwks((tmp_path / "jwks.json").read_bytes())
    expected = {
        key_id(stored.current.key.public_key(), form)
        for stored in (first, second)
        for form in ("libtrust", "rfc7638")
    }

    assert [first.current.name] == [one.name for one in second.others]
    assert expected == {key.key_id for key in published.keys}
    assert "d" not in json.loads((tmp_path / "jwks.json").read_text())["keys"][0]


def test_two_rotations_in_one_second_make_two_keys(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    stored = key_folder.rotate(tmp_path, "ES256", NOW)

    assert [one.name for one in stored.all] == ["20261101T120000Z-2", "20261101T120000Z"]


def test_retiring_removes_old_keys_and_never_the_current_one(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    key_folder.rotate(tmp_path, "ES256", NOW + timedelta(days=30))

    removed = key_folder.retire(tmp_path, NOW + timedelta(days=365))

    assert removed == ("20261101T120000Z",)
    assert [one.name for one in key_folder.read(tmp_path).all] == ["20261201T120000Z"]
    assert len(json.loads((tmp_path / "jwks.json").read_text())["keys"]) == 2


def test_a_folder_with_keys_is_not_made_again(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())

    with pytest.raises(KeyFolderError, match="has keys already"):
        key_folder.create(tmp_path, "ES256", NOW)

    assert before == sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "current").unlink(), "is not a key folder"),
        (lambda folder: (folder / "current").write_text("other"), "names the key 'other'"),
        (lambda folder: (folder / "20261101T120000Z.key").write_text("x"), "cannot be read"),
        (
            lambda folder: (folder / "20261101T120000Z.crt").unlink(),
            "/20261101T120000Z cannot be used: No such file or directory$",
        ),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_with_the_file_s_name(
    tmp_path: Path, spoil: object, message: str
) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    assert callable(spoil)
    spoil(tmp_path)

    with pytest.raises(KeyFolderError, match=message):
        key_folder.read(tmp_path)


def test_curve_keys_have_full_coordinates() -> None:
    """Three of four keys of P-521 would not, and Distribution 3.1 would not know them."""
    for _ in range(20):
        point = make_key("ES512").public_key().public_numbers()

        assert min(point.x, point.y) >= 1 << 520


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_can_sign_with_what_it_was_made_for(tmp_path: Path, algorithm: str) -> None:
    stored = key_folder.create(tmp_path, algorithm, NOW)

    assert algorithms_of(stored.current.key.public_key())[0] == algorithm


def test_a_certificate_holds_for_a_clock_that_is_behind_and_ends_with_its_authority(
    tmp_path: Path,
) -> None:
    stored = key_folder.create(tmp_path, "ES256", NOW, timedelta(days=9999))
    root = load_certificates((tmp_path / "root.crt").read_bytes())[0]
    leaf = stored.current.chain[0]

    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == root.not_valid_after_utc == NOW + key_folder.ROOT_LIFE


def test_the_authority_certifies_signing_keys_and_no_other_authority(tmp_path: Path) -> None:
    stored = key_folder.create(tmp_path, "ES256", NOW)
    root = load_certificates((tmp_path / "root.crt").read_bytes())[0]
    found = [
        one.extensions.get_extension_for_class(BasicConstraints).value
        for one in (root, stored.current.chain[0])
    ]

    assert found == [BasicConstraints(True, 0), BasicConstraints(False, None)]


def test_a_file_that_cannot_be_written_leaves_the_one_that_there_is(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with no_file_larger_than(10), pytest.raises(OSError, match="too large"):
        key_folder.write_file(tmp_path / "root.crt", b"x" * 5000)

    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("room", "made"), [(10, 0), (400, 0), (900, 1)], ids=["none", "a key", "a certificate"]
)
def test_a_rotation_that_a_full_disk_stops_leaves_a_folder_that_serves(
    tmp_path: Path, room: int, made: int
) -> None:
    key_folder.create(tmp_path, "ES256", NOW)
    key_set = (tmp_path / "jwks.json").read_bytes()
    with no_file_larger_than(room), pytest.raises(KeyFolderError, match="cannot be written"):
        key_folder.rotate(tmp_path, "ES256", NOW)
    stored = key_folder.read(tmp_path)

    assert (stored.current.name, len(stored.others)) == ("20261101T120000Z", made)
    assert (tmp_path / "jwks.json").read_bytes() == key_set
    assert not list(tmp_path.glob(".*"))
    key_folder.rotate(tmp_path, "ES256", NOW)
    assert len(key_folder.read(tmp_path).all) == made + 2
