"""Who a log record is, so that it counts once by whatever route it comes how often."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from alert_bridge.model import AttributeValue
from instrumentation import attributes as names

__all__ = ["record_uid", "resource_identity"]

UID_CHARS = 128  # a longer one is hashed, so that no sender can fill an index with it

_WHO = (names.SERVICE_NAMESPACE, names.SERVICE_NAME, names.SERVICE_INSTANCE_ID, names.RUN_ID, names.PROCESS_PID)


def resource_identity(resource: Mapping[str, AttributeValue]) -> tuple[str, ...]:
    """Who speaks, without what an agent on the way may add or change."""
    return tuple(str(resource.get(name, "")) for name in _WHO)


def record_uid(
    *,
    who: tuple[str, ...],
    times: tuple[int, int],
    ids: tuple[str, str],
    severity: tuple[int, str],
    body: str,
    attributes: Mapping[str, AttributeValue],
) -> str:
    """The record's own `log.record.uid`, else a SHA-256 (hex) over all that makes it this one and no other.

    The order of attributes does not count. Two records that agree in everything, to the nanosecond, are one.
    """
    given = attributes.get(names.RECORD_UID)
    if given is not None and given != "":
        uid = str(given)
        return uid if len(uid) <= UID_CHARS else hashlib.sha256(uid.encode()).hexdigest()
    whole = json.dumps([who, times, ids, severity, body, attributes], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()
