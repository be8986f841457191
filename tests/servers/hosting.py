"""Applications behind a real host, waitress or granian, and falcon's test client before it."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

from regauth.servers.configuration.settings import Address, HostName
from regauth.servers.http_server import server as hosting
from regauth.servers.http_server.connections import Clients
from regauth.servers.http_server.hosts import make_host

PATIENCE = 30.0
HOSTS: Final[tuple[HostName, ...]] = ("waitress", "granian")


@contextmanager
def serving(
    host: HostName, application: Callable[..., Any], clients: Clients | None = None
) -> Iterator[int]:
    """Serve an application for as long as the block runs; give the port."""
    listeners = hosting.bind([Address("127.0.0.1", 0)])
    port = int(listeners[0].getsockname()[1])
    server = make_host(host, application, listeners, clients or Clients(), threads=2, drain=0.5)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield port
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Bridge:
    """A WSGI application that asks a server: what falcon's test client simulates goes over TCP."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Pass a request on (PEP 3333)."""
        fields = {
            name.removeprefix("HTTP_").replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        }
        path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:@!$&'()*+,;=~")
        query = environ["QUERY_STRING"]
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, PATIENCE, (environ.get("REMOTE_ADDR", "127.0.0.1"), 0)
        )
        connection.putrequest(
            environ["REQUEST_METHOD"],
            f"{path}?{query}" if query else path,
            skip_host=True,
            skip_accept_encoding=True,
        )
        for name, value in fields.items():
            connection.putheader(name, value)
        connection.endheaders(
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or None
        )
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        added = ("connection", "date", "server", "via")
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in added]
        start_response(f"{answer.status} {answer.reason}", kept)
        return [body]
