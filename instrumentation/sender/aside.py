"""What no receiver will ever take stays beside the run, with the reason, for a person. Nothing sends it again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from instrumentation.sender.folder import REFUSED_FILE
from instrumentation.sender.journals import MAX_LINE_BYTES, Journal

__all__ = ["set_aside", "set_refused_aside"]


def set_aside(folder: Path, data: bytes, reason: str) -> None:
    """Keeps a line as it was written."""
    with contextlib.suppress(OSError):
        fd = os.open(folder / REFUSED_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"# {reason}\n".encode() + data.rstrip(b"\n") + b"\n")
        finally:
            os.close(fd)


def set_refused_aside(journal: Journal, end: int, reason: str) -> None:
    """Keeps the line that ends there, of which a receiver would not take what it became."""
    start = max(end - MAX_LINE_BYTES, 0)
    with contextlib.suppress(OSError):
        lines, _ = journal.lines(start, end - start)
        set_aside(journal.path.parent, lines[-1].data if lines else b"", f"refused: {reason}")
