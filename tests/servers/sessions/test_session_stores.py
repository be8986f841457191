"""What every store of sessions does, wherever it keeps them."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest

from regauth.servers.configuration.settings import (
    PostgresqlSettings,
    SessionSettings,
    SqliteSettings,
)
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.store import SessionRecord, SessionsError, SessionStore
from tests.servers.postgresql import Cluster
from tests.servers.process import PATIENCE

NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


def record(name: str = "one", **changes: object) -> SessionRecord:
    made = SessionRecord(
        sha256(name.encode()).digest(),
        "github",
        f"repo:acme/{name}",
        "registry.example.com",
        '{"sub":"x"}',
        NOW,
        NOW + timedelta(hours=8),
    )
    return replace(made, **changes)


@pytest.fixture
def stores(kept: SessionSettings) -> Iterator[Callable[[], SessionStore]]:
    """Open the same place again and again, as several servers do."""
    opened: list[SessionStore] = []

    def again() -> SessionStore:
        opened.append(open_store(kept))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def store(stores: Callable[[], SessionStore]) -> SessionStore:
    return stores()


def test_what_is_kept_is_found_by_its_digest_alone(store: SessionStore) -> None:
    store.add(record())

    assert store.find(record().digest) == record()
    assert store.find(sha256(b"two").digest()) is None
    assert store.find(b"") is None


def test_it_is_there_for_another_server_and_after_a_restart(
    stores: Callable[[], SessionStore],
) -> None:
    first, second = stores(), stores()
    first.add(record())
    seen = second.find(record().digest)
    first.close()

    assert seen == stores().find(record().digest) == record()


def test_a_moment_is_the_same_in_every_zone(store: SessionStore) -> None:
    east = timezone(timedelta(hours=9))
    store.add(record(began=NOW.astimezone(east), ends=NOW.astimezone(east)))

    assert store.find(record().digest) == record(ends=NOW)
    assert store.prune(NOW - timedelta(microseconds=1)) == 0
    assert store.prune(NOW) == 1


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE sessions; --", "%s {}", "ümlaut \U0001f600", "a\nb"]
)
def test_a_text_is_kept_as_it_is(store: SessionStore, text: str) -> None:
    store.add(record(subject=text, service=text, claims=text))

    assert store.find(record().digest) == record(subject=text, service=text, claims=text)
    assert store.revoke("github", text) == 1


def test_a_text_that_cannot_be_kept_is_an_error_of_the_store_and_no_other(
    store: SessionStore,
) -> None:
    for text in ("a\0b", "\ud800"):
        try:
            store.add(record(subject=text))
        except SessionsError:
            assert store.find(record().digest) is None
        else:
            found = store.find(record().digest)
            assert found is not None
            assert found.subject == text
            store.revoke(None, None)


def test_the_newest_is_shown_first(store: SessionStore) -> None:
    for minutes, name in enumerate(("a", "b", "c")):
        store.add(record(name, began=NOW + timedelta(minutes=minutes)))

    assert [one.subject for one in store.all()] == ["repo:acme/c", "repo:acme/b", "repo:acme/a"]


def test_revoking_ends_what_is_named_and_nothing_else(store: SessionStore) -> None:
    for name in ("a", "b"):
        store.add(record(name))
        store.add(record(f"{name}-too", provider="gitlab", subject=f"repo:acme/{name}"))

    assert store.revoke("github", "repo:acme/a") == 1
    assert store.revoke("nobody", None) == 0
    assert store.revoke("gitlab", None) == 2
    assert [one.subject for one in store.all()] == ["repo:acme/b"]
    assert store.revoke(None, None) == 1
    assert store.all() == []


def test_o12_revoking_an_id_ends_that_session_alone(store: SessionStore) -> None:
    for name in ("a", "b"):
        store.add(record(name))
    [one] = [one for one in store.all() if one.subject == "repo:acme/a"]

    assert store.revoke_id(one.id) == 1
    assert store.revoke_id(one.id) == 0
    assert [left.subject for left in store.all()] == ["repo:acme/b"]
    for wrong in ("", "00", "zz" * 8, "%" * 16):
        with pytest.raises(ValueError):
            store.revoke_id(wrong)


def test_new_sessions_make_room_of_ended_ones(store: SessionStore) -> None:
    store.add(record("old", ends=NOW))
    store.add(record("current", ends=NOW + timedelta(microseconds=1)))
    store.add(record("new"))

    assert {one.subject for one in store.all()} == {"repo:acme/current", "repo:acme/new"}


def test_servers_that_begin_at_once_make_one_set_of_tables(
    stores: Callable[[], SessionStore],
) -> None:
    ready, errors = threading.Barrier(8), []

    def begin(number: int) -> None:
        store = stores()
        ready.wait(PATIENCE)
        try:
            store.add(record(str(number)))
        except SessionsError as error:
            errors.append(error)
        store.close()

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert errors == []
    assert len(stores().all()) == 8


def test_many_writers_at_once_lose_nothing(stores: Callable[[], SessionStore]) -> None:
    shared = stores()
    shared.prune(NOW)
    errors: list[BaseException] = []

    def write(store: SessionStore, writer: int) -> None:
        try:
            for number in range(25):
                store.add(record(f"{writer}-{number}", ends=NOW + timedelta(days=number)))
                store.prune(NOW)
        except BaseException as error:  # noqa: BLE001 - reported by the test
            errors.append(error)
        store.close()

    threads = [
        threading.Thread(target=write, args=(shared if writer % 2 else stores(), writer))
        for writer in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert errors == []
    assert len(stores().all()) == 4 * 24  # one of each writer had ended already


WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.store import SessionRecord
from regauth.servers.configuration.settings import PostgresqlSettings, SqliteSettings
kind, where, password = sys.argv[1:]
store = open_store(
    SqliteSettings(Path(where)) if kind == "file" else PostgresqlSettings(where, Path(password))
)
now, number = datetime(2026, 11, 1, tzinfo=UTC), 0
while True:
    digest = sha256(str(number).encode()).digest()
    store.add(SessionRecord(digest, "p", "s" * 2000, "r", "c" * 9000, now, now + timedelta(days=1)))
    print(number, flush=True)
    number += 1
"""


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_kept(
    kept: SessionSettings, store: SessionStore
) -> None:
    store.prune(NOW)
    place = (
        ["file", str(kept.file), ""]
        if isinstance(kept, SqliteSettings)
        else ["database", kept.conninfo, str(kept.password_file)]
    )
    command = [sys.executable, "-c", WRITER, *place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(40)]
        writer.kill()
        said += writer.stdout.readlines()
    numbers = [int(line) for line in said if line.endswith("\n")]
    found = [store.find(sha256(str(number).encode()).digest()) for number in numbers]

    assert len(numbers) >= 40
    assert None not in found
    store.add(record())
    assert len(store.all()) - len(numbers) in (1, 2), "the last may have been kept, unsaid"


def test_tables_of_another_version_are_not_touched(
    kept: SessionSettings,
    stores: Callable[[], SessionStore],
    request: pytest.FixtureRequest,
) -> None:
    stores().add(record())
    if isinstance(kept, PostgresqlSettings):
        cluster: Cluster = request.getfixturevalue("cluster")
        name = kept.conninfo.rpartition("dbname=")[2]
        cluster.sql("UPDATE regauth_sessions_version SET version = 2", name)
    else:
        set_version(kept, 2)

    with pytest.raises(SessionsError, match=r"version .*2.*; this server knows 1"):
        stores().find(record().digest)


def set_version(kept: SqliteSettings, version: int) -> None:
    connection = sqlite3.connect(kept.file)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
