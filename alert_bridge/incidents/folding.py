"""Which error of a run is only the echo or the consequence of another. By span ancestry, never by time alone.

In simulation a time window, or "same run = one", hides nearly half of the independent problems; these rules hide one in
seven hundred (`tests/benchmarks/folding.py`). What cannot be shown to belong together stays apart. Pure.

The more is known of a run, the more of its errors a rule fits, and never fewer: whatever comes in which order, the same
problems are told in the end. (Of two reports of one cause it is the first that tells it.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alert_bridge.model import Fingerprint, Record, Severity
from instrumentation import attributes as names

__all__ = [
    "Fold",
    "Known",
    "Lineage",
    "Trouble",
    "ancestors_of",
    "beneath",
    "fold_under",
    "says_child_ended",
    "stands_alone",
    "trouble_of",
]

MAX_TEXT_CHARS = 1000
MAX_STACK_CHARS = 20_000  # from the end
MAX_LINE_DIGITS = 10
RAISED_WITHIN_LINES = 3  # a `raise` so close behind a log call in the same function says the same
MAX_ANCESTORS = 100  # deeper nesting of stages than anyone has; also ends a loop of bad parents

_CHILD_ENDED = re.compile(
    r"(?i)\b(?:exit(?:ed)?[ _-]?(?:code|status)|exited with|non-zero exit|ended with -?\d|return(?:ed)?[ _-]?code"
    r"|died with|was killed|terminated abruptly)"
)
_RAISED_AT = re.compile(r'^\s*File "([^"]{1,4096})", line (\d{1,9}), in (.{1,300})\n\s*(.*)$', re.MULTILINE)
_CHILD_TYPES = frozenset({"CalledProcessError", "BrokenProcessPool", "TerminatedWorkerError", "SystemExit"})
_WHY = {
    "re-report": "the same cause, reported again further out in the same trace",
    "echo": "it says only that something beneath it failed",
    "raised": "it was raised on the lines right behind the one that logged the problem",
    "consequence": "it misses what a failed stage should have made",
}
_MISSING_TYPES = frozenset({"FileNotFoundError", "NoSuchKey", "NoSuchBucket", "UpstreamFailed", "EmptyDataError"})
_MISSING = re.compile(
    r"(?i)\b(?:no such (?:file|table|key|object|bucket)|does not exist|is missing|missing input|not found"
    r"|upstream (?:task|stage|step)? ?failed|no input|input .{0,40} (?:missing|empty))"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One error of a run, as far as it matters here."""

    problem: str  # fingerprint
    root: str  # what failed at the bottom of its chain of exceptions; empty without an exception
    span: str
    stage: str
    severity: Severity
    echo: bool  # has no cause of its own to tell: no exception, or only that of a child process that ended
    child_ended: bool  # says in so many words that a child process ended badly
    missing_input: bool  # says that something it needs is not there
    uncaught: bool = False
    file: str = ""  # base name; where a plain error was logged, or an exception was raised last
    function: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """A problem of the same run that is told: where it showed, and what is at its bottom."""

    incident_id: str
    problem: str
    roots: frozenset[str]
    spans: frozenset[str]
    stages: frozenset[str]
    severity: Severity
    logged_at: frozenset[tuple[str, str, int]] = frozenset()  # file, function, line of log calls without an exception


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is known of one run: the told problems that are not folded themselves, and how its stages hang together."""

    known: tuple[Known, ...] = ()
    parents: Mapping[str, str] = field(default_factory=dict)  # span id -> id of the span above it
    upstream: Mapping[str, frozenset[str]] = field(default_factory=dict)  # stage -> stages that it needs, directly


@dataclass(frozen=True, slots=True)
class Fold:
    """An error that is told as part of another, and by which rule."""

    incident_id: str
    rule: str  # re-report, raised, echo or consequence
    why: str


def trouble_of(record: Record, found: Fingerprint, severity: Severity) -> Trouble:
    """What folding may look at of a record."""
    kind, says = _kind(record), _says(record)
    innermost = dict(found.components).get("types", "").partition(" < ")[0]
    child_ended = innermost in _CHILD_TYPES or says_child_ended(record)
    return Trouble(
        problem=found.value,
        root=_root_of(found),
        span=record.span_id,
        stage=record.stage,
        severity=severity,
        echo=child_ended or not (kind or innermost),
        child_ended=child_ended,
        missing_input=not {kind, innermost}.isdisjoint(_MISSING_TYPES) or bool(_MISSING.search(says)),
        uncaught=bool(record.attributes.get(names.UNCAUGHT)),
        **_site(record),
    )


def says_child_ended(record: Record) -> bool:
    """Whether it says by its type, or in so many words, that a child process ended badly; whose death may tell why."""
    return _kind(record) in _CHILD_TYPES or bool(_CHILD_ENDED.search(_says(record)))


def _kind(record: Record) -> str:
    return record.text(names.EXCEPTION_TYPE).rpartition(".")[2]


def _says(record: Record) -> str:
    return f"{record.text(names.EXCEPTION_MESSAGE)} {record.body}"[:MAX_TEXT_CHARS]


def _site(record: Record) -> dict[str, Any]:
    """Where a plain error was logged, or where an exception was raised that ended the last of its frames."""
    stack = record.text(names.EXCEPTION_STACKTRACE)
    if not stack:
        line = record.text(names.CODE_LINE)
        file, function = record.text(names.CODE_FILE), record.text(names.CODE_FUNCTION)
    elif frames := _RAISED_AT.findall(stack[-MAX_STACK_CHARS:]):
        file, line, function, source = frames[-1]
        if not source.startswith("raise"):
            return {}  # a statement that failed is a problem of its own, wherever it stands
        if record.text(names.CODE_FUNCTION) == function and not record.attributes.get(names.UNCAUGHT):
            return {}  # caught and logged where it was raised: not what the log call before it spoke of
    else:
        return {}
    known = line.isdecimal() and len(line) < MAX_LINE_DIGITS
    return {"file": file.replace("\\", "/").rpartition("/")[2], "function": function, "line": int(line) if known else 0}


def _root_of(found: Fingerprint) -> str:
    """The parts of a stack's fingerprint that belong to its root cause: the same for every exception raised from it."""
    if found.rung != "stack":
        return ""
    own = [(name, value) for name, value in found.components if name not in ("scope", "wrapped", "types", "caller")]
    types = next((value for name, value in found.components if name == "types"), "")
    return repr([types.partition(" < ")[0], *own])


def ancestors_of(span: str, parents: Mapping[str, str]) -> frozenset[str]:
    """The spans above one, as far as they are known."""
    above: list[str] = []
    while (span := parents.get(span, "")) and span not in above and len(above) < MAX_ANCESTORS:
        above.append(span)
    return frozenset(above)


def beneath(span: str, run: Lineage) -> list[str]:
    """The incidents whose problems showed in this span or below it."""
    return [
        one.incident_id
        for one in run.known
        if any(other == span or span in ancestors_of(other, run.parents) for other in one.spans)
    ]


def fold_under(trouble: Trouble, run: Lineage, *, stood_alone_before: bool) -> Fold | None:
    """The problem that an error belongs to; None if it stands for itself.

    Args:
        trouble: the error.
        run: what is known of its run.
        stood_alone_before: the error's fingerprint was an incident in another run where `stands_alone` held.

    Of several that may have caused it, the one that is known longest tells it.
    """
    for one in _others(trouble, run):
        if trouble.root and trouble.root in one.roots and _related(trouble.span, one.spans, run.parents):
            return Fold(one.incident_id, "re-report", _WHY["re-report"])
    if stood_alone_before:
        return None
    for rule, causes in _candidates(trouble, run):
        # An uncaught exception's severity is our word, not the program's; anything else that is worse is told.
        grave = [one for one in causes if trouble.uncaught or trouble.severity <= one.severity]
        if grave:
            return Fold(grave[0].incident_id, rule, _WHY[rule])
    return None


def stands_alone(trouble: Trouble, run: Lineage) -> bool:
    """Whether nothing in its run could have caused it: then it is a problem of its own, in later runs too."""
    return not any(causes for _, causes in _candidates(trouble, run))


def _others(trouble: Trouble, run: Lineage) -> list[Known]:
    return [one for one in run.known if one.problem != trouble.problem]


def _candidates(trouble: Trouble, run: Lineage) -> list[tuple[str, list[Known]]]:
    """What may have caused an error, by rule, the stronger rule first."""
    found: list[tuple[str, list[Known]]] = []
    if not trouble.echo and trouble.line:
        found.append(("raised", [one for one in _others(trouble, run) if _logged_just_before(trouble, one)]))
    if trouble.echo:
        beneath = [one for one in _others(trouble, run) if _beneath(trouble, one.spans, run.parents)]
        found.append(("echo", beneath))
    if trouble.missing_input and trouble.stage:
        needed = _all_upstream(trouble.stage, run.upstream)
        found.append(("consequence", [one for one in _others(trouble, run) if one.stages & needed]))
    return found


def _logged_just_before(trouble: Trouble, one: Known) -> bool:
    return any(
        (file, function) == (trouble.file, trouble.function) and 0 < trouble.line - line <= RAISED_WITHIN_LINES
        for file, function, line in one.logged_at
    )


def _related(span: str, spans: frozenset[str], parents: Mapping[str, str]) -> bool:
    if not span:
        return False
    above = ancestors_of(span, parents)
    return any(other == span or other in above or span in ancestors_of(other, parents) for other in spans)


def _beneath(trouble: Trouble, spans: frozenset[str], parents: Mapping[str, str]) -> bool:
    """Whether a problem showed below this error; beside it is enough where it speaks of a child process by itself."""
    if not trouble.span:
        return False
    return any(trouble.span in ancestors_of(span, parents) for span in spans) or (
        trouble.child_ended and trouble.span in spans
    )


def _all_upstream(stage: str, upstream: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [stage]
    while waiting:
        for one in upstream.get(waiting.pop(), frozenset()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return frozenset(found)
