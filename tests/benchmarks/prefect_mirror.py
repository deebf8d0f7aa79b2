"""How fast the mirror is against a real local Prefect server. `python -m tests.benchmarks.prefect_mirror`

The peer is the server itself: the same bodies posted by hand, as fast as it takes them. Promised (issue 6): at least
1,000 log lines and 25 stage changes a second live, and 200 stages of an outage within 10 s.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alert_bridge.exporters import Follower
from alert_bridge.exporters.prefect import prefect_settings
from alert_bridge.exporters.prefect.exporter import PrefectExporter
from alert_bridge.exporters.prefect.payloads import log_body
from alert_bridge.exporters.prefect.runs import Run
from alert_bridge.model import Severity
from alert_bridge.store.exports import export_states
from tests.servers.pipeline import StoredPipeline
from tests.servers.prefect import PrefectServer

LINES = 10_000
LINES_AT_ONCE = 500
CHANGES_PER_S = 50
CHANGES = 300
OUTAGE_STAGES = 200
WITHIN_S = 120.0


def follow(stored: StoredPipeline, prefect: PrefectServer) -> Follower:
    settings = prefect_settings(prefect.environ)
    assert settings is not None
    exporter = PrefectExporter(
        settings,
        public_url="http://bridge.test",
        least=lambda: Severity.TRACE,
        log_of_run=stored.telemetry.run_records,
    )
    return Follower(exporter, stored.state, clock=time.time_ns)


def until(condition: Callable[[], bool]) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < WITHIN_S
        time.sleep(0.02)
    return time.monotonic() - began


def tasks(prefect: PrefectServer, run_id: str, state: str = "COMPLETED") -> int:
    body = {"flow_runs": {"name": {"any_": [run_id]}}, "task_runs": {"state": {"type": {"any_": [state]}}}}
    return int(prefect.client.post("task_runs/count", json=body).json())


def sent(stored: StoredPipeline) -> int:
    """Lines that the exporter's books say Prefect has confirmed; asking Prefect itself would slow it down."""
    return sum(book.sent for state in export_states(stored.state) for book in state.books if book.signal == "logs")


def logs(stored: StoredPipeline, prefect: PrefectServer) -> None:
    run = stored.run("logs")
    run.start()
    records = [run.record(f"epoch {number}: loss is {number / LINES:.4f}") for number in range(LINES)]
    stored.store.append_logs(records)
    follower = follow(stored, prefect)
    began, cpu_before = time.monotonic(), time.process_time()
    while sent(stored) < LINES + 1:  # and the run's start
        follower.step()
    mirrored, cpu = time.monotonic() - began, time.process_time() - cpu_before
    follower.stop()

    last = {"logs": {"flow_run_id": {"any_": [prefect.flow_runs("logs")[0]["id"]]}}, "limit": 1, "offset": LINES}
    assert len(prefect.client.post("logs/filter", json=last).json()) == 1

    peer = Run("peer", flow_run=prefect.flow_runs("logs")[0]["id"])
    began = time.monotonic()
    for start in range(0, LINES, LINES_AT_ONCE):
        bodies = [log_body(peer, record) for record in records[start : start + LINES_AT_ONCE]]
        assert prefect.client.post("logs/", json=bodies).status_code == 201
    by_hand = time.monotonic() - began
    share = by_hand / mirrored
    print(f"log lines: {LINES / mirrored:,.0f}/s mirrored, {LINES / by_hand:,.0f}/s by hand, {share:.2f} of it")
    print(f"  of the time, {cpu / mirrored:.0%} is the mirror's own work; the rest is the server's")


def stages(stored: StoredPipeline, prefect: PrefectServer) -> None:
    follower = follow(stored, prefect)
    follower.start()
    run = stored.run("stages")
    run.start()
    began = time.monotonic()
    for number in range(CHANGES // 2):
        with run.stage(f"stage {number}"):
            time.sleep(1 / CHANGES_PER_S)
        time.sleep(max(began + 2 * (number + 1) / CHANGES_PER_S - time.monotonic(), 0.0))
    emitted = time.monotonic() - began
    lag = until(lambda: tasks(prefect, "stages") == CHANGES // 2)
    follower.stop()
    follower.join(5)
    print(f"stage changes: {CHANGES / emitted:.0f}/s came in live, all were visible {lag:.2f} s after the last")


def outage(stored: StoredPipeline, prefect: PrefectServer) -> None:
    run = stored.run("outage")
    run.shift = -3600.0
    run.start()
    for number in range(OUTAGE_STAGES):
        with run.stage(f"stage {number}"):
            run.log("done")
    run.end()
    follower = follow(stored, prefect)
    follower.start()
    took = until(lambda: tasks(prefect, "outage") == OUTAGE_STAGES)
    follower.stop()
    follower.join(5)
    seen = prefect.client.post(
        "task_runs/filter", json={"flow_runs": {"name": {"any_": ["outage"]}}, "limit": 1}
    ).json()
    print(f"backfill: {OUTAGE_STAGES} stages of an hour ago in {took:.1f} s; one of them began {seen[0]['start_time']}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, PrefectServer(Path(folder)) as prefect:
        for number, measure in enumerate((logs, stages, outage)):
            with StoredPipeline(Path(folder) / f"state{number}") as stored:
                measure(stored, prefect)


if __name__ == "__main__":
    main()
