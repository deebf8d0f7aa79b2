"""Values measured in a run, each kept as a point. Without `run` or `configure()` nothing happens here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from instrumentation import attributes as names
from instrumentation import events, wandb
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.misuse import forgiving, say_once, text_of
from instrumentation.place import innermost
from instrumentation.running import journal as open_journal

__all__ = ["log_metrics"]

_INT64: Final = 1 << 63  # what OTLP and stores can carry as a whole number


@forgiving
def log_metrics(values: Mapping[str, float], *, step: int | None = None) -> None:
    """Keeps each value as one gauge point: training curves and figures of merit, none aggregated away.

    Args:
        values: by name; what is not a number is left out, and said once.
        step: where on its axis (epoch, month …); the time alone where it is left out.
    """
    numbers: dict[str, float] = {}
    for name, value in dict(values).items():
        number = _number(value)
        if number is None:
            say_once(f"log_metrics() leaves out {text_of(name, 'the name of a figure')}, which is no number")
        else:
            numbers[text_of(name, "the name of a figure")] = number
    at = None if step is None else _step(step)
    is_mirrored = wandb.log(numbers, at)
    journal = open_journal()
    if journal is None:
        return
    journal.owns(None)
    now_ns = time.time_ns()
    active = innermost()
    attributes: dict[str, object] = {} if at is None else {names.METRIC_STEP: at}
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
    if type(value) is float:
        return value
    if isinstance(value, (str, bytes, bytearray)):  # text that reads like one is a mistake
        return None
    try:
        item = getattr(value, "item", None)
        number = item() if callable(item) else value
        if isinstance(number, int) and -_INT64 <= number < _INT64:
            return int(number)
        return None if isinstance(number, complex) else float(number)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - whatever a stranger's conversion raises; a number too great for a float
        return None


def _step(step: object) -> int | None:
    number = _number(step)
    if number is None or not -_INT64 <= number < _INT64:  # NaN and the infinities too
        say_once(f"log_metrics() takes a whole number as step, not {describe(step)}")
        return None
    return int(number)
