"""The error body: one form, and a code for each status."""

import json

import pytest

from regauth.engine import Access
from regauth.engine.access.scope import Resource
from regauth.servers.protocol.errors import ErrorCode, error_body


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BAD_REQUEST"), (401, "UNAUTHORIZED"), (507, "UNAVAILABLE"), (418, "UNKNOWN")],
)
def test_the_code_follows_from_the_status(status: int, code: str) -> None:
    assert json.loads(error_body(status, "no")) == {"errors": [{"code": code, "message": "no"}]}


def test_a_status_with_several_codes_says_which() -> None:
    body = json.loads(error_body(400, "no", code=ErrorCode.NAME_INVALID))

    assert body["errors"][0]["code"] == "NAME_INVALID"


def test_details_are_a_word_for_programs_the_request_and_the_missing_accesses() -> None:
    missing = (Access(Resource("repository", "acme/app"), "push"),)
    told = json.loads(error_body(401, "no", missing=missing))["errors"][0]["detail"]

    assert json.loads(error_body(401, "no", "expired"))["errors"][0]["detail"] == {
        "reason": "expired"
    }
    assert told == {
        "missing": [{"Type": "repository", "Class": "", "Name": "acme/app", "Action": "push"}]
    }
    assert json.loads(error_body(500, "no", request_id="f00"))["errors"][0]["detail"] == {
        "requestId": "f00"
    }
    assert "detail" not in json.loads(error_body(500, "no"))["errors"][0]
