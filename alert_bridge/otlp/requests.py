"""A request of any signal as a stream of its records, each with the resource and scope that it came under.

A request is parsed whole where that is safe. One that is large, or that the library refuses, is taken apart record by
record instead: then memory follows the largest record, not the request, and one bad record costs only itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from alert_bridge.errors import TooLarge, Undecodable
from alert_bridge.otlp import wire
from alert_bridge.otlp.body import Form, form_of, inflate
from alert_bridge.otlp.jsonform import fill, parse
from alert_bridge.otlp.limits import Limits
from alert_bridge.otlp.result import Malformed, Rejected, rejected

__all__ = ["LOGS", "METRICS", "SIGNALS", "TRACES", "Group", "Signal", "open_request"]

# An empty record takes 2 bytes on the wire and 128 in the library: above this size a request is taken apart.
WHOLE_PARSE_BYTES = 2 * 1024 * 1024
MEND_BYTES = 4 * 1024 * 1024  # of unreadable records that one request may have mended: mending is slow

# The field numbers of the frame, the same for every signal: request → resource_x → scope_x → x.
_RESOURCE_ITEMS, _RESOURCE, _SCOPE_ITEMS, _SCOPE, _ITEMS = 1, 1, 2, 1, 2


@dataclass(frozen=True, slots=True)
class Signal:
    """One of OTLP's signals: its messages, and what its frame is called."""

    name: str
    request: type[Message]
    response: type[Message]
    item: type[Message]
    resource_items: str
    scope_items: str
    items: str
    rejected_field: str


LOGS = Signal(
    "logs",
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    LogRecord,
    "resource_logs",
    "scope_logs",
    "log_records",
    "rejected_log_records",
)
TRACES = Signal(
    "traces",
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    Span,
    "resource_spans",
    "scope_spans",
    "spans",
    "rejected_spans",
)
METRICS = Signal(
    "metrics",
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    Metric,
    "resource_metrics",
    "scope_metrics",
    "metrics",
    "rejected_data_points",
)
SIGNALS = {signal.name: signal for signal in (LOGS, TRACES, METRICS)}


@dataclass(frozen=True, slots=True)
class Group:
    """Records that share a resource and a scope."""

    resource: Resource
    scope: InstrumentationScope
    items: Iterator[Any]  # the signal's item messages


def open_request(
    signal: Signal, body: bytes, *, content_type: str, content_encoding: str, limits: Limits, bad: list[Rejected]
) -> Iterator[Group]:
    """The groups of a request; records that cannot be read are appended to ``bad`` while the groups are consumed.

    Raises:
        Undecodable: not an OTLP request of this signal.
        TooLarge: over a limit of the request.
    """
    form = form_of(content_type)
    plain = inflate(body, content_encoding, limits)
    if form is Form.JSON:
        return _from_json(signal, plain, limits, bad)
    if len(plain) <= WHOLE_PARSE_BYTES:
        request = signal.request()
        try:
            request.ParseFromString(plain)
        except DecodeError:
            return _taken_apart(signal, plain, limits, bad)
        _refuse_other_things(signal, request, is_empty=not plain)
        return _groups(signal, request, limits, bad)
    return _taken_apart(signal, plain, limits, bad)


def _from_json(signal: Signal, plain: bytes, limits: Limits, bad: list[Rejected]) -> Iterator[Group]:
    if len(plain) > limits.json_bytes:
        raise TooLarge(
            f"The JSON body has {len(plain):,} bytes; at most {limits.json_bytes:,} are taken: send protobuf"
        )
    request = signal.request()
    document = parse(plain)
    try:
        bad += fill(request, document, limits)
    except Malformed as error:
        raise Undecodable(f"The body is JSON, but not OTLP {signal.name}: {error}") from error
    _refuse_other_things(signal, request, is_empty=not document or _is_empty_frame(signal, document))
    return _groups(signal, request, limits, bad)


def _refuse_other_things(signal: Signal, request: Any, *, is_empty: bool) -> None:
    """Unknown fields are skipped in both forms, so almost any bytes can pass for a request with nothing in it."""
    if not is_empty and not getattr(request, signal.resource_items):
        raise Undecodable(f"Nothing in the body is OTLP {signal.name}: is this the right path for it?")


def _is_empty_frame(signal: Signal, document: Mapping[str, Any]) -> bool:
    field = signal.request.DESCRIPTOR.fields_by_name[signal.resource_items]
    return field.json_name in document or field.name in document


def _groups(signal: Signal, request: Any, limits: Limits, bad: list[Rejected]) -> Iterator[Group]:
    counter = _Counter(limits, bad)
    for resource_item in getattr(request, signal.resource_items):
        for scope_item in getattr(resource_item, signal.scope_items):
            items = getattr(scope_item, signal.items)
            yield Group(resource_item.resource, scope_item.scope, iter(counter.take(items)))
    counter.close()


class _Counter:
    """Lets so many records through, and counts the others as one rejection."""

    def __init__(self, limits: Limits, bad: list[Rejected]) -> None:
        self._limit = limits.records
        self._room = limits.records
        self._surplus = 0
        self._bad = bad

    def take(self, items: Sequence[Any]) -> Sequence[Any]:
        kept = min(len(items), self._room)
        self._room -= kept
        self._surplus += len(items) - kept
        return items if kept == len(items) else items[:kept]

    def close(self) -> None:
        if self._surplus:
            self._bad.append(Rejected(f"beyond {self._limit:,} records in one request", count=self._surplus))


def _taken_apart(signal: Signal, plain: bytes, limits: Limits, bad: list[Rejected]) -> Iterator[Group]:
    try:
        frames = list(_Frame(limits).groups(memoryview(plain)))
    except Malformed as error:
        hint = " (it looks like JSON: say so in Content-Type)" if plain[:1] in {b"{", b"["} else ""
        raise Undecodable(f"The body is not an OTLP {signal.name} request in protobuf: {error}{hint}") from error
    if not frames:
        raise Undecodable(f"Nothing in the body is OTLP {signal.name}: is this the right path for it?")
    counter = _Counter(limits, bad)
    reader = _ItemReader(signal.item, limits, bad)
    groups = [Group(resource, scope, reader.read(counter.take(items))) for resource, scope, items in frames]
    counter.close()
    return iter(groups)


class _Frame:
    """The frame around the records, read at once: what is not OTLP is refused before anything of it is used."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = 2 * limits.records  # this walk is slow, so what is far over the limit is not even counted

    def groups(self, plain: memoryview) -> Iterator[tuple[Resource, InstrumentationScope, list[memoryview]]]:
        for resource_item in self._inner(plain, _RESOURCE_ITEMS):
            resource = self._message(Resource, resource_item, _RESOURCE)
            for scope_item in self._inner(resource_item, _SCOPE_ITEMS):
                yield resource, self._message(InstrumentationScope, scope_item, _SCOPE), self._inner(scope_item, _ITEMS)

    def _inner(self, data: memoryview, wanted: int) -> list[memoryview]:
        found: list[memoryview] = []
        for number, kind, content, _ in wire.fields(data):
            self._room -= 1
            if self._room < 0:
                raise TooLarge(f"More than {self._limits.records:,} records in one request: send less at once")
            if number == wanted:
                if kind != wire.LENGTH_DELIMITED:
                    raise Malformed(f"field {number} is no message")
                found.append(content)
        return found

    def _message(self, kind: type[Any], data: memoryview, number: int) -> Any:
        whole = b"".join(self._inner(data, number))  # concatenation is how protobuf merges a field that occurs twice
        if len(whole) > self._limits.record_bytes:
            raise TooLarge(f"A resource or scope has {len(whole):,} bytes, over {self._limits.record_bytes:,}")
        return _parsed(kind, memoryview(whole))


class _ItemReader:
    """Reads records one by one; a bad one costs only itself."""

    def __init__(self, kind: type[Message], limits: Limits, bad: list[Rejected]) -> None:
        self._kind = kind
        self._limits = limits
        self._bad = bad
        self._mend_room = MEND_BYTES

    def read(self, items: Sequence[memoryview]) -> Iterator[Message]:
        for data in items:
            try:
                yield self._one(data)
            except Malformed as error:
                self._bad.append(rejected(str(error), data, self._limits.excerpt_chars))

    def _one(self, data: memoryview) -> Message:
        if len(data) > self._limits.item_bytes:
            raise Malformed(f"{len(data):,} bytes, over the limit of {self._limits.item_bytes:,} for one record")
        try:
            return self._kind.FromString(bytes(data))
        except DecodeError as error:
            self._mend_room -= len(data)
            if self._mend_room < 0:
                raise Malformed(f"not readable, as many before it: {error}") from error
        return _parsed(self._kind, data)


def _parsed(kind: type[Any], data: memoryview) -> Any:
    """The message, with its strings mended if that is what it takes."""
    try:
        return kind.FromString(bytes(data))
    except DecodeError:
        mended = wire.mend(data, kind.DESCRIPTOR)
    try:
        return kind.FromString(mended)
    except DecodeError as error:
        raise Malformed(f"not readable: {error}") from error
