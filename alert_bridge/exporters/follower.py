"""One exporter's thread: draws what is new, hands it over, moves the cursor. What fails is tried again, for ever."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from alert_bridge.errors import DeliveryError, Permanent, Retryable, SettingsError, StoreBusy
from alert_bridge.exporters.base import Batch, Exporter, Taken, Tally
from alert_bridge.exporters.breaker import Breaker
from alert_bridge.exporters.source import Drawn, Source
from alert_bridge.store.exports import Ledger

__all__ = ["Follower"]

NS = 1_000_000_000
POLL_S = 0.1  # how long new telemetry may lie unnoticed
TICK_S = 0.5  # an exporter without news is called this often all the same
STORE_WAIT_S = 0.25  # before a store that is busy, or not there yet, is asked again
FIRST_BACKFILL_S = 24 * 3600.0  # an exporter that is new here begins with what arrived in the last day

log = logging.getLogger(__name__)


class Follower(threading.Thread):
    """Feeds one exporter from one state directory.

    Args:
        exporter: the target.
        state: the bridge's state directory, with telemetry.db and control.db in it.
        clock: nanoseconds since the epoch.
    """

    def __init__(self, exporter: Exporter, state: Path, *, clock: Callable[[], int]) -> None:
        super().__init__(name=f"export-{exporter.name}", daemon=True)
        self.breaker = Breaker()
        self.failures = 0  # batches that were not taken, and have to come again
        self._exporter = exporter
        self._state = state
        self._clock = clock
        self._ended = threading.Event()
        self._ledger: Ledger | None = None
        self._source: Source | None = None
        self._cursors: dict[str, int] = {}
        self._attempted: dict[str, int] = {}
        self._last_tick = 0
        self._noted: dict[str, str] = {}
        self._pending: dict[str, str] = {}
        self._unsettled: tuple[Drawn, Taken] | None = None  # the target has it, the ledger did not take it yet

    def stop(self) -> None:
        """End soon, from any thread. What the target has not confirmed comes again next time."""
        self._ended.set()
        self._exporter.close()

    def run(self) -> None:
        while not self._ended.is_set():
            self._ended.wait(self.step())
        for part in (self._source, self._ledger):
            if part is not None:
                part.close()

    def step(self) -> float:
        """Take one batch if there is one and it is time; returns how long to wait before the next step, in seconds."""
        now = self._clock()
        if not self.breaker.may_try(now):
            return min(max((self.breaker.next_try_at - now) / NS, 0.0), TICK_S)
        try:
            ledger, source = self._opened(now)
            if self._unsettled is not None:
                self._settle(ledger, source, *self._unsettled)
            drawn = source.draw(self._cursors, self._attempted, now=now)
            if not drawn.batch and now - self._last_tick < TICK_S * NS:
                self._pass(ledger, drawn)
                return POLL_S
            if drawn.batch:
                self._attempt(ledger, drawn)
            taken = self._take(drawn.batch)
            if taken is None:
                self._note_failure(ledger)
                return POLL_S
            self._unsettled = (drawn, taken)
            self._settle(ledger, source, drawn, taken)
        except (StoreBusy, SettingsError, sqlite3.Error) as error:
            log.info("%s waits for the store: %s", self._exporter.name, error)
            return STORE_WAIT_S
        return 0.0 if drawn.batch and not drawn.batch.caught_up else POLL_S

    def _opened(self, now: int) -> tuple[Ledger, Source]:
        if self._ledger is None or self._source is None:
            source = Source(self._state, self._exporter.signals)
            heads, began = source.heads(), source.arrived_since(now - int(FIRST_BACKFILL_S * NS))
            ledger = Ledger(self._state, self._exporter.name)
            for signal in self._exporter.signals:
                at = began.get(signal, now - int(FIRST_BACKFILL_S * NS))
                # A ledger that is new may stand for one that was lost: what is there already may have been sent.
                cursor = ledger.cursor(signal) or ledger.begin(signal, at=at, attempted=heads.get(signal, now))
                self._cursors[signal], self._attempted[signal] = cursor.cursor, cursor.attempted
            self._exporter.recall(ledger.memory())
            self._ledger, self._source = ledger, source
            self._note({"setup": self._exporter.setup, "url": self._exporter.url, "pid": str(os.getpid())})
        return self._ledger, self._source

    def _attempt(self, ledger: Ledger, drawn: Drawn) -> None:
        reach = {signal: position for signal, position in drawn.reach.items() if position > self._attempted[signal]}
        if reach:
            ledger.attempt(reach)

    def _take(self, batch: Batch) -> Taken | None:
        """What became of it; None if it has to come again."""
        self._last_tick = batch.now
        try:
            return self._exporter.take(batch)
        except DeliveryError as error:
            self._failed(str(error), error)
        except Exception as error:  # a bug of an exporter must not end its thread unseen: said, and tried again
            log.exception("The %s exporter failed", self._exporter.name)
            self._failed(f"{type(error).__name__}: {error}", Permanent(str(error), code="bug"))
        return None

    def _failed(self, text: str, error: DeliveryError) -> None:
        if self._ended.is_set():
            return
        now = self._clock()
        was_open = self.breaker.is_open
        self.breaker = self.breaker.failed(
            now,
            retry_after=error.retry_after if isinstance(error, Retryable) else None,
            for_good=isinstance(error, Permanent),
        )
        self.failures += 1
        if self.breaker.is_open and not was_open:
            log.warning("%s does not take telemetry; it is kept and sent later: %s", self._exporter.name, text)
        self._pending = {
            "failing_since": str(self.breaker.failing_since),
            "next_try_at": str(self.breaker.next_try_at),
            "last_failed_at": str(now),
            "last_error": text[:500],
        }

    def _note_failure(self, ledger: Ledger) -> None:
        # The target may have part of what was tried: from now on this is known, also in memory.
        for signal in self._exporter.signals:
            cursor = ledger.cursor(signal)
            if cursor is not None:
                self._attempted[signal] = cursor.attempted
        self._note(self._pending)

    def _pass(self, ledger: Ledger, drawn: Drawn) -> None:
        """Nothing to hand over; but retention may have taken what was not sent yet."""
        if any(drawn.dropped.values()):
            self._book(ledger, drawn, {})

    def _settle(self, ledger: Ledger, source: Source, drawn: Drawn, taken: Taken) -> None:
        if self.breaker.failures:
            log.info("%s takes telemetry again", self._exporter.name)
            self.breaker = self.breaker.succeeded()
            self._note({"failing_since": "0", "next_try_at": "0"})
        if drawn.batch or taken.memory or any(drawn.dropped.values()):
            self._book(ledger, drawn, {signal.value: tally for signal, tally in taken.tallies.items()}, taken)
            source.settled(drawn)
        self._unsettled = None
        if drawn.batch:
            self._note({"last_sent_at": str(drawn.batch.now), "url": self._exporter.url})

    def _book(self, ledger: Ledger, drawn: Drawn, tallies: dict[str, Tally], taken: Taken | None = None) -> None:
        for signal, count in drawn.dropped.items():
            if count:
                log.warning("Retention took %d %s before %s had them", count, signal, self._exporter.name)
                tallies[signal] = replace(tallies.get(signal, Tally()), dropped=count)
        ledger.settle(drawn.reach, tallies, taken.memory if taken else {})
        self._cursors |= drawn.reach

    def _note(self, facts: dict[str, str]) -> None:
        changed = {name: value for name, value in facts.items() if self._noted.get(name) != value}
        if changed and self._ledger is not None:
            self._ledger.note(changed)
            self._noted |= changed
