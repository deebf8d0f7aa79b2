"""Processes of ours that have nothing of the program: no stream, descriptor or session, and some not even its pid as
their parent's, so that a program that waits for all of its children neither gets to see them nor waits for them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Final

__all__ = ["start", "start_orphan"]

_STDERR: Final = 2
_SHELL: Final = "/bin/sh"


def start(argv: list[str], environ: Mapping[str, str], *, stdout: int = -1) -> int:
    """Starts a program, named by its path; returns its pid, 0 if it could not start. ``stdout`` is a descriptor."""
    null = os.devnull
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0) if stdout < 0 else (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited()),
    ]
    try:
        return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setsid=True, setsigmask=())
    except (OSError, NotImplementedError):
        try:
            return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setpgroup=0, setsigmask=())
        except OSError:
            return 0


def start_orphan(script: str, words: list[str], environ: Mapping[str, str], *, stdout: int = -1) -> bool:
    """Starts lines for the shell, which have the words as `$1` and so on, as nobody's child; says whether it did.

    Not where the program has a handler for the ends of children, which would hear of one that it does not know. To be
    called where it cannot be waiting for a child meanwhile.
    """
    if callable(signal.getsignal(signal.SIGCHLD)):
        return False
    pid = start([_SHELL, "-c", f"({script}) &", _SHELL, *words], environ, stdout=stdout)
    if pid:
        with contextlib.suppress(ChildProcessError):  # somebody waits for all in another thread
            os.waitpid(pid, 0)
    return bool(pid)


def _inherited() -> list[int]:
    """The descriptors beside the streams that whoever started us gave to all: a lock, a pipe that somebody reads."""
    found = []
    with contextlib.suppress(OSError):
        for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers
            with contextlib.suppress(OSError):  # the listing's own is closed by now
                if fd > _STDERR and os.get_inheritable(fd):
                    found.append(fd)
    return found
