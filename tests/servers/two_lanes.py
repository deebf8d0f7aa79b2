"""The engine with a real telemetry store beside it: what is sent goes both ways, as from a Collector."""

from __future__ import annotations

from pathlib import Path

from alert_bridge.model import Severity
from alert_bridge.policy.globs import Glob
from alert_bridge.policy.model import Expectation
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.engine import Engine, a_record

UPLOADED = Expectation(
    Glob("monthly_*"),
    Glob("Forecasts uploaded*"),
    1,
    "run_end",
    Severity.ERROR,
    ("infrastructure", "outreach"),
    line=21,
    owner="Ida",
)


class TwoLanes(Engine):
    """An engine whose alert lane and bulk lane a test feeds at once, or the alert lane alone."""

    def __init__(self, folder: Path, policy) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.bulk = TelemetryStore(folder)
        super().__init__(folder, policy, Telemetry(folder))
        self.longest_step = 1.0
        self.bulk_is_away = False

    def send(self, *records) -> None:
        self.post(*records)
        if not self.bulk_is_away:
            self.bulk.append_logs(records)

    def start(self, run: str, **more) -> None:
        self.send(self.event("pipeline.run.start", run, **more))

    def end(self, run: str, result: str = "success", **more) -> None:
        self.send(self.event("pipeline.run.end", run, attributes={"cicd.pipeline.result": result}, **more))

    def stage(self, run: str, name: str, seconds: float, result: str = "success", model: str = "", **more) -> None:
        told = {"cicd.pipeline.task.run.result": result, "pipeline.duration": seconds, "pipeline.model.name": model}
        self.send(self.event("pipeline.stage.end", run, stage=name, attributes=told, **more))

    def event(self, name: str, run: str, severity: Severity = Severity.INFO, **more):
        return a_record(name, severity, at=self.now, run=run, event=name, **more)

    def close(self) -> None:
        super().close()
        self.telemetry.close()
        self.bulk.close()


def told(engine, reason=None):
    return [one for one in engine.slack.told if reason is None or one.message.reason is reason]
