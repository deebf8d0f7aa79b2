"""The telemetry writer thread: decodes what waits, keeps it in one transaction, and answers after the commit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from alert_bridge.errors import StoreBusy
from alert_bridge.intake import Taker, Waiting
from alert_bridge.model import Record
from alert_bridge.otlp import (
    Rejected,
    decode_logs,
    decode_metrics,
    decode_spans,
    scrub_points,
    scrub_records,
    scrub_spans,
)
from alert_bridge.store.telemetry import Appended, Appender, TelemetryStore

__all__ = ["Keeper", "Kept"]

REQUESTS_PER_COMMIT = 16  # of those that wait; a request is never split
REQUESTS_WAITING_MOST = 256  # beyond it, or beyond so many bytes, the answer is 503
BYTES_WAITING_MOST = 128 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer to one request, after the commit: how much was rejected, and what the alerts process must see."""

    rejected: int
    alarming: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class _Request:
    signal: str
    body: bytes
    content_type: str
    content_encoding: str
    alarming: Callable[[Record], bool]
    answer: Future[Kept] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Batch:
    """One request, decoded and redacted."""

    request: _Request
    digest: str
    items: Sequence[Any]  # of the request's signal
    rejects: list[Rejected]
    alarming: tuple[Record, ...]


class Keeper(Taker[_Request, _Batch]):
    """Owns the way from bytes to committed rows.

    Args:
        store: telemetry.db.
        clock: nanoseconds since the epoch.
    """

    def __init__(self, store: TelemetryStore, *, clock: Callable[[], int]) -> None:
        super().__init__(
            "keeper",
            Waiting(requests_most=REQUESTS_WAITING_MOST, bytes_most=BYTES_WAITING_MOST),
            requests_at_once=REQUESTS_PER_COMMIT,
            weight_at_once=BYTES_WAITING_MOST,
        )
        self._store = store
        self._clock = clock

    def submit(
        self,
        signal: str,
        body: bytes,
        *,
        content_type: str,
        content_encoding: str,
        alarming: Callable[[Record], bool],
    ) -> Future[Kept]:
        """Hand a request in; the future is done after the commit. ``alarming`` picks what the alerts process must see.

        The future's exceptions: `IntakeError` (the request), `StoreBusy` (us; nothing was written).
        """
        return self.hand_in(_Request(signal, body, content_type, content_encoding, alarming)).answer

    def decode(self, request: _Request) -> _Batch:
        """Read it, and pick what the alerts process must see."""
        body, form, encoding = request.body, request.content_type, request.content_encoding
        digest = hashlib.sha256(request.signal.encode() + body).hexdigest()
        match request.signal:
            case "logs":
                logs = decode_logs(body, content_type=form, content_encoding=encoding, received_at=self._clock())
                # Rules see a record as it came; only what is kept is redacted.
                alarming = tuple(record for record in logs.records if _is_alarming(record, request.alarming))
                return _Batch(request, digest, scrub_records(logs.records), list(logs.rejected), alarming)
            case "traces":
                spans = decode_spans(body, content_type=form, content_encoding=encoding)
                return _Batch(request, digest, scrub_spans(spans.records), list(spans.rejected), ())
            case _:
                points = decode_metrics(body, content_type=form, content_encoding=encoding)
                return _Batch(request, digest, scrub_points(points.records), list(points.rejected), ())

    def commit(self, batches: list[_Batch]) -> None:
        """One transaction for all; one by one if that fails for another reason than the store."""
        try:
            with self._store.writing() as appender:
                added = [self._append(appender, batch) for batch in batches]
        except StoreBusy as error:
            self._busy(batches, error)
            return
        except Exception:  # a mistake of ours with one record: find it, so that the others are kept
            log.exception("A transaction failed; keeping its records one by one")
            for batch in batches:
                self._one_by_one(batch)
            return
        for batch, appended in zip(batches, added, strict=True):
            self._answer(batch, appended)

    def _append(self, appender: Appender, batch: _Batch) -> Appended:
        if not appender.is_new(batch.digest):
            return Appended(0, len(batch.items))
        self._reject(appender, batch)
        return _add(appender, batch.request.signal, batch.items)

    def _one_by_one(self, batch: _Batch) -> None:
        new = 0
        try:
            for item in batch.items:
                try:
                    with self._store.writing() as appender:
                        new += _add(appender, batch.request.signal, [item]).new
                except StoreBusy:
                    raise
                except Exception as error:  # this is the one: noted as a reject, never sent again
                    log.exception("One of the %s could not be kept", batch.request.signal)
                    batch.rejects.append(Rejected(f"could not be kept: {type(error).__name__}", repr(item)[:200]))
            with self._store.writing() as appender:
                self._reject(appender, batch)
        except StoreBusy as error:
            self._busy([batch], error)
            return
        self._answer(batch, Appended(new, len(batch.items) - new))

    def _reject(self, appender: Appender, batch: _Batch) -> None:
        if batch.rejects:
            rejects = [(reject.reason, reject.excerpt, reject.count) for reject in batch.rejects]
            appender.reject(batch.request.signal, self._clock(), rejects)

    def _busy(self, batches: Sequence[_Batch], error: StoreBusy) -> None:
        log.warning("%d requests were turned away: %s", len(batches), error)
        self.totals["busy"] += len(batches)
        for batch in batches:
            batch.request.answer.set_exception(error)

    def _answer(self, batch: _Batch, appended: Appended) -> None:
        rejected = sum(reject.count for reject in batch.rejects)
        self.totals[f"{batch.request.signal}_new"] += appended.new
        self.totals[f"{batch.request.signal}_known"] += appended.known
        self.totals[f"{batch.request.signal}_rejected"] += rejected
        batch.request.answer.set_result(Kept(rejected, batch.alarming))


def _is_alarming(record: Record, decide: Callable[[Record], bool]) -> bool:
    try:
        return decide(record)
    except Exception:  # a rule that fails on a record must neither hide it nor keep the others waiting for ever
        log.exception("Record %s could not be judged; the alerts process gets it", record.uid)
        return True


def _add(appender: Appender, signal: str, items: Sequence[Any]) -> Appended:
    match signal:
        case "logs":
            return appender.logs(items)
        case "traces":
            return appender.spans(items)
        case _:
            return appender.metrics(items)
