"""The key folder: made, rotated, retired, and never half there."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.engine.keys import key_id, load_certificates, parse_jwks
from regauth.servers import key_folder
from regauth.servers.key_folder import KeyFolderError

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


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_curve_keys_have_full_coordinates(tmp_path: Path, algorithm: str) -> None:
    stored = key_folder.create(tmp_path, algorithm, NOW)
    jwk = json.loads((tmp_path / "jwks.json").read_text())["keys"][0]

    assert not jwk["x"].startswith("AA")
    assert not jwk["y"].startswith("AA")
    assert stored.current.key.public_key().key_size in (256, 384, 521)  # type: ignore[union-attr]
