"""What no receiver will ever take stays beside the run, with the reason, for a person. Nothing sends it again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from instrumentation.sender.journals import MAX_LINE_BYTES
from instrumentation.sender.lanes import Item

__all__ = ["REFUSED_FILE", "set_aside", "set_item_aside"]

REFUSED_FILE: Final = "refused.jsonl.txt"


def set_aside(folder: Path, data: bytes, reason: str) -> None:
    """Keeps a line as it was written."""
    with contextlib.suppress(OSError):
        fd = os.open(folder / REFUSED_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"# {reason}\n".encode() + data.rstrip(b"\n") + b"\n")
        finally:
            os.close(fd)


def set_item_aside(folder: Path, item: Item, reason: str) -> None:
    """Keeps the line that an entry was made of."""
    start = max(item.end - MAX_LINE_BYTES, 0)
    lines, _ = item.journal.lines(start, item.end - start)
    set_aside(folder, lines[-1].data if lines else b"", f"refused: {reason}")
