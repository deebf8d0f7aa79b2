"""Protobuf's wire format, by hand, for the two things the library does not do: mend one string, and skip one record.

The library refuses a whole request for one byte that is not UTF-8, although senders in Go and C++ produce such bytes
and a Collector passes them on, together with hundreds of records of others.
Format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from alert_bridge.otlp.result import Malformed

__all__ = ["LENGTH_DELIMITED", "fields", "mend"]

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
TAG_KIND_BITS = 3  # the lowest bits of a tag are its wire type, the rest its number
LOW_BITS, MORE = 0x7F, 0x80  # a byte of a varint: seven bits, and whether another follows
MAX_VARINT_BITS = 70
MAX_DEPTH = 100  # messages within messages, as in every protobuf library


def fields(data: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """The fields of one message: (number, wire type, payload, the whole field with its tag).

    Raises:
        Malformed: the bytes are no message.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        tag, position = _varint(data, position)
        kind = tag & 0b111
        if kind == VARINT:
            content = position
            _, position = _varint(data, position)
        elif kind == LENGTH_DELIMITED:
            size, content = _varint(data, position)
            position = content + size
        elif kind in {FIXED64, FIXED32}:
            content, position = position, position + (8 if kind == FIXED64 else 4)
        else:
            raise Malformed(f"wire type {kind} does not occur in OTLP")
        if position > end or not tag >> TAG_KIND_BITS:
            raise Malformed("a field reaches beyond its message")
        yield tag >> TAG_KIND_BITS, kind, data[content:position], data[start:position]


def mend(data: memoryview, descriptor: Descriptor, depth: int = 0) -> bytes:
    r"""The message with every string made valid UTF-8; a byte that was not is shown as `\xNN`.

    Raises:
        Malformed: the bytes are no such message, for another reason than their strings.
    """
    if depth > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    mended = bytearray()
    for number, kind, content, whole in fields(data):
        field = descriptor.fields_by_number.get(number) if kind == LENGTH_DELIMITED else None
        if field is None or field.type not in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}:
            mended += whole
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = mend(content, field.message_type, depth + 1)
        else:
            inner = bytes(content).decode("utf-8", "backslashreplace").encode()
        mended += _encoded_varint(number << TAG_KIND_BITS | LENGTH_DELIMITED) + _encoded_varint(len(inner)) + inner
    return bytes(mended)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            result |= (byte & LOW_BITS) << shift
            if not byte & MORE:
                return result, position
            shift += 7
            if shift >= MAX_VARINT_BITS:
                raise Malformed("a number is longer than ten bytes")
    except IndexError:
        raise Malformed("the message ends inside a number") from None


def _encoded_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > LOW_BITS:
        encoded.append(number & LOW_BITS | MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
