"""What runs beside a user's pipeline: logging, stages and metrics that survive the process. Speaks only OTLP.

Nothing happens on import, and nothing heavy is loaded until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instrumentation.handler import PipelineHandler
    from instrumentation.measures import log_metrics
    from instrumentation.setup import configure
    from instrumentation.stages import stage

__all__ = ["PipelineHandler", "configure", "log_metrics", "stage"]

_HOME = {
    "PipelineHandler": "instrumentation.handler",
    "configure": "instrumentation.setup",
    "log_metrics": "instrumentation.measures",
    "stage": "instrumentation.stages",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
