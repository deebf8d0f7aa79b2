"""Our metrics on the user's own W&B run, if they have one open. Optional: W&B is looked at, never imported.

What `log_metrics` and stages measure goes to the journal; after `mirror()` it also goes to the active run, so that one
line serves both, and the bridge is told not to write it to W&B again. For metrics of OpenTelemetry's own API there is
`instrumentation.wandb_metrics`. Nothing is started or finished here.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from instrumentation.child._pipeline_alerts_child import imports

__all__ = ["STEP", "TIME", "active_run", "active_run_url", "is_mirrored", "log", "mirror", "watch_steps", "write"]

STEP: Final = "step"  # the axes, as in the runs that the bridge writes: what the program counts,
TIME: Final = "time_s"  # and seconds since the epoch
_INTERFACE: Final = "wandb.sdk.interface.interface"
_COUNTS: Final = "_pipeline_alerts_counts"  # on a run's interface: the program gives W&B steps of its own
_state: Final = {"mirrored": False, "watches_steps": False}
_axes: Final[dict[str, str]] = {}  # by run and key, as W&B was told


def mirror(*, on: bool = True) -> None:
    """From now on `log_metrics` and stages also log to the active W&B run of this process."""
    _state["mirrored"] = on
    watch_steps()


def is_mirrored() -> bool:
    return _state["mirrored"]


def active_run() -> Any:
    """The W&B run that is open in this process, or None."""
    return getattr(sys.modules.get("wandb"), "run", None)


def active_run_url() -> str:
    """The address of the W&B run that is open in this process; empty if there is none."""
    url = getattr(active_run(), "url", None)
    return url if isinstance(url, str) else ""


def log(values: Mapping[str, float], step: int | None) -> bool:
    """Log to the active run, if that is wanted and there is one; says whether each will stay in a row of its own."""
    run = active_run() if is_mirrored() else None
    return run is not None and write(run, values, step, time.time()) and not counts_steps(run)


def write(run: Any, cells: Mapping[str, Any], step: int | None, at: float) -> bool:
    """Writes one row, ``at`` seconds since the epoch; says whether W&B took it.

    Its troubles stay here: a figure must not stop a training. ``step`` is a column with an axis of its own: given as
    W&B's own `step=`, everything lower than the one before would be dropped, the program's own rows included. For the
    same reason the cells join the program's next row where the program gives `step=` itself: a row of ours moves W&B's
    count on, and what the program logs to the same step after it would be dropped.
    """
    axis = TIME if step is None else STEP
    with contextlib.suppress(Exception):
        for key in cells:
            _define(run, key, axis)
        row = {**cells, TIME: at, **({} if step is None else {STEP: int(step)})}
        if counts_steps(run):
            run.log(row, commit=False)
        else:
            run.log(row)
        return True
    return False


def watch_steps() -> None:
    """Notices which runs the program gives steps of its own, from the moment on that it imports W&B."""
    if not _state["watches_steps"]:
        _state["watches_steps"] = True
        imports.Watch({_INTERFACE: _look_at_steps})


def _look_at_steps(module: Any) -> None:
    interface = module.InterfaceBase
    publish = interface.publish_partial_history

    @functools.wraps(publish)
    def publish_partial_history(self: Any, *args: Any, step: Any = None, **kwargs: Any) -> Any:
        if step is not None:
            setattr(self, _COUNTS, True)
        return publish(self, *args, step=step, **kwargs)

    interface.publish_partial_history = publish_partial_history


def counts_steps(run: Any) -> bool:
    """Whether the program gave W&B a step for this run, as far as we looked."""
    interface = getattr(run, "_interface", None) or getattr(getattr(run, "_backend", None), "interface", None)
    return bool(getattr(interface, _COUNTS, False))


def _define(run: Any, key: str, axis: str) -> None:
    place = f"{getattr(run, 'id', '')}/{key}"
    if _axes.get(place) != axis:
        _axes[place] = axis
        run.define_metric(key, step_metric=axis)
