"""A scriptable OTLP/HTTP receiver: what a bridge could answer, path by path.

    with OtlpSink() as sink:
        sink.script(ALERTS_PATH, Answer(503, {"Retry-After": "2"}), Answer(400))  # for the next two requests there
        sink.always(LOGS_PATH, Answer(503))  # from now on
        ...
        assert sink.bodies(ALERTS_PATH) == ["boom"]

Every request is kept with its time before it is answered, also when the answer is a refusal.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.sink import ALERTS_PATH, LOGS_PATH, Answer, Request, Sink

__all__ = ["ALERTS_PATH", "LOGS_PATH", "METRICS_PATH", "TRACES_PATH", "Answer", "OtlpSink", "attributes", "uid"]

TRACES_PATH: Final = "/v1/traces"
METRICS_PATH: Final = "/v1/metrics"


class OtlpSink(Sink):
    """A `Sink` whose answers follow a script."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(self._scripted, port)
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._standing: dict[str, Answer] = {}
        self._lock = threading.Lock()
        self.taken: dict[str, list[LogRecord]] = defaultdict(list)
        """The log records that were answered with 200, by path."""
        self.times: dict[str, list[float]] = defaultdict(list)
        """When each request came, in seconds of the monotonic clock, by path."""

    def script(self, path: str, *replies: Answer) -> None:
        """Answer the next requests to this path with these, one each; then as before."""
        with self._lock:
            self._scripts[path].extend(replies)

    def always(self, path: str, reply: Answer) -> None:
        """Answer this path like that from now on, where no script says otherwise."""
        with self._lock:
            self._standing[path] = reply

    def bodies(self, path: str) -> list[str]:
        """The texts of the records that were taken (answered with 200) on this path, in the order of arrival."""
        with self._lock:
            return [record.body.string_value for record in self.taken[path]]

    def spans(self) -> list[Span]:
        """The spans that have come so far."""
        return [
            span
            for request in self.requests(TRACES_PATH)
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metric_names(self) -> set[str]:
        """The names of the metrics that have come so far."""
        return {
            metric.name
            for request in self.requests(METRICS_PATH)
            for resource in ExportMetricsServiceRequest.FromString(request.body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def _scripted(self, request: Request) -> Answer:
        with self._lock:
            self.times[request.path].append(time.monotonic())
            script = self._scripts[request.path]
            reply = script.popleft() if script else self._standing.get(request.path, Answer())
            if reply.status == 200 and request.path in {ALERTS_PATH, LOGS_PATH}:
                self.taken[request.path].extend(request.records())
        return reply


def attributes(item: LogRecord | Span) -> dict[str, str]:
    """The text attributes of a record or span."""
    return {entry.key: entry.value.string_value for entry in item.attributes}


def uid(record: LogRecord) -> str:
    """The record's identity; empty if it has none."""
    return next((entry.value.string_value for entry in record.attributes if entry.key == "log.record.uid"), "")
