"""What the end of a process means: in words, as a result, and how loud. Pure."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Final

from instrumentation import attributes as names
from instrumentation.supervisor.memory import Memory

__all__ = ["CRITICAL", "ERROR", "INFO", "TIMEOUT_EXIT_CODE", "WARNING", "Ending", "describe_seconds"]

INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40
CRITICAL: Final = 50
TIMEOUT_EXIT_CODE: Final = 124  # as timeout(1)
_SHELL_SIGNAL_BASE: Final = 128  # a shell's exit code for a child that a signal ended
# Signals that a shell's exit code is believed about: a program rarely chooses these codes itself.
_TOLD_BY_SHELL: Final = frozenset(
    {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTERM}
)

_WISHES: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGALRM})


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended. ``exit_code`` is what a shell would show; ``signal_number`` is 0 where none was involved."""

    exit_code: int
    signal_number: int = 0
    is_signal_from_shell: bool = False  # the signal hit a process inside, and a shell told of it by its exit code
    memory: Memory = Memory.UNKNOWN  # whether it was killed for memory
    is_timeout: bool = False
    is_interrupt: bool = False  # a person at the terminal ended it
    has_victims: bool = False  # processes below it were killed for memory, whatever became of itself

    @classmethod
    def of(
        cls,
        status: int,
        *,
        memory: Memory = Memory.UNKNOWN,
        is_timeout: bool = False,
        is_interrupt: bool = False,
        has_victims: bool = False,
    ) -> Ending:
        """Reads a wait status as `os.waitpid` returns it. ``memory`` counts only if it was ended by SIGKILL."""
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return cls(
                _SHELL_SIGNAL_BASE - code,
                signal_number=-code,
                memory=memory,
                is_timeout=is_timeout,
                is_interrupt=is_interrupt and -code == signal.SIGINT,
                has_victims=has_victims,
            )
        told = code - _SHELL_SIGNAL_BASE
        from_shell = told in _TOLD_BY_SHELL
        return cls(
            code,
            signal_number=told if from_shell else 0,
            is_signal_from_shell=from_shell,
            memory=memory,
            is_timeout=is_timeout,
            is_interrupt=is_interrupt and code != 0,
            has_victims=has_victims,
        )

    @property
    def is_out_of_memory(self) -> bool:
        """It was killed for memory, and that is proven."""
        return self.signal_number == signal.SIGKILL and self.memory is Memory.PROVEN

    @property
    def is_success(self) -> bool:
        return self.level == INFO

    @property
    def is_crash(self) -> bool:
        """A signal hit this very process, and not one that somebody sends who wants it to end."""
        return bool(self.signal_number) and not self.is_signal_from_shell and self.signal_number not in _WISHES

    @property
    def signal_name(self) -> str:
        if not self.signal_number:
            return ""
        try:
            return signal.Signals(self.signal_number).name
        except ValueError:
            return f"signal {self.signal_number}"

    @property
    def result(self) -> str:
        """The convention's word for it (`cicd.pipeline.result`)."""
        if self.is_timeout:
            return names.RESULT_TIMEOUT
        if self.is_interrupt:
            return names.RESULT_CANCELLATION
        if self.signal_number:
            return names.RESULT_ERROR
        return names.RESULT_FAILURE if self.exit_code else names.RESULT_SUCCESS

    @property
    def level(self) -> int:
        """Its level: a signal is critical, as nothing in the program could tell of it; a person's Ctrl-C is not."""
        if self.is_interrupt:
            return WARNING
        if self.is_timeout or self.signal_number:
            return CRITICAL
        if self.exit_code:
            return CRITICAL if self.has_victims else ERROR
        return INFO

    @property
    def words(self) -> str:
        """The end of a sentence that begins with the program's name; the same for the same kind of end."""
        if self.is_timeout:
            return "was stopped because it ran longer than allowed"
        if self.is_interrupt:
            return "was interrupted from the keyboard"
        by_signal = f"was ended by {self.signal_name}{self._hint}"
        if self.is_out_of_memory:
            by_signal = f"was killed for memory ({self.signal_name})"
        if self.is_signal_from_shell:
            return f"ended with exit code {self.exit_code}: a process in it {by_signal}"
        if self.signal_number:
            return by_signal
        after = ", after a process in it was killed for memory" if self.has_victims and self.exit_code else ""
        return f"ended with exit code {self.exit_code}{after}"

    @property
    def _hint(self) -> str:
        if self.signal_number == signal.SIGKILL:
            return {
                Memory.PROBABLE: ", probably for memory",
                Memory.EXCLUDED: ", not by the kernel for memory",
            }.get(self.memory, " (often the system's answer to too little memory)")
        return {
            signal.SIGSEGV: " (a crash in compiled code)",
            signal.SIGABRT: " (a crash in compiled code)",
            signal.SIGBUS: " (a crash in compiled code, or a full disk)",
        }.get(signal.Signals(self.signal_number) if self.signal_number in _KNOWN else signal.SIGALRM, "")


_KNOWN: Final = frozenset(int(one) for one in signal.Signals)


def describe_seconds(seconds: float) -> str:
    """A duration as people say it: `0.4 s`, `3 min 12 s`, `2 h 5 min`."""
    if seconds < 10:  # noqa: PLR2004 - below, tenths matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
