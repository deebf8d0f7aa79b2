"""What goes when a run's unshipped journals reach the disk cap: the oldest and mildest first, counted by level.

A journal is append-only and may still be written, so nothing is cut out of it. Lines worth keeping move to a file of
their own, the rest of the region is given back to the disk (a hole, where the file system can), and the acknowledged
offset moves behind it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from instrumentation.sender.journals import Journal, Line
from instrumentation.sender.sources import encode_json

__all__ = ["KEPT_PREFIX", "shed"]

KEPT_PREFIX: Final = "0-kept"  # a journal that no process owns
SHED_TO: Final = 0.8  # of the cap, so that it is not done for every line
KEEP_FROM_LEVELS: Final = (30, 40)  # first everything below WARNING goes, then everything below ERROR
_PUNCH_HOLE_KEEP_SIZE: Final = 0x01 | 0x02
_BLOCK: Final = 4096


def shed(folder: Path, journals: Iterable[Journal], cap_bytes: int) -> Counter[int]:
    """Brings what is unshipped below the cap; ERROR and above are never dropped.

    Returns:
        How many records of each level went.
    """
    dropped: Counter[int] = Counter()
    ordered = sorted((one for one in journals if not one.is_reserve), key=_age)
    for keep_from in KEEP_FROM_LEVELS:
        for journal in ordered:
            if sum(one.size() - one.acknowledged for one in ordered) <= cap_bytes * SHED_TO:
                return dropped
            is_kept_file = journal.name.startswith(KEPT_PREFIX)
            if is_kept_file and keep_from == KEEP_FROM_LEVELS[0]:
                continue
            dropped += _shed_one(folder, journal, keep_from)
    return dropped


def _shed_one(folder: Path, journal: Journal, keep_from: int) -> Counter[int]:
    dropped: Counter[int] = Counter()
    kept = folder / f"{KEPT_PREFIX}-{journal.path.stem}-{keep_from}.jsonl"
    start = journal.acknowledged
    while True:
        lines, end = journal.lines(max(start, journal.loaded))
        if not lines:
            break
        worth: list[bytes] = []
        mild: Counter[int] = Counter()
        for line in lines:
            if line.end in journal.ahead or line.end in journal.urgent:
                continue
            level = _level(line)
            if level is None or level >= keep_from:
                worth.append(line.data)
            else:
                mild[level] += 1
        if worth and not _keep(kept, journal, worth):
            break  # the disk is full as well: then nothing of this goes
        dropped += mild
        journal.loaded = end
        journal.seen = max(journal.seen, end)
    journal.acknowledge()
    _give_back(journal.path, journal.acknowledged)
    return dropped


def _keep(kept: Path, journal: Journal, lines: Sequence[bytes]) -> bool:
    """Adds them to a journal of their own, all or none; says which."""
    with contextlib.suppress(OSError):
        out = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(out).st_size
            data = b"".join(lines) if size else b"".join([_header(journal), *lines])
            if os.write(out, data) == len(data):
                return True
            os.ftruncate(out, size)
        finally:
            os.close(out)
    return False


def _header(journal: Journal) -> bytes:
    """A first line, so that the records keep their identities and their process."""
    writer = journal.writer
    header = journal.header or {"k": "proc", "v": 1, "u": writer.token, "p": writer.pid}
    return f"{encode_json(header)}\n".encode()


def _level(line: Line) -> int | None:
    """The level of a record; None for what is none: spans and points go with INFO, headers stay."""
    data = line.data
    if b'"k":"proc"' in data[:40].replace(b" ", b""):
        return None
    position = data.find(b'"n":')
    if position < 0:
        return 20
    digits = data[position + 4 : position + 12].strip().split(b",", 1)[0]
    return int(digits) if digits.isdigit() else None


def _age(journal: Journal) -> float:
    try:
        return journal.path.stat().st_mtime
    except OSError:
        return 0.0


def _give_back(path: Path, upto: int) -> None:
    """Frees the blocks before an offset; the file keeps its size, and reads zeros there."""
    length = upto // _BLOCK * _BLOCK
    if not length:
        return
    with contextlib.suppress(OSError, AttributeError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(length))
        finally:
            os.close(fd)
