"""`configure()`: the same journal and the same sender without a parent, for notebooks and unsupervised scripts.

Under `run`, which covers this process already, it only takes a redaction of the user's own. Nothing happens where
`OTEL_SDK_DISABLED` is true.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from instrumentation.misuse import forgiving
from instrumentation.own_run import ensure_started

__all__ = ["configure"]


@forgiving
def configure(pipeline: str | None = None, *, redact: Callable[[str], str] | None = None) -> None:
    """Follows this process from now on: all that `logging` accepts, and its spans where OpenTelemetry is loaded.

    May be called again, in notebooks for instance: the run stays the one that the first call began. Never raises; what
    cannot be done is said once, as a WARNING of the run.

    Args:
        pipeline: its name in messages; else `PIPELINE_ALERTS_PIPELINE`, else the script's name.
        redact: your own redaction of every text, before ours, for this process and its forks: of what is said from now
            on, before it is written. For other processes, name it in `PIPELINE_ALERTS_REDACT`.
    """
    if ensure_started(pipeline, redact) is None:
        return
    from instrumentation import capture, spans
    from instrumentation.journal import current

    if current() is None:
        capture.install()
    with contextlib.suppress(ImportError):  # where OpenTelemetry is not, there are no spans to follow
        spans.install()
