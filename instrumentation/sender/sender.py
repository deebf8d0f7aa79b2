"""The loop that follows a run's journals and ships them. One thread decides, one per lane posts; no lock is needed.

Order of care: the structured log, urgent entries (ERROR and above, lifecycle events), the rest. Memory is bounded: what
does not fit waits on disk, where it already is. Nothing in here logs, so that shipping never causes records.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from instrumentation.sender.aside import set_refused_aside
from instrumentation.sender.bell import Bell
from instrumentation.sender.journals import offsets_of, save_offsets
from instrumentation.sender.lanes import Lane, Settled
from instrumentation.sender.logfile import RunLog
from instrumentation.sender.own_redaction import OwnRedaction
from instrumentation.sender.parcels import count_of
from instrumentation.sender.reading import Greeter, Observer, Reader
from instrumentation.sender.tidying import Tidier
from instrumentation.sender.transport import Transport
from instrumentation.settings import Settings

__all__ = ["Report", "Sender", "collect_seldom"]

POLL_S: Final = 0.25
LAST_POLL_S: Final = 0.02  # at the end, when everybody waits for us
BULK_FLUSH_S: Final = 0.2
CATCH_UP_S: Final = 0.4  # at most: it takes some milliseconds, unless others have the processor
AHEAD_WAIT_S: Final = 0.02  # for an answer, before more is read
SAVE_EVERY_S: Final = 0.5  # where something changed
SIGN_OF_LIFE_S: Final = 30.0  # where nothing did: other machines look whether somebody ships this folder
COLLECT_AFTER_OBJECTS: Final = 20_000


def collect_seldom() -> None:
    """For a process of our own: entries go without the help of a collection, which costs a tenth of each of them."""
    gc.freeze()  # what is loaded by now stays
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


@dataclass(frozen=True, slots=True)
class Report:
    """How far the sender got: entries accepted and refused by the receiver, and what is still on disk."""

    accepted: int
    refused: int
    is_complete: bool
    bytes_left: int
    trouble: str
    log_path: Path


class Sender:
    """Ships one run's folder until it is stopped.

    Args:
        folder: the run's folder; the caller holds its lock.
        settings: where to, with which token.
        log: the run's structured log; None where another sender already wrote it.
        observe: told of every entry as soon as it is seen, in this thread; must not block.
        greet: told of every process that begins a journal: its first line and its path; the same holds.
        poke, redact: a bound UNIX datagram socket that children wake us by; the user's own redaction.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        log: RunLog | None = None,
        observe: Observer | None = None,
        greet: Greeter | None = None,
        poke: Any = None,
        redact: OwnRedaction | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._log = log
        self._bell = Bell(poke)
        self._reader = Reader(folder, log=log, observe=observe, greet=greet, redact=redact, counts=self.counts)
        self._journals = self._reader.journals
        self._tidier = Tidier(folder, settings.journal_cap_bytes, self._reader, self.counts)
        self._urgent, self._bulk = self._lane("urgent"), self._lane("bulk")
        self._lanes = (self._urgent, self._bulk)
        self._last_bulk = self._last_save = self._saved_at = 0.0
        self._saved = ""
        self._stop_at: float | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def _lane(self, name: str) -> Lane:
        to = self.settings
        return Lane(name, Transport(to.endpoint, to.token, compress=not to.is_loopback), self.wake)

    # ── from other threads ──

    def start(self) -> None:
        """Begins to follow, in a daemon thread."""
        self._thread = threading.Thread(target=self._run, name="pipeline-alerts-sender", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Asks for a turn now."""
        self._bell.ring()

    def catch_up(self, within_s: float = CATCH_UP_S) -> None:
        """Waits, not for long, until what is written so far was seen, so that what it tells is known."""
        ends_at = time.monotonic() + within_s
        self.wake()
        while time.monotonic() < ends_at and not self._reader.has_seen_all():
            time.sleep(0.001)

    def stop(self, within_s: float) -> Report:
        """Ships what is there and ends; after ``within_s`` seconds it ends with what it has."""
        for lane in self._lanes:
            lane.hurry()
        self._stop_at = time.monotonic() + within_s
        self.wake()
        self._done.wait(within_s + 0.05)
        return self.report()

    def is_idle(self) -> bool:
        """Whether everything that was written so far is received; asked from another thread, so true at some moment.

        Not before the folder was looked at: nothing seen is not nothing there.
        """
        return self._reader.has_seen_all() and all(journal.is_settled for journal in list(self._journals.values()))

    def lost(self) -> int:
        """Records that processes of this run could not keep, and could not say so themselves any more."""
        reserves = [journal for journal in list(self._journals.values()) if journal.is_reserve]
        for reserve in reserves:
            reserve.reread_header()
        return sum(reserve.lost for reserve in reserves) + self.counts["shed"]

    def report(self) -> Report:
        """How far it got."""
        left = sum(max(journal.size() - journal.acknowledged, 0) for journal in list(self._journals.values()))
        trouble = next((lane.trouble for lane in self._lanes if lane.trouble), "")
        return Report(
            accepted=self.counts["accepted"],
            refused=self.counts["refused"],
            is_complete=self._done.is_set() and self._reader.is_settled and self._reader.has_seen_all(),
            bytes_left=left,
            trouble=trouble,
            log_path=self._log.path if self._log else Path(),
        )

    # ── the loop ──

    def _run(self) -> None:
        try:
            is_urged = False
            while not self._is_over():
                self.turn(time.monotonic())
                if not self._reader.is_behind:
                    is_urged = self._wait()
                elif not is_urged and self._is_far_ahead():
                    is_urged = self._bell.wait(AHEAD_WAIT_S)
        finally:
            self._finish()

    def turn(self, now: float) -> None:
        """One round: read what is new, send what may go, note what was received. Never raises."""
        try:
            self._reader.read()
            self._send(now)
            if self._log:
                self._log.flush(time.time_ns(), everything=self._stop_at is not None)
            if now - self._last_save >= SAVE_EVERY_S:
                self._last_save = now
                self._save(now)
                self._tidier.tidy(now)
        except Exception as error:  # noqa: BLE001 - the loop must go on whatever a file or a clock does; counted and shown
            self.counts["trouble"] += 1
            self.counts[f"trouble: {type(error).__name__}"] += 1
            self._reader.is_behind = False

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        if time.monotonic() >= self._stop_at or self._is_hopeless():
            return True
        return not self._reader.is_behind and self._reader.is_settled and not self._has_news()

    def _is_hopeless(self) -> bool:
        """At the end: a receiver that just said no is left to whoever goes on shipping, without waiting for it."""
        busy = [lane for lane in self._lanes if not lane.is_free]
        return bool(busy) and not self._reader.is_behind and all(lane.has_failed for lane in busy)

    def _has_news(self) -> bool:
        self._reader.look_for_news()
        return not self._reader.is_settled

    def _is_far_ahead(self) -> bool:
        """Whether reading on would only take the processor from a post, and fill the queue until lines are read twice.

        A receiver in trouble keeps nobody from reading, nor does an ERROR, which may stand at the end of what is new.
        """
        return self._reader.bulk.is_far_ahead and not self._bulk.is_free and not self._bulk.trouble

    def _wait(self) -> bool:
        now = time.monotonic()
        until = min([now + POLL_S, *(wake for lane in self._lanes if (wake := lane.wakes_at()) is not None)])
        if self._stop_at is not None:
            until = min(until, self._stop_at, now + LAST_POLL_S)
        elif self._reader.bulk and self._bulk.is_free:
            until = min(until, self._last_bulk + BULK_FLUSH_S)
        return self._bell.wait(until - now)

    def _finish(self) -> None:
        self._save(time.monotonic())
        if self._log:
            self._log.close()
        for lane in self._lanes:
            lane.close()
        self._done.set()

    def _save(self, now: float) -> None:
        offsets = offsets_of(self._journals, self.counts)
        is_due = offsets != self._saved or now - self._saved_at >= SIGN_OF_LIFE_S
        if is_due and save_offsets(self.folder, offsets):
            self._saved, self._saved_at = offsets, now

    # ── sending ──

    def _send(self, now: float) -> None:
        urgent, bulk = self._reader.urgent, self._reader.bulk
        self._note(self._urgent.turn(now))
        if urgent and self._urgent.is_free:
            self._urgent.give(urgent.next_batch())
            self._note(self._urgent.turn(now))
        self._note(self._bulk.turn(now))
        is_due = bulk.fills_a_batch or self._stop_at is not None or now - self._last_bulk >= BULK_FLUSH_S
        if bulk and self._bulk.is_free and is_due:
            self._last_bulk = now
            self._bulk.give(bulk.next_batch())
            self._note(self._bulk.turn(now))

    def _note(self, results: Sequence[Settled]) -> None:
        for settled in results:
            for parcel in settled.parcels:
                parcel.journal.settle(parcel.ends)
                parcel.journal.acknowledge()
                if settled.refusal:
                    self.counts["refused"] += len(parcel.ends)
                    for end in parcel.ends:
                        set_refused_aside(parcel.journal, end, settled.refusal)
            if not settled.refusal:
                self.counts["unwanted" if settled.is_unwanted else "accepted"] += count_of(settled.parcels)
