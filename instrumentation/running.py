"""Which journal this process writes, if any: the one that `run` opened, else the one that `configure()` opened."""

from __future__ import annotations

from instrumentation.journal import Journal, current

__all__ = ["begin", "end", "journal"]

_configured: list[Journal] = []


def journal() -> Journal | None:
    """The journal, or None: then nothing is kept, and nothing that writes to it does anything."""
    found = current()
    if found is not None:
        return found
    return _configured[0] if _configured else None


def begin(opened: Journal) -> None:
    """`configure()` opened this one."""
    _configured[:] = [opened]


def end() -> None:
    """`configure()` has ended its run."""
    _configured.clear()
