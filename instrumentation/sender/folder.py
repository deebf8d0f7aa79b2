"""A run's folder: made, locked, described in `run.json`, and removed when nothing in it is owed to anybody."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["RunFolder", "bind_poke", "new_run_id", "read_object", "run_facts", "unbind_poke", "write_whole"]

LOCK_FILE: Final = ".lock"
RUN_FILE: Final = "run.json"
OFFSETS_FILE: Final = "offsets.json"  # written by whoever ships the folder, every half minute at the least
REFUSED_FILE: Final = "refused.jsonl.txt"  # what no receiver takes
SILENT_ELSEWHERE_S: Final = 120.0  # until a sender on another machine is taken for ended


class RunFolder:
    """A folder that one sender at a time works in. The lock ends with the process that holds it, however it ends.

    Homes of clusters know such locks on one machine only, or not at all: the first is noticed, and with the second uids
    make what is sent twice count once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd = -1

    @classmethod
    def create(cls, journal_home: Path, run_id: str, facts: Mapping[str, object]) -> RunFolder:
        """Makes it, mode 0700, locks it and writes its facts.

        Several programs may share a run's id, an array of batch jobs for instance: each has a folder of its own.

        Raises:
            OSError: there is no place for it.
        """
        name = run_id.replace("/", "_").lstrip(".") or "run"
        folder = cls(journal_home / name)
        if not folder._take():
            folder = cls(_make_private(journal_home, f"{name}-"))
            folder.lock()
        write_whole(folder.path / RUN_FILE, json.dumps(facts, indent=1))
        return folder

    def _take(self) -> bool:
        """Makes and locks it; says whether it is ours, and not another's, who may be about to remove it."""
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.lock():
                if os.path.samestat(os.fstat(self._lock_fd), (self.path / LOCK_FILE).stat()):
                    return True
                self.unlock()
        return False

    def lock(self) -> bool:
        """Takes the lock if it is free; says whether we have it."""
        fd = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        is_free = True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_free = False
        except OSError:
            pass
        if not is_free or self._is_shipped_elsewhere(fd):
            os.close(fd)
            return False
        self._lock_fd = fd
        return True

    def _is_shipped_elsewhere(self, fd: int) -> bool:
        """Whether the run's own machine, which is another, is at work; by the clock of the file system."""
        try:
            noted = (self.path / OFFSETS_FILE).stat().st_mtime
            if run_facts(self.path).get("host") in {None, socket.gethostname()}:
                return False
            os.utime(fd)
            return os.fstat(fd).st_mtime - noted < SILENT_ELSEWHERE_S
        except OSError:
            return False

    def unlock(self) -> None:
        """Gives the lock to whoever ships the rest."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def remove(self) -> None:
        """Removes the folder when all in it was received; but for what nobody takes, which stays for a person."""
        if (self.path / REFUSED_FILE).exists():
            for file in self.path.iterdir():
                with contextlib.suppress(OSError):
                    if file.name != REFUSED_FILE:
                        file.unlink()
        else:
            import shutil  # what is only needed at the end, the program does not wait for

            gone = self.path.with_name(f".{self.path.name}-{os.urandom(4).hex()}")
            with contextlib.suppress(OSError):  # in one step, for another run of this name may begin at any moment
                shutil.rmtree(self.path.rename(gone), ignore_errors=True)
        self.unlock()


def write_whole(file: Path, text: str) -> None:
    """Writes a file of this user alone in one step.

    Raises:
        OSError: it is as it was.
    """
    temporary = file.with_name(f".{file.name}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as opened:
        opened.write(text)
    temporary.replace(file)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if it is missing or broken, because journals are worth shipping without it."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def run_facts(path: Path) -> dict[str, Any]:
    """What `run.json` says."""
    return read_object(path / RUN_FILE)


def new_run_id(now_s: float) -> str:
    """Sortable by time and unique: `20261125-200512-3fa9c1`."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now_s)) + os.urandom(3).hex()


def bind_poke(environ: Mapping[str, str]) -> tuple[Path | None, socket.socket | None]:
    """The socket that children wake us by, in a private folder; none where there is no place: we look every 250 ms."""
    for base in filter(None, (environ.get("XDG_RUNTIME_DIR"), environ.get("TMPDIR"), "/tmp")):  # noqa: S108 - made private
        with contextlib.suppress(OSError):
            folder = _make_private(Path(base), "pa-")
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                bound.bind(str(folder / "s"))
            except OSError:  # too long for an address, or a file system without sockets
                bound.close()
                folder.rmdir()
                continue
            return folder / "s", bound
    return None, None


def unbind_poke(path: Path | None, bound: socket.socket | None) -> None:
    """Gives the place back."""
    if path is not None and bound is not None:
        bound.close()
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()


def _make_private(base: Path, prefix: str) -> Path:
    """A new folder of mode 0700; `tempfile` would do the same after importing for 8 ms, for which the program waits."""
    path = base / f"{prefix}{os.urandom(8).hex()}"
    path.mkdir(mode=0o700)
    return path
