"""
Time that passes in mid-push: what real clients do, and what they are told.

Both servers are hosted here, on a clock that a test moves: from twenty minutes ago to now, so that
afterwards it agrees with the clients'. The clients and the registry behind the proxy are real.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.tokens.keys import PrivateKey
from regauth.servers.configuration.proxy_settings import (
    BundleKeys,
    ProxySettings,
    TokenSettings,
    UpstreamSettings,
)
from regauth.servers.configuration.settings import Address
from regauth.servers.http_server import server as hosting
from regauth.servers.proxy.app import Proxy
from regauth.servers.telemetry.event_log import EventLog
from tests.servers.desk import Desk, make_desk, pem_keys, policy_text

from .clients import CLIENTS, Able, Client, Crane, Done, Home
from .images import layer_content, write_image
from .programs import require
from .standing import ISSUER, SERVICE, bare_registry

pytestmark = pytest.mark.e2e

AS_IT_COMES, ALL_THERE = "as a layer comes", "before the manifest"
MOMENTS = [AS_IT_COMES, ALL_THERE]
"""When the time passes."""

BLOBS = 2
"""Blobs of the image, which some clients send side by side."""

LATER = timedelta(minutes=20)
"""More than a registry token is good for, with what leeway there is."""


@dataclass
class Push:
    """A token server and a proxy on one clock, and what they answered."""

    desk: Desk
    port: int = 0
    realm: str = ""
    moment: str = ""
    blobs: int = 0
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    challenges: list[tuple[str, str]] = field(default_factory=list)
    """Each with the method of its request."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Some clients send both blobs side by side."""

    def let_time_pass(self) -> None:
        """Let it be twenty minutes later, once."""
        self.moment = ""
        self.desk.times.append(self.desk.times[-1] + LATER)

    def watched(self, application: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """Note what an application answers; let the time pass when the first bytes come."""

        def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            of_layer = method in {"PATCH", "PUT"} and "/blobs/uploads/" in path
            with self.lock:
                if of_layer and self.moment == AS_IT_COMES:
                    self.let_time_pass()

            def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
                with self.lock:
                    self.answers.append((kind, method, int(status[:3])))
                    self.challenges += [
                        (method, value)
                        for name, value in headers
                        if name.lower() == "www-authenticate"
                    ]
                    self.blobs += of_layer and status.startswith("201")
                    if self.moment == ALL_THERE and self.blobs == BLOBS:
                        self.let_time_pass()
                return start_response(status, headers, *rest)

            return application(environ, start)

        return call


@contextmanager
def serving(application: Callable[..., Any], **adjustments: int) -> Iterator[int]:
    """Serve an application on a free port of loopback until the block ends; yield the port."""
    [listener] = hosting.bind([Address("127.0.0.1", 0)])
    server = hosting.Server(application, [listener], threads=8, drain=1, adjustments=adjustments)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join()
        listener.close()


@pytest.fixture
def push(tmp_path: Path, private_keys: dict[str, PrivateKey]) -> Iterator[Push]:
    require("docker-registry")
    text = policy_text(pem_keys(private_keys["rsa"])).replace("  github:\n", "  sample:\n")
    desk = make_desk(tmp_path, text, private_keys["rsa"])
    desk.times[:] = [datetime.now(UTC) - LATER]
    made = Push(desk)
    with ExitStack() as stack:
        registry = stack.enter_context(bare_registry(tmp_path / "registry"))
        tokens = stack.enter_context(serving(made.watched(desk.client.app, "tokens")))
        bundle = BundleKeys(tmp_path / "keys" / "root.crt")
        made.realm = f"http://localhost:{tokens}/auth/token"
        settings = ProxySettings(
            TokenSettings(SERVICE, ISSUER, bundle, made.realm),
            UpstreamSettings(f"http://127.0.0.1:{registry}"),
        )
        stream = stack.enter_context((tmp_path / "proxy.log").open("ab"))
        log = EventLog("json", "info", stream.fileno())
        proxy = Proxy(settings, log, now=lambda: desk.times[-1])
        proxy.start()
        stack.callback(proxy.close)
        streaming = hosting.streaming(settings.limits.max_body, 8)
        made.port = stack.enter_context(serving(made.watched(proxy.app, "proxy"), **streaming))
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    folder.mkdir()
    write_image(folder, "1", os.urandom(1024 * 1024))
    return folder


def home(push: Push, folder: Path, name: str, minutes: float) -> Home:
    """Return the home of a client whose job's token is good for so long from now on."""
    expires = int((push.desk.times[-1] + timedelta(minutes=minutes)).timestamp())
    token = push.desk.token(exp=expires)
    return Home(folder / name).make(f"localhost:{push.port}", token)


def push_with(push: Push, where: Home, client: Client, image: Path, moment: str = "") -> Done:
    push.moment = moment
    done = client.push(where, image, f"localhost:{push.port}/acme/app:0.1.0")
    assert not push.moment, "no layer was sent"
    return done


def assert_pushed(push: Push, where: Home, client: Client, image: Path) -> None:
    reference = f"localhost:{push.port}/acme/app:0.1.0"
    into = where.folder / "pulled"
    pulled = client.pull(where, reference, into)
    assert pulled.returncode == 0, pulled.stderr
    assert client.content(into, reference) == layer_content(image)


def assert_nothing_is_there(push: Push, where: Home, client: Client) -> None:
    reference = f"localhost:{push.port}/acme/app:0.1.0"
    assert client.pull(where, reference, where.folder / "nothing").returncode != 0


def assert_challenged(push: Push) -> None:
    """
    A request whose token is no longer good is told so, and which token would be.

    An upload always is.  A client may ask meanwhile whether the other blob is there, too.
    """
    assert ("proxy", HTTPStatus.UNAUTHORIZED) in {
        (kind, status) for kind, method, status in push.answers if method in {"PATCH", "PUT"}
    }
    wanted = {"HEAD": "pull"}
    for method, challenge in push.challenges:
        if "error=" in challenge:
            scope = f"repository:acme/app:{wanted.get(method, 'pull,push')}"
            told = f'Bearer realm="{push.realm}",service="{SERVICE}",scope="{scope}"'
            assert challenge == f'{told},error="invalid_token"', method
    assert any("error=" in one for method, one in push.challenges if method in {"PATCH", "PUT"})


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.program)
def test_a_registry_token_that_expires_is_replaced_but_a_layer_is_not_sent_twice(
    push: Push, client: Client, able: Able, moment: str, image: Path, tmp_path: Path
) -> None:
    able(client)
    where = home(push, tmp_path, "home", minutes=60)
    done = push_with(push, where, client, image, moment)

    if moment == AS_IT_COMES:  # the layer's bytes are gone, and no client has them any more
        assert done.returncode != 0
        assert_challenged(push)
        assert isinstance(client, Crane) or "the registry token has expired" in done.stderr
        assert_nothing_is_there(push, where, client)
        done = push_with(push, where, client, image)
    assert done.returncode == 0, done.stderr
    assert_pushed(push, where, client, image)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.program)
def test_a_job_s_token_that_expires_ends_the_push_and_a_new_one_ends_it_well(
    push: Push, client: Client, able: Able, moment: str, image: Path, tmp_path: Path
) -> None:
    able(client)
    done = push_with(push, home(push, tmp_path, "old", minutes=5), client, image, moment)

    assert done.returncode != 0
    assert "token has expired" in done.stderr, done.stderr
    assert {200, 401} == {status for kind, _, status in push.answers if kind == "tokens"} or (
        "registry token has expired" in done.stderr
    )
    where = home(push, tmp_path, "new", minutes=5)
    assert_nothing_is_there(push, where, client)
    again = push_with(push, where, client, image)
    assert again.returncode == 0, again.stderr
    assert_pushed(push, where, client, image)
