"""What an OTLP/HTTP sender expects to read: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response."""

from __future__ import annotations

import json

from google.rpc.status_pb2 import Status

from alert_bridge.otlp.body import Form
from alert_bridge.otlp.requests import SIGNALS

__all__ = ["refusal", "response"]


def response(signal: str, content_type: str, rejected: int = 0, message: str = "") -> tuple[bytes, str]:
    """The body of a 200 and its content type, in the form that the request had; ``signal``: logs, traces, metrics.

    Full success is the empty message. A Collector logs what was rejected, and never sends it again.
    """
    wanted = SIGNALS[signal]
    if _form(content_type) is Form.JSON:
        partial: dict[str, object] = {}
        if rejected:
            partial[_camel(wanted.rejected_field)] = str(rejected)  # 64-bit numbers are texts in OTLP/JSON
        if message:
            partial["errorMessage"] = message
        return json.dumps({"partialSuccess": partial}).encode(), Form.JSON.value
    if not rejected and not message:
        return b"", Form.PROTOBUF.value
    answer = wanted.response(partial_success={wanted.rejected_field: rejected, "error_message": message})
    return answer.SerializeToString(), Form.PROTOBUF.value


def refusal(content_type: str, message: str) -> tuple[bytes, str]:
    """The body of a 4xx or 5xx and its content type: a `google.rpc.Status`, whose message a Collector logs."""
    if _form(content_type) is Form.JSON:
        return json.dumps({"message": message}).encode(), Form.JSON.value
    return Status(message=message).SerializeToString(), Form.PROTOBUF.value


def _form(content_type: str) -> Form:
    """A sender that names no known form gets protobuf, which is what the specification's default is."""
    return Form.JSON if content_type.partition(";")[0].strip().lower() == Form.JSON.value else Form.PROTOBUF


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
