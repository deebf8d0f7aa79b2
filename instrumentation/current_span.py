"""A stage as OpenTelemetry's current span, where that is loaded: importing it for that would cost 50 ms.

No tokens of OpenTelemetry's: it complains on the console when one comes back in another task or thread, as those of
generators do.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Final

__all__ = ["CurrentSpan", "current"]

# OpenTelemetry is not loaded, half loaded, of another version than those we know, or another thing of that name.
_NOT_AS_KNOWN: Final = (KeyError, AttributeError, TypeError, ValueError)
_OURS: Final = "pipeline_alerts_span"  # on our spans


class CurrentSpan:
    """Makes a span current from now on, until it has ended.

    Args:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
    """

    def __init__(self, trace_id: str, span_id: str) -> None:
        self.outside: Any = None  # what was current before; None where there is no OpenTelemetry
        self._inside: Any = None  # what was current when it was paused
        self.has_ended = False
        with contextlib.suppress(*_NOT_AS_KNOWN):
            trace, context = sys.modules["opentelemetry.trace"], sys.modules["opentelemetry.context"]
            span_context = trace.SpanContext(
                trace_id=int(trace_id, 16),
                span_id=int(span_id, 16),
                is_remote=False,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            span = trace.NonRecordingSpan(span_context)
            setattr(span, _OURS, self)
            before = context.get_current()
            context.attach(trace.set_span_in_context(span))
            self.outside = before

    def end(self) -> None:
        """It is over; what was around it is current again, if that is not over too: they may end in any order."""
        self.has_ended = True
        _leave_ended()

    def pause(self) -> None:
        """What was around it is current until it is resumed."""
        if self.outside is not None:
            with contextlib.suppress(*_NOT_AS_KNOWN):
                context = sys.modules["opentelemetry.context"]
                self._inside = context.get_current()
                context.attach(self.outside)

    def resume(self) -> None:
        """What was current within it is current again, whatever is around it now."""
        if self._inside is not None:
            with contextlib.suppress(*_NOT_AS_KNOWN):
                context = sys.modules["opentelemetry.context"]
                self.outside = context.get_current()
                context.attach(self._inside)
                self._inside = None


def current() -> tuple[str, str] | None:
    """Trace id and span id of OpenTelemetry's current span; None outside of any."""
    _leave_ended()  # one may have ended in another thread
    with contextlib.suppress(*_NOT_AS_KNOWN):
        context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
        if context.is_valid:
            return f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return None


def _leave_ended() -> None:
    with contextlib.suppress(*_NOT_AS_KNOWN):
        trace, context = sys.modules["opentelemetry.trace"], sys.modules["opentelemetry.context"]
        while (ours := getattr(trace.get_current_span(), _OURS, None)) is not None and ours.has_ended:
            context.attach(ours.outside)
