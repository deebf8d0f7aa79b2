"""From the telemetry process to the alerts process: records that somebody is told of and no alert lane has.

The alert lane brings errors. What a rule lifts to one comes with the bulk only, and so does everything if there is no
Collector; the alerts process counts a record once, by its uid, however often it hears of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import httpx

from alert_bridge.errors import StoreBusy
from alert_bridge.model import Record, Severity
from alert_bridge.otlp import encode_logs
from alert_bridge.policy.model import Policy
from alert_bridge.routing import judge, recipients
from instrumentation import attributes as names

__all__ = ["Handover", "is_alarming", "is_promoted"]

TIMEOUT_S = 10.0
RECORDS_AT_ONCE = 500
PATH = "/alerts/v1/logs"
OK, BAD_REQUEST = 200, 400

log = logging.getLogger(__name__)


def is_promoted(record: Record, policy: Policy, now: int) -> bool:
    """Whether rules and routes tell somebody of a record that an alert lane does not carry: below ERROR, no event."""
    return not _in_alert_lane(record) and _tells(record, policy, now)


def is_alarming(record: Record, policy: Policy, now: int) -> bool:
    """Whether the alerts process must see the record, where there is no alert lane at all."""
    return _in_alert_lane(record) or _tells(record, policy, now)


def _in_alert_lane(record: Record) -> bool:
    return record.severity >= Severity.ERROR or record.event_name.startswith(names.EVENT_PREFIX)


def _tells(record: Record, policy: Policy, now: int) -> bool:
    judgement = judge(record, policy)
    if judgement.dropped:
        return False
    return judgement.severity >= Severity.ERROR or bool(recipients(judgement, record, policy, now))


class Handover:
    """Posts records to the alerts process and waits until it has them on disk."""

    def __init__(self, url: str, token: str, *, on_refused: Callable[[], None]) -> None:
        headers = {"content-type": "application/x-protobuf"} | ({"authorization": f"Bearer {token}"} if token else {})
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False)
        self._on_refused = on_refused

    async def tell(self, records: Sequence[Record]) -> None:
        """Return when the alerts process has committed them.

        Raises:
            StoreBusy: it has not; the sender must send the whole again.
        """
        for start in range(0, len(records), RECORDS_AT_ONCE):
            await self._post(encode_logs(records[start : start + RECORDS_AT_ONCE]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, body: bytes) -> None:
        try:
            answer = await self._client.post(PATH, content=body)
        except httpx.HTTPError as error:
            raise StoreBusy(f"The alerts process did not answer: {type(error).__name__}") from error
        if answer.status_code == BAD_REQUEST:
            # A mistake of ours. Sending it again cannot help, and would hold up everything behind it for ever.
            log.error("The alerts process refused promoted records: %s", answer.text[:200])
            self._on_refused()
        elif answer.status_code != OK:
            raise StoreBusy(f"The alerts process answered {answer.status_code}")
