"""The intake thread: takes what all waiting requests brought in one transaction, and answers them after the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from alert_bridge.errors import StoreBusy
from alert_bridge.intake.sifting import Sifted, sift
from alert_bridge.intake.take import Tally, take
from alert_bridge.intake.waiting import Taker, Waiting
from alert_bridge.model import Record
from alert_bridge.otlp import decode_logs
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.model import Policy
from alert_bridge.store.control import ControlStore

__all__ = ["Intake", "Request", "Taken"]

REQUESTS_PER_COMMIT = 256  # of those that wait; one request is never split
WEIGHT_PER_COMMIT = 32 * 1024  # bytes of work: a commit that takes long keeps every answer and courier waiting
REQUESTS_WAITING_MOST = 512  # more than a Collector's consumers can have in flight; beyond it the answer is 503
BYTES_WAITING_MOST = 64 * 1024 * 1024  # the same for large ones

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to one request, after the commit."""

    records: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Request:
    """One body as it came in."""

    body: bytes
    content_type: str
    content_encoding: str
    answer: Future[Taken] = field(default_factory=Future)


@dataclass(slots=True)
class _Decoded:
    request: Request
    sifted: list[Sifted]
    records: int
    letters: list[tuple[str, bytes]]


class Intake(Taker[Request, _Decoded]):
    """Owns the way from bytes to committed incidents.

    Args:
        store: control.db.
        policy: the policy in force, asked anew for each transaction.
        rules: what the engine needs of it.
        clock: nanoseconds since the epoch.
        new_id: an unguessable incident id.
        wake: called after a commit with the channels that have something new to say.
    """

    def __init__(
        self,
        store: ControlStore,
        *,
        policy: Callable[[], Policy],
        rules: Callable[[], Rules],
        clock: Callable[[], int],
        new_id: Callable[[], str],
        wake: Callable[[set[str]], None],
    ) -> None:
        super().__init__(
            "intake",
            Waiting(requests_most=REQUESTS_WAITING_MOST, bytes_most=BYTES_WAITING_MOST),
            requests_at_once=REQUESTS_PER_COMMIT,
            weight_at_once=WEIGHT_PER_COMMIT,
        )
        self._store = store
        self._policy = policy
        self._rules = rules
        self._clock = clock
        self._new_id = new_id
        self._wake = wake

    def submit(self, body: bytes, content_type: str, content_encoding: str) -> Future[Taken]:
        """Hand a request in; the future is done after the commit.

        The future's exceptions: `IntakeError` (the request), `StoreBusy` (us; nothing was written).
        """
        return self.hand_in(Request(body, content_type, content_encoding)).answer

    def decode(self, request: Request) -> _Decoded:
        """Read it, and judge each of its records."""
        decoded = decode_logs(
            request.body,
            content_type=request.content_type,
            content_encoding=request.content_encoding,
            received_at=self._clock(),
        )
        letters = [(item.reason, item.excerpt.encode()) for item in decoded.rejected]
        sifted = self._sift(decoded.records, letters)
        return _Decoded(request, sifted, len(decoded.records), letters)

    def _sift(self, records: Sequence[Record], letters: list[tuple[str, bytes]]) -> list[Sifted]:
        policy, now = self._policy(), self._clock()
        sifted = []
        for record in records:
            try:
                item = sift(record, policy, now)
            except Exception as error:  # one record that we cannot judge must not keep the others waiting for ever
                log.exception("Record %s could not be judged", record.uid)
                letters.append((f"could not be judged: {type(error).__name__}", record.uid.encode()))
                continue
            if item is not None:
                sifted.append(item)
        return sifted

    def commit(self, group: list[_Decoded]) -> None:
        """One transaction for all; one by one if that fails for another reason than the store."""
        try:
            self._write([item for one in group for item in one.sifted], [x for one in group for x in one.letters])
        except StoreBusy as error:
            self.totals["busy"] += 1
            for one in group:
                one.request.answer.set_exception(error)
            return
        except Exception:  # a mistake of ours with one record: find it, so that the others are told
            log.exception("A transaction failed; taking its records one by one")
            for one in group:
                self._one_by_one(one)
            return
        for one in group:
            self._answer(one)

    def _one_by_one(self, one: _Decoded) -> None:
        try:
            for item in one.sifted:
                try:
                    self._write([item], [])
                except StoreBusy:
                    raise
                except Exception as error:  # this is the one: kept as a dead letter, never retried
                    log.exception("Record %s could not be taken", item.record.uid)
                    one.letters.append((f"could not be taken: {type(error).__name__}", item.record.body.encode()))
            self._write([], one.letters)
        except StoreBusy as error:
            one.request.answer.set_exception(error)
            return
        self._answer(one)

    def _answer(self, one: _Decoded) -> None:
        self.totals["records"] += one.records
        self.totals["rejected"] += len(one.letters)
        one.request.answer.set_result(Taken(one.records, len(one.letters)))

    def _write(self, sifted: Sequence[Sifted], letters: Sequence[tuple[str, bytes]]) -> None:
        if not sifted and not letters:
            return
        now = self._clock()
        with self._store.writing() as book:
            tally, channels = take(book, sifted, self._rules(), now=now, new_id=self._new_id)
            if letters:
                book.bury_letters(letters, now=now)
                tally["dead_letters"] += len(letters)
            book.count(tally)
        self.totals.update(Tally(tally))
        if channels:
            self._wake(channels)
