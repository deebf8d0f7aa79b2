"""Where in the run a record was made: trace, span and stage, read from what the program loaded. Imports nothing."""

from __future__ import annotations

import os
import sys

from . import names
from .values import quote

_PARTS_OF_TRACEPARENT = 4
_TRACE_CHARS, _SPAN_CHARS = 32, 16
_STAGES = "instrumentation.stages"
_modules = sys.modules


class Context:
    """What the environment said when the process started; asked for every record, so it answers in ready JSON text."""

    def __init__(self, environ: os._Environ[str] | dict[str, str] = os.environ) -> None:
        trace, span = parse_traceparent(environ.get(names.ENV_TRACEPARENT, ""))
        self._trace = _span(trace, span) if trace else ""
        self._stage = _said(environ.get(names.ENV_STAGE, ""))
        self._start = self._trace + self._stage
        self._at_start = (self._trace, self._stage)

    def enter(self, trace: str, span: str, stage: str) -> None:
        """From now on the process as a whole is in this stage."""
        self._trace, self._stage = _span(trace, span), _said(stage)
        self._start = self._trace + self._stage

    def leave(self) -> None:
        """It is where it was when it started."""
        self._trace, self._stage = self._at_start
        self._start = self._trace + self._stage

    def where(self) -> str:
        """`,"tr":…,"sp":…,"st":…` as far as known: now, else when this process was started."""
        if "opentelemetry.trace" in _modules or _STAGES in _modules:
            return self._current_span() + self._current_stage()
        return self._start

    def _current_span(self) -> str:
        try:
            if "opentelemetry.trace" in _modules:
                span = _modules["opentelemetry.trace"].get_current_span().get_span_context()
                if span.is_valid:
                    return _span("%032x" % span.trace_id, "%016x" % span.span_id)
            if _STAGES in _modules:
                current = _modules[_STAGES].current_trace()
                if current:
                    return _span(*current)
        except Exception:  # half imported, or another thing of that name
            pass
        return self._trace

    def _current_stage(self) -> str:
        try:
            if _STAGES in _modules:
                stage = _modules[_STAGES].current_stage()
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
