"""The state directory as the reading commands see it: both stores, opened beside a bridge or without one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from alert_bridge.errors import SettingsError
from alert_bridge.settings import setting, state_home
from alert_bridge.store.interface import ControlReader
from alert_bridge.store.telemetry import Telemetry

__all__ = ["Stores", "is_running", "json_option", "open_stores", "state_of", "state_option"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Stores:
    """``control`` is None where no bridge ever took an alert."""

    state: Path
    telemetry: Telemetry
    control: ControlReader | None


def state_of(named: str) -> Path:
    """The bridge's state directory: the flag, else the setting, else the default."""
    folder = named or setting(os.environ, "PIPELINE_ALERTS_STATE")
    return Path(folder) if folder else state_home(os.environ)


@contextmanager
def open_stores(state: str) -> Iterator[Stores]:
    """Both stores of a state directory, for reading; the usual directory unless one is given.

    Raises:
        SettingsError: there is no telemetry store in it.
    """
    from alert_bridge.store.control import open_reader

    path = state_of(state)
    telemetry = Telemetry(path)
    try:
        telemetry.runs(limit=1)  # says now, and in one sentence, that there is nothing to read
        try:
            control = open_reader(path)
        except SettingsError:
            control = None
        try:
            yield Stores(path, telemetry, control)
        finally:
            if control is not None:
                control.close()
    finally:
        telemetry.close()


def is_running(state: Path) -> bool:
    """Whether a bridge holds the lock of this state directory."""
    import fcntl

    try:
        with (state / "serve.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def state_option(command: F) -> F:
    """``--state DIR``."""
    return click.option(
        "--state", default="", metavar="DIR", help="The state directory of the bridge; PIPELINE_ALERTS_STATE."
    )(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)
