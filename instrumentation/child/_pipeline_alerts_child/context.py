"""Where in the run a record was made: trace, span and stage, read from what the program loaded. Imports nothing."""

import os
import sys

from . import names
from .values import quote

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from typing import Any

_PARTS_OF_TRACEPARENT = 4
_TRACE_CHARS, _SPAN_CHARS = 32, 16
OPENTELEMETRY, STAGES = "opentelemetry.trace", "instrumentation.stages"  # modules that know where a thread or task is
_ENDED_KEPT = 256  # steps that are over and can still be current: what a library does when its run has ended
_modules = sys.modules


class Context:
    """What the environment said when the process started; asked for every record, so it answers in ready JSON text.

    Attributes:
        start: what `where` answers as long as neither `OPENTELEMETRY` nor `STAGES` is loaded.
        has_moved: whether the process is, or was, elsewhere than at its start.
    """

    def __init__(self, environ: "os._Environ[str] | dict[str, str]" = os.environ) -> None:
        self._at_start = parse_traceparent(environ.get(names.ENV_TRACEPARENT, "")), environ.get(names.ENV_STAGE, "")
        self._steps: dict[int, str] = {}  # by span id, as OpenTelemetry has it: the stage, ready to be said
        self._ended: list[int] = []
        self.leave()
        self.has_moved = False

    def enter(self, trace: str, span: str, stage: str) -> None:
        """From now on the process as a whole is in this stage."""
        self.has_moved = True
        self._process = trace, span
        self._process_stage = stage
        self._trace = _span(trace, span) if trace else ""
        self._stage = _said(stage)
        self.start = self._trace + self._stage

    def leave(self) -> None:
        """It is where it was when it started."""
        (trace, span), stage = self._at_start
        self.enter(trace, span, stage)

    def know(self, span: str, stage: str) -> None:
        """Where this span is OpenTelemetry's current one, it is this stage."""
        self._steps[int(span, 16)] = _said(stage)

    def forget(self, span: str) -> None:
        """The span has ended."""
        self._ended.append(int(span, 16))
        if len(self._ended) > _ENDED_KEPT:
            self._steps.pop(self._ended.pop(0), None)

    def where(self) -> str:
        """`,"tr":…,"sp":…,"st":…` as far as known: now, else when this process was started."""
        if OPENTELEMETRY in _modules or STAGES in _modules:
            return self._now()
        return self.start

    @property
    def is_in_span(self) -> bool:
        """Whether OpenTelemetry knows of a span here and now."""
        return self._current_span() is not None

    def trace(self) -> tuple[str, str]:
        """Trace id and span id of what would be around a stage that began now; the span id is empty outside of any."""
        current = self._current_span()
        if current is not None:
            return "%032x" % current.trace_id, "%016x" % current.span_id
        trace, span = self._current_trace() or self._process
        return (trace, span) if trace else (os.urandom(16).hex(), "")

    @property
    def place(self) -> tuple[str, str, str]:
        """Trace id, span id and stage of the process as a whole."""
        return (*self._process, self._process_stage)

    def _now(self) -> str:
        current = self._current_span()
        if current is not None:
            where = _span("%032x" % current.trace_id, "%016x" % current.span_id)
            return where + (self._steps.get(current.span_id) or self._current_stage())
        found = self._current_trace()
        return (_span(*found) if found else self._trace) + self._current_stage()

    @staticmethod
    def _current_span() -> "Any":
        """OpenTelemetry's current span's context; None outside of any."""
        try:
            if OPENTELEMETRY in _modules:
                current = _modules[OPENTELEMETRY].get_current_span().get_span_context()
                return current if current.is_valid else None
        except Exception:  # half imported, or another thing of that name
            pass
        return None

    @staticmethod
    def _current_trace() -> "tuple[str, str] | None":
        try:
            if STAGES in _modules:
                found: tuple[str, str] | None = _modules[STAGES].current_trace()
                return found
        except Exception:  # half imported
            pass
        return None

    def _current_stage(self) -> str:
        try:
            if STAGES in _modules:
                stage = _modules[STAGES].current_stage()
                if stage:
                    return _said(str(stage))
        except Exception:  # half imported
            pass
        return self._stage


def _span(trace: str, span: str) -> str:
    return ',"tr":"%s","sp":"%s"' % (trace, span)


def _said(stage: str) -> str:
    return ',"st":' + quote(stage) if stage else ""


def parse_traceparent(value: str) -> tuple[str, str]:
    """Trace id and span id of a W3C `traceparent`, or two empty strings if it is not a valid one."""
    parts = value.strip().lower().split("-")
    if len(parts) < _PARTS_OF_TRACEPARENT or len(parts[1]) != _TRACE_CHARS or len(parts[2]) != _SPAN_CHARS:
        return "", ""
    try:
        valid = int(parts[1], 16) and int(parts[2], 16)
    except ValueError:
        return "", ""
    return (parts[1], parts[2]) if valid else ("", "")
