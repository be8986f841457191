"""Sessions in a database: when it is away, slow, restarted or wrongly configured."""

import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.settings import PostgresqlSettings
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.postgresql import PostgresqlSessions
from regauth.servers.sessions.postgresql_connections import PAUSE_SECONDS
from regauth.servers.sessions.sessions import Sessions
from regauth.servers.sessions.store import SessionRecord, SessionsError, StoreSettingsError
from tests.servers.clock import Clock
from tests.servers.desk import SERVICE, Desk, make_desk, pem_keys, policy_text
from tests.servers.postgresql import PASSWORD, Cluster
from tests.servers.process import PATIENCE

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SOON = 0.5
"""Seconds that a call may take in these tests, where it is meant to fail."""


def record(name: str) -> SessionRecord:
    digest = sha256(name.encode()).digest()
    return SessionRecord(digest, "github", name, "r", "{}", NOW, NOW + timedelta(hours=8))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made() -> Iterator[Callable[..., PostgresqlSessions]]:
    """Make stores that are closed at the end."""
    stores: list[PostgresqlSessions] = []

    def make(
        settings: PostgresqlSettings, seconds: float = 20.0, *rest: object
    ) -> PostgresqlSessions:
        stores.append(PostgresqlSessions(settings, seconds, *(rest or (2,))))
        return stores[-1]

    yield make
    for one in stores:
        one.close()


Made = Callable[..., PostgresqlSessions]


def test_connections_that_a_restart_broke_are_replaced_within_the_call(
    cluster: Cluster, database: PostgresqlSettings, made: Made
) -> None:
    store = made(database, 20.0, 3)
    store.add(record("one"))
    together = threading.Barrier(3)

    def use() -> None:
        together.wait(PATIENCE)
        for _ in range(20):
            store.find(b"")

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    cluster.stop()
    cluster.start()

    assert store.find(record("one").digest) == record("one")


def test_after_a_failure_nobody_waits_again_until_it_is_tried_again(
    cluster: Cluster, database: PostgresqlSettings, made: Made, clock: Clock
) -> None:
    store = made(database, SOON, 1, clock)
    patient = made(database)
    patient.add(record("one"))
    cluster.stop()
    try:
        with pytest.raises(SessionsError, match="away: .*"):
            store.find(record("one").digest)
    finally:
        cluster.start()
    with pytest.raises(SessionsError, match="away") as turned_away:
        store.find(record("one").digest)
    clock.now += PAUSE_SECONDS
    # The pool may still be waiting to connect again itself: then that is one more failure.
    for _ in range(20):
        try:
            found = store.find(record("one").digest)
            break
        except SessionsError:
            clock.now += PAUSE_SECONDS

    assert turned_away.value.__cause__ is None, "the database was not asked"
    assert found == record("one")


def test_a_database_that_stands_still_holds_no_call(
    cluster: Cluster, database: PostgresqlSettings, made: Made, clock: Clock
) -> None:
    store = made(database, SOON, 1, clock)
    made(database).add(record("one"))
    while_warm = False
    for _ in range(20):  # until there is a connection
        try:
            store.find(b"")
            while_warm = True
            break
        except SessionsError:
            clock.now += PAUSE_SECONDS
    with cluster.frozen():
        with pytest.raises(SessionsError, match="away: it does not answer in time"):
            store.find(record("one").digest)
        clock.now += PAUSE_SECONDS
        with pytest.raises(SessionsError, match="away"):
            store.add(record("two"))
        cold = made(database, SOON, 1)
        with pytest.raises(SessionsError, match="away"):
            cold.find(record("one").digest)

    assert while_warm
    assert made(database).find(record("one").digest) == record("one")


def test_a_machine_that_swallows_everything_holds_no_call(
    database: PostgresqlSettings, made: Made
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        port = silent.getsockname()[1]
        settings = replace(database, conninfo=f"host=127.0.0.1 port={port} user=u dbname=d")
        store = made(settings, SOON, 1)
        with pytest.raises(SessionsError, match="away"):
            store.find(b"")
        with pytest.raises(SessionsError, match="away"):
            store.revoke(None, None)
        store.close()


def test_what_is_wrong_is_said_and_the_password_never(
    cluster: Cluster, database: PostgresqlSettings, made: Made, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2hunter2")
    told = []
    for settings, words in (
        (replace(database, password_file=wrong), "password authentication failed"),
        (replace(database, password_file=tmp_path / "none"), "password file .* cannot be read"),
        (replace(database, conninfo=cluster.conninfo("nowhere")), '"nowhere" does not exist'),
        (replace(database, conninfo="service=none-of-that-name"), "none-of-that-name"),
    ):
        with pytest.raises(SessionsError, match=words) as error:
            made(settings, SOON, 1).find(b"")
        told.append(str(error.value))

    assert "\n" not in "".join(told)
    assert "hunter2" not in "".join(told)
    assert PASSWORD not in "".join(told)


def test_a_password_that_was_changed_is_read_for_the_next_connection(
    cluster: Cluster, database: PostgresqlSettings, made: Made
) -> None:
    name = database.conninfo.rpartition("dbname=")[2]
    role = f"role_{secrets.token_hex(4)}"
    cluster.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'first'", name)
    cluster.sql(f"GRANT CREATE ON SCHEMA public TO {role}", name)
    assert database.password_file is not None
    database.password_file.write_text("first")
    store = made(replace(database, conninfo=database.conninfo.replace("regauth", role)))
    store.add(record("one"))
    cluster.sql(f"ALTER ROLE {role} PASSWORD 'second'", name)
    database.password_file.write_text("second\n")
    cluster.sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{role}'", name
    )

    assert store.find(record("one").digest) == record("one")


def test_who_may_make_no_tables_can_use_those_that_there_are(
    cluster: Cluster, database: PostgresqlSettings, made: Made
) -> None:
    name = database.conninfo.rpartition("dbname=")[2]
    role = f"role_{secrets.token_hex(4)}"
    cluster.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", name)
    settings = replace(database, conninfo=database.conninfo.replace("regauth", role))
    with pytest.raises(SessionsError, match="permission denied"):
        made(settings, SOON, 1).add(record("one"))
    made(database).add(record("one"))
    cluster.sql(f"GRANT SELECT, INSERT, DELETE, UPDATE ON regauth_sessions TO {role}", name)
    cluster.sql(f"GRANT SELECT ON regauth_sessions_version TO {role}", name)
    store = made(settings)
    store.add(record("two"))

    assert store.find(record("one").digest) == record("one")
    assert len(store.all()) == 2


def test_a_database_that_refuses_is_not_taken_for_one_that_is_away(
    cluster: Cluster, database: PostgresqlSettings, made: Made
) -> None:
    name = database.conninfo.rpartition("dbname=")[2]
    store = made(database)
    store.add(record("one"))
    cluster.sql("ALTER TABLE regauth_sessions ADD CHECK (subject <> 'two')", name)
    with pytest.raises(SessionsError, match="refuses") as error:
        store.add(record("two"))

    assert "{}" not in str(error.value), "the row that failed is not quoted"
    assert store.find(record("one").digest) == record("one")


@pytest.mark.parametrize(
    ("conninfo", "words"),
    [
        ("hunter2", "is no connection string of PostgreSQL"),
        ("host=localhost passwrd=hunter2", "is no connection string of PostgreSQL"),
        ("host=localhost password=hunter2", "holds a password"),
        ("postgresql://user:hunter2@localhost/db", "holds a password"),
        ("host=db.example.com dbname=d", "no `sslmode`"),
        ("hostaddr=192.0.2.1", "no `sslmode`"),
        ("host=localhost,db.example.com", "no `sslmode`"),
        ("postgresql://db.example.com/d", "no `sslmode`"),
    ],
)
def test_a_connection_string_that_cannot_be_used_is_said_without_quoting_it(
    conninfo: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    with pytest.raises(StoreSettingsError, match=words) as error:
        open_store(PostgresqlSettings(conninfo))

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "conninfo",
    [
        "host=db.example.com sslmode=verify-full sslrootcert=ca.pem",
        "postgresql://user@db.example.com/d?sslmode=require",
        "service=regauth",
        "host=/run/postgresql",
        "host=::1",
        "dbname=d",
    ],
)
def test_what_is_near_or_says_how_it_is_known_is_taken(conninfo: str) -> None:
    open_store(PostgresqlSettings(conninfo)).close()


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "regauth.servers.sessions.postgresql")
    monkeypatch.delitem(sys.modules, "regauth.servers.sessions.postgresql_connections")
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreSettingsError, match=r"pip install 'jwt-registry-auth\[postgresql\]'"):
        open_store(PostgresqlSettings("dbname=d"))


@pytest.fixture
def desk(
    tmp_path: Path, private_keys: dict[str, PrivateKey], database: PostgresqlSettings, made: Made
) -> Desk:
    text = policy_text(pem_keys(private_keys["rsa"])).replace(
        "    claims: github-actions\n",
        "    claims: github-actions\n    refreshTokens: {maxSession: 8h}\n",
    )
    desk = make_desk(tmp_path, text, private_keys["rsa"])
    desk.service._sessions = Sessions(made(database))
    return desk


def refresh(desk: Desk, token: str) -> falcon.testing.Result:
    return desk.client.simulate_post(
        "/auth/token",
        body=urlencode({"grant_type": "refresh_token", "refresh_token": token, "service": SERVICE}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


def test_while_the_database_is_away_logins_go_on_and_sessions_are_told_to_wait(
    cluster: Cluster, database: PostgresqlSettings, desk: Desk, made: Made
) -> None:
    token = desk.ask(desk.token(), offline_token="true").json["refresh_token"]
    before = refresh(desk, token)
    desk.service._sessions = Sessions(made(database, SOON, 1))
    with cluster.frozen():
        login = desk.ask(desk.token(run_id="2"), offline_token="true")
        plain = desk.ask(desk.token(run_id="3"), "repository:acme/app:pull")
        away = refresh(desk, token)
    desk.service._sessions = Sessions(made(database))
    after = refresh(desk, token)

    assert (before.status_code, after.status_code) == (200, 200)
    assert (login.status_code, "refresh_token" in login.json) == (200, False)
    assert plain.json["scope"] == "repository:acme/app:pull"
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    assert away.json["errors"][0]["code"] == "UNAVAILABLE"
    assert token not in desk.log.read_text()
