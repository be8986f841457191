"""`token-server keys`: what it does to a folder and what it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from regauth.engine.tokens.key_ids import key_id
from regauth.servers.commands.token_server import main
from regauth.servers.signing import key_folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["keys", *map(str, arguments)])


def test_new_makes_a_folder_and_shows_how_registries_use_it(tmp_path: Path) -> None:
    result = run("new", tmp_path / "keys", "--algorithm", "RS256")
    public = key_folder.read(tmp_path / "keys").current.key.public_key()

    assert result.exit_code == 0, result.output
    assert f"kid (libtrust)  {key_id(public, 'libtrust')}" in result.output
    assert f"kid (rfc7638)   {key_id(public, 'rfc7638')}" in result.output
    assert f"rootcertbundle: {tmp_path}/keys/root.crt" in result.output
    assert f"jwks: {tmp_path}/keys/jwks.json" in result.output
    assert "RS256  signs now" in result.output


def test_new_does_not_replace_keys(tmp_path: Path) -> None:
    run("new", tmp_path)
    result = run("new", tmp_path)

    assert result.exit_code == 2
    assert "has keys already" in result.output


def test_rotate_signs_with_a_new_key_and_keeps_the_one_before(tmp_path: Path) -> None:
    run("new", tmp_path)
    before = key_folder.read(tmp_path).current.name
    result = run("rotate", tmp_path)
    stored = key_folder.read(tmp_path)

    assert result.exit_code == 0, result.output
    assert stored.current.name != before
    assert [before] == [one.name for one in stored.others]
    assert result.output.count("signs now") == 1
    assert result.output.count("published") == 1


def test_rotate_can_remove_old_keys(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", datetime.now(UTC) - timedelta(days=100))
    result = run("rotate", tmp_path, "--retire-after", "30")

    assert "removed" in result.output
    assert len(key_folder.read(tmp_path).all) == 1


def test_show_changes_nothing_and_marks_what_has_expired(tmp_path: Path) -> None:
    key_folder.create(tmp_path, "ES256", datetime.now(UTC) - timedelta(days=500))
    before = sorted(path.name for path in tmp_path.iterdir())
    result = run("show", tmp_path)

    assert "(expired)" in result.output
    assert before == sorted(path.name for path in tmp_path.iterdir())


def test_a_folder_without_keys_is_said_to_be_none(tmp_path: Path) -> None:
    for command in ("show", "rotate"):
        result = run(command, tmp_path / "nowhere")

        assert result.exit_code == 2
        assert "Traceback" not in result.output
