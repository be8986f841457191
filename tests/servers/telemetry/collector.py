"""An OTLP receiver over HTTP: keeps the spans and log records that it is sent."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


class Collector:
    """What came in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.traces: list[ExportTraceServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.bodies: list[bytes] = []

    @property
    def spans(self) -> list[dict[str, object]]:
        """Each span: its name, ids, and attributes."""
        return [
            {
                "name": span.name,
                "trace": span.trace_id.hex(),
                "id": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "state": span.trace_state,
                "service": plain(list(resource.resource.attributes))["service.name"],
                "status": span.status.code,
                **plain(list(span.attributes)),
            }
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list[dict[str, object]]:
        """Each log record: its event, severity, trace and body."""
        return [
            {
                "event": record.event_name,
                "severity": record.severity_text,
                "trace": record.trace_id.hex(),
                "body": value(record.body),
            }
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def value(given: AnyValue) -> object:
    """Return a value as Python has it."""
    kind = given.WhichOneof("value")
    if kind == "kvlist_value":
        return plain(list(given.kvlist_value.values))
    if kind == "array_value":
        return [value(one) for one in given.array_value.values]
    return getattr(given, kind) if kind else None


def plain(pairs: list[KeyValue]) -> dict[str, object]:
    """Return attributes as a dict."""
    return {one.key: value(one.value) for one in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Serve a collector until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.bodies.append(body)
            if self.path == "/v1/traces":
                found.traces.append(ExportTraceServiceRequest.FromString(body))
            else:
                assert self.path == "/v1/logs"
                found.logs.append(ExportLogsServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
