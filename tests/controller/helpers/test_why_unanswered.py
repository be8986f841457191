"""`docker-credential-regauth why` where the token server has no answer: nothing is then refused."""

import io
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regauth.controller.helpers import asking_https
from regauth.controller.helpers.docker_helper import answer as helper
from tests.controller.conftest import jwt, run_module
from tests.servers.conftest import provider
from tests.servers.local_http import Answer, Provider

__all__ = ["provider"]

PULL_ALONE = {
    "login": "accepted",
    "accesses": [{"access": "repository:acme/app:pull", "allowed": True, "why": "granted"}],
}
LIMITED = {"errors": [{"message": "too many requests", "detail": {"requestId": "some-id"}}]}


def prepared(
    folder: Path, provider: Provider, answer: Answer, token: str
) -> tuple[list[str], dict[str, str]]:
    """Have a server give an answer; return how a job asks it why it may not push."""
    address = provider.url.removeprefix("http://")
    challenge = f'Bearer realm="{provider.url}/auth/token",service="r"'
    provider.answers["/v2/"] = Answer(status=401, headers={"WWW-Authenticate": challenge})
    provider.answers["/auth/why"] = answer
    source = {"environment": {"variable": "JOB"}}
    registries = {address: {"username": "sample", "source": source}}
    file = folder / "helper.json"
    file.write_text(json.dumps({"registries": registries}))
    variables = {"REGAUTH_CREDENTIAL_HELPER_CONFIG": str(file), "JOB": token}
    return ["why", f"{address}/acme/app", "push"], variables


def ask_why(
    folder: Path, provider: Provider, answer: Answer, token: str
) -> subprocess.CompletedProcess[bytes]:
    """Ask a server that gives an answer why a job may not push."""
    arguments, variables = prepared(folder, provider, answer, token)
    return run_module("docker_helper", *arguments, **variables)


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
        (200, "<html>hello</html>", "is no answer of /auth/why"),
        (401, "<html>log in</html>", "it answered 401"),
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


@pytest.mark.parametrize(
    ("status", "challenge", "said"),
    [
        (503, "", "the registry {} has no answer now (it answered 503)"),
        (429, "", "the registry {} has no answer now (it answered 429)"),
        (404, "", "{} asks for no token (it answered 404); is it a registry?"),
        (200, "", "{} asks for no token (it answered 200); is it a registry?"),
        (401, "", "the registry {} asks for another login than a token"),
        (401, 'Basic realm="r"', "the registry {} asks for another login than a token"),
        (401, 'Bearer service="r"', "the challenge of the registry {} names no token server"),
    ],
)
def test_a_registry_that_names_no_token_server_is_told(
    tmp_path: Path, provider: Provider, status: int, challenge: str, said: str
) -> None:
    token = jwt(sub="job", exp=4_102_444_800)
    arguments, variables = prepared(tmp_path, provider, Answer(), token)
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    provider.answers["/v2/"] = Answer(status=status, headers=headers)
    code, told = helper(arguments, io.BytesIO(), variables)

    assert (code, told) == (1, said.format(provider.url))
    assert provider.paths() == ["/v2/"]


def test_a_token_that_the_server_repeats_is_not_printed(tmp_path: Path, provider: Provider) -> None:
    token = jwt(sub="job", exp=4_102_444_800)
    body = json.dumps({"errors": [{"message": f"no: {token}" + "x" * 60_000}]})
    done = ask_why(tmp_path, provider, Answer(body.encode(), 503), token)
    told = (done.stdout + done.stderr).decode()

    assert done.returncode == 1
    assert "it answered 503 (no: [the token]xxx" in told
    assert token not in told
    assert len(told) < 3000


DRIPS = 200
"""A server that has dripped so many bytes gives up, and so does a client without a deadline."""


@pytest.fixture
def drip() -> Iterator[Callable[[bytes], Answer]]:
    """Return answers that come a byte at a time, so that no read ever waits long."""
    over = threading.Event()

    def dripping(beginning: bytes) -> Answer:
        def send(connection: socket.socket) -> None:
            connection.sendall(beginning)
            for _ in range(DRIPS):
                if over.wait(0.02):
                    break
                connection.sendall(b"x")

        return Answer(raw=send)

    yield dripping
    over.set()


@pytest.mark.parametrize("path", ["/v2/", "/auth/why"])
@pytest.mark.parametrize(
    "beginning",
    [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"],
    ids=["status", "header", "body"],
)
def test_an_answer_that_drips_is_waited_for_no_longer_than_any_other(
    tmp_path: Path,
    provider: Provider,
    drip: Callable[[bytes], Answer],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    beginning: bytes,
) -> None:
    monkeypatch.setattr(asking_https, "WHOLE_SECONDS", 0.3)
    token = jwt(sub="job", exp=4_102_444_800)
    arguments, variables = prepared(tmp_path, provider, Answer(), token)
    provider.answers[path] = drip(beginning)
    code, told = helper(arguments, io.BytesIO(), variables)

    whose = "the registry" if path == "/v2/" else "the token server"
    assert (code, told) == (1, f"{whose} at localhost did not answer in full within 0.3 s")
