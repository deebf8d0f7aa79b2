"""Programs under `pipeline-alerts run`, as a shell, a terminal or a scheduler starts them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_for_record, wait_until_shipped

__all__ = ["PYTHON", "ROOT", "RUN", "TIMEOUT_S", "attribute", "on_a_terminal", "run", "run_until_told", "told"]

ROOT = Path(__file__).resolve().parents[2]
RUN = (sys.executable, "-m", "alert_bridge.cli", "run")
PYTHON = sys.executable
TIMEOUT_S = 120


def run(
    environ: Mapping[str, str], *command: str, options: Sequence[str] = (), cwd: Path = ROOT, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command as the pipeline `p` and returns when all of it was shipped."""
    done = subprocess.run(
        [*RUN, "--pipeline", "p", *options, "--", *command],
        env=environ, cwd=cwd, input=stdin, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    wait_until_shipped(environ)
    return done


def run_until_told(
    environ: Mapping[str, str], receiver: Receiver, is_told: Callable[[LogRecord], bool], *command: str
) -> None:
    """Runs a program that goes on until the file `told` is there, which is when the record has come."""
    told = Path(environ["XDG_STATE_HOME"]) / "told"
    told.parent.mkdir(exist_ok=True)
    with subprocess.Popen([*RUN, *command], env=environ, cwd=told.parent, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_record(receiver, is_told)
        finally:
            told.touch()
    assert process.returncode == 0
    wait_until_shipped(environ)


def on_a_terminal(
    environ: Mapping[str, str], command: Sequence[str], *, keys: bytes = b"", hangs_up: bool = False
) -> tuple[int, bytes]:
    """Runs a command on a pseudo terminal, as the leader of its session.

    Args:
        environ: its environment.
        command: the program and its arguments.
        keys: pressed when the terminal shows the line `ready`.
        hangs_up: whether the terminal is closed then.

    Returns:
        Its wait status, and what the terminal showed.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], list(command), dict(environ))
    shown = b""
    ends_at = time.monotonic() + TIMEOUT_S
    is_ready = False
    while time.monotonic() < ends_at:
        if not select.select([terminal], (), (), 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not is_ready and b"ready\r\n" in shown:  # the whole line: the rest of it could not be printed any more
            is_ready = True
            if hangs_up:
                break
            os.write(terminal, keys)
    if hangs_up:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    if not hangs_up:
        os.close(terminal)
    wait_until_shipped(environ)
    return status, shown


def told(receiver: Receiver, event: str) -> list[LogRecord]:
    """The records of an event."""
    return [record for record in receiver.records() if record.event_name == event]


def attribute(record: LogRecord, name: str) -> object:
    """The value of an attribute, or None."""
    for pair in record.attributes:
        if pair.key == name:
            return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
    return None
