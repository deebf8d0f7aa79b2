"""The loop that follows a run's journals and ships them. One thread decides, one per lane posts; no lock is needed.

Order of care: the structured log, urgent entries (ERROR and above, lifecycle events), the rest. Memory is bounded: what
does not fit waits on disk, where it already is. Nothing in here logs, so that shipping never causes records.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from instrumentation.child._pipeline_alerts_child.names import JOURNAL_SUFFIX
from instrumentation.sender import journals as files
from instrumentation.sender.aside import set_aside, set_item_aside
from instrumentation.sender.bell import Bell
from instrumentation.sender.journals import Journal, Line
from instrumentation.sender.lanes import Item, Lane, Settled
from instrumentation.sender.logfile import RunLog
from instrumentation.sender.own_redaction import OwnRedaction
from instrumentation.sender.relays import Relays
from instrumentation.sender.shedding import shed
from instrumentation.sender.translation import Entry, Source, translate
from instrumentation.sender.transport import Transport
from instrumentation.settings import Settings

__all__ = ["Report", "Sender"]

POLL_S: Final = 0.25
LAST_POLL_S: Final = 0.02  # at the end, when everybody waits for us
BULK_FLUSH_S: Final = 0.2
MAX_BATCH_ITEMS: Final = 512
MAX_BATCH_BYTES: Final = 1_048_576
MAX_QUEUED_BYTES: Final = 8_388_608  # per lane
CATCH_UP_S: Final = 0.1
SAVE_EVERY_S: Final = 0.5
REMOVE_AFTER_S: Final = 2.0  # a dead writer's journal stays this long after it was acknowledged

Observer = Callable[[Entry, Source], None]
Greeter = Callable[[dict[str, Any], Path], None]


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
        self._resource = files.run_facts(folder).get("resource") or {}
        self._log = log
        self._observe = observe
        self._greet = greet
        self._redact = redact
        self._bell = Bell(poke)
        self._relays = Relays(folder)
        self._journals: dict[str, Journal] = {}
        self._stored = files.load_offsets(folder).get("journals", {})
        self._queued: dict[str, deque[Item]] = {"urgent": deque(), "bulk": deque()}
        self._queued_bytes: Counter[str] = Counter()
        self._lanes = {name: self._lane(name) for name in self._queued}
        self._last_bulk = self._last_save = 0.0
        self._stop_at: float | None = None
        self._dead_since: dict[str, float] = {}
        self._is_behind = False  # more can be read without waiting
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
        while time.monotonic() < ends_at and not self._has_seen_all():
            time.sleep(0.001)

    def _has_seen_all(self) -> bool:
        known = dict(self._journals)
        paths = [path for path in files.find_journals(self.folder) if path.suffix == JOURNAL_SUFFIX]
        return all(path.name in known and known[path.name].size() <= known[path.name].seen for path in paths)

    def stop(self, within_s: float) -> Report:
        """Ships what is there and ends; after ``within_s`` seconds it ends with what it has."""
        for lane in self._lanes.values():
            lane.hurry()
        self._stop_at = time.monotonic() + within_s
        self.wake()
        self._done.wait(within_s + 0.05)
        return self.report()

    def is_idle(self) -> bool:
        """Whether everything that was written so far is received; asked from another thread, so true at some moment."""
        return all(journal.is_settled and journal.size() <= journal.seen for journal in list(self._journals.values()))

    def lost(self) -> int:
        """Records that processes of this run could not keep, and could not say so themselves any more."""
        reserves = [journal for journal in list(self._journals.values()) if journal.is_reserve]
        for reserve in reserves:
            reserve.reread_header()
        return sum(reserve.lost for reserve in reserves) + self.counts["shed"]

    def report(self) -> Report:
        """How far it got."""
        left = sum(max(journal.size() - journal.acknowledged, 0) for journal in list(self._journals.values()))
        trouble = next((lane.trouble for lane in self._lanes.values() if lane.trouble), "")
        return Report(
            accepted=self.counts["accepted"],
            refused=self.counts["refused"],
            is_complete=self._done.is_set() and self._is_settled(),
            bytes_left=left,
            trouble=trouble,
            log_path=self._log.path if self._log else Path(),
        )

    # ── the loop ──

    def _run(self) -> None:
        try:
            while not self._is_over():
                self.turn(time.monotonic())
                if not self._is_behind:
                    self._wait()
        finally:
            self._finish()

    def turn(self, now: float) -> None:
        """One round: read what is new, send what may go, note what was received. Never raises."""
        try:
            self._look_for_journals()
            self._is_behind = False
            for journal in self._journals.values():
                self._read_new(journal)
            self._refill()
            self._send(now)
            if self._log:
                self._log.flush(time.time_ns(), everything=self._stop_at is not None)
            if now - self._last_save >= SAVE_EVERY_S:
                self._last_save = now
                files.save_offsets(self.folder, self._journals, self.counts)
                self._remove_finished(now)
                self._keep_below_cap()
        except Exception as error:  # noqa: BLE001 - the loop must go on whatever a file or a clock does; counted and shown
            self.counts["trouble"] += 1
            self.counts[f"trouble: {type(error).__name__}"] += 1
            self._is_behind = False

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        if time.monotonic() >= self._stop_at or self._is_hopeless():
            return True
        return not self._is_behind and self._is_settled() and not self._has_news()

    def _is_hopeless(self) -> bool:
        """At the end: a receiver that just said no is left to whoever goes on shipping, without waiting for it."""
        busy = [lane for lane in self._lanes.values() if not lane.is_free]
        return bool(busy) and not self._is_behind and all(lane.has_failed for lane in busy)

    def _is_settled(self) -> bool:
        return not any(self._queued.values()) and all(journal.is_settled for journal in self._journals.values())

    def _has_news(self) -> bool:
        self._look_for_journals()
        for journal in self._journals.values():
            self._read_new(journal)
        return not self._is_settled()

    def _wait(self) -> None:
        now = time.monotonic()
        until = min([now + POLL_S, *(wake for lane in self._lanes.values() if (wake := lane.wakes_at()) is not None)])
        if self._stop_at is not None:
            until = min(until, self._stop_at, now + LAST_POLL_S)
        elif self._queued["bulk"] and self._lanes["bulk"].is_free:
            until = min(until, self._last_bulk + BULK_FLUSH_S)
        self._bell.wait(until - now)

    def _finish(self) -> None:
        files.save_offsets(self.folder, self._journals, self.counts)
        if self._log:
            self._log.close()
        for lane in self._lanes.values():
            lane.close()
        self._done.set()

    # ── reading ──

    def _look_for_journals(self) -> None:
        for path in files.find_journals(self.folder):
            if path.name in self._journals:
                continue
            journal = Journal(path, self._resource)
            stored = self._stored.get(path.name)
            if stored:
                journal.acknowledged = journal.loaded = int(stored["acknowledged"])
                journal.seen = max(int(stored["seen"]), journal.acknowledged)
                journal.ahead = set(stored["ahead"])
                journal.early = set(journal.ahead)
                journal.reread_header()
            self._journals[path.name] = journal

    def _read_new(self, journal: Journal) -> None:
        size = journal.size()
        if not journal.is_reserve and size <= journal.seen:
            return
        lines, seen = journal.lines(journal.seen)
        if not lines and size > seen and not files.process_is_alive(journal.pid):
            seen = size  # the last line of a dead process, cut off by a full disk: nothing follows, nothing can be read
            self.counts["torn"] += 1
        for line in lines:
            is_in_turn = journal.loaded == journal.seen
            self._take(journal, line, is_new=True, may_queue_bulk=is_in_turn and self._has_room("bulk"))
            journal.seen = line.end
        journal.seen = max(journal.seen, seen)
        if journal.loaded < journal.seen and not journal.waiting and not journal.urgent and not lines:
            journal.loaded = journal.seen
        journal.acknowledge()
        self._is_behind = self._is_behind or len(lines) > 1

    def _refill(self) -> None:
        for journal in self._journals.values():
            while journal.loaded < journal.seen and self._has_room("bulk"):
                lines, behind = journal.lines(journal.loaded)
                if not lines:
                    journal.loaded = max(behind, journal.seen)
                    break
                for line in lines:
                    if line.start >= journal.seen or not self._has_room("bulk"):
                        break
                    if line.end in journal.early:
                        journal.loaded = line.end
                    else:
                        self._take(journal, line, is_new=False, may_queue_bulk=True)
            journal.acknowledge()

    def _take(self, journal: Journal, line: Line, *, is_new: bool, may_queue_bulk: bool) -> None:
        """Translates a line; queues it, or leaves it on disk for later where there is no room."""
        entry = self._entry_of(journal, line, is_new=is_new)
        if may_queue_bulk:
            journal.loaded = line.end
        if entry is None:
            return
        assert journal.source is not None
        if is_new:
            self._show(entry, journal.source)
        part = (journal.source.resource, entry.scope, entry.message)
        item = Item(journal, line.end, entry.kind, part, len(entry.message))
        if entry.is_urgent and is_new and self._has_room("urgent"):
            journal.urgent[line.end] = line.start
            journal.early.add(line.end)
            self._enqueue("urgent", item)
        elif may_queue_bulk:
            journal.waiting[line.end] = line.start
            self._enqueue("bulk", item)

    def _entry_of(self, journal: Journal, line: Line, *, is_new: bool) -> Entry | None:
        parsed = journal.parse(line)
        if parsed is None:
            if is_new and self._greet and journal.header and line.start == 0:
                self._greet(journal.header, journal.path)
            return None
        assert journal.source is not None
        try:
            if "p" in parsed and self._relays.is_copy(parsed):
                self.counts["relayed"] += is_new
                return None
            parsed = self._redact(parsed) if self._redact else parsed
            return translate(parsed, journal.source, with_log_line=is_new and self._log is not None)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            journal.bad_lines += 1
            self.counts["refused"] += 1
            set_aside(self.folder, line.data, f"not readable: {type(error).__name__}")
            return None

    def _show(self, entry: Entry, source: Source) -> None:
        if self._log and entry.log_line:
            self._log.add(entry.time, entry.levelno, entry.log_line)
        if self._observe:
            self._observe(entry, source)

    # ── sending ──

    def _has_room(self, name: str) -> bool:
        return self._queued_bytes[name] < MAX_QUEUED_BYTES

    def _enqueue(self, name: str, item: Item) -> None:
        self._queued[name].append(item)
        self._queued_bytes[name] += item.size

    def _send(self, now: float) -> None:
        for name, lane in self._lanes.items():
            self._note(lane.turn(now))
            waiting = self._queued[name]
            if not waiting or not lane.is_free:
                continue
            is_full = len(waiting) >= MAX_BATCH_ITEMS or self._stop_at is not None
            if name == "bulk" and not is_full and now - self._last_bulk < BULK_FLUSH_S:
                continue
            if name == "bulk":
                self._last_bulk = now
            lane.give(self._next_batch(name))
            self._note(lane.turn(now))

    def _next_batch(self, name: str) -> list[Item]:
        waiting = self._queued[name]
        batch: list[Item] = []
        size = 0
        while waiting and len(batch) < MAX_BATCH_ITEMS and (not batch or size + waiting[0].size <= MAX_BATCH_BYTES):
            item = waiting.popleft()
            self._queued_bytes[name] -= item.size
            size += item.size
            batch.append(item)
        return batch

    def _note(self, results: list[Settled]) -> None:
        for settled in results:
            for item in settled.items:
                item.journal.settle(item.end)
                if settled.refusal:
                    self.counts["refused"] += 1
                    set_item_aside(self.folder, item, settled.refusal)
            if not settled.refusal:
                self.counts["unwanted" if settled.is_unwanted else "accepted"] += len(settled.items)
            for journal in {id(item.journal): item.journal for item in settled.items}.values():
                journal.acknowledge()

    # ── clearing up ──

    def _keep_below_cap(self) -> None:
        """Only during an outage: what the disk cap costs is counted, and told as soon as somebody listens."""
        journals = self._journals.values()
        if sum(max(one.size() - one.acknowledged, 0) for one in journals) <= self.settings.journal_cap_bytes:
            return
        for level, count in shed(self.folder, journals, self.settings.journal_cap_bytes).items():
            self.counts["shed"] += count
            self.counts[f"shed at level {level}"] += count

    def _remove_finished(self, now: float) -> None:
        for name, journal in list(self._journals.items()):
            is_done = journal.is_settled and journal.size() <= journal.seen
            if not is_done or journal.pid == os.getpid() or files.process_is_alive(journal.pid):
                self._dead_since.pop(name, None)
                continue
            since = self._dead_since.setdefault(name, now)
            if now - since >= REMOVE_AFTER_S and not journal.lost:
                self._relays.remember(journal)
                with contextlib.suppress(OSError):
                    journal.path.unlink()
                del self._journals[name]
                self._dead_since.pop(name, None)
