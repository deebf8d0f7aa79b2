"""Records that a queue brought to another process: the logging cookbook's `logger.handle(record)` journals them twice.

A copy is known by what both lines say: the process that made the record, its time, logger, line and thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from instrumentation.child._pipeline_alerts_child.names import JOURNAL_SUFFIX
from instrumentation.sender.journals import Journal

__all__ = ["Relays"]

MAX_KNOWN: Final = 200_000  # records of processes whose records are relayed; beyond, the oldest are forgotten

Key = tuple[object, ...]


class Relays:
    """Looks records up in the journals of the processes that made them. Costs nothing where nothing is relayed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Key, None] = {}
        self._read: dict[str, int] = {}  # journal's name → how far it was looked through

    def is_copy(self, line: Mapping[str, Any]) -> bool:
        """Whether the process that made this record keeps it in a journal of this run itself."""
        key = _key(line, line["p"])
        if key not in self._known:
            for path in sorted(self._folder.glob(f"{line['p']}-*{JOURNAL_SUFFIX}")):
                self._look_through(path)
        return key in self._known

    def remember(self, journal: Journal) -> None:
        """A journal is about to be removed; a relay may be slower than its sender."""
        if self._read and not journal.is_reserve:
            self._look_through(journal.path)

    def _look_through(self, path: Path) -> None:
        journal = Journal(path, {})
        while True:
            lines, end = journal.lines(self._read.get(path.name, 0))
            self._read[path.name] = end
            if not lines:
                break
            for line in lines:
                parsed = journal.parse(line)
                if parsed is not None and parsed["k"] == "log" and "p" not in parsed:
                    self._known[_key(parsed, journal.pid)] = None
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]


def _key(line: Mapping[str, Any], pid: object) -> Key:
    return (pid, *(line.get(name) for name in "tgih"))
