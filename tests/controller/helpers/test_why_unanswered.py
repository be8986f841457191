"""`docker-credential-regauth why` where the token server has no answer: nothing is then refused."""

import json
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
    address = provider.url.removeprefix("http://")
    challenge = f'Bearer realm="{provider.url}/auth/token",service="r"'
    provider.answers["/v2/"] = Answer(status=401, headers={"WWW-Authenticate": challenge})
    provider.answers["/auth/why"] = Answer(body.encode(), status, {"Retry-After": "7"})
    token = jwt(sub="job", exp=4_102_444_800)  # the year 2100
    source = {"environment": {"variable": "JOB"}}
    registries = {address: {"username": "sample", "source": source}}
    file = tmp_path / "helper.json"
    file.write_text(json.dumps({"registries": registries}))
    variables = {"REGAUTH_CREDENTIAL_HELPER_CONFIG": str(file), "JOB": token}
    done = run_module("docker_helper", "why", f"{address}/acme/app", "push", **variables)
    told = (done.stdout + done.stderr).decode()

    assert done.returncode == 1, told
    assert said in told
    assert ("try again in 7 seconds" in told) is (status not in (200, 404))
    assert ("request some-id" in told) is (status == 429)
    assert "refused" not in told
    assert provider.paths() == ["/v2/", "/auth/why"]
