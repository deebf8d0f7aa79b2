"""OTLP/HTTP bytes into the model's values, and the answers that its senders read. No I/O, no clock, no decisions.

Whatever the bytes are, the outcome is a result or an `IntakeError`: a record that cannot be read is rejected by itself,
one that is too long is cut where people see it, and a request that is no OTLP at all is refused with the reason.
"""

from __future__ import annotations

from alert_bridge.otlp.encode import encode_logs
from alert_bridge.otlp.limits import DEFAULT, Limits
from alert_bridge.otlp.logs import decode_logs
from alert_bridge.otlp.metrics import decode_metrics
from alert_bridge.otlp.response import refusal, response
from alert_bridge.otlp.result import Decoded, Rejected
from alert_bridge.otlp.scrub import scrub_points, scrub_records, scrub_spans
from alert_bridge.otlp.severity import severity_of
from alert_bridge.otlp.spans import decode_spans
from alert_bridge.otlp.values import cut

__all__ = [
    "DEFAULT",
    "Decoded",
    "Limits",
    "Rejected",
    "cut",
    "decode_logs",
    "decode_metrics",
    "decode_spans",
    "encode_logs",
    "refusal",
    "response",
    "scrub_points",
    "scrub_records",
    "scrub_spans",
    "severity_of",
]
