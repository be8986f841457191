"""The docker credential helper, through its standard input and output."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regauth import schemas
from regauth.controller.helpers.docker_helper import answer
from regauth.controller.helpers.helper_configuration import (
    HelperRegistry,
    default_path,
    find_registry,
    read_configuration,
)
from regauth.controller.helpers.strict_input import HelperError
from tests.controller.conftest import jwt, run_module

HOST = "registry.example.com"
FUTURE = 4_000_000_000
TOKEN = jwt(exp=FUTURE, sub="job")
Done = subprocess.CompletedProcess[bytes]


class Helper:
    """The helper with one registry and one source."""

    def __init__(self, file: Path, source: object) -> None:
        self.file = file
        file.write_text(json.dumps({"registries": {HOST: {"username": "ci", "source": source}}}))

    def __call__(self, action: str, stdin: str | bytes = HOST, **environment: str) -> Done:
        """Run the program."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return run_module("docker_helper", action, stdin=data, **self.environment(environment))

    def within(self, action: str, stdin: str = HOST, **environment: str) -> Done:
        """Do the same in this process, for tables that would start a hundred programs."""
        variables = {**os.environ, **self.environment(environment)}
        code, text = answer([action], io.BytesIO(stdin.encode()), variables)
        return Done([action], code, f"{text}\n".encode(), b"")

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        return {"REGAUTH_CREDENTIAL_HELPER_CONFIG": str(self.file), **more}


@pytest.fixture
def from_variable(registries: Path) -> Helper:
    return Helper(registries, {"environment": {"variable": "JOB_TOKEN"}})


def secret(done: Done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["Username"] == "ci"
    return found["Secret"]


def failed(done: Done) -> str:
    """The protocol's form of an error: one line on standard output, and nothing of a traceback."""
    assert done.returncode == 1, done.stdout
    assert done.stderr == b""
    (line,) = done.stdout.decode().splitlines()
    return line


def test_get_answers_the_address_the_user_name_and_the_token(from_variable: Helper) -> None:
    done = from_variable("get", f"https://{HOST}\n", JOB_TOKEN=TOKEN)

    assert json.loads(done.stdout) == {
        "ServerURL": f"https://{HOST}",
        "Username": "ci",
        "Secret": TOKEN,
    }


def test_each_get_reads_the_token_anew(registries: Path, tmp_path: Path) -> None:
    helper = Helper(registries, {"file": {"path": str(tmp_path / "token")}})
    seen = []
    for number in (1, 2):
        (tmp_path / "token").write_text(jwt(exp=FUTURE, jti=str(number)) + "\n")
        seen.append(secret(helper("get")))

    assert seen == [jwt(exp=FUTURE, jti="1"), jwt(exp=FUTURE, jti="2")]


def test_nothing_is_written_anywhere(from_variable: Helper, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    from_variable("get", JOB_TOKEN=TOKEN, HOME=str(tmp_path))
    from_variable(
        "store",
        json.dumps({"ServerURL": HOST, "Username": "ci", "Secret": TOKEN}),
        HOME=str(tmp_path),
    )

    assert before == sorted(tmp_path.rglob("*"))


class _Service(BaseHTTPRequestHandler):
    """What answers in the place of GitHub's token service."""

    answer: tuple[int, bytes] = (200, b"{}")
    seen: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        status, body = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://localhost:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[type[_Service]]:
    handler = type("Service", (_Service,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        handler.url = f"http://127.0.0.1:{server.server_port}/token?api-version=2"
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture
def github(registries: Path) -> Helper:
    return Helper(registries, {"githubActions": {"audience": f"https://{HOST}/?a=b"}})


def job(service: type[_Service]) -> dict[str, str]:
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": service.url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-key",
    }


def test_github_is_asked_for_a_token_of_the_audience(
    github: Helper, service: type[_Service]
) -> None:
    service.answer = (200, json.dumps({"value": TOKEN}).encode())

    assert secret(github.within("get", **job(service))) == TOKEN
    assert service.seen == [
        (
            "/token?api-version=2&audience=https%3A%2F%2Fregistry.example.com%2F%3Fa%3Db",
            "Bearer request-key",
        )
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, b"{}"), "answered 403"),
        ((302, b""), "answered 302"),
        ((200, b"<html>"), "is not JSON"),
        ((200, b"{}"), "answered without a token"),
        ((200, b'{"value": 7}'), "answered without a token"),
        ((200, b'{"value": "no jwt"}'), "is not a JWT"),
        ((200, b'{"value": "a", "value": "b"}'), "stands twice"),
        ((200, b" " * 70_000), "more than 65536 bytes"),
        ((200, b"\xff"), "not UTF-8"),
    ],
)
def test_what_github_may_answer_instead_of_a_token_is_an_error(
    github: Helper, service: type[_Service], answer: tuple[int, bytes], said: str
) -> None:
    service.answer = answer
    message = failed(github.within("get", **job(service)))

    assert said in message
    assert "request-key" not in message


@pytest.mark.parametrize(
    "url",
    [
        "http://tokens.example.com/",
        "ftp://localhost/",
        "https://",
        "https://user@localhost/",
        "http://[",
        "x",
    ],
)
def test_a_request_key_goes_nowhere_but_over_tls_or_to_this_machine(
    github: Helper, url: str
) -> None:
    environment = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-key",
    }

    assert "https" in failed(github.within("get", **environment)) or "address" in failed(
        github.within("get", **environment)
    )


def test_a_job_without_the_permission_is_told_to_ask_for_it(github: Helper) -> None:
    assert "id-token: write" in failed(github.within("get"))


def test_gitlab_s_variable_is_read_and_its_absence_explained(registries: Path) -> None:
    helper = Helper(registries, {"gitlab": {"variable": "REGISTRY_TOKEN"}})

    assert secret(helper.within("get", REGISTRY_TOKEN=TOKEN)) == TOKEN
    assert "id_tokens" in failed(helper.within("get"))


def test_spiffe_s_file_must_hold_a_jwt_svid(registries: Path, tmp_path: Path) -> None:
    file = tmp_path / "svid.jwt"
    helper = Helper(registries, {"spiffe": {"path": str(file)}})
    svid = jwt(exp=FUTURE, sub="spiffe://example.com/job")
    file.write_text(svid)

    assert secret(helper.within("get")) == svid
    file.write_text(TOKEN)
    assert "no SPIFFE ID" in failed(helper.within("get"))


def command(script: str) -> dict[str, object]:
    return {"command": {"command": [sys.executable, "-c", script]}}


@pytest.mark.parametrize("path", [":/bin", "/bin:", ".:/bin", "here:/bin", "", "."])
def test_s3_a_command_is_not_looked_for_in_the_current_directory(
    registries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A client runs the helper in a checkout, which others write."""
    for folder in (tmp_path, tmp_path / "here"):
        folder.mkdir(exist_ok=True)
        program = folder / "print-token"
        program.write_text(f"#!/bin/sh\necho {TOKEN}\n")
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    helper = Helper(registries, {"command": {"command": ["print-token"]}})

    assert secret(helper.within("get", PATH=str(tmp_path))) == TOKEN
    assert "cannot be run: No such file" in failed(helper.within("get", PATH=path))


def test_s3_a_relative_xdg_folder_is_no_place_of_a_configuration() -> None:
    for folder in ("", ".", "ci"):
        environment = {"XDG_CONFIG_HOME": folder, "HOME": "/home/ci"}
        assert default_path(environment).startswith("/home/ci/.config/")
    assert default_path({"XDG_CONFIG_HOME": "/etc/ci"}).startswith("/etc/ci/")


def test_a_command_prints_the_token(registries: Path) -> None:
    assert secret(Helper(registries, command(f"print('{TOKEN}')"))("get")) == TOKEN


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (command("import sys; print('eyJ0.leak.ed'); sys.exit(3)"), "ended with 3"),
        (command("print('x' * 70000)"), "more than 65536 bytes"),
        (command("print('\\xff')"), "is not a JWT"),
        (command("pass"), "is empty"),
        ({"command": {"command": ["no-such-program"]}}, "cannot be run: No such file"),
        ({"file": {"path": "/no/such/file"}}, "cannot be read: No such file"),
        ({"file": {"path": "/"}}, "cannot be read: Is a directory"),
    ],
)
def test_a_source_that_fails_is_named_and_nothing_of_it_quoted(
    registries: Path, source: object, said: str
) -> None:
    message = failed(Helper(registries, source).within("get"))

    assert said in message
    assert "eyJ" not in message


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("password", "is not a JWT"),
        ("a.b", "is not a JWT"),
        ("a.!.c", "is not a JWT"),
        ("a.b.c", "is not a JWT"),
        ("a.bm8.c", "is not JSON"),
        ("a.W10.c", "is not a JSON object"),
        ("a." + "W1tb" * 3000 + ".c", "the payload"),
        (jwt(exp=FUTURE, pad="x" * 20_000), "is not a JWT"),
        (jwt(exp=1), "has expired"),
        (jwt(exp="soon"), "is no number"),
        (jwt(exp=True), "is no number"),
    ],
)
def test_what_is_no_living_token_is_not_passed_on(
    from_variable: Helper, token: str, said: str
) -> None:
    assert said in failed(from_variable.within("get", JOB_TOKEN=token))


@pytest.mark.parametrize(
    "address",
    ["other.example.com", "https://index.docker.io/v1/", f"{HOST}.evil.example", f"{HOST}:443"],
)
def test_another_registry_is_not_found_in_the_words_clients_know(
    from_variable: Helper, address: str
) -> None:
    assert (
        failed(from_variable("get", address, JOB_TOKEN=TOKEN))
        == "credentials not found in native keychain"
    )


@pytest.mark.parametrize(
    "address",
    [
        b"", b"\n", b"\xff\xfe", b"x" * 70_000, b"x" * 3_000, f"{HOST}@evil.example".encode(), f"evil@{HOST}".encode(),
        f"{HOST}\nother.example.com".encode(), f"{HOST}\0".encode(), f"ftp://{HOST}".encode(), b"..", b"https://",
        f"{HOST} x".encode(), f"{HOST}?x".encode(), "régistry.example.com".encode(),
    ],
)  # fmt: skip
def test_a_hostile_address_gets_no_token(from_variable: Helper, address: bytes) -> None:
    assert TOKEN not in failed(from_variable("get", address, JOB_TOKEN=TOKEN))


@pytest.mark.parametrize("username", ["ci", "<token>"])
def test_store_agrees_to_what_get_gives_anyway(from_variable: Helper, username: str) -> None:
    done = from_variable(
        "store", json.dumps({"ServerURL": HOST, "Username": username, "Secret": "x"})
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "given",
    [
        {"ServerURL": HOST, "Username": "somebody", "Secret": "password"},
        {"ServerURL": "other.example.com", "Username": "ci", "Secret": "password"},
        {"ServerURL": HOST, "Username": "ci"},
        {"ServerURL": HOST, "Username": "ci", "Secret": ["password"]},
        ["password"],
        "password",
    ],
)
def test_store_refuses_what_it_would_lose(from_variable: Helper, given: object) -> None:
    assert "password" not in failed(from_variable.within("store", json.dumps(given))).replace(
        "no password", ""
    )


def test_erase_has_nothing_to_do(from_variable: Helper) -> None:
    done = from_variable("erase")

    assert (done.returncode, done.stdout) == (0, b"")


def test_list_names_the_registries_and_no_token(from_variable: Helper) -> None:
    done = from_variable("list", "", JOB_TOKEN=TOKEN)

    assert json.loads(done.stdout) == {HOST: "ci"}


@pytest.mark.parametrize("arguments", [(), ("unknown",), ("get", "get"), ("--help", "get")])
def test_anything_else_is_told_how_to_call_it(arguments: tuple[str, ...]) -> None:
    assert failed(run_module("docker_helper", *arguments)).startswith(
        "usage: docker-credential-regauth"
    )


@pytest.mark.parametrize("module", ["docker_helper", "helpers.kubelet_plugin"])
@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_who_asks_what_a_helper_is_for_is_told(module: str, argument: str) -> None:
    done = run_module(module, argument)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"usage: ")


def test_a_missing_configuration_says_where_it_should_be(tmp_path: Path) -> None:
    done = run_module("docker_helper", "get", stdin=HOST.encode(), HOME=str(tmp_path))

    assert str(tmp_path / ".config" / "regauth" / "credential-helper.json") in failed(done)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (
            '{\n  "registries": {},\n}',
            "line 2, column 19: a comma cannot stand before `}`; remove it",
        ),
        ("{'a': 1}", 'line 1, column 2: names and texts stand in double quotes; write `"..."`'),
        ('{"a": 1, "a": 2}', "line 1, column 10: this name stands twice in one object; remove one"),
        ('{"a": NaN}', "line 1, column 7: JSON has no NaN; write null, or leave the member out"),
        ('{"a": "s3cret', 'line 1, column 7: the " that begins here is never closed; close it'),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_its_place(
    from_variable: Helper, text: str, said: str
) -> None:
    from_variable.file.write_text(text)
    message = failed(from_variable.within("get"))

    assert message.endswith(f"{from_variable.file} is not JSON: {said}")
    assert "s3cret" not in message


def test_the_longest_path_of_a_registry_wins() -> None:
    ours, team = (HelperRegistry(name, "environment", {}) for name in ("ours", "team"))
    known = {HOST: ours, f"{HOST}/team": team}

    assert find_registry(known, f"{HOST}/team/app") == (f"{HOST}/team", team)
    assert find_registry(known, f"https://{HOST.upper()}/v2/") == (HOST, ours)
    assert find_registry(known, f"{HOST}/teams") == (HOST, ours)


def registry(**changes: object) -> dict[str, object]:
    entry = {"username": "ci", "source": {"environment": {"variable": "T"}}, **changes}
    return {
        "registries": {HOST: {name: value for name, value in entry.items() if value is not None}}
    }


CONFIGURATIONS: list[tuple[object, bool]] = [
    (registry(), True),
    ({**registry(), "$schema": "x"}, True),
    *((registry(source={kind: {option: "T"}}), True) for kind, option in [("gitlab", "variable"), ("file", "path"), ("spiffe", "path"), ("githubActions", "audience")]),
    (registry(source={"command": {"command": ["print", ""]}}), True),
    ({"registries": {"[::1]:5000": registry()["registries"][HOST]}}, True),
    ({"registries": {"localhost:5000/a/b_c": registry()["registries"][HOST]}}, True),
    ({}, False),
    ([], False),
    ({"registries": {}}, False),
    ({"registries": []}, False),
    ({**registry(), "more": 1}, False),
    ({"registries": {"Registry.example.com": registry()["registries"][HOST]}}, False),
    ({"registries": {"https://registry.example.com": registry()["registries"][HOST]}}, False),
    ({"registries": {"": registry()["registries"][HOST]}}, False),
    ({"registries": {"a/": registry()["registries"][HOST]}}, False),
    (registry(username=None), False),
    (registry(username=7), False),
    (registry(username=""), False),
    (registry(username="a:b"), False),
    (registry(username="a\nb"), False),
    (registry(more=1), False),
    (registry(source=None), False),
    (registry(source={}), False),
    (registry(source={"unknown": {}}), False),
    (registry(source={"file": {"path": "a"}, "gitlab": {"variable": "T"}}), False),
    (registry(source={"file": "a"}), False),
    (registry(source={"file": {"path": ""}}), False),
    (registry(source={"file": {"path": "a\0"}}), False),
    (registry(source={"file": {"path": "a", "more": 1}}), False),
    (registry(source={"environment": {"variable": "A=B"}}), False),
    (registry(source={"command": {"command": "print"}}), False),
    (registry(source={"command": {"command": []}}), False),
    (registry(source={"command": {"command": [""]}}), False),
    (registry(source={"command": {"command": ["a", 1]}}), False),
]  # fmt: skip


@pytest.mark.parametrize(("document", "good"), CONFIGURATIONS)
def test_the_helper_and_the_schema_agree_about_a_configuration(
    registries: Path, document: object, good: bool
) -> None:
    registries.write_text(json.dumps(document))
    try:
        read_configuration(str(registries))
        read = True
    except HelperError:
        read = False

    assert (good, good) == (
        read,
        Draft202012Validator(schemas.load("credential-helper")).is_valid(document),
    )
