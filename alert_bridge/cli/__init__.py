"""The composition root: a lazy table of commands. It alone may name the other two packages.

Nothing is loaded here, so that the program behind `run` does not wait for what reads other command lines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alert_bridge.cli.table import COMMANDS, root

__all__ = ["COMMANDS", "main", "root"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The console command. Exit codes: 0 fine, 1 found what it looks for, 2 wrong usage or set-up."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:
        from alert_bridge.cli.direct import run_if_plain

        run_if_plain(words[1:])
    from alert_bridge.cli.table import root
    from alert_bridge.errors import UsageError

    try:
        root.main(args=words, prog_name="pipeline-alerts", standalone_mode=True)
    except UsageError as error:
        sys.stderr.write(f"pipeline-alerts: {error}\n")
        raise SystemExit(2) from error


def __getattr__(name: str) -> object:
    if name not in {"COMMANDS", "root"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("alert_bridge.cli.table"), name)
