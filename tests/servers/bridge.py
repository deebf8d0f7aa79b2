"""The real bridge as a user starts it: `pipeline-alerts serve` as a process, on a port of its own."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from alert_bridge.store.control import SqliteControlReader, open_reader
from alert_bridge.store.interface import Previewed
from collector.process import free_port
from tests.servers.otlp_client import Answer, logs_request, post

POLICY = """\
version: 1
audiences:
  mdd: {name: MD&D, slack: "#mdd", email: [mdd@site.test]}
  infrastructure: {name: Infrastructure, slack: "#infra", email: [infra@site.test]}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
  - {channel: email, min_severity: ERROR, audiences: [mdd]}
grouping: {hold: 0s, repeat_after: 24h, resolve_after: next_success}
"""
START_WITHIN_S = 120.0
STOP_WITHIN_S = 60.0
WAIT_WITHIN_S = 60.0  # a test that claims a time gives its own
POLL_S = 0.005
LONGEST_POLL_S = 0.25
PROCESS_PREFIX = "pa-"  # of the names of the service's processes


class BridgeProcess:
    """Starts on entry and ends on exit; `kill` and `start` in between play what happens to real ones."""

    def __init__(self, folder: Path, *, policy: str = POLICY, environ: Mapping[str, str] | None = None, port: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.policy = folder / "alerting.yaml"
        self.policy.write_text(policy, encoding="utf-8")
        self.log = folder / "serve.log"
        self.port = port or free_port()  # not one that the system may give away while the bridge is down
        self.url = ""
        self.line = ""
        self.process: subprocess.Popen[str] | None = None
        clean = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        self.environ = {**clean, **(environ or {})}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def command(self, *more: str) -> list[str]:
        """The command line that `start` runs."""
        listen = f"127.0.0.1:{self.port}"
        arguments = ["serve", "--policy", str(self.policy), "--state", str(self.state), "--listen", listen]
        return [sys.executable, "-m", "alert_bridge.cli", *arguments, *more]

    def start(self) -> None:
        """Return when it said that it listens."""
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=subprocess.PIPE, stderr=log, text=True, env=self.environ
            )
        self.line = self._first_line()
        self.url = self.line.split()[1]
        self.port = int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(STOP_WITHIN_S)
        self._forget()
        return code

    def kill(self) -> None:
        """SIGKILL to the whole service at once, as a machine that stops does."""
        assert self.process is not None
        children = self._forked()
        self.process.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_WITHIN_S)
        self._forget()

    def children(self) -> dict[str, int]:
        """The pids of the service's processes, by role; without one that has not taken its name yet."""
        found = {}
        for pid in self._forked():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
                if name.startswith(PROCESS_PREFIX):
                    found[name.removeprefix(PROCESS_PREFIX)] = pid
        return found

    def wait_until_ready(self, within_s: float = START_WITHIN_S) -> None:
        """Return when `/readyz` says so."""
        wait_for(self._is_ready, within_s, lambda: self.log.read_text(encoding="utf-8")[-3_000:])

    def reader(self) -> SqliteControlReader:
        """Its control.db."""
        return open_reader(self.state)

    def _forked(self) -> list[int]:
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in listed.split()]

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _first_line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            ready = selector.select(START_WITHIN_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"serve did not come up:\n{self.log.read_text(encoding='utf-8')[-3_000:]}")
        return line.strip()

    def _forget(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


def wait_for(condition, within_s: float = WAIT_WITHIN_S, why=lambda: "") -> None:
    """Poll until it holds; fail with the reason after the deadline.

    What is waited for needs the machine more than we do: no look begins sooner than the one before it took.
    """
    deadline = time.monotonic() + within_s
    while True:
        began = time.monotonic()
        if condition():
            return
        ended = time.monotonic()
        assert ended < deadline, f"not within {within_s} s {why()}"
        time.sleep(min(max(ended - began, POLL_S), LONGEST_POLL_S))


def alert(bridge: BridgeProcess, *records: LogRecord, **how: Any) -> Answer:
    """Brings records by the alert lane. ``how``: as for `otlp_client.post`."""
    return post(f"{bridge.url}/alerts/v1/logs", logs_request(*records), **how)


def said(bridge: BridgeProcess, text: str) -> list[Previewed]:
    """Slack's previews that say this."""
    with closing(bridge.reader()) as reader:
        return [one for one in reader.previewed(limit=1_000) if one.channel == "slack" and text in one.payload]


_OURS = ("PIPELINE_ALERTS_", "SLACK_", "SMTP_", "PREFECT_", "WANDB_", "OTEL_")
