"""Whose end the end of a run's program is: a shell or a Python parent passes on how a process in it ended. Pure.

The program's end is one problem with the death of a process in the same run if it says the same, and says it soon:

* It ended by the same signal, or with an exit code that stands for it: 128 + S, as shells have it, or 256 - S, which
  is what becomes of ``sys.exit(child.returncode)`` in Python. Or it ended with exit code 1, and the process by an
  exception that nobody caught in its main thread, which is Python's exit code 1.
* At most `PASSED_ON_WITHIN_S` after it. Both times are the supervisor's or of its machine, so they can be compared.

The process that died tells it: its message names who it was. Where the system hides how a process ended (Linux before
6.15), only the program's end says by which signal, so then that one tells both. Everything else stays apart: another
signal or exit code, an earlier death, two processes that died, and whatever a run ended with by its own choice.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from alert_bridge.incidents.endings import Ending
from alert_bridge.model import Record, Severity
from instrumentation import attributes as names

__all__ = ["PASSED_ON_WITHIN_S", "End", "end_of", "tells_why"]

PASSED_ON_WITHIN_S = 10.0  # from the death of a process to the end of the program that it takes with it
NS = 1_000_000_000
SHELL_SIGNAL_BASE = 128  # https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
EXIT_CODES = 256  # an exit code is a byte, so that -6 is 250
_FAILED_PYTHON = "exit 1"


@dataclass(frozen=True, slots=True)
class End:
    """How and when a process of a run ended."""

    kind: Ending
    time: int
    how: str = ""  # name of the signal, or `exit 3`; empty: nobody knows
    of_program: bool = False  # of the program that the supervisor started, and not of one below it


def end_of(record: Record, kind: Ending) -> End:
    """What a record of a death, or of an exception that nobody caught, says of the process's end."""
    if kind is Ending.UNCAUGHT:
        return End(kind, record.time, _FAILED_PYTHON if record.severity >= Severity.CRITICAL else "")
    if kind not in (Ending.KILLED, Ending.DIED):
        return End(kind, record.time)
    return End(kind, record.time, _how(record), bool(record.text(names.RUN_RESULT)))


def tells_why(cause: End, end: End) -> bool:
    """Whether ``cause`` tells what ``end`` only passes on."""
    if cause.of_program:
        is_unknown = end.kind is Ending.DIED and not end.how and not end.of_program
        return cause.kind is Ending.KILLED and is_unknown and _is_soon_after(cause, end)
    is_cause = cause.kind in (Ending.KILLED, Ending.UNCAUGHT) and cause.how != ""
    return is_cause and end.of_program and end.how == cause.how and _is_soon_after(end, cause)


def _is_soon_after(late: End, early: End) -> bool:
    return 0 <= late.time - early.time <= PASSED_ON_WITHIN_S * NS


def _how(record: Record) -> str:
    if by_signal := record.text(names.EXIT_SIGNAL):
        return by_signal
    if record.attributes.get(names.OOM_KILLED):
        return signal.SIGKILL.name
    code = record.attributes.get(names.EXIT_CODE)
    if not isinstance(code, int):
        return ""
    number = code - SHELL_SIGNAL_BASE if code < SHELL_SIGNAL_BASE + signal.NSIG else EXIT_CODES - code
    return signal.Signals(number).name if number in _KNOWN_SIGNALS else f"exit {code}"


_KNOWN_SIGNALS = frozenset(int(one) for one in signal.Signals)
