"""The whole service with Prefect and W&B unreachable: it ends in time, and what waits is counted."""

from __future__ import annotations

import time

from alert_bridge.store.exports import export_states
from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.exporters import POLICY
from tests.servers.otlp_client import gauge, logs_request, metrics_request, post, record
from tests.servers.wandb import WandbServer

PREFECT_TOO = POLICY + "  - {channel: prefect, audiences: [mdd]}\n"
PROMISED_END_S = 3.0
NOTED_WITHIN_S = 180.0  # W&B itself waits for half a minute
RUN = {"service.name": "p", "cicd.pipeline.name": "p", "cicd.pipeline.run.id": "run-1"}


def test_serve_ends_within_three_seconds_and_nothing_is_missing_from_the_books(tmp_path):
    with WandbServer() as server:
        server.hang(60.0)
        environ = {**server.online, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
        with BridgeProcess(tmp_path, policy=PREFECT_TOO, environ=environ) as bridge:
            bridge.wait_until_ready()
            post(f"{bridge.url}/v1/metrics", metrics_request(*(gauge(f"m{n}", n) for n in range(40)), resource=RUN))
            post(f"{bridge.url}/v1/logs", logs_request(*(record(f"line {n}", 9) for n in range(70)), resource=RUN))
            wait_for(lambda: len([s for s in export_states(bridge.state) if s.last_failed_at]) == 2, NOTED_WITHIN_S)
            began = time.monotonic()
            code = bridge.stop()
            took = time.monotonic() - began

        books = {
            (s.name, b.signal): (b.waiting, b.sent, b.dropped, b.balance)
            for s in export_states(bridge.state)
            for b in s.books
        }

    assert code == 0
    assert took <= PROMISED_END_S
    assert books["prefect", "logs"] == (70, 0, 0, 0)
    assert books["wandb", "logs"] == (70, 0, 0, 0)
    assert books["wandb", "points"] == (40, 0, 0, 0)
    assert "is killed" not in bridge.log.read_text()
