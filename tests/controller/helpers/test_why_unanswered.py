"""`docker-credential-regauth why` where the token server has no answer: nothing is then refused."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.controller.conftest import jwt, run_module
from tests.servers.conftest import provider
from tests.servers.local_http import Answer, Provider

__all__ = ["provider"]

PULL_ALONE = {
    "login": "accepted",
    "accesses": [{"access": "repository:acme/app:pull", "allowed": True, "why": "granted"}],
}
LIMITED = {"errors": [{"message": "too many requests", "detail": {"requestId": "some-id"}}]}


def ask_why(
    folder: Path, provider: Provider, answer: Answer, token: str
) -> subprocess.CompletedProcess[bytes]:
    """Ask a server that gives an answer why a job may not push."""
    address = provider.url.removeprefix("http://")
    challenge = f'Bearer realm="{provider.url}/auth/token",service="r"'
    provider.answers["/v2/"] = Answer(status=401, headers={"WWW-Authenticate": challenge})
    provider.answers["/auth/why"] = answer
    source = {"environment": {"variable": "JOB"}}
    registries = {address: {"username": "sample", "source": source}}
    file = folder / "helper.json"
    file.write_text(json.dumps({"registries": registries}))
    variables = {"REGAUTH_CREDENTIAL_HELPER_CONFIG": str(file), "JOB": token}
    return run_module("docker_helper", "why", f"{address}/acme/app", "push", **variables)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, json.dumps(LIMITED), "it answered 429 (too many requests)"),
        (503, "<html>away</html>", "it answered 503"),
        (500, "", "it answered 500"),
        (404, "", "it has no /auth/why"),
        (401, "{}", "it answered 401"),
        (403, '{"message": "blocked by the gateway"}', "it answered 403"),
        (403, '{"errors": [{"message": "blocked"}]}', "it answered 403 (blocked)"),
        (200, "{}", "is no answer of /auth/why"),
        (200, '{"login": "accepted", "accesses": []}', "is no answer of /auth/why"),
        (200, '{"login": "accepted", "accesses": {"a": 1}}', "is no answer of /auth/why"),
        (200, json.dumps(PULL_ALONE), "is no answer of /auth/why"),
        (200, json.dumps({**PULL_ALONE, "login": ""}), "is no answer of /auth/why"),
    ],
)
def test_a_server_that_has_no_answer_refuses_nothing(
    tmp_path: Path, provider: Provider, status: int, body: str, said: str
) -> None:
    """The exit code 2 has the action tell a job that it may not push, and end it."""
    token = jwt(sub="job", exp=4_102_444_800)  # the year 2100
    answer = Answer(body.encode(), status, {"Retry-After": "7"})
    done = ask_why(tmp_path, provider, answer, token)
    told = (done.stdout + done.stderr).decode()

    assert done.returncode == 1, told
    assert said in told
    assert ("try again in 7 seconds" in told) is (status not in (200, 404))
    assert ("request some-id" in told) is (status == 429)
    assert "refused" not in told
    assert provider.paths() == ["/v2/", "/auth/why"]


def test_a_token_that_the_server_repeats_is_not_printed(tmp_path: Path, provider: Provider) -> None:
    token = jwt(sub="job", exp=4_102_444_800)
    body = json.dumps({"errors": [{"message": f"no: {token}" + "x" * 60_000}]})
    done = ask_why(tmp_path, provider, Answer(body.encode(), 503), token)
    told = (done.stdout + done.stderr).decode()

    assert done.returncode == 1
    assert "it answered 503 (no: [the token]xxx" in told
    assert token not in told
    assert len(told) < 3000
