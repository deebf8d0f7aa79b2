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
SAY_AFTER_S = 3.0  # that it is waited for: nobody looks longer at a command that says nothing
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
    began, is_said = time.monotonic(), False
    while not happened():
        waited_s = time.monotonic() - began
        if waited_s > WAIT_S or not is_running(state):
            return False
        if waited_s > SAY_AFTER_S and not is_said:
            is_said = True
            click.echo(f"It is noted; waiting up to {WAIT_S:g} s for the bridge, which is slow …", err=True)
        time.sleep(LOOK_EVERY_S)
    return True


def iso(moment: int) -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(moment // NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
