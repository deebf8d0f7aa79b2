"""What Prefect's API is sent, as JSON values. Pure; every id follows from ours, so that the same thing is the same."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from alert_bridge.exporters.prefect.edges import parent_of, upstream_of
from alert_bridge.exporters.prefect.runs import Run, Stage
from alert_bridge.exporters.prefect.states import State, stage_state
from alert_bridge.model import Record, Severity
from instrumentation import attributes as names

__all__ = [
    "TAG",
    "Log",
    "event_id",
    "flow_run_body",
    "iso",
    "log_body",
    "log_key",
    "related",
    "stage_of",
    "task_run_body",
    "task_run_event",
    "task_run_id",
]

TAG = "otel-mirror"  # on every run and event of ours, so that people's automations can leave mirrors out
LOG_CHARS = 24_000  # Prefect Cloud takes 25 kB a line; a server of one's own 1 MB
NAME_CHARS = 200
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://opentelemetry.io/pipeline-alerts/prefect-mirror")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEVELS = {
    Severity.TRACE: 5,
    Severity.DEBUG: 10,
    Severity.INFO: 20,
    Severity.WARNING: 30,
    Severity.ERROR: 40,
    Severity.CRITICAL: 50,
}

Log = Mapping[str, object]


def iso(time: int) -> str:
    """ISO 8601 in UTC, to the microsecond, which is as far as Prefect goes."""
    return (_EPOCH + timedelta(microseconds=time // 1_000)).isoformat(timespec="microseconds")


def task_run_id(run: Run, stage: Stage) -> str:
    """The task run of a stage: the same in every life of the mirror."""
    return str(uuid.uuid5(_SPACE, f"{run.flow_run}/{stage.key}"))


def event_id(*parts: str) -> str:
    """The id of an event about something of ours: Prefect keeps one of each."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


def flow_run_body(run: Run, flow_id: str, state: State) -> dict[str, object]:
    """A flow run, found again by its idempotency key."""
    labels = {"pipeline.run.id": run.key, "otel.trace_id": run.trace_id, "deployment.environment": run.environment}
    return {
        "flow_id": flow_id,
        "name": run.key[:NAME_CHARS],
        "idempotency_key": f"otel:{run.key}",
        "tags": [TAG],
        "labels": {name: value for name, value in labels.items() if value},
        "state": state.body(),
    }


def task_run_body(run: Run, stage: Stage) -> dict[str, object]:
    """A stage that has begun."""
    return {
        "id": task_run_id(run, stage),
        "flow_run_id": run.flow_run,
        "task_key": stage.name,
        "dynamic_key": stage.key,
        "name": stage.title[:NAME_CHARS],
        "tags": [TAG],
        "task_inputs": _inputs(run, stage),
        "state": State("RUNNING", "Running", stage_state(stage).message if not stage.ended else "").body(),
    }


def task_run_event(run: Run, stage: Stage, *, with_end: bool) -> dict[str, object]:
    """A stage's beginning or end with its true time, as Prefect's own clients tell it: it makes a task run of it."""
    # The recorder takes some fifty a second: what is over already is told by its end alone, which says when it began.
    if with_end:
        return _state_event(run, stage, stage_state(stage), stage.ended, ended=stage.ended)
    return _state_event(run, stage, State("RUNNING", "Running", ""), stage.started, ended=0)


def related(flow_run: str, task_run: str = "", *, mirrored: bool) -> Sequence[Mapping[str, str]]:
    """What an event is about, so that it stands in their feeds."""
    found = [{"prefect.resource.id": f"prefect.flow-run.{flow_run}", "prefect.resource.role": "flow-run"}]
    if task_run:
        found.append({"prefect.resource.id": f"prefect.task-run.{task_run}", "prefect.resource.role": "task-run"})
    if mirrored:
        found.append({"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"})
    return found


def stage_of(run: Run, record: Record) -> Stage | None:
    """The stage that a record was made in: by its span, else the latest of its name that was under way."""
    found = run.stages.get(record.span_id)
    if found is not None or not record.stage:
        return found
    named = [
        stage
        for stage in run.stages.values()
        if stage.name == record.stage and stage.started <= record.time and not 0 < stage.ended < record.time
    ]
    model = record.text(names.MODEL_NAME)
    return max((s for s in named if s.model == model), key=lambda s: s.started, default=None) or max(
        named, key=lambda s: s.started, default=None
    )


def log_body(run: Run, record: Record) -> dict[str, object]:
    """One line of the run's log, with the stack trace below its message."""
    stage = stage_of(run, record)
    text = record.body or record.event_name
    trace = record.text(names.EXCEPTION_STACKTRACE)
    if trace and trace not in text:
        text = f"{text}\n{trace}"
    text = text.replace("\x00", "").encode(errors="replace").decode()
    if len(text) > LOG_CHARS:
        text = f"{text[:LOG_CHARS]}\n… {len(text) - LOG_CHARS:,} characters more in the full log"
    return {
        "name": (record.scope or run.pipeline)[:NAME_CHARS],
        "level": _LEVELS[record.severity],
        "message": text,
        "timestamp": iso(record.time),
        "flow_run_id": run.flow_run,
        "task_run_id": task_run_id(run, stage) if stage else None,
    }


def log_key(body: Log) -> tuple[object, ...]:
    """What tells one line from another, in what we send and in what Prefect gives back."""
    at = datetime.fromisoformat(str(body["timestamp"]))
    return at, body["level"], body["name"], body["message"], body["task_run_id"]


def _inputs(run: Run, stage: Stage) -> dict[str, object]:
    """The edges: `__parents__` is Prefect's own word for what a task run is drawn within."""
    edges = {"upstream": upstream_of(run, stage), "__parents__": [parent_of(run, stage)]}
    return {
        kind: [{"input_type": "task_run", "id": task_run_id(run, run.stages[key])} for key in keys if key]
        for kind, keys in edges.items()
        if any(keys)
    }


def _state_event(run: Run, stage: Stage, state: State, at: int, *, ended: int) -> dict[str, object]:
    task_run = task_run_id(run, stage)
    told: dict[str, object] = {
        "name": stage.title[:NAME_CHARS],
        "task_key": stage.name,
        "dynamic_key": stage.key,
        "task_inputs": _inputs(run, stage),
        "tags": [TAG],
        "run_count": 1,
        "expected_start_time": iso(stage.started),
        "start_time": iso(stage.started),
    }
    if ended:
        told |= {"end_time": iso(ended), "total_run_time": max(ended - stage.started, 0) / 1e9}
    return {
        "id": event_id(task_run, state.name, str(at)),
        "event": f"prefect.task-run.{state.name}",
        "occurred": iso(at),
        "resource": {
            "prefect.resource.id": f"prefect.task-run.{task_run}",
            "prefect.resource.name": stage.title[:NAME_CHARS],
            "prefect.run-count": "1",
            "prefect.state-message": state.message,
            "prefect.state-name": state.name,
            "prefect.state-timestamp": iso(at),
            "prefect.state-type": state.type,
            "prefect.orchestration": "client",
        },
        "related": related(run.flow_run, mirrored=True),
        "payload": {
            "intended": {"from": "RUNNING" if ended else "PENDING", "to": state.type},
            "initial_state": {"type": "RUNNING", "name": "Running", "message": ""} if ended else None,
            "validated_state": {**state.body(), "state_details": {}},
            "task_run": told,
        },
    }
