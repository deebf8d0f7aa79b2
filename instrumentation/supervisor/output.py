"""The last lines of stdout and stderr, without a byte, an order or a terminal changed.

What each stream is decides how:

* a terminal, a socket or a device: left alone, nothing is kept; the log has the last records.
* a regular file (`> run.log`, cron's usual way): left alone; its end is read when the program is over.
* a pipe: a process of its own copies what passes. It is not us, so that the program's output survives our death, and it
  stays as long as anybody writes. Where both streams are the same pipe they share one copy, which keeps their order.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
from dataclasses import dataclass
from typing import Final

__all__ = ["Output", "Tails", "last_lines"]

KEPT_BYTES: Final = 8_192  # of each stream
SHOWN_LINES: Final = 30
SHOWN_CHARACTERS: Final = 4_000
ANSWER_WAIT_S: Final = 0.3
_COPY_BYTES: Final = 65_536
_STDOUT, _STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Tails:
    """The ends of both streams, empty where nothing could be kept; ``note`` says why."""

    stdout: str = ""
    stderr: str = ""
    note: str = ""


def last_lines(data: bytes) -> str:
    """The last whole lines as text; carriage returns of progress bars leave what they left on the screen."""
    text = data.decode("utf-8", "replace")
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    return "\n".join(lines[-SHOWN_LINES:])[-SHOWN_CHARACTERS:]


class Output:
    """Prepared before the program starts: which streams it gets, and who keeps their ends."""

    def __init__(self) -> None:
        self._kinds = {fd: _kind_of(fd) for fd in (_STDOUT, _STDERR)}
        self._are_one = _identity(_STDOUT) is not None and _identity(_STDOUT) == _identity(_STDERR)
        self._starts = {fd: _position(fd) for fd, kind in self._kinds.items() if kind == "file"}
        self._copiers: dict[int, _Copier] = {}
        self.file_actions: list[tuple[int, int, int]] = []
        with contextlib.suppress(OSError):
            self._copy_pipes()

    def _copy_pipes(self) -> None:
        for fd in (_STDOUT, _STDERR):
            if self._kinds[fd] != "pipe":
                continue
            if fd == _STDERR and self._are_one and _STDOUT in self._copiers:
                copier = self._copiers[_STDOUT]
            else:
                copier = self._copiers[fd] = _Copier(fd)
            self.file_actions.append((os.POSIX_SPAWN_DUP2, copier.write_fd, fd))

    @property
    def copier_pids(self) -> list[int]:
        return [copier.pid for copier in self._copiers.values()]

    def started(self) -> None:
        """The program has its streams: ours are closed, so that the pipe ends when it ends."""
        for copier in self._copiers.values():
            os.close(copier.write_fd)

    def tails(self) -> Tails:
        """The ends of both streams, after the program ended. Waits for a copy only as long as its reader takes it."""
        kept = {fd: self._end_of(fd) for fd in (_STDOUT, _STDERR)}
        if self._are_one:
            return Tails(stderr=last_lines(kept[_STDOUT] or kept[_STDERR]), note="stdout and stderr are one stream")
        note = (
            ""
            if any(kept.values())
            else ", ".join(
                f"{name} is a {self._kinds[fd]}, which is left alone"
                for fd, name in ((_STDOUT, "stdout"), (_STDERR, "stderr"))
                if self._kinds[fd] not in {"file", "pipe"}
            )
        )
        return Tails(last_lines(kept[_STDOUT]), last_lines(kept[_STDERR]), note)

    def _end_of(self, fd: int) -> bytes:
        if fd in self._copiers:
            return self._copiers[fd].ask()
        if fd not in self._starts:
            return b""
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            size = os.fstat(own).st_size
            start = max(size - KEPT_BYTES, min(self._starts[fd], size))
            return os.pread(own, size - start, start)
        except OSError:
            return b""
        finally:
            os.close(own)


class _Copier:
    """A process that copies a pipe into our own stream; asked, it answers with the end of what passed."""

    def __init__(self, target: int) -> None:
        read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.close(self.write_fd)
                ours.close()
                _copy(read_fd, target, theirs)
                code = 0
            finally:
                os._exit(code)
        os.close(read_fd)
        theirs.close()
        self._ours = ours

    def ask(self) -> bytes:
        """The end of what passed so far; empty if the reader of the stream does not take it."""
        try:
            self._ours.sendall(b"?")
            answer = b""
            while len(answer) < KEPT_BYTES + 4 and select.select([self._ours], (), (), ANSWER_WAIT_S)[0]:
                piece = self._ours.recv(_COPY_BYTES)
                if not piece:
                    break
                answer += piece
                if len(answer) >= 4 and len(answer) >= 4 + int.from_bytes(answer[:4], "big"):  # noqa: PLR2004 - the length
                    break
        except OSError:
            return b""
        return answer[4:]


def _copy(source: int, target: int, questions: socket.socket) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # it ends with the program's output, not before
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP, signal.SIGCONT})
    _close_all_but({source, target, questions.fileno()})
    tail = b""
    is_asked = False
    is_open = True
    while is_open or is_asked:
        ready = select.select(([source] if is_open else []) + [questions], (), (), 0 if is_asked else None)[0]
        if source in ready:
            data = os.read(source, _COPY_BYTES)
            is_open = bool(data)
            tail = (tail + data)[-KEPT_BYTES:]
            while data:
                data = data[
                    os.write(target, data) :
                ]  # a reader that went away ends us, and so the program's next write
            if not is_open:
                os.close(target)
                os.close(source)
                _wait_for_question(questions, tail)
                return
        elif is_asked:
            questions.sendall(len(tail).to_bytes(4, "big") + tail)
            is_asked = False
        if questions in ready and not is_asked:
            asked = questions.recv(1)
            is_asked = asked == b"?"
            if not asked:
                questions.close()
                _copy_on(source, target)
                return


def _wait_for_question(questions: socket.socket, tail: bytes) -> None:
    if questions.recv(1) == b"?":
        questions.sendall(len(tail).to_bytes(4, "big") + tail)


def _copy_on(source: int, target: int) -> None:
    while data := os.read(source, _COPY_BYTES):
        while data:
            data = data[os.write(target, data) :]


def _close_all_but(kept: set[int]) -> None:
    edge = 0
    for fd in sorted(kept):
        os.closerange(edge, fd)
        edge = fd + 1
    os.closerange(edge, 1024)


def _kind_of(fd: int) -> str:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed stream"
    if os.isatty(fd):
        return "terminal"
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISFIFO(mode):
        return "pipe"
    return "socket" if stat.S_ISSOCK(mode) else "device"


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _position(fd: int) -> int:
    try:
        return os.fstat(fd).st_size
    except OSError:
        return 0
