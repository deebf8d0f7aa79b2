"""From the journals to the lanes' queues: finds a run's journals, reads what is new, and tells who listens of it.

What is read goes to the structured log at once. What does not fit into the queues stays on disk, and is read again when
there is room.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from instrumentation.sender import journals as files
from instrumentation.sender.aside import set_aside
from instrumentation.sender.entry import Entry
from instrumentation.sender.folder import run_facts
from instrumentation.sender.journals import Journal, Line
from instrumentation.sender.logfile import RunLog
from instrumentation.sender.own_redaction import OwnRedaction
from instrumentation.sender.parcels import Queue
from instrumentation.sender.records import entry_of, take_apart
from instrumentation.sender.relays import Relays
from instrumentation.sender.sources import Source
from instrumentation.sender.translation import translate

__all__ = ["Greeter", "Observer", "Reader"]

Observer = Callable[[Sequence[Entry], Source], None]
Greeter = Callable[[dict[str, Any], Path], None]
_RECORD: Final = b'{"k":"log",'


class Reader:
    """Reads one run's folder. Used in one thread, but for what says otherwise.

    Args:
        folder: the run's folder.
        log, observe, greet, redact: as the sender's.
        counts: where what happened is counted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        log: RunLog | None,
        observe: Observer | None,
        greet: Greeter | None,
        redact: OwnRedaction | None,
        counts: Counter[str],
    ) -> None:
        self.journals: dict[str, Journal] = {}
        self.urgent, self.bulk = Queue(), Queue()
        self.relays = Relays(folder)
        self.is_behind = False  # more can be read without waiting
        self._folder = folder
        self._resource = run_facts(folder).get("resource") or {}
        self._stored = files.load_offsets(folder).get("journals", {})
        self._log = log
        self._observe = observe
        self._greet = greet
        self._redact = redact
        self._counts = counts

    def read(self) -> None:
        """Takes what is new in all journals, then as much of what was left on disk as there is room for."""
        self.look_for_news()
        self._each(self._refill)

    def look_for_news(self) -> None:
        """Takes what is new."""
        self.is_behind = False
        self._look_for_journals()
        self._each(self._read_new)

    def _each(self, take: Callable[[Journal], None]) -> None:
        for journal in self.journals.values():
            try:
                take(journal)
            except OSError:  # no descriptor left, say: it stays where it was until the next turn
                self._counts["unreadable"] += 1

    @property
    def is_settled(self) -> bool:
        """Whether everything that was seen is settled."""
        return not self.urgent and not self.bulk and all(journal.is_settled for journal in self.journals.values())

    def has_seen_all(self) -> bool:
        """Whether everything that was written so far was seen. May be asked from another thread."""
        known = dict(self.journals)
        paths = list(files.find_journals(self._folder))
        return all(path.name in known and known[path.name].size() <= known[path.name].seen for path in paths)

    def _look_for_journals(self) -> None:
        for path in files.find_journals(self._folder):
            if path.name in self.journals:
                continue
            journal = Journal(path, self._resource)
            stored = self._stored.pop(path.name, None)  # once: a file of this name may come again
            if stored:
                journal.acknowledged = journal.loaded = int(stored["acknowledged"])
                journal.seen = max(int(stored["seen"]), journal.acknowledged)
                journal.ahead = set(stored["ahead"])
                journal.early = set(journal.ahead)
                journal.reread_header()
            self.journals[path.name] = journal

    def _read_new(self, journal: Journal) -> None:
        size = journal.size()
        if not journal.is_reserve and size <= journal.seen:
            return
        lines, seen = journal.lines(journal.seen)
        if not lines and size > seen and not files.process_is_alive(journal.pid):
            lines, seen = journal.lines(journal.seen)  # what it wrote in its last moment
            if not lines:
                seen = journal.size()  # its last line, cut off by a full disk: nothing follows, nothing can be read
                self._counts["torn"] += 1
        is_in_turn = journal.loaded == journal.seen and self.bulk.has_room
        entries: list[Entry] = []
        bulk: list[tuple[Entry, int]] = []
        for line in lines:
            entry = self._entry_of(journal, line, is_new=True)
            if entry is None:
                continue
            entries.append(entry)
            if entry.is_urgent and self.urgent.has_room:
                journal.urgent[line.end] = line.start
                journal.early.add(line.end)
                self.urgent.put(journal, [(entry, line.end)])
            elif is_in_turn:
                bulk.append((entry, line.end))
        if entries:
            self._show(entries, journal.writer)
        journal.seen = max(journal.seen, seen)
        if is_in_turn:
            self._queue(journal, bulk, journal.seen)
        journal.acknowledge()
        self.is_behind = self.is_behind or len(lines) > 1

    def _show(self, entries: Sequence[Entry], source: Source) -> None:
        """Gives what is new to the structured log and to who listens."""
        if self._log is not None:
            self._log.add([(entry.time, entry.levelno, entry.log_line) for entry in entries if entry.log_line])
        if self._observe is not None:
            self._observe(entries, source)

    def _refill(self, journal: Journal) -> None:
        """Takes what was left on disk, as much of it as there is room for."""
        while journal.loaded < journal.seen and self.bulk.has_room:
            lines, behind = journal.lines(journal.loaded)
            bulk = [
                (entry, line.end)
                for line in lines
                if line.start < journal.seen
                and line.end not in journal.early
                and (entry := self._entry_of(journal, line, is_new=False)) is not None
            ]
            # Without lines and without progress there is what a dead process left: the torn end of its last line.
            self._queue(journal, bulk, min(behind, journal.seen) if behind > journal.loaded else journal.seen)
        journal.acknowledge()

    def _queue(self, journal: Journal, bulk: Sequence[tuple[Entry, int]], loaded: int) -> None:
        """Gives a journal's next lines to the bulk lane; behind ``loaded`` nothing is taken yet."""
        if bulk:
            journal.under_way(journal.loaded, len(bulk))
            self.bulk.put(journal, bulk)
        journal.loaded = max(journal.loaded, loaded)

    def _entry_of(self, journal: Journal, line: Line, *, is_new: bool) -> Entry | None:
        """What a line becomes; None for one that tells of the journal itself, for a copy, for what is unreadable."""
        data = line.data
        try:
            if self._redact is None and data.startswith(_RECORD):
                source = journal.source or journal.writer
                record = take_apart(data.decode(), source)
                mould = record[2]
                if "p" in mould.tail.more and self._is_copy(json.loads(data), is_new):
                    return None
                return entry_of(record, source, self._log is not None and is_new)
            parsed = journal.parse(line)
            if parsed is None:
                if is_new and self._greet and journal.header and line.start == 0:
                    self._greet(journal.header, journal.path)
                return None
            if "p" in parsed and self._is_copy(parsed, is_new):
                return None
            if self._redact is not None:
                parsed = self._redact(parsed)
            return translate(parsed, journal.writer, with_log_line=is_new and self._log is not None)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            journal.bad_lines += 1  # torn by a full disk
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            journal.bad_lines += 1
            self._counts["refused"] += 1
            set_aside(self._folder, data, f"not readable: {type(error).__name__}")
        return None

    def _is_copy(self, line: Mapping[str, Any], is_new: bool) -> bool:
        """Whether a queue brought it from a process that keeps it too."""
        is_copy = self.relays.is_copy(line)
        self._counts["relayed"] += is_copy and is_new
        return is_copy
