"""A pipeline as the stores see it: records, spans and incidents of a run, in the words of our instrumentation.

    with StoredPipeline(state) as stored:
        run = stored.run("run-1")
        run.start()
        with run.stage("fetch"):
            run.log("fetched")
        run.end("success")

Everything is in the stores when a call returns, as after the answer 200. Times are real unless `at` moves them.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from alert_bridge.model import Record, Severity, Span
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from instrumentation import attributes as names
from tests.servers.engine import Engine, a_policy

NS = 1_000_000_000


class StoredPipeline:
    """telemetry.db and control.db of one state directory, with their writers."""

    def __init__(self, state: Path, **policy: Any) -> None:
        self.state = state
        self.store = TelemetryStore(state)
        self.engine = Engine(state, a_policy(**policy))
        self.engine.now = time.time_ns()
        self.telemetry = Telemetry(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.telemetry.close()
        self.engine.close()
        self.store.close()

    def run(self, run_id: str, pipeline: str = "monthly_run", **extra: Any) -> StoredRun:
        """A run that has not begun."""
        return StoredRun(self, run_id, pipeline, extra)


class StoredRun:
    """One run; ``shift`` seconds are added to every time that it says."""

    def __init__(self, stored: StoredPipeline, run_id: str, pipeline: str, extra: dict[str, Any]) -> None:
        self.id, self.pipeline = run_id, pipeline
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.shift = 0.0
        self.began = 0
        self._stored = stored
        self._extra = extra
        self._stack: list[tuple[str, str, str]] = []  # (span id, name, model)
        self._numbers = itertools.count(1)
        self._token = secrets.token_hex(8)

    def now(self) -> int:
        """What this run's clock says."""
        return time.time_ns() + int(self.shift * NS)

    def start(self) -> None:
        self.began = self.now()
        self.log(f"{self.pipeline} started", event=names.EVENT_RUN_START, span=self.span_id)

    def end(self, result: str = "success", exit_code: int = 0, **attributes: Any) -> None:
        said = {names.RUN_RESULT: result, names.EXIT_CODE: exit_code, **attributes}
        self.log(f"{self.pipeline} ended: {result}", event=names.EVENT_RUN_END, span=self.span_id, **said)
        self._span(self.span_id, "", f"RUN {self.pipeline}", self.began, self.now(), result, {})

    @contextlib.contextmanager
    def stage(self, name: str, *, model: str = "", result: str = "success", upstream: tuple[str, ...] = ()) -> Iterator:
        """A stage around the block; told at its start, at its end, and as a span."""
        span_id, began = self.open_stage(name, model=model, upstream=upstream)
        try:
            yield span_id
        finally:
            self.close_stage(span_id, name, began, model=model, result=result)

    def open_stage(self, name: str, *, model: str = "", upstream: tuple[str, ...] = ()) -> tuple[str, int]:
        span_id = secrets.token_hex(8)
        said: dict[str, Any] = {names.PARENT_SPAN: self._stack[-1][0] if self._stack else self.span_id}
        if upstream:
            said[names.UPSTREAM] = list(upstream)
        self._stack.append((span_id, name, model))
        told = self.log(f"{name} started", event=names.EVENT_STAGE_START, **said)
        return span_id, told.time

    def close_stage(self, span_id: str, name: str, began: int, *, model: str = "", result: str = "success") -> None:
        told = self.log(f"{name} ended: {result}", event=names.EVENT_STAGE_END, **{names.STAGE_RESULT: result})
        self._stack.remove((span_id, name, model))
        parent = self._stack[-1][0] if self._stack else self.span_id
        self._span(span_id, parent, name, began, told.time, result, {names.STAGE: name, names.MODEL_NAME: model})

    def log(
        self, body: str, severity: Severity = Severity.INFO, *, event: str = "", span: str = "", **attributes: Any
    ) -> Record:
        """One record, in telemetry.db; from ERROR on also in control.db, as the alert lane brings it."""
        record = self.record(body, severity, event=event, span=span, **attributes)
        self.store(record)
        return record

    def record(
        self, body: str, severity: Severity = Severity.INFO, *, event: str = "", span: str = "", **attributes: Any
    ) -> Record:
        """One record that is stored nowhere yet."""
        place = self._stack[-1] if self._stack and not span else (span or self.span_id, "", "")
        uid = f"{self._token}-{next(self._numbers)}"
        said = {names.RECORD_UID: uid, names.STAGE: place[1], names.MODEL_NAME: place[2], **attributes}
        now = self.now()
        return Record(
            uid=uid,
            time=now,
            observed=now,
            severity=severity,
            severity_number=int(severity),
            severity_text=severity.name,
            body=body,
            event_name=event,
            attributes={name: value for name, value in said.items() if value not in ("", None)},
            resource={
                "service.name": self.pipeline,
                names.PIPELINE_NAME: self.pipeline,
                names.RUN_ID: self.id,
                names.DEPLOYMENT_ENVIRONMENT: "test",
                **self._extra,
            },
            scope="tests",
            trace_id=self.trace_id,
            span_id=place[0],
        )

    def store(self, *records: Record) -> None:
        """Put records where both lanes bring them."""
        self._stored.store.append_logs(records)
        alarming = [
            record
            for record in records
            if record.severity >= Severity.ERROR or record.event_name.startswith(names.EVENT_PREFIX)
        ]
        if alarming:
            self._stored.engine.now = time.time_ns()
            self._stored.engine.post(*alarming)

    def _span(
        self, span_id: str, parent: str, name: str, began: int, ended: int, result: str, said: dict[str, Any]
    ) -> None:
        failed = result not in ("success", "skip")
        self._stored.store.append_spans(
            [
                Span(
                    trace_id=self.trace_id,
                    span_id=span_id,
                    parent_id=parent,
                    name=name,
                    kind=1,
                    start=began,
                    end=ended,
                    status=2 if failed else 0,
                    attributes={key: value for key, value in said.items() if value},
                    resource={"service.name": self.pipeline, names.PIPELINE_NAME: self.pipeline, names.RUN_ID: self.id},
                )
            ]
        )
