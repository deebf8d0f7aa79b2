"""The exporters process as the service starts it, on a state directory that a test fills itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

_CODE = """
import json, os, sys
from pathlib import Path
from alert_bridge.service.exporters import run
from alert_bridge.service.settings import ServiceSettings
state, policy = map(Path, sys.argv[1:])
url = "https://alerts.example.org"
run(ServiceSettings(policy=policy, state=state, host="127.0.0.1", port=1, public_url=url), os.environ)
os._exit(0)  # as the service's fork ends: no interpreter is taken apart, which takes a busy machine seconds
"""
POLICY = """\
version: 1
audiences: {mdd: {name: MD&D, slack: "#mdd"}}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
  - {channel: wandb, audiences: [mdd]}
"""
TELLS_ALERTS = POLICY + "  - {channel: wandb_alert, min_severity: ERROR, audiences: [mdd]}\n"
_NOT_PASSED_ON = ("WANDB_", "PREFECT_", "OTEL_", "PIPELINE_ALERTS_")
END_WITHIN_S = 60.0
POLL_S = 0.05


class ExportersProcess:
    """Runs between entry and exit; `kill` and `stop` end it before."""

    def __init__(self, state: Path, environ: Mapping[str, str], *, policy: str = POLICY) -> None:
        self._folder = state.parent
        self._state = state
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        self.environ = {**kept, **environ}
        self.log = self._folder / "exporters.log"
        self.policy = self._folder / "alerting.yaml"
        self.policy.write_text(policy, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(self._state), str(self.policy)], env=self.environ, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(END_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL, as the machine's end would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_WITHIN_S)

    def until(self, holds: Callable[[], object], *, within_s: float = 180.0) -> None:
        """Wait for something, as long as the process lives."""
        assert self._process is not None
        deadline = time.monotonic() + within_s
        while not holds():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(POLL_S)
