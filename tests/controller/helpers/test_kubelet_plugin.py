"""The kubelet's credential provider plugin, through its standard input and output."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from regauth.controller.helpers.kubelet_plugin import answer
from regauth.controller.helpers.strict_input import HelperError
from tests.controller.conftest import jwt, run_module

NOW = 1_793_534_400
TOKEN = jwt(exp=NOW + 600, sub="system:serviceaccount:team-a:builder")
ARGUMENTS = ["--registry=registry.example.com", "--registry=localhost:5000", "--username=cluster"]


def request(**changes: object) -> bytes:
    """What a kubelet 1.36 sends; a change of None leaves a field out."""
    fields = {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": "registry.example.com/team-a/app",
        "serviceAccountToken": TOKEN,
        "serviceAccountAnnotations": {"example.com/team": "blue"},
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def response(stdin: bytes, *more: str, now: float = NOW) -> dict[str, object]:
    return json.loads(answer([*ARGUMENTS, *more], io.BytesIO(stdin), now))


def test_the_token_is_passed_through_with_exactly_the_fields_that_the_kubelet_decodes() -> None:
    assert response(request()) == {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "cacheDuration": "300s",
        "auth": {"registry.example.com": {"username": "cluster", "password": TOKEN}},
    }


def test_the_program_answers_on_standard_output_and_nothing_on_standard_error() -> None:
    fresh = jwt(exp=4_000_000_000)
    done = run_module(
        "helpers.kubelet_plugin", *ARGUMENTS, stdin=request(serviceAccountToken=fresh)
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["auth"]["registry.example.com"]["password"] == fresh
    assert json.loads(done.stdout)["cacheDuration"] == "3600s"


def test_the_program_says_on_standard_error_what_is_wrong_and_answers_nothing() -> None:
    done = run_module("helpers.kubelet_plugin", *ARGUMENTS, stdin=request(serviceAccountToken=None))

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == (
        b"regauth-credential-provider: the request has no serviceAccountToken; write `tokenAttributes`\n"
    )


@pytest.mark.parametrize("image", ["localhost:5000/a", "registry.example.com/a/b/c"])
def test_an_image_of_any_named_registry_is_answered_for_that_registry(image: str) -> None:
    assert list(response(request(image=image))["auth"]) == [image.partition("/")[0]]


def test_a_field_of_a_newer_kubelet_changes_nothing() -> None:
    assert response(request(podName="x")) == response(request())


def test_a_token_without_an_end_is_not_cached() -> None:
    assert response(request(serviceAccountToken=jwt(sub="x")))["cacheDuration"] == "0s"


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (b"", "is not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "not a JSON object"),
        (b"[" * 60_000, "the request"),
        (b" " * 70_000, "larger than"),
        (b'{"kind": 1, "kind": 2}', "stands twice"),
        (b'{"x": NaN}', "is not JSON: JSON has no NaN"),
        (request(apiVersion="credentialprovider.kubelet.k8s.io/v1beta1"), "is not of credentialprovider"),
        (request(kind="Pod"), "not a CredentialProviderRequest"),
        (request(image=None), "names no image"),
        (request(image=["a"]), "names no image"),
        (request(image=""), "names no image"),
        (request(image="registry.example.com\n/a"), "names no image"),
        (request(image="other.example.com/a"), "which no --registry names"),
        (request(image="registry.example.com.evil.example/a"), "which no --registry names"),
        (request(image="registry.example.com@evil.example/a"), "which no --registry names"),
        (request(serviceAccountToken=None), "no serviceAccountToken"),
        (request(serviceAccountToken=""), "no serviceAccountToken"),
        (request(serviceAccountToken={"a": 1}), "no serviceAccountToken"),
        (request(serviceAccountToken="secret"), "is not a JWT"),
        (request(serviceAccountToken=jwt(exp=NOW)), "has expired"),
        (request(serviceAccountToken=TOKEN + "\nx"), "is not a JWT"),
    ],
)  # fmt: skip
def test_a_request_that_is_not_the_kubelet_s_is_an_error_that_quotes_no_token(
    stdin: bytes, said: str
) -> None:
    with pytest.raises(HelperError) as caught:
        response(stdin)

    assert said in str(caught.value)
    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--registry=a"],
        ["--username=a"],
        ["--registry=a", "--username="],
        ["--registry=a", "--username=a:b"],
        ["--registry=a", "--username=a", "--username=b"],
        ["--registry=a", "--username=a", "--unknown=b"],
        ["--registry", "a", "--username=a"],
        ["registry=a", "--username=a"],
    ],
)
def test_arguments_that_are_wrong_are_an_error(arguments: list[str]) -> None:
    with pytest.raises(HelperError, match="usage: regauth-credential-provider"):
        answer(arguments, io.BytesIO(request()), NOW)


class _Exchange(BaseHTTPRequestHandler):
    body = b""
    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def exchange() -> Iterator[type[_Exchange]]:
    handler = type("Exchange", (_Exchange,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        handler.url = f"http://localhost:{server.server_port}/federation"
        yield handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "cache"),
    [
        ({"token": "robot-password"}, "0s"),
        ({"access_token": "robot-password", "expires_in": 100}, "50s"),
        ({"token": "robot-password", "expires_in": 86_400}, "300s"),
        ({"token": "robot-password", "expires_in": -5}, "0s"),
        ({"token": "robot-password", "expires_in": "x"}, "0s"),
    ],
)
def test_the_token_is_exchanged_for_a_password(
    exchange: type[_Exchange], body: object, cache: str
) -> None:
    exchange.body = json.dumps(body).encode()
    found = response(request(), f"--exchange={exchange.url}")

    assert found["auth"] == {
        "registry.example.com": {"username": "cluster", "password": "robot-password"}
    }
    assert found["cacheDuration"] == cache
    assert exchange.seen == ["Basic " + base64.b64encode(f"cluster:{TOKEN}".encode()).decode()]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"token": 7}', b'{"token": "a\\nb"}', b'{"token": ""}']
)
def test_an_exchange_that_gives_no_password_is_an_error_and_the_token_is_not_sent_on(
    exchange: type[_Exchange], body: bytes
) -> None:
    exchange.body = body
    with pytest.raises(HelperError, match="the exchange"):
        response(request(), f"--exchange={exchange.url}")


def test_a_token_is_not_exchanged_in_the_clear() -> None:
    with pytest.raises(HelperError, match="is not https"):
        response(request(), "--exchange=http://registry.example.com/")
