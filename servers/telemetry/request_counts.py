"""
Token requests, counted a moment later.

What lives here: what a request adds to the metrics.  Not here: the other metrics (`metrics`).

A counter of prometheus-client takes a lock and makes four calls for each step.  A request has
several of them, and is not worth that.  So it leaves a note, and the notes are added up together.
"""

import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from regauth.engine import Decision

MAX_NOTES: Final = 100
"""Notes that wait at most; their decisions are kept in memory so long."""

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SECONDS: Final = ("token_server_request_seconds", "How long token requests took.")


class RequestNote(Struct, frozen=True):
    """What one request adds."""

    outcome: str
    provider: str
    seconds: float
    decision: Decision | None = None
    """What was decided for it; None where nothing was, or for another request before."""
    reused: bool = False
    """Whether it got an answer a second time."""


class _Durations(Collector):
    """A histogram of one process, without a lock and a call for each value."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = [0] * (len(_BUCKETS) + 1)
        self._sum = 0.0
        registry.register(self)

    def add(self, values: list[float]) -> None:
        """Add values; one thread at a time."""
        for value in values:
            self._counts[bisect_left(_BUCKETS, value)] += 1
        self._sum += sum(values)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell prometheus-client what there is."""
        bounds = [*map(str, _BUCKETS), "+Inf"]
        totals = map(float, accumulate(self._counts))
        yield HistogramMetricFamily(
            *_SECONDS, buckets=list(zip(bounds, totals, strict=True)), sum_value=self._sum
        )


class _SharedDurations:
    """The same for several processes, whose values prometheus-client joins."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(*_SECONDS, buckets=_BUCKETS, registry=registry)

    def add(self, values: Iterable[float]) -> None:
        """Add values."""
        for value in values:
            self._histogram.observe(value)


class RequestCounts:
    """
    The counters of token requests.  Safe to use from many threads.

    Args:
        registry: Where they are found.
        shared: Whether other processes' are joined with them.
    """

    def __init__(self, registry: CollectorRegistry, *, shared: bool) -> None:
        counter = partial(Counter, registry=registry)
        self._requests = counter(
            "token_server_requests",
            "Token requests, by what became of them.",
            ("outcome", "provider"),
        )
        self._decisions = counter(
            "token_server_decisions",
            "Decided accesses, by the reason and the grant or denial that decided.",
            ("why", "source"),
        )
        self._reused = counter("token_server_reused_answers", "Answers given a second time.")
        self._durations = _SharedDurations(registry) if shared else _Durations(registry)
        self._notes: list[RequestNote] = []
        self._lock = threading.Lock()

    def note(self, note: RequestNote) -> None:
        """Count a request, at the latest when `MAX_NOTES` wait."""
        self._notes.append(note)
        if len(self._notes) >= MAX_NOTES:
            self.settle()

    def settle(self) -> None:
        """Count the requests that have only been noted."""
        with self._lock:
            notes = self._notes[:]
            del self._notes[: len(notes)]  # other threads append meanwhile
            outcomes = Tally([(note.outcome, note.provider) for note in notes])
            for (outcome, provider), number in outcomes.items():
                self._requests.labels(outcome, provider).inc(number)
            verdicts = [one for note in notes if note.decision for one in note.decision.verdicts]
            reasons = Tally([(one.why, one.source) for one in verdicts])
            for (why, source), number in reasons.items():
                self._decisions.labels(str(why), source).inc(number)
            self._reused.inc(sum(note.reused for note in notes))
            self._durations.add([note.seconds for note in notes])
