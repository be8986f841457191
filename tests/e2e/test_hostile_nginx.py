"""Hostile requests to nginx with the configuration in `deploy/nginx`, before a real registry."""

import hashlib
import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route
from tests.servers.proxy.corpus import Line, targets
from tests.servers.proxy.wire import DIGEST, HOST, REQUESTS, raw

from .conftest import Site
from .decisions import MAIN
from .programs import TOKEN_SERVER, require, run
from .standing import SERVICE, bare_registry, nginx_before

pytestmark = pytest.mark.e2e

SECRET = b"nobody may have this"
SECRET_DIGEST = f"sha256:{hashlib.sha256(SECRET).hexdigest()}"
OWN = "repository:acme/app:pull,push"
PATIENCE = 30.0
_SEEN = re.compile(r'"([A-Z]+ \S+) HTTP/1\.[01]" \d{3}')
_ABSOLUTE = re.compile(r"\Ahttp://[^/]*")


@dataclass
class Behind:
    """A registry that has a secret, behind nginx."""

    port: int
    registry: int
    token: str
    log: Path

    def seen(self) -> list[str]:
        """Return all that the registry was asked, as it was asked."""
        return _SEEN.findall(self.log.read_text(errors="replace"))

    def say(self, text: str) -> bytes:
        """Send bytes with the token, and return everything that comes until the end."""
        data = text.replace("{token}", self.token).encode("latin-1")
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(data)
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass  # nginx has not read all that was sent to it
            return answer


@pytest.fixture(scope="module")
def behind(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    require("nginx", "docker-registry")
    folder = tmp_path_factory.mktemp("nginx")
    quick = "client_header_timeout 1s; client_body_timeout 1s;"
    done = run(
        [
            *(*TOKEN_SERVER, "exchange", site.realm, "--username", "sample", "--raw"),
            *("--service", SERVICE, "--scope", OWN),
        ],
        text=site.jwt(MAIN),
    )
    with (
        bare_registry(folder / "registry") as registry,
        nginx_before(registry, site, folder / "nginx", quick) as port,
    ):
        log = folder / "registry" / "registry.log"
        _put(registry, SECRET)
        yield Behind(port, registry, done.stdout.strip(), log)


def _put(port: int, blob: bytes) -> None:
    """Put a blob into the secret repository."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        connection.request("POST", "/v2/secret/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        where = answer.headers["Location"].partition(f":{port}")[2]
        connection.request("PUT", f"{where}&digest={digest}", blob)
        assert connection.getresponse().status == 201


@pytest.mark.parametrize("text", REQUESTS.values(), ids=REQUESTS)
def test_nothing_that_is_read_in_two_ways_reaches_the_secret(behind: Behind, text: str) -> None:
    before = behind.seen()
    text = text.replace(DIGEST, SECRET_DIGEST)
    answer = behind.say(text + raw("GET /healthz HTTP/1.0", HOST))
    arrived = behind.seen()[len(before) :]

    assert all(one.split(" ")[1].startswith("/v2/acme/app/") for one in arrived), arrived
    assert SECRET not in answer
    assert _has_secret(behind) == 404


def _has_secret(behind: Behind) -> int:
    """Ask the registry whether the secret was mounted where the token may pull."""
    with closing(http.client.HTTPConnection("127.0.0.1", behind.registry)) as connection:
        connection.request("HEAD", f"/v2/acme/app/blobs/{SECRET_DIGEST}")
        return connection.getresponse().status


def test_the_secret_is_there_to_be_found(behind: Behind) -> None:
    """The tests above can fail: whoever reaches the registry has the secret."""
    with closing(http.client.HTTPConnection("127.0.0.1", behind.registry)) as connection:
        connection.request("GET", f"/v2/secret/blobs/{SECRET_DIGEST}")
        assert connection.getresponse().read() == SECRET
    assert behind.seen()[-1] == f"GET /v2/secret/blobs/{SECRET_DIGEST}"


@pytest.mark.parametrize("line", targets(), ids=lambda one: f"{one.method} {one.target}"[:60])
def test_a_target_arrives_as_it_was_sent_or_not_at_all(behind: Behind, line: Line) -> None:
    before = behind.seen()
    behind.say(
        raw(f"{line.method} {line.target} HTTP/1.1", HOST, "Authorization: Bearer {token}",
            "Content-Length: 0", "Connection: close")
    )  # fmt: skip
    arrived = behind.seen()[len(before) :]
    target = _ABSOLUTE.sub("", line.target)  # nginx takes the absolute form, and leaves the path
    route = read_route(line.method, target)
    mine = isinstance(route, Route) and {str(one.resource) for one in route.needs} <= {
        "repository:acme/app"
    }

    if arrived:
        assert mine
        assert arrived == [f"{line.method} {target}"]
    served = target.startswith("/v2/")  # all that nginx has a location for
    if mine and served and line.method != "DELETE" and not route.undecided:
        assert arrived
