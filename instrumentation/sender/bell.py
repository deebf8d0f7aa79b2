"""What wakes the sender: a thread of ours by a pipe, a child's ERROR by a datagram; else nothing until its time."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import Any

__all__ = ["Bell"]


class Bell:
    """Rung from any thread, waited for in one.

    Args:
        poke: a bound UNIX datagram socket that children send a byte to; None where there was no place for one.
    """

    def __init__(self, poke: Any) -> None:
        self._poke = poke
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._sources = select.poll()  # `select.select` takes no descriptor above 1023, which busy programs reach
        for fd in [self._read] + ([poke.fileno()] if poke else []):
            self._sources.register(fd, select.POLLIN)

    def __del__(self) -> None:
        for fd in (self._read, self._write):  # not earlier: a post that nobody waits for any more still rings
            with contextlib.suppress(OSError):
                os.close(fd)

    def ring(self) -> None:
        """Ends the wait, or the next one."""
        with contextlib.suppress(OSError):
            os.write(self._write, b"\0")

    def wait(self, seconds: float) -> bool:
        """Returns when it was rung, or after so many seconds; says whether a child did."""
        seconds = max(seconds, 0.0)
        ready = dict(self._sources.poll(seconds * 1000))
        if select.POLLNVAL in ready.values():  # the program closed what it did not open
            time.sleep(seconds)
            return False
        if self._read in ready:
            with contextlib.suppress(OSError):
                os.read(self._read, 4096)
        is_poked = self._poke is not None and self._poke.fileno() in ready
        if is_poked:
            with contextlib.suppress(OSError):
                while True:
                    self._poke.recv(16)
        return is_poked
