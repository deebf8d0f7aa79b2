"""The whole way on real parts: a program, a real Collector, a real bridge, the scripted Slack and a real SMTP server.

    with WholeWay(tmp_path) as way:
        way.run('import logging; logging.error("boom")')
        wait_for(lambda: way.posts("boom"))

Every part has ports and folders of its own in one folder, and none of the caller's settings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.servers.bridge import POLICY, BridgeProcess
from tests.servers.collector import collector_for
from tests.servers.slack import SlackServer
from tests.servers.smtp import Mail, SmtpServer

__all__ = ["RUN", "WholeWay"]

RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "nightly", "--")
PROGRAM_WITHIN_S = 240.0
_THEIRS = ("PIPELINE_ALERTS_", "SLACK_", "SMTP_", "PREFECT_", "WANDB_", "OTEL", "BRIDGE_", "XDG_STATE_HOME")


class WholeWay:
    """Runs while entered. `bridge` and `collector` may be killed and started again in between."""

    def __init__(self, folder: Path, *, policy: str = POLICY) -> None:
        self.folder = folder
        self.slack, self.smtp = SlackServer(), SmtpServer()
        self._policy = policy
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.slack)
            stack.enter_context(self.smtp)
            channels = {"SLACK_BOT_TOKEN": self.slack.token, "SLACK_API_URL": self.slack.api_url, **self.smtp.environ}
            bridge = BridgeProcess(self.folder / "bridge", policy=self._policy, environ=channels)
            self.bridge = stack.enter_context(bridge)
            self.bridge.wait_until_ready()
            self.collector = stack.enter_context(collector_for(self.folder, self.bridge.url))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environ(self) -> dict[str, str]:
        """What a program on this machine sees: the Collector's address, a state folder, nothing of the caller's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_THEIRS)}
        return {
            **kept,
            "PIPELINE_ALERTS_ENDPOINT": self.collector.http_endpoint,
            "XDG_STATE_HOME": str(self.folder / "program-state"),
        }

    def start(self, source: str, *, under: Sequence[str] = RUN, **environ: str) -> subprocess.Popen[str]:
        """Start a Python program, given as its source, as the last part of a command line."""
        script = self.folder / "program.py"
        script.write_text(source, encoding="utf-8")
        return subprocess.Popen(
            [*under, sys.executable, str(script)],
            env={**self.environ, **environ}, cwd=self.folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, source: str, *, under: Sequence[str] = RUN, **environ: str) -> subprocess.CompletedProcess[str]:
        """The same, to its end."""
        with self.start(source, under=under, **environ) as process:
            out, err = process.communicate(timeout=PROGRAM_WITHIN_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def posts(self, text: str) -> list[dict[str, Any]]:
        """The Slack messages that show this now."""
        return [message for message in self.slack.messages if text in json.dumps(message, ensure_ascii=False)]

    def mails(self, text: str) -> list[Mail]:
        """The mails that are about this; others may quote it as what was logged before."""
        return [mail for mail in self.smtp.mails if text in mail.message["Subject"]]
