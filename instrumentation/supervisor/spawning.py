"""Starts the program with nothing of ours in its way, and passes on the signals that are meant for it.

It stays in our process group and session, so that the terminal, job control and `kill -- -group` treat it as if we were
not there. Signals are blocked here and read one by one: what was sent to everybody reaches the program by itself (the
bystander tells), what somebody sends to us alone is forwarded. The program gets back the signal mask and dispositions
that we were given.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from instrumentation.supervisor.bystander import Bystander
from instrumentation.supervisor.processes import state_of

__all__ = ["FORWARDED", "NotStarted", "Program", "become_subreaper", "block_signals"]

SHELL: Final = "/bin/sh"
_PR_SET_CHILD_SUBREAPER: Final = 36
NOT_FOUND_EXIT_CODE: Final = 127  # what shells answer
NOT_EXECUTABLE_EXIT_CODE: Final = 126
# All but those that nobody can hold back, that stop a job, or that our own faults and writes raise.
FORWARDED: Final = frozenset(signal.valid_signals()) - {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
    *(signal.SIGPIPE, signal.SIGXFSZ),
}
_FROM_KEYBOARD: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
# Python ignores these at its own start; whoever started us most likely did not.
_RESTORED: Final = tuple(
    one
    for name in ("SIGPIPE", "SIGXFSZ")
    if (one := getattr(signal, name, None)) and signal.getsignal(one) == signal.SIG_IGN
)
GROUP_SIGNAL_WAIT_S: Final = 0.02  # a signal for everybody has reached all by then, and mostly ended the program
SENDER_WAIT_S: Final = 0.5  # for a sender that has not paused since, because others have the processor


class NotStarted(Exception):
    """The program could not be started; carries what a shell would say and exit with."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def block_signals() -> set[signal.Signals]:
    """Blocks what we read by `sigtimedwait`; returns the mask that we were given. Before any thread starts."""
    given = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    return {signal.Signals(one) for one in given}


@dataclass(slots=True)
class Program:
    """The started program."""

    pid: int
    status: int | None = None  # its wait status, once it ended
    peak_memory: int = 0  # bytes, of the largest process in it that was waited for
    cpu_seconds: float = 0.0
    was_interrupted: bool = False  # the terminal sent an interrupt
    bystander: Bystander | None = None

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        environ: Mapping[str, str],
        mask: set[signal.Signals],
        file_actions: Sequence[tuple[int, int, int]] = (),
    ) -> Program:
        """Starts it, looked up on PATH like a shell does.

        Raises:
            NotStarted: it is not there, or not executable.
        """
        options = {"setsigmask": mask, "setsigdef": _RESTORED, "file_actions": file_actions}
        try:
            try:
                pid = os.posix_spawnp(command[0], list(command), dict(environ), **options)  # type: ignore[arg-type]
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                # A script without a first line that names its interpreter is one for the shell (POSIX execvp).
                pid = os.posix_spawnp(SHELL, [SHELL, *command], dict(environ), **options)  # type: ignore[arg-type]
        except (FileNotFoundError, NotADirectoryError) as error:
            has_file = Path(command[0]).is_file()
            what = "the interpreter in its first line is not there" if has_file else "command not found"
            raise NotStarted(f"{command[0]}: {what}", NOT_FOUND_EXIT_CODE) from error
        except OSError as error:
            raise NotStarted(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE_EXIT_CODE) from error
        except ValueError as error:  # its name is empty
            raise NotStarted(f"{command[0]}: command not found", NOT_FOUND_EXIT_CODE) from error
        return cls(pid)

    @property
    def has_ended(self) -> bool:
        return self.status is not None

    def wait(self, seconds: float) -> list[tuple[int, int, int]]:
        """Waits for a signal to us; forwards it, or collects who ended.

        Returns:
            Other descendants that ended and fell to us: pid, wait status, peak memory in bytes.
        """
        info = signal.sigtimedwait(FORWARDED | {signal.SIGCHLD}, max(seconds, 0.0))
        orphans: list[tuple[int, int, int]] = []
        if info is not None and info.si_signo != signal.SIGCHLD:
            self._pass_on(info)
        self._collect(orphans)
        return orphans

    def send(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if not self.has_ended:
            with contextlib.suppress(OSError):
                os.kill(self.pid, number)

    def _pass_on(self, info: signal.struct_siginfo) -> None:
        number = info.si_signo
        is_from_kernel = info.si_code > 0
        self.was_interrupted |= is_from_kernel and number in _FROM_KEYBOARD
        if is_from_kernel and (number == signal.SIGXCPU or self.bystander is None):
            return  # our own use of the processor; or most likely from the terminal, to everybody
        if info.si_pid == self.pid and not is_from_kernel:  # its own `kill 0`; it already has it
            return
        gives_up_at = time.monotonic() + SENDER_WAIT_S
        while True:
            end = signal.sigtimedwait({signal.SIGCHLD}, GROUP_SIGNAL_WAIT_S)
            if end is not None and self.is_over():
                return
            if self.bystander is not None and self.bystander.got(number):
                signal.sigtimedwait({number}, 0)  # `timeout` sends it to us, and then to all
                return
            if not state_of(info.si_pid).startswith("R") or time.monotonic() >= gives_up_at:
                break
        self.send(number)

    def is_over(self) -> bool:
        """Whether it ended, seen or not."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _collect(self, orphans: list[tuple[int, int, int]]) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status
                self.peak_memory = usage.ru_maxrss * 1024
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
            else:
                orphans.append((pid, status, usage.ru_maxrss * 1024))


def become_subreaper() -> None:
    """Descendants whose parent is gone fall to us, so that their end is seen and nothing of theirs is lost."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
