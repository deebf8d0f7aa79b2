"""Values measured in a run, each kept as a point. Without `run` or `configure()` nothing happens here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from instrumentation import attributes as names
from instrumentation import events, wandb
from instrumentation.place import innermost
from instrumentation.running import journal as open_journal

__all__ = ["log_metrics"]


def log_metrics(values: Mapping[str, float], *, step: int | None = None) -> None:
    """Keeps each value as one gauge point: training curves and figures of merit, none aggregated away.

    Args:
        values: by name; what is not a number is left out.
        step: where on its axis (epoch, month …); the time alone where it is left out.
    """
    with contextlib.suppress(Exception):  # a figure that cannot be kept must not stop a training
        numbers = {str(name): number for name, value in values.items() if (number := _number(value)) is not None}
        is_mirrored = wandb.log(numbers, step)
        journal = open_journal()
        if journal is None:
            return
        journal.owns(None)
        now_ns = time.time_ns()
        active = innermost()
        attributes: dict[str, object] = {} if step is None else {names.METRIC_STEP: int(step)}
        if active and active.model:
            attributes[names.MODEL_NAME] = active.model
        if is_mirrored:
            attributes[names.WANDB_MIRRORED] = True
        for name, number in numbers.items():
            line = events.metric_line(
                journal.next_number(),
                now_ns,
                name=name,
                unit="",
                value=number,
                attributes=attributes,
                stage=active.name if active else "",
            )
            journal.append(line)


def _number(value: object) -> float | None:
    """A Python number of the value: of numpy's and torch's scalars too, whose libraries are not imported for it."""
    if isinstance(value, (int, float)):
        return value
    item = getattr(value, "item", None)
    try:
        number = item() if callable(item) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return None
    return number if isinstance(number, (int, float)) else None
