"""One process's journal: appends whole lines, never buffers, never raises. Their format: `instrumentation.journal`.

No lock anywhere: O_APPEND puts concurrent lines one after the other; a lock could be held for ever by a thread that a
fork left behind, or by the code that a signal handler interrupted.
"""

import fcntl
import itertools
import os
import sys
import time

from . import names

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable

MIN_FD = 200  # a program that closes or reuses low descriptors must not hit ours
RESERVE_BYTES = 131_072  # set aside per process for ERROR and above on a full disk; some hundred lines
LOST_LINE_BYTES = 48  # the reserve's first line, rewritten in place for every lost record
MAX_ARGV_CHARS = 4_096  # of the command line in the header
FILE_MODE = 0o600
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
_ERROR = names.ERROR
_LOST_TEMPLATE = "%d records could not be kept: no room for the journal"

# Taken now: monkey-patching libraries replace some of these with versions that switch tasks or wait.
_write, _pwrite, _getpid, _time_ns = os.write, os.pwrite, os.getpid, time.time_ns


class Journal:
    """The journal of this process in a run's folder; a forked child gets its own file at its first line.

    Args:
        folder: the run's folder, which exists.
        poke_path: a UNIX datagram socket that wants a byte for every line of ERROR or above.

    Attributes:
        pid: the process that the open file belongs to.
        token: the first half of every `log.record.uid` of this process.
        path: the open file.
        numbers: the second halves; unique in threads too.
        next_number: a call gives the next of them.
        rewrite: the program's own redaction of every line; None without one.
    """

    def __init__(self, folder: str, poke_path: "str | None" = None) -> None:
        self.folder = os.path.abspath(folder)
        self.poke_path = poke_path
        self.rewrite: Callable[[str], str] | None = None
        self.numbers = itertools.count(1)  # goes on in a forked child: its token is another
        self.next_number = self.numbers.__next__
        self._wants_reserve = False
        self._torn = False
        self._reserve, self._reserve_end = -1, LOST_LINE_BYTES
        self._forget()
        os.register_at_fork(after_in_child=self._after_fork)

    def open(self) -> bool:
        """Starts a new file for this process; says whether anything can be kept."""
        self._forget()
        self.pid = _getpid()
        self.token = os.urandom(8).hex()
        self.path = os.path.join(self.folder, "%d-%s" % (self.pid, self.token)) + names.JOURNAL_SUFFIX
        self._header = _header(self.token, self.pid)
        if self._wants_reserve:
            self.allocate_reserve()
        return self._reopen() or self._reserve >= 0

    def allocate_reserve(self) -> None:
        """Sets room aside for ERROR and above on a full disk, here and in forked children; before the first record."""
        self._wants_reserve = True
        if self._reserve >= 0 or not self.path:
            return
        self._reserve = _allocate(self._reserve_path())
        if self._reserve >= 0:
            self._note_lost()
            self._into_reserve(self._header)
            self._reserve_start = self._reserve_end

    def append(self, line: str, level: int = 0) -> bool:
        """Writes one JSON object as one line and wakes the parent for ERROR and above; says whether it was kept."""
        return self.write(f"{line}\n".encode("utf-8", "replace"), level)

    def write(self, data: bytes, level: int) -> bool:
        """Does it for a line that is UTF-8 and has its end already."""
        if self.rewrite is not None:
            data = self.rewrite(data[:-1].decode()).encode("utf-8", "replace") + b"\n"
        if level >= _ERROR and not self._is_at_hand():  # too dear to ask for every line
            self._reopen()
        written = 0
        if not (self._torn or self._losses):
            try:
                written = _write(self._fd, data)
                if written == len(data) and level < _ERROR:
                    return True
            except OSError:
                pass
        kept = written == len(data) or self._insist(data, len(data) - written, level)
        if level >= _ERROR and self.poke_path:
            from .poke import poke

            poke(self.poke_path)
        return kept

    def owns(self, pid: object) -> bool:
        """Tells whether a record made by this pid is ours; notices a fork that Python did not see (in C)."""
        if pid == self.pid:
            return True
        now = _getpid()
        if now != self.pid:
            self._after_fork()
            self.open()
        return pid is None or pid == now

    def close(self) -> None:
        """Removes the reserve of a process that ends by itself, unless it was needed. Lines can still follow."""
        needed = self._losses or self._reserve_end != self._reserve_start
        if self.pid == _getpid() and self._reserve >= 0 and not needed:
            self._reserve = _close(self._reserve)
            _unlink(self._reserve_path())

    def _reserve_path(self) -> str:
        return self.path[: -len(names.JOURNAL_SUFFIX)] + names.RESERVE_SUFFIX

    def _insist(self, data: bytes, missing: int, level: int) -> bool:
        """A line that did not simply go into the file: after a fork, on a closed descriptor, on a full disk."""
        if self.pid != _getpid():
            self.open()
        for again in (True, False):
            if 0 < missing < len(data):
                self._torn = True
                if missing == 1:  # the line's end, which the next line brings
                    return True
                break
            try:
                if self._torn or self._losses:
                    self._mend()
                missing = len(data) - _write(self._fd, data)
            except OSError as error:
                from errno import EBADF

                if error.errno != EBADF or not again or not self._reopen():
                    break
            if not missing:
                return True
        if level >= names.ERROR and self._into_reserve(data):
            return True
        self._losses.append(None)
        self._note_lost()
        return False

    def _mend(self) -> None:
        """Ends a torn line and says how many records were lost, as soon as there is room for it."""
        claimed: list[None] = []
        try:
            while self._losses:
                claimed.append(self._losses.pop())
        except IndexError:  # another thread claimed the rest
            pass
        said = b"\n" if self._torn else b""
        if claimed:
            said += self._lost_record(len(claimed))
        try:
            written = _write(self._fd, said)
        except OSError:
            self._losses.extend(claimed)
            raise
        self._torn = written != len(said)
        if self._torn:
            self._losses.extend(claimed)
            from errno import ENOSPC

            raise OSError(ENOSPC, os.strerror(ENOSPC))
        self._note_lost()

    def _lost_record(self, count: int) -> bytes:
        return (
            '{"k":"log","u":%d,"t":%d,"n":%d,"l":"WARNING","g":"%s","m":"%s","a":[%d],"d":{"%s":%d}}\n'
            % (
                self.next_number(),
                _time_ns(),
                names.WARNING,
                names.OWN_LOGGER,
                _LOST_TEMPLATE,
                count,
                names.LOST_RECORDS,
                count,
            )
        ).encode("ascii")

    def _is_at_hand(self) -> bool:
        """Whether our descriptor is still ours: a program that closed all of them may have opened its own since."""
        try:
            found = os.fstat(self._fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def _reopen(self) -> bool:
        """Opens the file again after the program closed our descriptor, or for the first time."""
        self._fd = -1
        try:
            self._fd = _open_high(self.path, _APPEND | os.O_CREAT)
            found = os.fstat(self._fd)
            self._file = found.st_dev, found.st_ino
            if found.st_size == 0:
                self._torn = _write(self._fd, self._header) != len(self._header)
        except OSError:
            return False
        return True

    def _into_reserve(self, data: bytes) -> bool:
        start, end = self._reserve_end, self._reserve_end + len(data)
        if self._reserve < 0 or end > RESERVE_BYTES:
            return False
        self._reserve_end = end
        try:
            return _pwrite(self._reserve, data, start) == len(data)
        except OSError:
            return False

    def _note_lost(self) -> None:
        """Keeps the number of lost records true on disk, whichever thread comes last."""
        if self._reserve < 0:
            return
        noted = -1
        try:
            while noted != len(self._losses):
                noted = len(self._losses)
                line = ('{"k":"lost","c":%d' % noted).ljust(LOST_LINE_BYTES - 2) + "}\n"
                _pwrite(self._reserve, line.encode("ascii"), 0)
        except OSError:
            pass

    def _forget(self) -> None:
        self.pid = 0
        self.token = self.path = ""
        self._header = b""
        self._fd = self._reserve = -1
        self._file = -1, -1
        self._torn = False
        self._losses: list[None] = []  # a list, because its append and pop are atomic and a number's += is not
        self._reserve_start = self._reserve_end = LOST_LINE_BYTES

    def _after_fork(self) -> None:
        """In a forked child: the inherited descriptors are of the parent's files."""
        _close(self._fd)
        _close(self._reserve)
        self._forget()


def _header(token: str, pid: int) -> bytes:
    argv, room = [], MAX_ARGV_CHARS
    for word in map(str, getattr(sys, "orig_argv", None) or getattr(sys, "argv", None) or ()):
        argv.append(_quote(word[:room]))
        room -= len(word)
        if room <= 0:
            break
    from_where = ""
    for key, variable in (("tp", names.ENV_TRACEPARENT), ("st", names.ENV_STAGE)):
        value = os.environ.get(variable)
        if value:
            from_where += ',"%s":%s' % (key, _quote(value[:MAX_ARGV_CHARS]))
    python = "%d.%d.%d" % sys.version_info[:3]
    return (
        '{"k":"proc","v":1,"u":"%s","p":%d,"pp":%d,"x":%s,"a":[%s],"py":"%s","t":%d%s}\n'
        % (token, pid, os.getppid(), _quote(sys.executable or ""), ",".join(argv), python, _time_ns(), from_where)
    ).encode("ascii")


def _quote(value: str) -> str:
    """A string as JSON text; imports what encodes odd ones only for them, because most processes never need it."""
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return '"%s"' % value
    from .values import quote

    return quote(value)


def _close(fd: int) -> int:
    if fd >= 0:
        try:
            os.close(fd)
        except OSError:
            pass
    return -1


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _open_high(path: str, flags: int) -> int:
    low = os.open(path, flags, FILE_MODE)
    try:
        high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, MIN_FD)
    except OSError:  # a limit on open files below ours, or all taken: better a low descriptor than no journal
        return low
    os.close(low)
    return high


def _allocate(path: str) -> int:
    """Creates the reserve with its blocks taken now; -1 where there is no room, or no such call."""
    fd = -1
    try:
        fd = _open_high(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except (OSError, AttributeError):
        if fd >= 0:
            _unlink(path)
        return _close(fd)
    return fd
