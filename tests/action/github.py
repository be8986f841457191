"""A stand-in for the service that gives GitHub Actions jobs their ID tokens, over real HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEY = "gha-request-token-of-this-job"


@dataclass
class Github:
    """What a job needs to ask, and what was asked."""

    url: str
    claims: dict[str, object]
    """Those of the job."""

    status: int = 200
    asked: list[str] = field(default_factory=list)
    """The audiences."""

    @property
    def environment(self) -> dict[str, str]:
        """What the runner gives a job with `id-token: write`."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": self.url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": KEY,
        }


@contextmanager
def serving(
    claims: dict[str, object], sign: Callable[[dict[str, object]], str]
) -> Iterator[Github]:
    """Serve signed tokens with these claims until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self.headers["Authorization"] not in (f"bearer {KEY}", f"Bearer {KEY}"):
                self.send_error(401)
                return
            if github.status != 200:
                self.send_error(github.status)
                return
            (audience,) = query["audience"]
            github.asked.append(audience)
            body = json.dumps(
                {"count": 1, "value": sign(github.claims | {"aud": audience})}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    github = Github(f"http://localhost:{server.server_port}/idtoken?api-version=2.0", claims)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
