"""`python -m alert_bridge.service ROLE …`: one process of the service. Started by the parent, not by people."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

from alert_bridge.errors import PipelineAlertsError, UsageError
from alert_bridge.service.parent import USAGE_EXIT_CODE
from alert_bridge.service.settings import ServiceSettings, service_settings

FAILED_EXIT_CODE = 1


def main(role: str, listening: int, parent: int, told: str) -> int:
    """Run one role until it is told to end."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {role} %(levelname)s %(name)s: %(message)s"
    )
    # Their records could carry addresses with secrets, and a channel's own trouble must never come back as an alert.
    for noisy in ("httpx", "httpcore", "slack_sdk", "urllib3", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    settings = _settings(told)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the policy is read, there is nothing to read again
    try:
        if role == "alerts":
            from alert_bridge.service import alerts

            alerts.run(settings, socket.socket(fileno=listening), os.environ)
            return 0
        with socket.socket(fileno=listening) as address:  # closed here, open in the alerts process
            settings = replace(settings, port=address.getsockname()[1])
        if role == "exporters":
            from alert_bridge.service import exporters

            exporters.run(settings, os.environ)
        else:
            from alert_bridge.service import telemetry

            telemetry.run(settings, settings.telemetry_socket)
    except UsageError as error:
        print(f"pipeline-alerts: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return USAGE_EXIT_CODE
    except PipelineAlertsError:
        logging.getLogger(__name__).exception("The %s process cannot go on", role)
        return FAILED_EXIT_CODE
    return 0


def _settings(told: str) -> ServiceSettings:
    raw = json.loads(told)
    raw["policy"] = Path(raw["policy"]) if raw["policy"] else None
    raw["state"] = Path(raw["state"])
    from_environment = service_settings(os.environ, listen="127.0.0.1:0")
    return replace(ServiceSettings(**raw), tokens=from_environment.tokens)


def _end_with_parent(pipe: int) -> None:
    """The parent's end of the pipe closes when it is gone; nobody would supervise us then."""
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
