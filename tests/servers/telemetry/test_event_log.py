"""The log: one line an event, in one write, whatever the fields hold."""

import base64
import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.servers.sessions.sessions import PREFIX
from regauth.servers.telemetry.event_log import (
    FOLD_SECONDS,
    MAX_MESSAGE,
    MAX_OWN_MESSAGES,
    EventLog,
    encoded,
)
from tests.servers.clock import Clock

ANY_TEXT = st.text(st.characters())  # half of a surrogate pair, too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
NOW = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def descriptor(file: Path) -> Iterator[int]:
    opened = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield opened
    os.close(opened)


def test_a_json_line_holds_the_fields_that_are_not_empty(file: Path, descriptor: int) -> None:
    log = EventLog("json", "info", descriptor, lambda: NOW)
    log.event(
        "token",
        outcome="issued",
        granted=["repository:a:pull"],
        refused=[],
        reason="",
        milliseconds=0,
    )

    assert json.loads(file.read_text()) == {
        "time": "2026-11-01T12:00:00.123Z",
        "level": "info",
        "event": "token",
        "outcome": "issued",
        "granted": ["repository:a:pull"],
        "milliseconds": 0,
    }


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_field_can_begin_a_line_of_its_own(file: Path, descriptor: int, form: str) -> None:
    log = EventLog("json" if form == "json" else "text", "info", descriptor, lambda: NOW)
    log.event("token", agent='x\n2026-11-01 INFO token outcome=issued "\x1b[31m\u2028\udc80')

    assert len(file.read_bytes().splitlines()) == 1
    assert len(file.read_text().splitlines()) == 1
    assert "\x1b" not in file.read_text()


def written(blank: str) -> str:
    """Return a token by an issuer that writes a blank after the brace; it is a good one."""
    parts = [f'{{{blank}"alg": "RS256"}}', f'{{{blank}"sub": "somebody"}}', "signature-of-it"]
    return ".".join(base64.urlsafe_b64encode(one.encode()).rstrip(b"=").decode() for one in parts)


@pytest.mark.parametrize(
    "secret",
    [
        *("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", PREFIX + "a-B_9" * 9),
        *map(written, ("", " ", "\n", "\r\n", "\t", "  ")),
    ],
)
def test_a_token_where_it_does_not_belong_is_not_logged(
    file: Path, descriptor: int, secret: str
) -> None:
    log = EventLog("json", "info", descriptor, lambda: NOW)
    log.event("token", account=secret, detail=f"no provider is called '{secret}'")

    assert secret[-12:] not in file.read_text()
    assert file.read_text().count("[token]") == 2


def test_text_quotes_what_is_not_one_word(file: Path, descriptor: int) -> None:
    log = EventLog("text", "info", descriptor, lambda: NOW)
    log.event("token", "warning", reason="expired", detail="it is late", scopes=["a", "b"])

    assert file.read_text() == (
        '2026-11-01T12:00:00.123Z WARNING token reason=expired detail="it is late" scopes="a; b"\n'
    )


def test_what_is_below_the_level_is_not_written(file: Path, descriptor: int) -> None:
    log = EventLog("json", "warning", descriptor, lambda: NOW)
    log.event("token")
    log.event("token", "error")

    assert [json.loads(line)["level"] for line in file.read_text().splitlines()] == ["error"]


def test_a_log_that_cannot_be_written_is_counted_and_stops_nothing() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        log = EventLog("json", "info", full, lambda: NOW)
        log.event("token")
    finally:
        os.close(full)

    assert log.dropped == 1


def test_libraries_log_through_it_and_exceptions_without_their_text(
    file: Path, descriptor: int, root_logger: logging.Logger
) -> None:
    EventLog("json", "info", descriptor, lambda: NOW).take_over_logging()
    try:
        int("bad input: eyJhbGciOi")
    except ValueError:
        logging.getLogger("library").exception("it failed")
    line = json.loads(file.read_text())

    assert (line["source"], line["message"], line["level"]) == ("library", "it failed", "error")
    assert line["trace"].startswith("ValueError at ")
    assert "eyJ" not in file.read_text()


def folded(file: Path) -> list[tuple[str, object]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [(line["message"], line.get("more")) for line in lines]


def test_s2_what_strangers_make_a_library_say_is_said_once_an_interval(
    file: Path, descriptor: int, root_logger: logging.Logger
) -> None:
    """Whatever the lines quote; the next one counts what was left out."""
    clock = Clock()
    EventLog("json", "info", descriptor, lambda: NOW).take_over_logging(clock)
    library = logging.getLogger("library")
    for number in range(2001):
        if number in (1000, 2000):
            clock.now += FOLD_SECONDS
        library.warning(f"no sense in {number}")

    assert folded(file) == [
        ("no sense in 0", None),
        ("no sense in 1000", 999),
        ("no sense in 2000", 999),
    ]


def test_s2_what_was_left_out_is_counted_by_the_next_line(
    file: Path, descriptor: int, root_logger: logging.Logger
) -> None:
    clock = Clock()
    EventLog("json", "info", descriptor, lambda: NOW).take_over_logging(clock)
    for seconds in (0, 0, FOLD_SECONDS - 1, 1, 0, FOLD_SECONDS, FOLD_SECONDS):
        clock.now += seconds
        logging.getLogger("library").warning("again")

    assert folded(file) == [("again", None), ("again", 2), ("again", 1), ("again", None)]


def test_s2_different_messages_of_our_own_are_all_said_and_equal_ones_once(
    file: Path, descriptor: int, root_logger: logging.Logger
) -> None:
    """So that one issuer's failure does not hide another's."""
    EventLog("json", "info", descriptor, lambda: NOW).take_over_logging(Clock())
    for name in ("one", "one", "two", "one", "three"):
        logging.getLogger("regauth.servers.example").warning("no keys of %s", name)
    for number in range(1000):
        logging.getLogger("regauth.servers.example").warning("no keys of %s", number)

    assert folded(file)[:3] == [
        ("no keys of one", None),
        ("no keys of two", 1),
        ("no keys of three", 1),
    ]
    assert len(folded(file)) == 3 + MAX_OWN_MESSAGES


def test_s2_a_message_is_cut(file: Path, descriptor: int, root_logger: logging.Logger) -> None:
    EventLog("json", "info", descriptor, lambda: NOW).take_over_logging()
    logging.getLogger("library").error("Exception while serving %s", "/x" * 60_000)

    assert len(folded(file)[0][0]) == MAX_MESSAGE


@given(VALUES.filter(lambda value: "inf" not in repr(value)))
def test_what_is_logged_is_ascii_and_reads_as_what_it_was(value: object) -> None:
    line = encoded(value)

    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == value


def test_what_json_does_not_know_is_logged_by_its_text() -> None:
    assert encoded({"file": Path("a/b"), "at": NOW}) == (
        '{"file":"a/b","at":"2026-11-01 12:00:00.123456+00:00"}'
    )
