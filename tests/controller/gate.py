"""
A gate before a real API server: what goes through it can be seen, refused, changed and cut off.

It gives tests the same hold on a real kube-apiserver that they have on their own; it answers
nothing by itself.
"""

import json
from collections.abc import Iterator

import urllib3

from .listening import Handler, Listening, Request, Watch

PASSED_ON = ("Authorization", "Accept", "Content-Type", "User-Agent")


class Gate(Listening):
    """The gate before an API server with a certificate of an authority."""

    def __init__(self, upstream: str, ca_file: str) -> None:
        self.upstream, self.ca_file = upstream, ca_file
        self.http = urllib3.PoolManager(maxsize=32, ca_certs=ca_file)
        super().__init__(_Handler)

    def close(self) -> None:
        super().close()
        self.http.clear()


class _Handler(Handler):
    host: Gate

    def carry_out(self, request: Request) -> None:
        try:
            self._pass_on(request)
        except urllib3.exceptions.HTTPError:
            self.close_connection = True

    def _pass_on(self, request: Request) -> None:
        answer = self.host.http.request(
            request.method,
            self.host.upstream + self.path,
            headers={name: self.headers[name] for name in PASSED_ON if name in self.headers},
            body=None if request.body is None else json.dumps(request.body),
            preload_content="watch" not in request.query,
            timeout=urllib3.Timeout(60),
            retries=False,
        )
        request.status = answer.status
        if "watch" in request.query and answer.status == 200:
            self.stream(self._lines(request, answer))
            return
        data = answer.data
        if answer.status < 400:
            self.host.after(request)
        self.send(answer.status, data, answer.headers.get("Retry-After", ""))

    def _lines(self, request: Request, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        watch = Watch(request.what.partition(" ")[2], stream=answer)
        with self.host.changed:
            self.host.watches.append(watch)
            self.host.changed.notify_all()
        try:
            yield from answer
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if not watch.ended:
                raise ConnectionAbortedError from error
        finally:
            answer.close()
            with self.host.changed:
                self.host.watches.remove(watch)
                self.host.changed.notify_all()
