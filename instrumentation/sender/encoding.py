"""OTLP/protobuf by hand: what is sent is small and fixed, and generated classes cost five times as much.

Field numbers are those of opentelemetry-proto 1.x (`logs.proto`, `trace.proto`, `metrics.proto`, `common.proto`); a
test decodes every message with the generated classes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Final

from instrumentation.attributes import RECORD_UID, TEMPLATE

__all__ = [
    "Part",
    "encode_event_name",
    "encode_ids",
    "encode_log",
    "encode_log_attributes",
    "encode_metric",
    "encode_request",
    "encode_resource",
    "encode_severity",
    "encode_span",
    "encode_template",
]

_INT64_LIMIT: Final = 1 << 63
_UINT64: Final = 1 << 64
_MAX_DEPTH: Final = 12  # of nested values; deeper ones become text
_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))
_SPAN_KIND_INTERNAL: Final = 1
_TEMPORALITY_CUMULATIVE: Final = 2
_double: Final = struct.Struct("<d").pack
_fixed64: Final = struct.Struct("<Q").pack
_times: Final = struct.Struct("<BQBQ").pack  # two fields of 64 bits with their tags

# (resource, scope name, messages) in the order of sending; equal neighbours share their header.
Part = tuple[bytes, str, Sequence[bytes]]


def _varint(number: int) -> bytes:
    if number < 128:  # noqa: PLR2004 - one byte holds seven bits
        return _ONE_BYTE[number]
    out = bytearray()
    while number > 127:  # noqa: PLR2004
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except (
        UnicodeEncodeError
    ):  # a lone surrogate; protobuf text is strict UTF-8, and one bad string costs a whole batch
        return text.encode("utf-8", "backslashreplace")


def _chunk(tag: bytes, payload: bytes) -> bytes:
    size = len(payload)
    return tag + (_ONE_BYTE[size] if size < 128 else _varint(size)) + payload  # noqa: PLR2004 - the same, without a call


def _any(value: object, depth: int = 0) -> bytes:
    if isinstance(value, str):
        return _chunk(b"\x0a", _utf8(value))
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -_INT64_LIMIT <= value < _INT64_LIMIT:
            return b"\x18" + _varint(value % _UINT64)
        return _chunk(b"\x0a", str(value).encode())
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if value is None:
        return b""
    return _container(value, depth)


def _container(value: object, depth: int) -> bytes:
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        pairs = b"".join(_chunk(b"\x0a", _pair(str(key), item, depth + 1)) for key, item in value.items())
        return _chunk(b"\x32", pairs)
    if isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        return _chunk(b"\x2a", b"".join(_chunk(b"\x0a", _any(item, depth + 1)) for item in value))
    return _chunk(b"\x0a", _utf8(str(value)))


@lru_cache(4096)
def _name(name: str) -> bytes:
    return _chunk(b"\x0a", _utf8(name))


def _pair(name: str, value: object, depth: int = 0) -> bytes:
    return _name(name) + _chunk(b"\x12", _any(value, depth))


@lru_cache(8192)
def _text_attribute(tag: bytes, name: str, value: str) -> bytes:
    return _chunk(tag, _name(name) + _chunk(b"\x12", _chunk(b"\x0a", _utf8(value))))


_CACHED_TEXT_CHARACTERS: Final = 120  # files, functions, threads, stages: the same few again and again


def _attributes(tag: bytes, attributes: Mapping[str, object]) -> Iterable[bytes]:
    for name, value in attributes.items():
        if isinstance(value, str) and len(value) <= _CACHED_TEXT_CHARACTERS:
            yield _text_attribute(tag, name, value)
        else:
            yield _chunk(tag, _pair(name, value))


@lru_cache(1024)
def _id(text: str, size: int) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return b""
    return raw if len(raw) == size else b""


def encode_resource(attributes: Mapping[str, object]) -> bytes:
    """A `Resource` message; made once per process and reused for all of its records."""
    return b"".join(_attributes(b"\x0a", attributes))


def encode_log(time: int, observed: int, body: str, uid: str, ready: bytes) -> bytes:
    """A `LogRecord` message. Times in nanoseconds since the epoch; ``uid`` is ASCII and becomes an attribute.

    ``ready`` are the other parts, as the functions below make them; most are the same in many records.
    """
    try:
        text = body.encode()
    except UnicodeEncodeError:
        text = _utf8(body)
    return b"".join(
        (
            _times(9, time % _UINT64, 89, observed),
            _head_of_body(len(text)),
            text,
            _head_of_uid(len(uid)),
            uid.encode(),
            ready,
        )
    )


@lru_cache(1024)
def _head_of_body(size: int) -> bytes:
    """What stands before a body of so many bytes."""
    value = b"\x0a" + _varint(size)
    return b"\x2a" + _varint(len(value) + size) + value


@lru_cache(64)
def _head_of_uid(size: int) -> bytes:
    return _head_of_text_attribute(RECORD_UID, size)


@lru_cache(1024)
def _head_of_text_attribute(name: str, size: int) -> bytes:
    """What stands before a text attribute's value of so many bytes."""
    value = b"\x0a" + _varint(size)
    pair = _name(name) + b"\x12" + _varint(len(value) + size) + value
    return b"\x32" + _varint(len(pair) + size) + pair


def encode_template(template: str) -> bytes:
    """The template of a message that was given without arguments, as a part of a `LogRecord` message."""
    text = _utf8(template)
    return _head_of_text_attribute(TEMPLATE, len(text)) + text


def encode_ids(trace_id: str, span_id: str) -> bytes:
    """Trace and span id, as hex, as a part of a `LogRecord` message; wrong ones are left out."""
    trace, span = _id(trace_id, 16), _id(span_id, 8)
    if not trace:
        return b""
    return _chunk(b"\x4a", trace) + (_chunk(b"\x52", span) if span else b"")


def encode_event_name(name: str) -> bytes:
    """The name of an event, as a part of a `LogRecord` message; nothing for a record that is none."""
    return _text_field(b"\x62", name)


def encode_severity(number: int, text: str) -> bytes:
    """Severity number and text as a part of a `LogRecord` message."""
    return b"\x10" + _ONE_BYTE[number] + _text_field(b"\x1a", text)


def encode_log_attributes(attributes: Mapping[str, object]) -> bytes:
    """Attributes as a part of a `LogRecord` message."""
    return b"".join(_attributes(b"\x32", attributes))


@lru_cache(256)
def _text_field(tag: bytes, text: str) -> bytes:
    return _chunk(tag, _utf8(text)) if text else b""


def encode_span(
    *,
    trace_id: str,
    span_id: str,
    parent_id: str,
    name: str,
    kind: int,
    start: int,
    end: int,
    attributes: Mapping[str, object],
    events: Sequence[tuple[int, str, Mapping[str, object]]] = (),
    status: int = 0,
    status_message: str = "",
) -> bytes:
    """A `Span` message; empty if its ids are not valid, because a receiver would refuse it."""
    trace, span, parent = _id(trace_id, 16), _id(span_id, 8), _id(parent_id, 8)
    if not trace or not span:
        return b""
    parts = [_chunk(b"\x0a", trace), _chunk(b"\x12", span)]
    if parent:
        parts.append(_chunk(b"\x22", parent))
    parts += (_chunk(b"\x2a", _utf8(name)), b"\x30", _varint(kind or _SPAN_KIND_INTERNAL))
    parts += (b"\x39", _fixed64(start % _UINT64), b"\x41", _fixed64(end % _UINT64), *_attributes(b"\x4a", attributes))
    for when, event, event_attributes in events:
        message = b"\x09" + _fixed64(when % _UINT64) + _chunk(b"\x12", _utf8(event))
        parts.append(_chunk(b"\x5a", message + b"".join(_attributes(b"\x1a", event_attributes))))
    if status or status_message:
        message = _chunk(b"\x12", _utf8(status_message)) if status_message else b""
        parts.append(_chunk(b"\x7a", message + (b"\x18" + _varint(status) if status else b"")))
    return b"".join(parts)


def encode_metric(
    *, name: str, unit: str, kind: str, time: int, value: float, attributes: Mapping[str, object]
) -> bytes:
    """A `Metric` message with one point: a gauge, or (`kind` "sum") a monotonic cumulative sum."""
    number = b"\x31" + struct.pack("<q", value) if isinstance(value, int) and abs(value) < _INT64_LIMIT else b""
    point = b"\x19" + _fixed64(time % _UINT64) + (number or b"\x21" + _double(float(value)))
    point = _chunk(b"\x0a", point + b"".join(_attributes(b"\x3a", attributes)))
    if kind == "sum":
        data = _chunk(b"\x3a", point + b"\x10" + _varint(_TEMPORALITY_CUMULATIVE) + b"\x18\x01")
    else:
        data = _chunk(b"\x2a", point)
    return _chunk(b"\x0a", _utf8(name)) + (_chunk(b"\x1a", _utf8(unit)) if unit else b"") + data


@lru_cache(4096)
def _head_of_message(size: int) -> bytes:
    """What stands before a record, span or metric of so many bytes."""
    return b"\x12" + _varint(size)


def encode_request(parts: Iterable[Part]) -> bytes:
    """An `Export…ServiceRequest` of any signal: the three have the same outer shape. Keeps the order of the parts."""
    request: list[bytes] = []  # joined once, because it is large
    for resource, of_resource in groupby(parts, key=itemgetter(0)):
        scopes = [_chunk(b"\x0a", resource)]
        for scope, of_scope in groupby(of_resource, key=itemgetter(1)):
            pieces = [_chunk(b"\x0a", _text_field(b"\x0a", scope))]
            for _, _, messages in of_scope:
                for message in messages:
                    pieces += (_head_of_message(len(message)), message)
            scopes += (b"\x12", _varint(sum(map(len, pieces))), *pieces)
        request += (b"\x0a", _varint(sum(map(len, scopes))), *scopes)
    return b"".join(request)
