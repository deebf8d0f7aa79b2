"""Goes on shipping when the command has ended: a process of its own, quiet, that ends when all of a run is received.

Started only if something is left: a receiver that was away, or descendants that outlive their program. Without a parent
it stands by from the start, for a program that is killed can start nothing.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from instrumentation import apart
from instrumentation.sender import journals
from instrumentation.sender.folder import RunFolder, run_facts
from instrumentation.sender.own_redaction import load
from instrumentation.sender.sender import Report, Sender, collect_seldom
from instrumentation.settings import Settings

__all__ = ["ship_folder", "stand_by", "start"]

_ROOT: Final = str(Path(__file__).resolve().parent.parent.parent)
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from instrumentation.sender.linger import main; main(sys.argv[2])"
)
# Of the environment, beside our settings. Without the third, the Python of many a cluster finds no libpython.
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_LATER: Final = 'sleep "$1"; test -d "$2" && shift 2 && exec "$@"'
LOCK_LOOK_S: Final = 0.2
LOCK_HELD_S: Final = 1.0  # at most, by somebody who only looks whether it is free
MAX_LINGERING: Final = 16  # with folders of runs that are over, for one receiver
LOOK_EVERY_S: Final = 0.25


def start(folder: Path, settings: Settings, environ: Mapping[str, str]) -> int:
    """Starts it, in a session of its own and with no stream of ours; returns its pid, 0 if it could not start."""
    return apart.start(_argv(folder), _environ_for(settings, environ))


def stand_by(folder: Path, settings: Settings, environ: Mapping[str, str], after_s: float) -> None:
    """Starts it after so many seconds, if the folder is still there: it ships what is left when this process is gone.

    As nobody's child: a program that waits until none of its own is left would wait for it for ever.
    """
    words = [f"{after_s:g}", str(folder), *_argv(folder)]
    if not apart.start_orphan(_LATER, words, _environ_for(settings, environ)):
        start(folder, settings, environ)


def _argv(folder: Path) -> list[str]:
    return [sys.executable, "-I", "-c", _PROGRAM, _ROOT, str(folder)]


def _environ_for(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT
        or (name.startswith("PIPELINE_ALERTS_") and not name.startswith("PIPELINE_ALERTS_JOURNAL_DIR_RUN"))
    }
    kept["PIPELINE_ALERTS_ENDPOINT"] = settings.endpoint
    return kept


def adopt(settings: Settings, environ: Mapping[str, str]) -> None:
    """Starts to ship what earlier runs left here and nobody ships any more.

    A machine that went down, or a batch system that ends everything at once, leaves such folders.
    """
    if settings.linger_seconds and settings.journal_home.is_dir():
        left = _survey(settings.journal_home, settings.receiver)
        if left.abandoned and left.shipped < MAX_LINGERING:
            start(left.abandoned[0], settings, environ)  # which goes on with the others


@dataclass(frozen=True, slots=True)
class _Left:
    """Folders of runs that are over and that nobody ships, and how many somebody on this machine does."""

    abandoned: Sequence[Path]
    shipped: int


def _survey(journal_home: Path, receiver: str) -> _Left:
    """Looks at what is for one receiver; what other machines ship is none of ours."""
    abandoned, shipped, here = [], 0, socket.gethostname()
    for folder in sorted(journal_home.iterdir()):
        with contextlib.suppress(OSError):  # gone meanwhile
            facts = run_facts(folder)
            if not facts or facts.get("endpoint", receiver) != receiver or has_writers(folder):
                continue
            run = RunFolder(folder)
            if run.lock():
                run.unlock()
                abandoned.append(folder)
            elif facts.get("host", here) == here:
                shipped += 1
    return _Left(abandoned, shipped)


def ship_folder(folder: Path, settings: Settings, within_s: float, *, lock_within_s: float = 0.0) -> Report | None:
    """Ships a run's folder until all of it is received and nobody writes any more, or time is up.

    Returns:
        How far it got; None if another sender has the folder, or had it and is done.

    Raises:
        ValueError: the user's own redaction cannot be loaded; nothing was sent.
    """
    redact = load(settings.redact) if settings.redact else None
    run = RunFolder(folder)
    if not _lock(run, lock_within_s) or not folder.is_dir():
        return None
    sender = Sender(folder, settings, redact=redact)
    sender.start()
    ends_at = time.monotonic() + within_s
    stopped = threading.Event()
    with contextlib.suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while time.monotonic() < ends_at and not stopped.wait(LOOK_EVERY_S):
        if not has_writers(folder) and sender.is_idle():
            break
    report = sender.stop(min(5.0, max(within_s, 0.1)))
    if report.is_complete and not has_writers(folder):
        run.remove()
    else:
        run.unlock()
    return report


def _lock(run: RunFolder, within_s: float) -> bool:
    ends_at = time.monotonic() + within_s
    try:
        while not run.lock():
            if time.monotonic() >= ends_at:
                return False
            time.sleep(LOCK_LOOK_S)
    except OSError:  # all was received meanwhile, and the folder is gone
        return False
    return True


def has_writers(folder: Path) -> bool:
    """Whether a process that has a journal here still runs."""
    return any(
        journals.process_is_alive(int(head))
        for path in journals.find_journals(folder)
        if (head := path.name.partition("-")[0]).isdigit() and int(head) != os.getpid()
    )


def main(folder: str) -> None:
    """The background process: ships one folder when nobody else does, then what others left.

    In a long outage every run would leave one: of many, the others are enough.
    """
    collect_seldom()
    settings = Settings.from_environ(os.environ)  # before we leave: a token's file may be named from here
    os.chdir("/")
    with contextlib.suppress(OSError):
        os.nice(5)
    path = Path(folder)
    own = RunFolder(path)
    if not _lock(own, math.inf):  # ends with who has it
        return
    own.unlock()
    if _survey(path.parent, settings.receiver).shipped >= MAX_LINGERING:
        return
    ends_at = time.monotonic() + settings.linger_seconds
    todo, tried = [path], set()
    while todo:
        report = ship_folder(todo[0], settings, ends_at - time.monotonic(), lock_within_s=LOCK_HELD_S)
        if report is not None and not report.is_complete:
            break  # the time is up, or we are asked to end
        tried.add(todo[0])
        gc.collect()  # what the last sender had open
        todo = [one for one in _survey(path.parent, settings.receiver).abandoned if one not in tried]
