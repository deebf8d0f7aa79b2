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
import socket
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from instrumentation.supervisor.bystander import block_all, close_all_but

__all__ = ["Output", "Tails", "last_lines"]

KEPT_BYTES: Final = 8_192  # of each stream
SHOWN_LINES: Final = 30
SHOWN_CHARACTERS: Final = 4_000
ANSWER_WAIT_S: Final = 0.6  # for both streams
_COPY_BYTES: Final = 65_536
_LENGTH_BYTES: Final = 4  # before an answer
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
        for copier in self._copiers.values():
            copier.ask()
        ends_at = time.monotonic() + ANSWER_WAIT_S
        kept = {fd: self._end_of(fd, ends_at) for fd in (_STDOUT, _STDERR)}
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

    def _end_of(self, fd: int, ends_at: float) -> bytes:
        if fd in self._copiers:
            return self._copiers[fd].answer(ends_at)
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

    def ask(self) -> None:
        with contextlib.suppress(OSError):
            self._ours.sendall(b"?")

    def answer(self, ends_at: float) -> bytes:
        """The end of what passed, waited for until then; empty if the reader of the stream does not take it."""
        got = b""
        with contextlib.suppress(OSError):
            while len(got) < _LENGTH_BYTES or len(got) < _LENGTH_BYTES + int.from_bytes(got[:_LENGTH_BYTES], "big"):
                self._ours.settimeout(max(ends_at - time.monotonic(), 0.0))
                piece = self._ours.recv(_COPY_BYTES)
                if not piece:
                    break
                got += piece
        return got[_LENGTH_BYTES:]


def _copy(source: int, target: int, questions: socket.socket) -> None:
    block_all()  # it ends with the program's output, not before; a write to a reader that is gone raises
    close_all_but({source, target, questions.fileno()})
    watch = select.poll()
    watch.register(source, select.POLLIN)
    watch.register(questions, select.POLLIN)
    if not _has_name(target):
        watch.register(target, 0)  # only to learn that its reader is gone
    tail = b""
    is_asked = False
    while True:
        ready = {fd for fd, _ in watch.poll(0 if is_asked else None)}
        if target in ready:
            break  # the program learns of it as it would without us, from its next write or by looking
        if source in ready:
            data = os.read(source, _COPY_BYTES)
            tail = (tail + data)[-KEPT_BYTES:]
            if not data or not _write_all(target, data):
                break
        elif is_asked:
            _answer(questions, tail)
            is_asked = False
        if questions.fileno() in ready and not is_asked:
            is_asked = questions.recv(1) == b"?"
            if not is_asked:
                watch.unregister(questions)  # the supervisor is gone, the program goes on
    os.close(target)
    os.close(source)
    if is_asked or questions.recv(1) == b"?":
        _answer(questions, tail)


def _write_all(target: int, data: bytes) -> bool:
    """Says whether it was taken; not by a reader that is gone."""
    room = select.poll()
    room.register(target, select.POLLOUT)
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:  # whoever shares the pipe made it so, as ssh does; the program never sees that
            room.poll()
        except OSError:
            return False
    return True


def _answer(questions: socket.socket, tail: bytes) -> None:
    with contextlib.suppress(OSError):
        questions.sendall(len(tail).to_bytes(_LENGTH_BYTES, "big") + tail)


def _has_name(pipe: int) -> bool:
    """Whether it is one in the file system, to which another reader may come when one goes."""
    try:
        return not str(Path(f"/proc/self/fd/{pipe}").readlink()).startswith("pipe:")
    except OSError:
        return True


def _kind_of(fd: int) -> str:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return "closed stream"
    if not os.get_inheritable(fd):
        return "closed stream"  # whose place we hold
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
