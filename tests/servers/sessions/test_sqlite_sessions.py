"""Sessions in a file: whose it is, when it is removed, broken, locked, or its disk is full."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from regauth.servers.configuration.settings import SqliteSettings
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.sqlite import SqliteSessions
from regauth.servers.sessions.store import SessionRecord, SessionsError, StoreSettingsError
from tests.servers.full_disk import no_file_larger_than

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def record(name: str, claims: str = "{}") -> SessionRecord:
    digest = sha256(name.encode()).digest()
    return SessionRecord(digest, "github", name, "r", claims, NOW, NOW + timedelta(hours=8))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteSessions]:
    made = SqliteSessions(SqliteSettings(file), seconds=0.1)
    yield made
    made.close()


def test_the_files_are_their_owner_s_alone(store: SqliteSessions, file: Path) -> None:
    store.add(record("one"))
    made = list(file.parent.glob("sessions.db*"))

    assert len(made) == 3
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


def test_a_file_that_is_removed_takes_its_sessions_with_it(
    store: SqliteSessions, file: Path
) -> None:
    store.add(record("one"))
    for path in file.parent.glob("sessions.db*"):
        path.unlink()

    assert store.find(record("one").digest) is None
    store.add(record("two"))
    assert [one.subject for one in store.all()] == ["two"]


def test_a_folder_that_is_not_there_is_said_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(StoreSettingsError, match="whose folder is not there"):
        open_store(SqliteSettings(tmp_path / "none" / "sessions.db"))


def test_what_is_no_database_is_said_and_not_written_over(
    store: SqliteSessions, file: Path
) -> None:
    text = b"this is no database at all, nor was it ever one\n" * 100
    file.write_bytes(text)
    for use in (lambda: store.add(record("one")), lambda: store.find(b"")):
        with pytest.raises(SessionsError, match="not a database"):
            use()

    assert file.read_bytes() == text


def test_a_writer_that_does_not_end_holds_nobody_for_long(
    store: SqliteSessions, file: Path
) -> None:
    store.add(record("one"))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found = store.find(record("one").digest)
    with pytest.raises(SessionsError, match="locked"):
        store.add(record("two"))
    other.execute("ROLLBACK")
    other.close()

    assert found is not None, "reading goes on"
    store.add(record("two"))
    assert len(store.all()) == 2


def fill(store: SqliteSessions) -> list[str]:
    """Add sessions until one cannot be; return those that were kept."""
    kept: list[str] = []
    for number in range(1000):
        try:
            store.add(record(str(number), claims="c" * 20_000))
        except SessionsError:
            return kept
        kept.append(str(number))
    pytest.fail("there was room for all of them")


def test_a_file_that_cannot_grow_keeps_what_it_has(store: SqliteSessions) -> None:
    store.add(record("one"))
    with no_file_larger_than(300_000):
        kept = fill(store)
        found = {one.subject for one in store.all()}
        revoked = store.revoke("github", "one")

    assert kept
    assert found == {"one", *kept}
    assert revoked == 1
    store.add(record("two"))
    assert {one.subject for one in store.all()} == {"two", *kept}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", place]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root alone, and not in every container")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_keeps_what_it_has(small_disk: Path) -> None:
    store = SqliteSessions(SqliteSettings(small_disk / "sessions.db"), seconds=0.1)
    kept = fill(store)
    with pytest.raises(SessionsError, match="disk is full"):
        store.add(record("more", claims="c" * 20_000))
    found = [store.find(record(name).digest) for name in kept]
    store.close()
    reopened = SqliteSessions(SqliteSettings(small_disk / "sessions.db"), seconds=0.1)
    again = {one.subject for one in reopened.all()}
    reopened.close()

    assert kept
    assert None not in found
    assert again == set(kept)
