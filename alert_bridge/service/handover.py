"""From the telemetry process to the alerts process: records that somebody is told of and no alert lane has.

The alert lane brings errors. What a rule lifts to one comes with the bulk only, and so does everything if there is no
Collector; the alerts process counts a record once, by its uid, however often it hears of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from alert_bridge.errors import StoreBusy
from alert_bridge.model import Record, Severity
from alert_bridge.otlp import encode_logs
from alert_bridge.policy.model import Policy
from alert_bridge.routing import judge, recipients
from instrumentation import attributes as names

if TYPE_CHECKING:
    import httpx  # a third of a second of processor time: loaded when the process already answers

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
        self._url = url
        self._headers = {"content-type": "application/x-protobuf"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._client: httpx.AsyncClient | None = None
        self._on_refused = on_refused

    def load(self) -> type[Exception]:
        """Load the library, which may be done before anybody waits for it; its word for a failure."""
        import httpx

        return httpx.HTTPError

    async def tell(self, records: Sequence[Record]) -> None:
        """Return when the alerts process has committed them.

        Raises:
            StoreBusy: it has not; the sender must send the whole again.
        """
        for start in range(0, len(records), RECORDS_AT_ONCE):
            await self._post(encode_logs(records[start : start + RECORDS_AT_ONCE]))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, body: bytes) -> None:
        http_error = await asyncio.to_thread(self.load)
        try:
            answer = await self._connected().post(PATH, content=body)
        except http_error as error:
            raise StoreBusy(f"The alerts process did not answer: {type(error).__name__}") from error
        if answer.status_code == BAD_REQUEST:
            # A mistake of ours. Sending it again cannot help, and would hold up everything behind it for ever.
            log.error("The alerts process refused promoted records: %s", answer.text[:200])
            self._on_refused()
        elif answer.status_code != OK:
            raise StoreBusy(f"The alerts process answered {answer.status_code}")

    def _connected(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._url, headers=self._headers, timeout=TIMEOUT_S, trust_env=False
            )
        return self._client
