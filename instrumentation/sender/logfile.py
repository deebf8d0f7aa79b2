"""The run's structured log, for people and jq: one redacted JSON-lines file per run, all processes in time order.

It is what a message links to, and stays when journals are gone. Not the write-ahead log: that is the journal.
"""

from __future__ import annotations

import bisect
import contextlib
import os
import re
import time
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

__all__ = ["RunLog", "keep_within", "log_path"]

ROTATE_BYTES: Final = 67_108_864
MAX_PARTS: Final = 20  # of one run; a flood overwrites its own middle, not the beginning
HOLD_NS: Final = 150_000_000  # lines wait this long, so that those of other processes find their place
MAX_HELD: Final = 50_000  # lines that wait, whatever their times: a program may live in the future, as its tests do
_WORST_SUFFIX: Final = ".worst"
# How long a run's log stays, by the worst level it reached: days.
KEEP_DAYS: Final = {50: 180, 40: 180, 30: 90, 20: 30, 0: 30}
_UNSAFE: Final = re.compile(r"[^\w.-]+")
_PART: Final = re.compile(r"(\.\d+)?\.jsonl$")
_time_of: Final = itemgetter(0)
_level_of: Final = itemgetter(1)


def log_path(log_home: Path, pipeline: str, run_id: str) -> Path:
    """Where the structured log of a run lies."""
    return log_home / _UNSAFE.sub("_", pipeline)[:80] / f"{_UNSAFE.sub('_', run_id)[:120]}.jsonl"


class RunLog:
    """Appends lines in the order of their times. Trouble with the disk is remembered, never raised."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        self.worst = 0
        self._pending: list[tuple[int, int, str]] = []
        self._fd = -1
        self._size = 0
        self._part = 0
        self._noted_worst = -1
        self._is_torn = False  # a full disk took the beginning of a line

    def add(self, lines: Sequence[tuple[int, int, str]]) -> None:
        """Takes lines with their times and levels; they are written when nothing earlier can still come."""
        self._pending += lines
        self.worst = max([self.worst, *map(_level_of, lines)])

    def flush(self, now_ns: int, *, everything: bool = False) -> None:
        """Writes what is old enough, or all of it."""
        pending = self._pending
        pending.sort(key=_time_of)
        count = len(pending)
        if not everything and count <= MAX_HELD:
            count = bisect.bisect_right(pending, now_ns - HOLD_NS, key=_time_of)
        ready = [line for _, _, line in pending[:count]]
        del pending[:count]
        if not ready:
            return
        try:
            self._write("\n".join([*ready, ""]).encode("utf-8", "backslashreplace"))
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or type(error).__name__

    def close(self) -> None:
        """Writes the rest."""
        self.flush(0, everything=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
        elif self._size > ROTATE_BYTES:
            self._rotate()
        if self._is_torn:
            data = b"\n" + data
        while data:
            count = os.write(self._fd, data)
            self._is_torn = data[count - 1 : count] != b"\n"
            self._size += count
            data = data[count:]
        if self.worst != self._noted_worst:
            self.path.with_suffix(_WORST_SUFFIX).write_text(str(self.worst), encoding="ascii")
            self._noted_worst = self.worst

    def _rotate(self) -> None:
        self._part = self._part % MAX_PARTS + 1
        os.close(self._fd)
        self._fd = -1
        self.path.replace(self.path.with_suffix(f".{self._part}.jsonl"))
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0


def keep_within(log_home: Path, cap_bytes: int, *, now: float | None = None) -> list[Path]:
    """Removes logs that are over age for their run's worst level, then the mildest and oldest until all fit the cap."""
    now = time.time() if now is None else now
    removed: list[Path] = []
    logs: list[tuple[int, float, int, Path]] = []
    for path in log_home.glob("*/*.jsonl"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            own = path.with_suffix(_WORST_SUFFIX)  # of the run; a part of its log has a number more
            run = own if own.exists() else path.parent / _PART.sub(_WORST_SUFFIX, path.name)
            logs.append((_worst_in(run) // 10 * 10, stat.st_mtime, stat.st_size, path))
    logs.sort()
    total = sum(size for _, _, size, _ in logs)
    for worst, modified, size, path in logs:
        days = KEEP_DAYS[max(level for level in KEEP_DAYS if level <= worst)]
        if total <= cap_bytes and now - modified < days * 86_400:
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
            removed.append(path)
            path.with_suffix(_WORST_SUFFIX).unlink(missing_ok=True)
    return removed


def _worst_in(file: Path) -> int:
    """The level that a run reached; of one that a full disk kept from noting it, it may have been any."""
    try:
        return int(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except ValueError:
        return max(KEEP_DAYS)
