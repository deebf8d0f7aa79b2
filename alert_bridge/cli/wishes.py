"""What commands that ask the bridge for something share: whose wish it is, and whether it acted."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from alert_bridge.cli.stores import is_running

__all__ = ["AUTHOR", "iso", "login_name", "taken_up"]

WAIT_S = 30.0  # the bridge acts within a second; a busy machine or a slow disk may need more
LOOK_EVERY_S = 0.05
NS = 1_000_000_000


def login_name() -> str:
    """Who asks; by number where the machine has no name for it, as in many a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


AUTHOR = click.option(
    "--by",
    "author",
    default="",
    metavar="NAME",
    callback=lambda _context, _option, name: name or login_name(),
    help="Who wants it; default: you, by login name.",
)


def taken_up(state: Path, happened: Callable[[], object]) -> bool:
    """Wait for the bridge to act; false if it is not running, or does not move. The wish is kept all the same."""
    deadline = time.monotonic() + WAIT_S
    while not happened():
        if time.monotonic() > deadline or not is_running(state):
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def iso(moment: int) -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(moment // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
