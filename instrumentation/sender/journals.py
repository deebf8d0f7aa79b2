"""The files of a run's folder: whole lines from where we were, whose they are, and how far the receiver has them.

An offset is a byte position behind a whole line. A journal has three: what was *seen* (and written to the structured
log), what was *loaded* for sending, and what was *acknowledged*. Urgent lines go ahead of the others, so that what is
settled beyond the acknowledged offset is remembered line by line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

from instrumentation.child._pipeline_alerts_child.names import JOURNAL_SUFFIX, RESERVE_SUFFIX
from instrumentation.sender.folder import OFFSETS_FILE, read_object, write_whole
from instrumentation.sender.sources import Source

__all__ = ["Journal", "Line", "expect", "load_offsets", "offsets_of", "process_is_alive", "save_offsets"]

CHUNK_BYTES: Final = 262_144  # read at a time
MAX_LINE_BYTES: Final = 4_194_304  # a longer line is no line of ours: skipped and counted
MAX_AHEAD_KEPT: Final = 4096  # settled lines remembered over a restart; uids make the rest count once anyway
_decode: Final = json.JSONDecoder().raw_decode


class Line(NamedTuple):
    """One whole line and where it lies."""

    start: int
    end: int
    data: bytes


_line: Final[Callable[[Iterable[object]], Line]] = partial(tuple.__new__, Line)  # a third of the time of calling it


@dataclass(slots=True)
class Journal:
    """One process's journal, or the reserve that it fell back to on a full disk."""

    path: Path
    run_resource: Mapping[str, object]
    seen: int = 0
    loaded: int = 0
    acknowledged: int = 0
    ahead: set[int] = field(default_factory=set)  # ends of lines settled beyond `acknowledged`
    early: set[int] = field(default_factory=set)  # ends of urgent lines that were loaded before their turn
    waiting: int = 0  # bulk lines under way; they are settled in their order
    settled: int = 0  # where the last settled one of them ended, or the first began
    urgent: dict[int, int] = field(default_factory=dict)  # end → start of urgent lines under way, settled in any order
    source: Source | None = None
    header: dict[str, Any] | None = None  # its first line, once read
    lost: int = 0  # records that its process could not keep, as its reserve says
    bad_lines: int = 0

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def pid(self) -> int:
        """The process that writes it; 0 for a file that no process owns."""
        head = self.name.partition("-")[0]
        return int(head) if head.isdigit() else 0

    @property
    def is_reserve(self) -> bool:
        return self.name.endswith(RESERVE_SUFFIX)

    @property
    def is_settled(self) -> bool:
        return self.acknowledged >= self.seen == self.loaded and not self.waiting and not self.urgent

    def lines(self, start: int, limit: int = CHUNK_BYTES) -> tuple[list[Line], int]:
        """Whole lines from an offset, up to about ``limit`` bytes, and the offset behind; none if the file is gone.

        Raises:
            OSError: they cannot be read now.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return [], start
        try:
            data = os.pread(fd, limit, start)
            if self.is_reserve:
                data = data.partition(b"\0")[0]  # its blocks are taken in advance; what is unwritten is zeros
            while data and b"\n" not in data:
                more = os.pread(fd, CHUNK_BYTES, start + len(data)).partition(b"\0")[0]
                if not more:
                    return [], start  # a line that is being written, or was torn by a full disk
                data += more
                if len(data) > MAX_LINE_BYTES:
                    self.bad_lines += 1
                    return [], start + len(data)
        finally:
            os.close(fd)
        pieces = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        offsets = list(accumulate(map(len, pieces), initial=start))
        return list(map(_line, zip(offsets, offsets[1:], pieces, strict=False))), offsets[-1]

    def size(self) -> int:
        """Bytes on disk; what was seen for a reserve, whose size says nothing."""
        if self.is_reserve:
            return self.seen
        try:
            return self.path.stat().st_size
        except OSError:
            return self.seen

    def parse(self, line: Line) -> dict[str, Any] | None:
        """The line as an object; None for those that only tell about the file itself, which are taken note of here."""
        try:
            parsed = _decode(line.data.decode())[0]  # twice as fast as `json.loads`, which guesses encodings
            kind = parsed["k"]
            if kind == "proc":
                self.source = Source.of(self.run_resource, str(parsed["u"]), int(parsed["p"]))
                self.header = parsed
                return None
            if kind == "lost":
                self.lost = int(parsed["c"])
                return None
        except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
            if line.data.strip(b"\0\n "):
                self.bad_lines += 1
            return None
        assert isinstance(parsed, dict)
        return parsed

    @property
    def writer(self) -> Source:
        """The process whose lines these are; if its first line was torn, the file's name says as much."""
        if self.source is None:
            token = self.path.stem.partition("-")[2] or self.path.stem
            self.source = Source.of(self.run_resource, token, self.pid)
        return self.source

    @property
    def resource(self) -> bytes:
        """The encoded resource of everything in it."""
        return self.writer.resource

    def under_way(self, start: int, count: int) -> None:
        """So many bulk lines, of which the first begins not before ``start``, are on their way."""
        if not self.waiting:
            self.settled = start
        self.waiting += count

    def settle(self, ends: Sequence[int]) -> None:
        """Lines that end there, of one lane, need nothing more: received, or set aside."""
        if ends[0] in self.urgent:
            for end in ends:
                del self.urgent[end]
            self.ahead.update(ends)
            return
        self.waiting -= len(ends)
        self.settled = ends[-1]
        if self.urgent:
            self.ahead.update(ends)

    def acknowledge(self) -> None:
        """Moves the acknowledged offset as far as everything before it is settled."""
        first = self.settled if self.waiting else self.loaded
        self.acknowledged = min(first, *self.urgent.values()) if self.urgent else first
        if self.ahead:
            self.ahead = {end for end in self.ahead if end > self.acknowledged}
        if self.early:
            self.early = {end for end in self.early if end > self.acknowledged}

    def reread_header(self) -> None:
        """Learns whose the lines are when starting in the middle of a file."""
        lines: list[Line] = []
        with contextlib.suppress(OSError):
            lines, _ = self.lines(0, CHUNK_BYTES // 16)
        for line in lines[:2]:
            if b'"k":"proc"' in line.data or b'"k":"lost"' in line.data:
                self.parse(line)


def expect(folder: Path, pid: int) -> None:
    """Keeps a run's folder for a process that may yet begin a journal, as long as it runs: by an empty one."""
    with contextlib.suppress(OSError):
        path = folder / f"{pid}-expected{JOURNAL_SUFFIX}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def find_journals(folder: Path) -> Iterator[Path]:
    """The journals and reserves in a run's folder, oldest name first."""
    with contextlib.suppress(OSError):
        names = os.listdir(folder)  # noqa: PTH208 - every 250 ms; objects are made only for what is a journal
        yield from sorted(folder / name for name in names if name.endswith((JOURNAL_SUFFIX, RESERVE_SUFFIX)))


def load_offsets(folder: Path) -> dict[str, Any]:
    """What a sender remembered of this folder; empty at the first time."""
    return read_object(folder / OFFSETS_FILE)


def offsets_of(journals: Mapping[str, Journal], counts: Mapping[str, int]) -> str:
    """What is to be remembered of them, as JSON."""
    stored = {
        "journals": {
            name: {
                "acknowledged": journal.acknowledged,
                "seen": journal.seen,
                "ahead": sorted(journal.ahead)[-MAX_AHEAD_KEPT:],
            }
            for name, journal in journals.items()
        },
        "counts": dict(counts),
    }
    return json.dumps(stored, separators=(",", ":"))


def save_offsets(folder: Path, offsets: str) -> bool:
    """Writes them in one step, or not: what the old ones do not have is sent again, and counts once by its uid."""
    try:
        write_whole(folder / OFFSETS_FILE, offsets)
    except OSError:
        return False
    return True


def process_is_alive(pid: int) -> bool:
    """Whether a process of this number runs; a zombie does not."""
    if pid <= 0:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return not Path("/proc/self/stat").exists() and _answers(pid)
    return stat[stat.rfind(b")") + 2 :][:1] not in {b"Z", b"X"}


def _answers(pid: int) -> bool:
    """The same where there is no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
