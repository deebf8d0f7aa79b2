"""Our metrics on the user's own W&B run, if they have one open. Optional: W&B is looked at, never imported.

What `log_metrics` keeps goes to the journal; with `mirror()` it also goes to the active run, so that one line serves
both. Nothing is started, logged in or finished here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Final

__all__ = ["active_run_url", "is_mirrored", "log", "mirror"]

_state: Final = {"mirrored": False}


def mirror(*, on: bool = True) -> None:
    """From now on `log_metrics` also logs to the active W&B run of this process."""
    _state["mirrored"] = on


def is_mirrored() -> bool:
    return _state["mirrored"]


def active_run_url() -> str:
    """The address of the W&B run that is open in this process; empty if there is none."""
    run = getattr(sys.modules.get("wandb"), "run", None)
    url = getattr(run, "url", None)
    return url if isinstance(url, str) else ""


def log(values: Mapping[str, float], step: int | None) -> None:
    """Logs to the active run, if there is one. Its troubles stay here: a figure must not stop a training."""
    run = getattr(sys.modules.get("wandb"), "run", None)
    if run is None:
        return
    with contextlib.suppress(Exception):
        run.log(dict(values), step=step)
