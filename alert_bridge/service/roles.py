"""One process of the service, from the fork to its end: `alerts`, `telemetry` or `exporters`.

A process is forked from the parent, which has loaded their modules: importing takes a second of processor time, and a
process that died is missed while it lasts.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

from alert_bridge.errors import PipelineAlertsError, UsageError
from alert_bridge.service.settings import ServiceSettings

__all__ = ["ALERTS", "EXPORTERS", "TELEMETRY", "USAGE_EXIT_CODE", "preload", "run_role"]

ALERTS, TELEMETRY = "alerts", "telemetry"
EXPORTERS = "exporters"  # where there is something to export to; no trouble of its own ends the rest
USAGE_EXIT_CODE = 2
FAILED_EXIT_CODE = 1
# Their records could carry addresses with secrets, and a channel's own trouble must never come back as an alert.
NOISY = ("httpx", "httpcore", "slack_sdk", "urllib3", "uvicorn.access")


def preload() -> None:
    """Load what the processes need, and keep it in memory that they share."""
    for role in (ALERTS, TELEMETRY):
        importlib.import_module(f"alert_bridge.service.{role}")
    gc.freeze()  # a collection in a child would touch, and so copy, every page of it
    gc.enable()


def run_role(role: str, settings: ServiceSettings, listening: socket.socket, parent: int) -> int:
    """Run one role until it is told to end; the exit code.

    Args:
        role: which one.
        settings: what `serve` was told.
        listening: the service's address; only `alerts` keeps it.
        parent: a descriptor that ends with the parent: nobody would supervise us then.
    """
    _take_name(role)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format=f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    try:
        _run(role, settings, listening)
    except UsageError as error:
        print(f"pipeline-alerts: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return USAGE_EXIT_CODE
    except PipelineAlertsError:
        logging.getLogger(__name__).exception("The %s process cannot go on", role)
        return FAILED_EXIT_CODE
    return 0


def _run(role: str, settings: ServiceSettings, listening: socket.socket) -> None:
    if role == ALERTS:
        from alert_bridge.service import alerts

        alerts.run(settings, listening, os.environ)
        return
    settings = replace(settings, port=listening.getsockname()[1])
    listening.close()  # here; it stays open in the alerts process
    if role == EXPORTERS:
        from alert_bridge.service import exporters

        exporters.run(settings, os.environ)
    else:
        from alert_bridge.service import telemetry

        telemetry.run(settings, settings.telemetry_socket)


def _take_name(role: str) -> None:
    """As `ps -e`, `top` and `pgrep` show it."""
    with contextlib.suppress(OSError):  # only Linux has it, and a name is no reason to fail
        Path("/proc/self/comm").write_text(f"pa-{role}", encoding="ascii")


def _end_with_parent(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
