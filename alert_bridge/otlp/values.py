"""OTLP values as plain ones: texts that every store and page can hold, cut visibly where they are too long.

What comes out is made of str, bool, int, finite float, None, tuples and dicts only, so that `json.dumps` takes it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from alert_bridge.model import AttributeValue
from alert_bridge.otlp.limits import Limits
from instrumentation import attributes as names

__all__ = ["attributes_of", "body_text", "clean", "cut", "number_text", "time_of"]

LATEST_TIME_NS = 2**63 - 1  # the year 2262; what a sender claims beyond it does not fit any store
_DEEPER = "… [deeper levels left out]"
_MORE = "… [more values left out]"
_NUL_SHOWN = "\u2400"
_LINE_BREAKS = str.maketrans("\n\r\t", "   ")

_OURS = frozenset(
    value for key, value in vars(names).items() if key.isupper() and isinstance(value, str) and "." in value
)


def cut(text: str, most_chars: int) -> str:
    """The text, or its head and its tail around a note of how much is missing: a trace's cause is at its end."""
    if len(text) <= most_chars:
        return text
    kept = most_chars // 2
    return f"{text[:kept]}\n… [{len(text) - 2 * kept:,} characters left out] …\n{text[-kept:]}"


def clean(text: str, limits: Limits) -> str:
    """The text without NUL, which ends strings in too many places, and not longer than the limit."""
    if "\0" in text:
        text = text.replace("\0", _NUL_SHOWN)
    return text if len(text) <= limits.text_chars else cut(text, limits.text_chars)


def time_of(nanoseconds: int) -> int:
    """A time as a store can hold it."""
    return min(nanoseconds, LATEST_TIME_NS)


def number_text(number: float) -> str:
    """A number that JSON has no word for, spelt as OTLP/JSON spells it."""
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def attributes_of(pairs: Iterable[KeyValue], limits: Limits) -> dict[str, AttributeValue]:
    """The attributes by name. Of too many, our own names are kept first, then the earliest; the rest is counted."""
    pairs = list(pairs)
    surplus = len(pairs) - limits.attributes
    if surplus > 0:
        pairs.sort(key=lambda pair: pair.key not in _OURS)  # stable: each half keeps its order
        del pairs[limits.attributes :]
    found: dict[str, AttributeValue] = {}
    for pair in pairs:
        key = pair.key
        value = pair.value
        text = value.string_value  # by far the most common; empty for every other kind
        found[
            key if len(key) <= limits.name_chars and "\0" not in key else clean(cut(key, limits.name_chars), limits)
        ] = clean(text, limits) if text else _value(value, limits)
    if surplus > 0:
        found[names.DROPPED_ATTRIBUTES] = surplus
    return found


def body_text(value: AnyValue, limits: Limits) -> str:
    """A body as the text that people read: maps and lists as JSON, bytes as the text they hold, else as base64."""
    text = value.string_value
    if text:
        return clean(text, limits)
    plain = _value(value, limits)
    match plain:
        case None:
            return ""
        case str():
            return plain
        case _:
            return clean(json.dumps(plain, ensure_ascii=False), limits)


def _value(value: AnyValue, limits: Limits) -> AttributeValue:
    kind = value.WhichOneof("value")
    if kind in {"array_value", "kvlist_value"}:
        return _Nested(limits).value(value, depth=0)
    return _scalar(value, kind, limits)


def _scalar(value: AnyValue, kind: str | None, limits: Limits) -> str | bool | int | float | None:
    match kind:
        case "string_value":
            return clean(value.string_value, limits)
        case "int_value":
            return value.int_value
        case "double_value":
            number = value.double_value
            return number if math.isfinite(number) else number_text(number)
        case "bool_value":
            return value.bool_value
        case "bytes_value":
            return clean(_bytes_text(value.bytes_value), limits)
        case _:
            return None


def _bytes_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")
    readable = text.translate(_LINE_BREAKS).isprintable()
    return text if readable else base64.b64encode(data).decode("ascii")


class _Nested:
    """One nested value on its way out, with a count of how many more inner ones there is room for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = limits.values

    def value(self, value: AnyValue, depth: int) -> AttributeValue:
        kind = value.WhichOneof("value")
        if kind not in {"array_value", "kvlist_value"}:
            return _scalar(value, kind, self._limits)
        if depth >= self._limits.depth:
            return _DEEPER
        return self._list(value, depth) if kind == "array_value" else self._map(value, depth)

    def _list(self, value: AnyValue, depth: int) -> tuple[AttributeValue, ...]:
        found: list[AttributeValue] = []
        for item in value.array_value.values:
            if self._room <= 0:
                found.append(_MORE)
                break
            self._room -= 1
            found.append(self.value(item, depth + 1))
        return tuple(found)

    def _map(self, value: AnyValue, depth: int) -> Mapping[str, AttributeValue]:
        found: dict[str, AttributeValue] = {}
        for pair in value.kvlist_value.values:
            if self._room <= 0:
                found[_MORE] = None
                break
            self._room -= 1
            found[clean(cut(pair.key, self._limits.name_chars), self._limits)] = self.value(pair.value, depth + 1)
        return found
