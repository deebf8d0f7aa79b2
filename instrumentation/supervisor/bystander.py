"""A process of ours that does nothing, to tell a signal for everybody from one for us alone.

A signal to a process group, a control group or all processes of a batch job reaches the program by itself. Forwarded,
it would come twice, and many a program takes the second one as "at once, and never mind the clean-up". The kernel does
not say whom else it sent a signal to; but the bystander blocks all, so that what it got stays pending, and `/proc`
shows it.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
from pathlib import Path
from typing import Final

__all__ = ["Bystander", "block_all", "close_all_but"]

ANSWER_WAIT_S: Final = 1.0
_MOST_FDS: Final = 65_536
_MASK_BYTE: Final = 0xFF  # a signal's number fits into one
_PENDING: Final = re.compile(rb"^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$", re.MULTILINE)
# What stops a whole job at the terminal stops us too.
_STOPPING: Final = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


class Bystander:
    """Lives as long as this process, in its process group and control group."""

    def __init__(self) -> None:
        """Forks, so before any thread starts.

        Raises:
            OSError: there are too many processes.
        """
        self._ours, theirs = socket.socketpair()
        try:
            self.pid = os.fork()
        except OSError:
            self._ours.close()
            raise
        finally:
            if getattr(self, "pid", -1) != 0:
                theirs.close()
        if self.pid == 0:
            try:
                _stand_by(theirs)
            finally:
                os._exit(0)

    def got(self, number: int) -> bool:
        """Whether it was sent this signal too, since we asked last."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_bytes()
        except OSError:
            return False
        if not any(int(mask, 16) >> (number - 1) & 1 for mask in _PENDING.findall(status)):
            return False
        with contextlib.suppress(OSError):
            self._ours.sendall(bytes([number & _MASK_BYTE]))
            if select.select([self._ours], (), (), ANSWER_WAIT_S)[0]:
                self._ours.recv(1)
        return True


def block_all() -> None:
    """Nothing ends this process but its own end, or a kill."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - _STOPPING)


def close_all_but(kept: set[int]) -> None:
    """Closes what a fork inherited, so that nobody waits in vain for the end of a pipe or for a lock."""
    edge = 0
    for fd in sorted(kept):
        os.closerange(edge, fd)
        edge = fd + 1
    os.closerange(edge, _MOST_FDS)


def _stand_by(asked: socket.socket) -> None:
    block_all()
    close_all_but({asked.fileno()})
    while number := asked.recv(1):  # empty when the supervisor is gone
        while signal.sigtimedwait({number[0]}, 0):
            pass
        asked.sendall(number)
