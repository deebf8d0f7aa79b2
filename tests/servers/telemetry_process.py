"""The telemetry process of the bridge by itself, as a real process on a socket of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

from alert_bridge.store.telemetry import Telemetry
from tests.servers.bridge import START_WITHIN_S, STOP_WITHIN_S, wait_for
from tests.servers.otlp_client import Answer, post

PROCESS = """
import json, logging, socket, sys
from pathlib import Path
from alert_bridge.service import telemetry
from alert_bridge.service.settings import ServiceSettings
logging.basicConfig(level=logging.WARNING)
told = json.loads(sys.argv[1])
listening = socket.create_server(("127.0.0.1", 0))
state = Path(told["state"])
(state / "port").write_text(str(listening.getsockname()[1]))
settings = ServiceSettings(
    policy=Path(told["policy"]), state=state, host="127.0.0.1", port=0, public_url="", tokens=tuple(told["tokens"])
)
telemetry.run(settings, settings.telemetry_socket, alerts_url=told["alerts"], listening=listening)
"""
POLICY = """
version: 1
audiences:
  mdd: {name: MDD, slack: "#alerts-mdd"}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd]}
rules:
  - {match: {body: "*falls back to*"}, set: {severity: ERROR}}
"""


@dataclass
class TelemetryProcess:
    """Not running on entry: `start` it, `end` it, as often as a test likes. On exit it is killed."""

    state: Path
    alerts: str = "http://127.0.0.1:9"
    tokens: tuple[str, ...] = ()
    before: str = ""  # code that it runs before everything else
    running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)
        self.reader.close()

    @property
    def socket(self) -> Path:
        return self.state / "telemetry.sock"

    @property
    def policy(self) -> Path:
        return self.state / "alerting.yaml"

    @property
    def address(self) -> str:
        """Where a Collector may come directly."""
        return f"http://127.0.0.1:{(self.state / 'port').read_text()}"

    @cached_property
    def reader(self) -> Telemetry:
        """What is in its telemetry.db."""
        return Telemetry(self.state)

    def start(self) -> Self:
        """Return when it answers."""
        if not self.policy.exists():
            self.policy.write_text(POLICY, encoding="utf-8")
        told = {"state": str(self.state), "policy": str(self.policy), "alerts": self.alerts, "tokens": self.tokens}
        self.running = subprocess.Popen([sys.executable, "-c", f"{self.before}\n{PROCESS}", json.dumps(told)])
        wait_for(self._is_up, START_WITHIN_S)
        return self

    def send(self, body: bytes, signal_name: str = "logs", **more: Any) -> Answer:
        """One request over its socket."""
        return post(f"http://telemetry/v1/{signal_name}", body, socket=self.socket, **more)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit code."""
        if self.running is None:
            return 0
        self.running.send_signal(number)
        code, self.running = self.running.wait(STOP_WITHIN_S), None
        return code

    def _is_up(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, "the process ended"
        try:
            return self.send(b"").status == 200
        except (OSError, HTTPException):
            return False
