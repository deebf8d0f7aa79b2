"""How a process ended, in words: exit code, signal, memory, time. From the supervisor's record, as far as it tells."""

from __future__ import annotations

import math
import signal

from alert_bridge.messages.moments import lasting, memory
from alert_bridge.messages.text import claims, clip, last_words, one_line
from alert_bridge.model import AttributeValue, Record
from instrumentation import attributes as names

__all__ = ["ending_of", "last_output", "stacks_of", "subject_of"]

SIGNAL_BASE = 128  # a shell reports a child's signal as exit code 128 + n
MAX_LAST_WORDS_CHARS = 160

# How the supervisor's templates begin, after the program's name: what its attributes alone do not tell.
_NOT_STARTED = "could not be started: "
_EXITED = "%s ended with exit code "  # with a signal beside it: of a process inside, which a shell tells of
_NOBODY_KNOWS_HOW = "%s ended without its exit handlers"
_PROBABLY_FOR_MEMORY = ", probably for memory"
_AFTER_ANOTHER_DEATH = ", after a process in it was killed for memory"

_WORDS = {
    "SIGKILL": "was killed (SIGKILL)",
    "SIGSEGV": "crashed with a segmentation fault (SIGSEGV)",
    "SIGABRT": "aborted itself (SIGABRT)",
    "SIGBUS": "crashed on a memory access (SIGBUS)",
    "SIGFPE": "crashed on an arithmetic error (SIGFPE)",
    "SIGILL": "crashed on an illegal instruction (SIGILL)",
    "SIGTERM": "was told to stop (SIGTERM)",
    "SIGINT": "was interrupted (SIGINT)",
    "SIGHUP": "lost its terminal (SIGHUP)",
    "SIGXCPU": "used up its CPU time (SIGXCPU)",
}
# By what the supervisor could find out; without a word from it nothing is known.
_KILLED_FOR = {
    "probable": "probably by the kernel because memory ran out",
    "excluded": "not by the kernel for memory",
}
_PERHAPS_FOR_MEMORY = "as the kernel does when memory runs out"


def ending_of(record: Record) -> str:
    """`was killed by the kernel for memory (SIGKILL) at 11.4 GiB after 2 h 04 min`; empty if it tells no end."""
    if record.event_name not in {names.EVENT_PROCESS_DIED, names.EVENT_RUN_END}:
        return ""
    took = _number(record.attributes.get(names.DURATION))
    after = f" after {lasting(took)}" if took is not None and took >= 0 else ""
    if record.text(names.RUN_RESULT) == names.RESULT_TIMEOUT:
        return f"was stopped{after}, because it ran longer than allowed"
    if record.text(names.TEMPLATE).startswith(f"%s {_NOT_STARTED}"):
        return one_line(record.body[record.body.find(_NOT_STARTED) :])
    code = _number(record.attributes.get(names.EXIT_CODE))
    signal_name = _signal_name(record.attributes.get(names.EXIT_SIGNAL))
    if not signal_name and code is not None and SIGNAL_BASE < code < SIGNAL_BASE + signal.NSIG:
        signal_name = _signal_name(code - SIGNAL_BASE)
    what = _what(record, code, signal_name)
    if not what:
        return ""
    how, comma, why = what.partition(", ")
    how += _at_peak(record, signal_name)
    if not signal_name:
        if record.text(names.TEMPLATE).endswith(_AFTER_ANOTHER_DEATH):
            after += _AFTER_ANOTHER_DEATH
        said = clip(last_words(_said(record)), MAX_LAST_WORDS_CHARS)
        return f"{how}{after}{comma}{why}" + (f"; it last wrote: {said}" if said else "")
    if code and record.text(names.TEMPLATE).startswith(_EXITED):
        return f"ended with exit code {int(code)}{after}: a process in it {how}{comma}{why}"
    return f"{how}{after}{comma}{why}"


def subject_of(record: Record) -> str:
    """Who ended, in a word: the model that it worked on, else the program as the supervisor calls it; may be empty."""
    template = record.text(names.TEMPLATE)
    said = template.removeprefix("%s")
    program = record.body.removesuffix(said) if said != template and record.body.endswith(said) else ""
    return one_line(record.text(names.MODEL_NAME)) or one_line(program) or one_line(record.pipeline)


def last_output(record: Record) -> tuple[tuple[str, str], ...]:
    """(what it is, text) of what the process said last: to its log, its error output and its standard output."""
    ends = (
        ("Its last log records", names.LAST_RECORDS),
        ("Last lines of its error output", names.STDERR_TAIL),
        ("Last lines of its output", names.STDOUT_TAIL),
    )
    return tuple((label, text) for label, name in ends if (text := _lines(record.attributes.get(name))))


def stacks_of(record: Record) -> str:
    """Where the processes of a silent run hang, the innermost first; empty if it is not silent."""
    return _lines(record.attributes.get(names.STACK_DUMP))


def _at_peak(record: Record, signal_name: str) -> str:
    """Its largest memory, where that is the first question."""
    peak = _number(record.attributes.get(names.PEAK_MEMORY))
    return f" at {memory(peak)}" if peak and peak > 0 and signal_name == "SIGKILL" else ""


def _said(record: Record) -> str:
    """What the process wrote: programs print the reason on either stream, most on the one for errors."""
    return _lines(record.attributes.get(names.STDERR_TAIL)) or _lines(record.attributes.get(names.STDOUT_TAIL))


def _what(record: Record, code: float | None, signal_name: str) -> str:
    if claims(record.attributes.get(names.OOM_KILLED)):
        return f"was killed by the kernel for memory ({signal_name or 'SIGKILL'})"
    if signal_name == "SIGKILL":
        return f"{_WORDS[signal_name]}, {_KILLED_FOR.get(record.text(names.OOM_VERDICT), _PERHAPS_FOR_MEMORY)}"
    if signal_name:
        return _WORDS.get(signal_name, f"was ended by {signal_name}")
    if code:
        return f"ended with exit code {int(code)}"
    if code is None and record.event_name == names.EVENT_PROCESS_DIED:
        return _how_unseen(record.text(names.TEMPLATE))
    return ""


def _how_unseen(template: str) -> str:
    if not template.startswith(_NOBODY_KNOWS_HOW):
        return "ended without saying why"
    if template.endswith(_PROBABLY_FOR_MEMORY):
        return "was killed or crashed, probably because memory ran out"
    return "was killed or crashed, the system does not tell which"


def _signal_name(value: AttributeValue) -> str:
    number = _number(value)
    if number is None:
        text = one_line(value).upper() if isinstance(value, str) else ""
        return text if text.startswith("SIG") and text.isalnum() else ""
    try:
        return signal.Signals(int(number)).name
    except ValueError:
        return f"signal {int(number)}" if number > 0 else ""


def _number(value: AttributeValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _lines(value: AttributeValue) -> str:
    if isinstance(value, tuple):
        return "\n".join(str(line) for line in value)
    return value if isinstance(value, str) else ""
