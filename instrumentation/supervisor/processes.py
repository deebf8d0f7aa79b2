"""What the kernel says of running processes: who is below whom, and what each runs. Empty answers for who is gone."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from instrumentation.child._pipeline_alerts_child.names import ENV_RUN_FOLDER

__all__ = [
    "argv_of",
    "below",
    "catches",
    "children_of",
    "cpu_seconds_of",
    "everybody",
    "executable_of",
    "is_python",
    "is_shell",
    "is_tracker",
    "parents",
    "state_of",
    "was_started_in",
    "zombie_status",
]

# Fields of `/proc/PID/stat` after the command's name (proc(5): 3, 14, 15 and 52).
_STAT_STATE, _STAT_USER_TIME, _STAT_SYSTEM_TIME, _STAT_EXIT_CODE = 0, 11, 12, 49
_PYTHON: Final = re.compile(r"^(?:python|pypy)[\d.]*$")
_SHELL: Final = re.compile(r"^(?:\w{0,3}sh|busybox)$")
_TRACKERS: Final = ("resource_tracker", "semaphore_tracker")
_CAUGHT: Final = re.compile(rb"^SigCgt:\s+([0-9a-f]+)$", re.MULTILINE)
_PARENT: Final = re.compile(rb"^PPid:\s+(\d+)$", re.MULTILINE)
_STATE: Final = re.compile(rb"^State:\s+(.+)$", re.MULTILINE)


def everybody() -> list[int]:
    """The pids of all processes that are seen from here."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - thousands on some machines
    except OSError:
        return []


def below(root: int) -> list[int]:
    """The pids of all descendants of a process."""
    found: list[int] = []
    todo = [root]
    while todo:
        children = children_of(todo.pop())
        todo += children
        found += children
    return found


def children_of(pid: int) -> list[int]:
    """The pids of a process's children."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - some thousand times an hour
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
    return found


def parents(pid: int | str = "self") -> list[int]:
    """The pids of a process's parent, its parent's and so on; as far as they are seen from here."""
    found: list[int] = []
    while match := _PARENT.search(_status(pid)):
        pid = int(match[1])
        if not pid:
            break
        found.append(pid)
    return found


def is_python(executable: str) -> bool:
    """Whether an executable is a Python interpreter, by its name."""
    return bool(_PYTHON.match(Path(executable).name))


def is_shell(executable: str) -> bool:
    """Whether an executable is a shell, by its name."""
    return bool(_SHELL.match(Path(executable).name))


def is_tracker(pid: int) -> bool:
    """Whether a process only waits for the end of one that uses multiprocessing, to tidy up after it."""
    return any(word in part for part in argv_of(pid) for word in _TRACKERS)


def executable_of(pid: int) -> str:
    """The file that it runs."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def argv_of(pid: int) -> tuple[str, ...]:
    """Its command line."""
    try:
        return tuple(
            word.decode("utf-8", "replace") for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        )
    except OSError:
        return ()


def was_started_in(pid: int, folder: Path) -> bool:
    """Whether a process belongs to the run of a folder, as the environment says that it was started with."""
    try:
        return f"{ENV_RUN_FOLDER}={folder}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    found = _CAUGHT.search(_status(pid))
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def state_of(pid: int) -> str:
    """Whether it sleeps, runs or waits for a disk, and for what in the kernel, where that may be read."""
    found = _STATE.search(_status(pid))
    if found is None:
        return ""
    try:
        waits_in = Path(f"/proc/{pid}/wchan").read_text(encoding="ascii").strip()
    except OSError:
        waits_in = ""
    return found[1].decode("ascii") + (f", in {waits_in}" if waits_in not in {"", "0"} else "")


def zombie_status(pid: int) -> int | None:
    """The wait status of a process that ended and that its parent did not ask for yet; None otherwise."""
    fields = _stat(pid)
    return int(fields[_STAT_EXIT_CODE]) if fields and fields[_STAT_STATE] in {b"Z", b"X"} else None


def cpu_seconds_of(pid: int) -> float:
    """How long it has had a processor; 0 if it is gone."""
    fields = _stat(pid)
    ticks = int(fields[_STAT_USER_TIME]) + int(fields[_STAT_SYSTEM_TIME]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _status(pid: int | str) -> bytes:
    try:
        return Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return b""
