"""Who else runs below the program: which Python processes there are, how they died, and who was not reached.

Only a parent learns an exit status by waiting. For the others, `/proc` shows it until the parent has asked; afterwards
a pidfd answers, opened as soon as a process announces itself in the run's folder (Linux 6.15 and newer,
`PIDFD_GET_INFO`). On older kernels a journal whose process left without its exit handlers says that something ended
it, not what.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.supervisor.memory import peak_of
from instrumentation.supervisor.processes import (
    argv_of,
    below,
    children_of,
    cpu_seconds_of,
    everybody,
    executable_of,
    is_python,
    is_shell,
    state_of,
    was_started_in,
    zombie_status,
)

__all__ = ["Death", "Descendants", "Unreached"]

MAX_WATCHED: Final = 512
_PIDFD_GET_INFO: Final = 3 << 30 | 64 << 16 | 0xFF << 8 | 11  # _IOWR(0xFF, 11, struct pidfd_info), 64 bytes
_PIDFD_INFO_EXIT: Final = 1 << 3
_EXIT_CODE_OFFSET: Final = 60
# In the command lines of processes that a library starts, and ends by SIGKILL when it needs them no more.
_OF_LIBRARIES: Final = (
    *("multiprocessing", "--multiprocessing-fork", "loky", "forkserver"),
    *("/ray/_private/", "/ray/dashboard/", "/ray/autoscaler/"),
)
ANNOUNCE_WITHIN_S: Final = 1.0  # what a Python process is given to begin its journal


@dataclass(frozen=True, slots=True)
class Death:
    """A Python process below the program is gone. ``status`` is its wait status, None where nobody tells."""

    pid: int
    argv: Sequence[str]
    status: int | None
    peak_memory: int
    is_worker: bool  # started by multiprocessing, Ray or a fork: its parent may end it on purpose
    left_abruptly: bool  # without its exit handlers
    trace_id: str = ""  # it was started from, as its environment said; empty where it did not
    span_id: str = ""
    stage: str = ""

    @property
    def was_killed(self) -> bool:
        """By SIGKILL, as far as the status tells."""
        return self.status is not None and os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def may_have_been_killed(self) -> bool:
        """By SIGKILL, or nobody knows."""
        return self.was_killed or (self.status is None and self.left_abruptly)


@dataclass(frozen=True, slots=True)
class Unreached:
    """A Python process that writes no journal, and why."""

    pid: int
    argv: Sequence[str]
    reason: str


@dataclass(slots=True)
class _Watched:
    pid: int
    argv: Sequence[str]
    parent: int
    reserve: Path
    started_from: tuple[str, str, str] = ("", "", "")  # trace id, span id, stage
    pidfd: int = -1
    peak_memory: int = 0


@dataclass(slots=True)
class Descendants:
    """Watches the processes that announced themselves in the run's folder; not the program itself."""

    child_path: str
    program_pid: int = 0
    own_pids: Sequence[int] = ()  # what runs beside the program and is not of it
    may_miss_orphans: bool = False  # the program ended so soon that what it left may not have fallen to us
    _watched: dict[int, _Watched] = field(default_factory=dict)
    _argv_of: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _first_seen: dict[tuple[int, str], float] = field(default_factory=dict)  # by pid and executable
    _told: set[tuple[str, str]] = field(default_factory=set)

    def announce(self, header: dict[str, Any], journal: Path) -> None:
        """A journal's first line: a Python process has begun. Called from the sender's thread."""
        pid, parent = int(header["p"]), int(header.get("pp", 0))
        argv = tuple(str(word) for word in header.get("a") or ())
        self._argv_of[pid] = argv
        if pid in {self.program_pid, os.getpid()} or len(self._watched) >= MAX_WATCHED:
            return
        started_from = (*parse_traceparent(str(header.get("tp", ""))), str(header.get("st", "")))
        watched = _Watched(pid, argv, parent, journal.with_suffix(".reserve"), started_from)
        with contextlib.suppress(OSError, AttributeError):
            watched.pidfd = os.pidfd_open(pid)
        self._watched[pid] = watched

    def peak_memory(self) -> int:
        """The largest peak among those that still run, in bytes."""
        for watched in list(self._watched.values()):
            watched.peak_memory = max(watched.peak_memory, peak_of(watched.pid))
        return max((watched.peak_memory for watched in list(self._watched.values())), default=0)

    def deaths(self, orphans: Sequence[tuple[int, int, int]] = ()) -> list[Death]:
        """Those that ended since the last call; ``orphans`` fell to us, so that we know their status."""
        statuses = {pid: (status, peak) for pid, status, peak in orphans}
        found = []
        for pid, watched in list(self._watched.items()):
            if pid not in statuses and not self._is_over(watched):
                continue
            status, peak = statuses.get(pid, (_how_it_ended(watched), 0))
            if watched.pidfd >= 0:
                os.close(watched.pidfd)
            del self._watched[pid]
            trace_id, span_id, stage = watched.started_from
            found.append(
                Death(
                    pid,
                    watched.argv,
                    status,
                    max(peak, watched.peak_memory),
                    self._is_worker(watched),
                    watched.reserve.exists(),
                    trace_id=trace_id,
                    span_id=span_id,
                    stage=stage,
                )
            )
        return found

    def orphans(self) -> list[int]:
        """Processes whose own parent is gone, so that they fell to us."""
        ours = {self.program_pid, *self.own_pids}
        return [pid for pid in children_of(os.getpid()) if pid not in ours]

    def adopted(self) -> list[int]:
        """The orphans, and all below them."""
        roots = self.orphans()
        return [*roots, *(pid for root in roots for pid in below(root))]

    def expected(self, folder: Path) -> list[int]:
        """Those of them that may yet begin a journal in the run's folder: a Python, or a shell that starts one."""
        return [
            pid
            for pid in (everybody() if self.may_miss_orphans else self.adopted())
            if (is_python(executable := executable_of(pid)) or is_shell(executable)) and was_started_in(pid, folder)
        ]

    def _is_worker(self, watched: _Watched) -> bool:
        """Not asked when it begins: it may be heard of before its parent is."""
        is_fork = watched.argv == self._argv_of.get(watched.parent)
        return is_fork or any(word in part for part in watched.argv for word in _OF_LIBRARIES)

    def _is_over(self, watched: _Watched) -> bool:
        if watched.pidfd >= 0:
            return bool(select.select([watched.pidfd], (), (), 0)[0])
        return not Path(f"/proc/{watched.pid}").exists()

    def unreached(self, now: float) -> list[Unreached]:
        """Python processes that have had time for a journal and have none; each kind once. ``now`` is monotonic."""
        found = []
        pids = [self.program_pid, *below(self.program_pid), *self.adopted()]
        silent = [(pid, executable_of(pid)) for pid in pids if pid not in self._argv_of]
        self._first_seen = {one: self._first_seen.get(one, now) for one in silent if is_python(one[1])}
        for (pid, executable), since in self._first_seen.items():
            if now - since < ANNOUNCE_WITHIN_S or may_still_start(pid):
                continue
            reason = why_unreached(pid, self.child_path)
            if reason and (executable, reason) not in self._told:
                self._told.add((executable, reason))
                found.append(Unreached(pid, argv_of(pid) or (executable,), reason))
        return found


def may_still_start(pid: int) -> bool:
    """Whether a process is busy, and has not had the processor for as long as a start may take at most."""
    return not state_of(pid).startswith("S") and cpu_seconds_of(pid) < ANNOUNCE_WITHIN_S


def why_unreached(pid: int, child_path: str) -> str:
    """Why a Python process does not load our part, read from its environment and command line; empty if it is gone."""
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.geteuid():
            return "it runs as another user, to whom the run's folder is closed"
        environ = dict(
            pair.split(b"=", 1) for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if b"=" in pair
        )
    except (OSError, ValueError):
        return ""
    argv = argv_of(pid)
    for word in argv[1:]:
        if not word.startswith("-") or word in {"-c", "-m"}:
            break
        for letter, reason in (("I", "isolated mode"), ("E", "it ignores the environment"), ("S", "it loads no site")):
            if not word.startswith("--") and letter in word:
                return f"it was started with -{letter} ({reason})"
    if b"PIPELINE_ALERTS_JOURNAL_DIR_RUN" not in environ:
        return "it was started with a cleared environment"
    if child_path.encode() not in environ.get(b"PYTHONPATH", b"").split(b":"):
        return "PYTHONPATH was replaced"
    if b"opentelemetry" in b" ".join(environ):
        return "another start-up hook runs first"
    return "its start-up hook did not run"


def _how_it_ended(watched: _Watched) -> int | None:
    """Its wait status. Until its parent asks for it, it stands elsewhere than afterwards."""
    status = zombie_status(watched.pid)
    return _exit_status(watched.pidfd) if status is None else status


def _exit_status(pidfd: int) -> int | None:
    if pidfd < 0:
        return None
    buffer = bytearray(64)
    struct.pack_into("=Q", buffer, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", buffer, 0)
    (status,) = struct.unpack_from("=i", buffer, _EXIT_CODE_OFFSET)
    return int(status) if mask & _PIDFD_INFO_EXIT else None
