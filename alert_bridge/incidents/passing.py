"""Whose end the end of a run's program is: a shell or a Python parent passes on how a process in it ended. Pure.

The program's end is one problem with what the same run told before it, if

* a process in it died, at most `PASSED_ON_WITHIN_S` before, of the same signal, or of the one that its exit code stands
  for: 128 + S, as shells have it, or 256 - S, which is what becomes of ``sys.exit(child.returncode)`` in Python;
* the process whose exit code it passed on, as the supervisor saw, ended by an exception that nobody caught in its main
  thread; where the supervisor could not see it, if that is the last that was written, and the exit code Python's 1;
* that process, or the program itself, had an error logged, at most `PASSED_ON_WITHIN_S` before, and wrote nothing after
  it: all that the end could tell is this line once more.

All times are of one machine, so they can be compared. What came first tells it: its message names who died, or why.
Where the system hides how a process ended (Linux before 6.15), only the program's end says by which signal, so then
that one tells both. Everything else stays apart: another signal or exit code, an earlier death, two processes that
died, another process's error, and a run that wrote anything after its last error.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from alert_bridge.incidents.endings import Ending
from alert_bridge.model import Record, Severity
from instrumentation import attributes as names

__all__ = ["PASSED_ON_WITHIN_S", "End", "end_of", "ends_its_process", "is_last_word", "pids_of", "tells_why"]

PASSED_ON_WITHIN_S = 10.0  # from the death of a process to the end of the program that it takes with it
NS = 1_000_000_000
SHELL_SIGNAL_BASE = 128  # https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
EXIT_CODES = 256  # an exit code is a byte, so that -6 is 250
MIN_TELLING_CHARS = 8  # of a line that is looked for within another, as a logged text is within its format
_RAISED = "raised"
_EXITED = "exit "
_FAILED_PYTHON = f"{_EXITED}1"


@dataclass(frozen=True, slots=True)
class End:
    """How and when a process of a run ended."""

    kind: Ending
    time: int
    how: str = ""  # name of the signal, `exit 3`, or that an exception ended it; empty: nobody knows
    of_program: bool = False  # of the program that the supervisor started, and not of one below it


def end_of(record: Record, kind: Ending) -> End:
    """What a record says of the end of its process."""
    if kind not in (Ending.KILLED, Ending.DIED):
        return End(kind, record.time, _RAISED if ends_its_process(record) else "")
    return End(kind, record.time, _how(record), bool(record.text(names.RUN_RESULT)))


def tells_why(cause: End, end: End) -> bool:
    """Whether ``cause`` tells what ``end`` only passes on."""
    if cause.of_program:
        is_unknown = end.kind is Ending.DIED and not end.how and not end.of_program
        return cause.kind is Ending.KILLED and is_unknown and _is_soon_after(cause, end)
    return cause.kind is Ending.KILLED and end.of_program and end.how == cause.how and _is_soon_after(end, cause)


def ends_its_process(record: Record) -> bool:
    """Whether nobody caught it in the main thread; an exception that ends a thread or a task is an ERROR."""
    return bool(record.attributes.get(names.UNCAUGHT)) and record.severity >= Severity.CRITICAL


def pids_of(end: Record) -> frozenset[str]:
    """The processes that ended as this record tells: its own, and those whose end it passed on."""
    passed_on = end.attributes.get(names.PASSED_ON)
    return frozenset(map(str, passed_on if isinstance(passed_on, tuple) else ())) | {end.text(names.PROCESS_PID)}


def is_last_word(said: Record, end: Record) -> bool:
    """Whether ``said`` is an error, and the last that was heard of a program before it ended with an exit code.

    By what the program wrote to its streams, as far as the supervisor saw them, else by what it logged itself.
    """
    how = end_of(end, Ending.DIED)
    if said.event_name or said.severity < Severity.ERROR or end.severity >= Severity.CRITICAL:
        return False
    if not (how.of_program and how.how.startswith(_EXITED) and _is_soon_after(how, end_of(said, Ending.UNCAUGHT))):
        return False
    is_own = said.text(names.PROCESS_PID) in pids_of(end)
    if not (is_own or _may_have_ended_by(said, end, how.how)):
        return False
    if written := _last_line(end.text(names.STDERR_TAIL) or end.text(names.STDOUT_TAIL)):
        line = _last_line(said.text(names.EXCEPTION_STACKTRACE) or said.body)
        return line == written or (len(line) >= MIN_TELLING_CHARS and line in written)
    return is_own and _last_line(said.body) == _last_line(end.text(names.LAST_RECORDS)) != ""


def _may_have_ended_by(said: Record, end: Record, how: str) -> bool:
    """An exception that ended its process, where nobody saw which process's end the program passed on."""
    return ends_its_process(said) and how == _FAILED_PYTHON and names.PASSED_ON not in end.attributes


def _last_line(text: str) -> str:
    lines = (line.strip() for line in reversed(text.splitlines()))
    return next((line for line in lines if any(map(str.isalnum, line))), "")


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
    return signal.Signals(number).name if number in _KNOWN_SIGNALS else f"{_EXITED}{code}"


_KNOWN_SIGNALS = frozenset(int(one) for one in signal.Signals)
