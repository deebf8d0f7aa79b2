"""How a program without a supervising parent ends: the same watch as under `run`, on the journal of `configure()`."""

from __future__ import annotations

import logging
import os
import threading

from instrumentation import running
from instrumentation.child._pipeline_alerts_child import ends, imports, names
from instrumentation.journal import current

__all__ = ["install"]

_installed: list[ends.Reporter] = []  # at most one


def install() -> None:
    """Watches for uncaught exceptions from now on; once per process, and not under `run`, where the child side does.

    To be called after whatever ships at exit has registered itself with `atexit`: then the last exception is written
    before it is shipped.
    """
    if _installed or current() is not None:
        return
    reporter = ends.Reporter(running.journal, {name: os.environ[name] for name in names.PLACE if name in os.environ})
    _installed.append(reporter)
    reporter.logging = logging
    reporter.watch_interpreter()
    reporter.watch_threads(threading)
    imports.Watch({"multiprocessing.util": reporter.watch_processes})
