"""`configure()`: the same journal and the same sender without a parent, for notebooks and unsupervised scripts.

Under `run`, which covers this process already, it only takes a redaction of the user's own. Nothing happens where
`OTEL_SDK_DISABLED` is true.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from instrumentation.own_run import ensure_started

__all__ = ["configure"]


def configure(pipeline: str | None = None, *, redact: Callable[[str], str] | None = None) -> None:
    """Follows this process from now on: its records through the root logger, its spans where OpenTelemetry is loaded.

    May be called again, in notebooks for instance: only the first call counts. Never raises.

    Args:
        pipeline: its name in messages; else `PIPELINE_ALERTS_PIPELINE`, else the script's name.
        redact: your own redaction of every text, before ours, for this process and its forks. Under `run` it works on
            what is said from now on, before it is written. Without `run`, what an outage holds back stays on disk until
            `pipeline-alerts ship`, for which you name the function in `PIPELINE_ALERTS_REDACT`, as for other processes.
    """
    if ensure_started(pipeline or "", redact) is None:
        return
    with contextlib.suppress(Exception):  # whatever is wrong with us, the program goes on
        _put_handler_on_root()
        _export_spans()


def _put_handler_on_root() -> None:
    import logging

    from instrumentation.handler import PipelineHandler

    root = logging.getLogger()
    if not any(isinstance(handler, PipelineHandler) for handler in root.handlers):
        root.addHandler(PipelineHandler())


def _export_spans() -> None:
    """Where OpenTelemetry's SDK is there and nobody set a provider, spans go to the journal like records."""
    from instrumentation import spans

    spans.install()
