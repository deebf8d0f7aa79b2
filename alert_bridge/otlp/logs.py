"""Log records: OTLP bytes → `Record`."""

from __future__ import annotations

from collections.abc import Mapping

from alert_bridge.model import AttributeValue, Record
from alert_bridge.otlp.identity import record_uid, resource_identity
from alert_bridge.otlp.limits import DEFAULT, Limits
from alert_bridge.otlp.requests import LOGS, Group, open_request
from alert_bridge.otlp.result import Decoded, Rejected
from alert_bridge.otlp.severity import severity_of
from alert_bridge.otlp.values import attributes_of, body_text, clean, time_of
from instrumentation import attributes as names

__all__ = ["decode_logs"]

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
NO_TRACE = bytes(TRACE_ID_BYTES)  # all zeros: "none", says the specification
NO_SPAN = bytes(SPAN_ID_BYTES)
SAME_WITHIN_NS = 600 * 1_000_000_000  # longer than a sender tries again, shorter than until the next run


def decode_logs(
    body: bytes,
    *,
    content_type: str,
    content_encoding: str = "",
    limits: Limits = DEFAULT,
    received_at: int = 0,
) -> Decoded[Record]:
    """The log records of one `ExportLogsServiceRequest`, in protobuf or JSON, in their order.

    A record without any time gets ``received_at`` (ns), and its identity the `SAME_WITHIN_NS` that it falls in: without
    it, the same words of another day would be the same record, and never be told again. Every text is free of
    NUL and of lone surrogates and at most ``limits.text_chars`` long, every attribute is something that JSON can hold.

    Raises:
        Undecodable: not an OTLP logs request, an unknown content type or encoding.
        TooLarge: over a limit of the request.
    """
    bad: list[Rejected] = []
    groups = open_request(
        LOGS, body, content_type=content_type, content_encoding=content_encoding, limits=limits, bad=bad
    )
    records = [record for group in groups for record in _records(group, limits, received_at)]
    return Decoded(tuple(records), tuple(bad))


def _records(group: Group, limits: Limits, received_at: int) -> list[Record]:
    resource = attributes_of(group.resource.attributes, limits)
    who = resource_identity(resource)
    scope = clean(group.scope.name, limits)
    harder = limits.harder()
    records = []
    for item in group.items:
        fitting = limits if item.ByteSize() <= limits.record_bytes else harder
        attributes = attributes_of(item.attributes, fitting)
        body = body_text(item.body, fitting)
        text = clean(item.severity_text, fitting)
        times = time_of(item.time_unix_nano), time_of(item.observed_time_unix_nano)
        ids = _hex(item.trace_id, NO_TRACE), _hex(item.span_id, NO_SPAN)
        records.append(
            Record(
                uid=record_uid(
                    who=who,
                    times=times if any(times) else (received_at // SAME_WITHIN_NS, 0),
                    ids=ids,
                    severity=(item.severity_number, text),
                    body=body,
                    attributes=attributes,
                ),
                time=times[0] or times[1] or received_at,
                observed=times[1] or received_at or times[0],
                severity=severity_of(item.severity_number, text),
                severity_number=item.severity_number,
                severity_text=text,
                body=body,
                event_name=clean(item.event_name, fitting) or _event_name(attributes),
                attributes=attributes,
                resource=resource,
                scope=scope,
                trace_id=ids[0],
                span_id=ids[1],
            )
        )
    return records


def _hex(identifier: bytes, none: bytes) -> str:
    return "" if len(identifier) != len(none) or identifier == none else identifier.hex()


def _event_name(attributes: Mapping[str, AttributeValue]) -> str:
    for name in (names.EVENT_NAME, names.OTEL_EVENT_NAME):
        value = attributes.get(name)
        if value:
            return str(value)
    return ""
