"""Our metrics on the user's own W&B run, if they have one open. Optional: W&B is looked at, never imported.

What `log_metrics` and stages measure goes to the journal; after `mirror()` it also goes to the active run, so that one
line serves both, and the bridge is told not to write it to W&B again. Nothing is started or finished here.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["STEP", "TIME", "active_run_url", "is_mirrored", "log", "mirror"]

STEP: Final = "step"  # the axes, as in the runs that the bridge writes: what the program counts,
TIME: Final = "time_s"  # and seconds since the epoch
_state: Final = {"mirrored": False}
_axes: Final[dict[str, str]] = {}  # by run and key, as W&B was told


def mirror(*, on: bool = True) -> None:
    """From now on `log_metrics` and stages also log to the active W&B run of this process."""
    _state["mirrored"] = on


def is_mirrored() -> bool:
    return _state["mirrored"]


def active_run_url() -> str:
    """The address of the W&B run that is open in this process; empty if there is none."""
    url = getattr(_active_run(), "url", None)
    return url if isinstance(url, str) else ""


def log(values: Mapping[str, float], step: int | None) -> bool:
    """Log to the active run, if that is wanted and there is one; says whether it took them.

    Its troubles stay here: a figure must not stop a training. ``step`` is a column with an axis of its own: given as
    W&B's own `step=`, everything lower than the one before would be dropped, the program's own rows included.
    """
    run = _active_run() if is_mirrored() else None
    if run is None:
        return False
    axis = TIME if step is None else STEP
    with contextlib.suppress(Exception):
        for key in values:
            _define(run, key, axis)
        run.log({**values, TIME: time.time(), **({} if step is None else {STEP: int(step)})})
        return True
    return False


def _define(run: Any, key: str, axis: str) -> None:
    place = f"{getattr(run, 'id', '')}/{key}"
    if _axes.get(place) != axis:
        _axes[place] = axis
        run.define_metric(key, step_metric=axis)


def _active_run() -> Any:
    return getattr(sys.modules.get("wandb"), "run", None)
