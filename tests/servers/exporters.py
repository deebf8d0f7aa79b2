"""The exporters process as the service starts it, on a state directory that a test fills itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

_CODE = """
import os, sys
from multiprocessing import get_context
from pathlib import Path
from alert_bridge.service.exporters import run
from alert_bridge.service.settings import ServiceSettings
state, policy = map(Path, sys.argv[1:])
url = "https://alerts.example.org"
settings = ServiceSettings(policy=policy, state=state, host="127.0.0.1", port=1, public_url=url)
process = get_context("fork").Process(target=run, args=(settings, os.environ))
process.start()
print(process.pid, flush=True)
process.join()
os._exit(abs(process.exitcode))
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
        self._pid = 0  # of its fork, which is what the service forks: it ends without taking an interpreter apart

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, str(self._state), str(self.policy)],
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self._pid = int(said.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as the machine's end would."""
        self._end(signal.SIGKILL)

    def until(self, holds: Callable[[], object], *, within_s: float = 180.0) -> None:
        """Wait for something, as long as the process lives."""
        assert self._process is not None
        deadline = time.monotonic() + within_s
        while not holds():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(POLL_S)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)
        return self._process.wait(END_WITHIN_S)
