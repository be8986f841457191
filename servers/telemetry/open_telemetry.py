"""
OpenTelemetry: a trace of each request, and decisions as log records, sent by OTLP over HTTP.

What lives here: which trace context is believed (W3C Trace Context), what a span says, and how the
SDK is set up.  Not here: the decision log, which stays the authority (`decision_log`); and metrics,
which Prometheus reads (`metrics`).

The SDK sends in the background and drops what its queue has no room for.  So a collector that is
away costs no request.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from regauth.engine.source.startup import StartupError
from regauth.servers.configuration.settings import OpenTelemetrySettings
from regauth.servers.protocol.request_info import RequestInfo, request_info

from .event_log import encoded, redacted
from .record_bounds import Members

if TYPE_CHECKING:  # the extra `otel`
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.trace import Span, TracerProvider

TRACE_PARENT: Final = "regauth.traceparent"
"""The variable of the WSGI environment with the context to send on; no client can set one."""

EXPORT_SECONDS: Final = 5.0
"""Seconds that the collector may take for one request."""

END_SECONDS: Final = 3.0
"""Seconds that the end of a process waits for the collector."""

MAX_PATH: Final = 500
"""Characters of a path in a span."""

_UNTRACED: Final = frozenset(("/healthz", "/readyz", "/metrics"))
_NAMED: Final = ("/v2/", "/auth/", "/authorize")
_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class OpenTelemetryError(StartupError):
    """The extra `otel` is not installed."""


class OpenTelemetry:
    """
    The spans and log records of one process.  Make it after any fork: it starts threads.

    Args:
        settings: Where to send, and what.
        service: The program, as `service.name`.

    Raises:
        OpenTelemetryError: The extra `otel` is not installed.
    """

    def __init__(self, settings: OpenTelemetrySettings, service: str) -> None:
        try:
            self._traces, self._logs = _providers(settings, service)
        except ImportError as error:
            raise OpenTelemetryError(
                f"`openTelemetry` needs opentelemetry-sdk, which is not here ({error}); "
                "install it: pip install 'jwt-registry-auth[otel]'"
            ) from error
        self._settings = settings
        self._tracer = self._traces.get_tracer("regauth")
        self._logger = self._logs.get_logger("regauth")

    def wrap(self, application: _Wsgi) -> _Wsgi:
        """Return an application with a span for each request; `request_info` must be known."""
        return _Traced(application, self)

    def begin(self, environ: Mapping[str, Any]) -> "Span | None":
        """Begin the span of a request; None for what probes ask."""
        from opentelemetry.trace import SpanKind

        path = str(environ.get("PATH_INFO", ""))
        if path in _UNTRACED:
            return None
        info, method = request_info(environ), str(environ["REQUEST_METHOD"])[:20]
        return self._tracer.start_span(  # type: ignore[return-value]  # of the SDK's tracer
            _name(method, path),
            _believed(environ, info),
            SpanKind.SERVER,
            {
                "http.request.method": method,
                "url.path": redacted(path[:MAX_PATH]),
                "client.address": info.client,
                "user_agent.original": redacted(info.agent),
                "regauth.request_id": info.request_id,
            },
        )

    @property
    def decision(self) -> Callable[[Members], None] | None:
        """What takes a copy of each record of the decision log, where that is asked for."""
        return self._decision if self._settings.decisions else None

    def _decision(self, record: Members) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber

        kept = record if self._settings.claims else {**record}
        if not self._settings.claims:
            kept.pop("claims", None)
        allowed = record.get("outcome") in ("issued", "decided")
        # What the file gets, redacted in the same way.
        text = redacted(encoded(kept))
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            # A client can send half of a surrogate pair, which OTLP has no form for.  The file
            # writes it as an escape, and so does this text.  No request may fail for it.
            body = text
        self._logger.emit(
            LogRecord(
                severity_number=SeverityNumber.INFO if allowed else SeverityNumber.WARN,
                severity_text="INFO" if allowed else "WARN",
                body=body,
                event_name="regauth.decision",
                attributes={"regauth.outcome": str(record.get("outcome", ""))},
            )
        )

    def flush(self) -> None:
        """Send what waits, and wait for the collector."""
        self._traces.force_flush()
        self._logs.force_flush()

    def close(self) -> None:
        """Send what waits, within `END_SECONDS`."""
        # The SDK's own end waits for a collector that is away much longer than a process may take.
        ends = [
            threading.Thread(target=one.shutdown, daemon=True) for one in (self._traces, self._logs)
        ]
        for one in ends:
            one.start()
        for one in ends:
            one.join(END_SECONDS / len(ends))


class _Traced:
    """A WSGI application whose requests have a span, until the last byte of the answer."""

    def __init__(self, application: _Wsgi, telemetry: OpenTelemetry) -> None:
        self._application = application
        self._telemetry = telemetry

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI
        span = self._telemetry.begin(environ)
        if span is None:
            return self._application(environ, start_response)
        from opentelemetry.trace import use_span

        context = span.get_span_context()
        environ[TRACE_PARENT] = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        )

        def start(status: str, headers: Any, *more: Any) -> Any:  # noqa: ANN401 - WSGI
            _answered(span, status)
            return start_response(status, headers, *more)

        try:
            # Log records that are made meanwhile belong to the span.
            with use_span(span, record_exception=False, set_status_on_exception=False):
                answer = self._application(environ, start)
        except BaseException:
            span.end()
            raise
        return _Answer(answer, span)


class _Answer:
    """The body of an answer, whose end is the span's."""

    def __init__(self, body: Iterable[bytes], span: "Span") -> None:
        self._body = body
        self._span = span

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """End the span; a WSGI server calls this once, also when the client went away."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._span.end()


def _answered(span: "Span", status: str) -> None:
    from opentelemetry.trace import StatusCode

    code = int(status[:3])
    span.set_attribute("http.response.status_code", code)
    if code >= 500:  # noqa: PLR2004 - a server's failure is an error of the span, a refusal is none
        span.set_status(StatusCode.ERROR)


def _name(method: str, path: str) -> str:
    """Return a span's name; names of repositories are not in it, since spans are grouped by it."""
    known = next((one for one in _NAMED if path.startswith(one)), "")
    return f"{method} {known}" if known else method


def _believed(environ: Mapping[str, Any], info: RequestInfo) -> "Context":
    """
    Return the trace that a trusted proxy says, or none.

    Anybody else could join a trace of others, or have all its requests sampled.  `tracestate` and
    `baggage` are never read: their content is a stranger's.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    given = environ.get("HTTP_TRACEPARENT")
    if not info.trusted or not isinstance(given, str):
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": given}, Context())


def _providers(
    settings: OpenTelemetrySettings, service: str
) -> "tuple[TracerProvider, LoggerProvider]":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (
        OTLPLogExporter,
    )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,
    )
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    about = Resource.create({"service.name": service})
    base = settings.endpoint.rstrip("/")
    traces = TracerProvider(
        ParentBased(TraceIdRatioBased(settings.sample_ratio)), about, shutdown_on_exit=False
    )
    spans = OTLPSpanExporter(f"{base}/v1/traces", timeout=EXPORT_SECONDS)
    traces.add_span_processor(BatchSpanProcessor(spans))
    logs = LoggerProvider(about, shutdown_on_exit=False)
    records = OTLPLogExporter(f"{base}/v1/logs", timeout=EXPORT_SECONDS)
    logs.add_log_record_processor(BatchLogRecordProcessor(records))
    return traces, logs
