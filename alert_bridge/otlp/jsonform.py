"""OTLP/JSON into the protobuf messages, so that everything behind it exists once.

Strict where a sender would otherwise believe that we understood it, lenient where the value is clear: numbers as
text or as numbers, enums by number or name, ids in hex. Unknown keys are ignored, as the specification asks.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from alert_bridge.errors import Undecodable
from alert_bridge.otlp.limits import Limits
from alert_bridge.otlp.result import Malformed, Rejected, rejected

__all__ = ["fill", "parse"]

MAX_DEPTH = 100  # messages within messages, as protobuf's own libraries have it
_ITEMS = frozenset({"log_records", "spans", "metrics"})  # where one bad element does not condemn the others
_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_WHOLE = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
}


def parse(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a request. Bytes that are not UTF-8 become lone surrogates, which `fill` shows as escapes.

    Raises:
        Undecodable: not JSON, or not an object.
    """
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Undecodable(f"The body is JSON, but a {type(document).__name__} where OTLP has an object")
    return document


def fill(message: Message, document: Mapping[str, Any], limits: Limits) -> list[Rejected]:
    """Put a JSON object into a request message; returns what had to be left out of it.

    Raises:
        Malformed: the frame around the records does not have OTLP's shape.
    """
    filler = _Filler(limits)
    filler.message(message, document, depth=0)
    if filler.surplus:
        filler.rejected.append(Rejected(f"beyond {limits.records:,} records in one request", count=filler.surplus))
    return filler.rejected


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    json_name: str
    kind: int
    repeated: bool
    enum: EnumDescriptor | None


@cache
def _table(descriptor: Descriptor) -> dict[str, _Field]:
    table: dict[str, _Field] = {}
    for field in descriptor.fields:
        entry = _Field(field.name, field.json_name, field.type, field.is_repeated, field.enum_type)
        table[field.name] = table[field.json_name] = entry
    return table


class _Filler:
    """One request being filled, and what was left out so far."""

    def __init__(self, limits: Limits) -> None:
        self.rejected: list[Rejected] = []
        self.surplus = 0
        self._limits = limits
        self._room = limits.records

    def message(self, message: Message, document: object, depth: int) -> None:
        if not isinstance(document, dict):
            raise Malformed(f"{message.DESCRIPTOR.name} must be an object, not {_short(document)}")
        if depth > MAX_DEPTH:
            raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
        table = _table(message.DESCRIPTOR)
        for key, value in document.items():
            field = table.get(key)
            if field is not None and value is not None:
                self._field(message, field, value, depth)

    def _field(self, message: Message, field: _Field, value: object, depth: int) -> None:
        if field.repeated:
            if not isinstance(value, list):
                raise Malformed(f"{field.json_name} must be a list, not {_short(value)}")
            self._list(getattr(message, field.name), field, value, depth)
        elif field.kind == FieldDescriptor.TYPE_MESSAGE:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self.message(inner, value, depth + 1)
        elif field.name == "int_value" and abs(_whole(field, value)) > 2**63 - 1:
            message.string_value = str(value)  # a number no store holds: kept as text
        else:
            setattr(message, field.name, _scalar(field, value))

    def _list(self, container: Any, field: _Field, values: list[object], depth: int) -> None:
        if field.kind != FieldDescriptor.TYPE_MESSAGE:
            container.extend(_scalar(field, value) for value in values)
            return
        if field.name not in _ITEMS:
            for value in values:
                self.message(container.add(), value, depth + 1)
            return
        for position, value in enumerate(values):
            if self._room <= 0:
                self.surplus += len(values) - position
                return
            self._room -= 1
            item = container.add()
            try:
                self.message(item, value, depth + 1)
            except Malformed as error:
                del container[-1]
                self.rejected.append(rejected(str(error), value, self._limits.excerpt_chars))


def _scalar(field: _Field, value: object) -> str | bytes | bool | int | float:
    match field.kind:
        case FieldDescriptor.TYPE_STRING:
            return _string(field, value)
        case FieldDescriptor.TYPE_BYTES:
            return _bytes(field, value)
        case FieldDescriptor.TYPE_BOOL:
            if value in (True, False, "true", "false"):
                return value in (True, "true")
            raise Malformed(f"{field.json_name} must be true or false, not {_short(value)}")
        case FieldDescriptor.TYPE_ENUM:
            return _enum(field, value)
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return _number(field, value)
        case _:
            low, high = _WHOLE[field.kind]
            return min(max(_whole(field, value), low), high)


def _string(field: _Field, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise Malformed(f"{field.json_name} must be a text, not {_short(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _bytes(field: _Field, value: object) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"{field.json_name} must be a text, not {_short(value)}")
    try:
        if field.name in _ID_BYTES:
            # A wrong id is no reason to lose the record; one of the wrong length is emptied where it is read.
            return bytes.fromhex(value) if len(value) == 2 * _ID_BYTES[field.name] else b""
        return base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4), validate=True)
    except (ValueError, binascii.Error):
        if field.name in _ID_BYTES:
            return b""
        raise Malformed(f"{field.json_name} must be base64, not {_short(value)}") from None


def _enum(field: _Field, value: object) -> int:
    if isinstance(value, str) and field.enum is not None and value in field.enum.values_by_name:
        return int(field.enum.values_by_name[value].number)
    try:
        number = _whole(field, value)
    except Malformed:
        return 0  # "unspecified" in every enum of OTLP: the record counts more than its kind
    return number if -(2**31) <= number < 2**31 else 0


def _whole(field: _Field, value: object) -> int:
    try:
        if isinstance(value, int | str) or (isinstance(value, float) and value.is_integer()):
            return int(value)
    except ValueError:
        pass
    raise Malformed(f"{field.json_name} must be a whole number, not {_short(value)}")


def _number(field: _Field, value: object) -> float:
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            pass
        except OverflowError:
            return math.inf
    raise Malformed(f"{field.json_name} must be a number, not {_short(value)}")


def _short(value: object) -> str:
    if isinstance(value, dict | list):
        return f"a {'list' if isinstance(value, list) else 'map'}"
    return reprlib.repr(value)
