"""What commands that ask the bridge for something share: whose wish it is, where the bridge is, whether it acted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from alert_bridge.cli.stores import is_running
from alert_bridge.settings import setting, state_home

__all__ = ["AS_JSON", "AUTHOR", "STATE", "iso", "state_of", "taken_up"]

WAIT_S = 3.0  # the bridge acts within a second; a slow disk may need more
LOOK_EVERY_S = 0.05
NS = 1_000_000_000

AUTHOR = click.option("--by", "author", default="", metavar="NAME", help="Who wants it; default: you, by login name.")
STATE = click.option(
    "--state", default="", metavar="DIR", help="The state directory of the bridge; PIPELINE_ALERTS_STATE."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def state_of(named: str) -> Path:
    """The bridge's state directory: the flag, else the setting, else the default."""
    folder = named or setting(os.environ, "PIPELINE_ALERTS_STATE")
    return Path(folder) if folder else state_home(os.environ)


def taken_up(state: Path, happened: Callable[[], object]) -> bool:
    """Wait a moment for the bridge to act; false if it is not running, or slow. The wish is kept all the same."""
    deadline = time.monotonic() + WAIT_S
    while not happened():
        if time.monotonic() > deadline or not is_running(state):
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def iso(moment: int) -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(moment // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
