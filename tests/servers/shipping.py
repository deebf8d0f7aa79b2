"""Programs that ship to a receiver: what they see, and when all of what they left is there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver

__all__ = ["environ_towards", "wait_for_record", "wait_until_empty", "wait_until_shipped"]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
LOOK_EVERY_S = 0.02


def environ_towards(receiver: Receiver, state: Path, *, linger_s: int = 60, **more: str) -> dict[str, str]:
    """The caller's environment without settings of ours or OpenTelemetry's, and with this receiver.

    Args:
        receiver: where records go.
        state: the folder for what waits to be shipped.
        linger_s: how long what is left may go on being shipped after the program.
        more: what else is set; it wins.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_ALERTS_", "OTEL_"))}
    clean.pop("TRACEPARENT", None)
    ours = {"PIPELINE_ALERTS_ENDPOINT": receiver.url, "PIPELINE_ALERTS_LINGER_SECONDS": str(linger_s)}
    return {**clean, **ours, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(ROOT), **more}


def wait_for_record(receiver: Receiver, is_it: Callable[[LogRecord], bool]) -> None:
    """Returns when such a record has come."""
    ends_at = time.monotonic() + DEADLINE_S
    while not any(map(is_it, receiver.records())):
        bodies = [record.body.string_value for record in receiver.records()]
        assert time.monotonic() < ends_at, f"it did not come, but {bodies[-20:]}"
        time.sleep(LOOK_EVERY_S)


def wait_until_shipped(environ: Mapping[str, str]) -> None:
    """Returns when no run in the state of this environment owes anything; a run's folder is removed then."""
    wait_until_empty(Path(environ["XDG_STATE_HOME"]) / "pipeline-alerts" / "journals")


def wait_until_empty(journals: Path) -> None:
    """Returns when no run with a folder in this one owes anything."""
    ends_at = time.monotonic() + DEADLINE_S
    while journals.is_dir() and any(journals.iterdir()):
        assert time.monotonic() < ends_at, f"not shipped: {sorted(path.name for path in journals.iterdir())}"
        time.sleep(LOOK_EVERY_S)
