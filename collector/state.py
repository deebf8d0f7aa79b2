"""The Collector's queue files, looked at before it starts: held by another Collector, or too damaged to be opened.

They are bbolt databases (go.etcd.io/bbolt, db.go and internal/common/meta.go): two meta pages with magic, version and
an FNV-1a checksum, of which one must be whole. `recreate: true` of file_storage sets aside a database on which bbolt
panics, but with one that bbolt refuses to open the Collector refuses to start, and then nobody is alerted.
"""

from __future__ import annotations

import fcntl
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collector.finding import Finding

__all__ = ["held_by_another", "set_aside_damaged"]

_PAGE_HEADER_BYTES = 16
_META = struct.Struct("<IIIIQQQQQQ")
_META_CHECKED_BYTES = 56
_MAGIC = 0xED0CDAED
_VERSION = 2
_PAGE_SIZES_BYTES = tuple(1024 << shift for shift in range(16))
_FNV_OFFSET, _FNV_PRIME, _FNV_MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_ASIDE = ".damaged-"


def held_by_another(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Queue folders whose files another process has locked, in an effective configuration."""
    for extension, file in _queue_files(document):
        try:
            with file.open("rb") as queue:
                fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Finding.error(
                "state in use",
                f"extensions.{extension}",
                f"another Collector works in {file.parent}: end that, or set OTELCOL_STATE_DIR",
            )
        except OSError:
            continue  # the Collector says better what it cannot do with it


def set_aside_damaged(document: Mapping[str, Any]) -> tuple[Path, ...]:
    """Rename queue files that cannot be opened, so that a new queue begins. Returns their new names, for a person."""
    renamed = []
    for _, file in _queue_files(document):
        if _is_damaged(file):
            renamed.append(file.rename(file.with_name(f"{file.name}{_ASIDE}{time.time_ns()}")))
    return tuple(renamed)


def _queue_files(document: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    for name, settings in (document.get("extensions") or {}).items():
        if name.split("/")[0] != "file_storage":
            continue
        folder = Path(settings["directory"])
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.is_file() and not file.name.endswith(".backup") and _ASIDE not in file.name:
                yield name, file


def _is_damaged(file: Path) -> bool:
    with file.open("rb") as queue:
        start = queue.read(_PAGE_SIZES_BYTES[-1] + _PAGE_HEADER_BYTES + _META.size)
    # An empty file is a new database.
    return bool(start) and not any(_is_meta(start, at) for at in (0, *_PAGE_SIZES_BYTES))


def _is_meta(content: bytes, page_at: int) -> bool:
    meta = content[page_at + _PAGE_HEADER_BYTES :][: _META.size]
    if len(meta) < _META.size:
        return False
    magic, version, page_size, *_, checksum = _META.unpack(meta)
    whole: bool = magic == _MAGIC and version == _VERSION and checksum == _fnv1a(meta[:_META_CHECKED_BYTES])
    # Both pages must be there, whichever is the good one.
    return whole and len(content) >= 2 * min(page_size, _PAGE_SIZES_BYTES[-1] // 2)


def _fnv1a(content: bytes) -> int:
    value = _FNV_OFFSET
    for byte in content:
        value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return value
