"""A run and its stages: what the telemetry says of them, and what Prefect was told. No I/O.

What the telemetry says is folded in, in any order and any number of times, to the same picture. What Prefect was told
(``told_…``) is noted when Prefect has confirmed it, and both are remembered over restarts as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from alert_bridge.model import Incident, Record, Span
from instrumentation import attributes as names

__all__ = [
    "Run",
    "Stage",
    "close_left_open",
    "fold_record",
    "fold_span",
    "native_flow_run",
    "stage_from_json",
    "stage_to_json",
]

SPAN_ERROR = 2
FAR_FUTURE = 2**63 - 1
MOST_STAGES = 5_000  # of one run; what comes then is in its log alone

# Where Prefect's own loggers, its spans and its workers leave the id of a flow run.
_FLOW_RUN_IDS = ("flow_run_id", "prefect.flow-run.id", f"{names.SCHEDULER_PREFIX}prefect.flow_run_id")
_FORGOTTEN = frozenset({"stages", "touched", "is_ours", "was_over", "verify_at", "look_at", "held"})
RUN_FACTS = (
    names.EXIT_CODE,
    names.EXIT_SIGNAL,
    names.OOM_KILLED,
    names.PEAK_MEMORY,
    names.HOST_NAME,
    names.VCS_REVISION,
)


@dataclass(slots=True)
class Stage:
    """One stage of one run, under its span's id. Times in ns; 0: not known."""

    key: str
    name: str
    model: str = ""
    parent: str = ""  # span id of what it is within; maybe no stage
    upstream: list[str] = field(default_factory=list)  # names, as its author gave them
    started: int = 0
    ended: int = 0
    result: str = ""
    error: str = ""
    is_end_assumed: bool = False  # what it was within ended without it
    known_at: int = 0  # our clock, when we heard of its end
    told_start: bool = False
    told_end: str = ""  # the type of the final state that Prefect was told; empty: none
    resent: int = -1  # told by events that Prefect has not shown yet, and how often again since; -1: it has all

    @property
    def title(self) -> str:
        """The name; with the model where the name does not say it."""
        return f"{self.name} ({self.model})" if self.model and self.model != self.name else self.name


@dataclass(slots=True)
class Run:
    """One run of one pipeline. Times in ns; 0: not known."""

    key: str
    pipeline: str = ""
    environment: str = ""
    trace_id: str = ""
    first: int = FAR_FUTURE  # earliest and latest time of anything in it
    last: int = 0
    started: int = 0
    ended: int = 0
    result: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    has_events: bool = False  # it tells of its start and its end; else its root span does
    has_heartbeat: bool = False
    flow_runs: list[str] = field(default_factory=list)  # it is made of these Prefect flow runs, outermost first
    seen_at: int = 0  # our clock, when we last heard of it
    ended_at: int = 0  # our clock, when we heard of its end
    is_given_up: bool = False  # no sign of life for too long
    levels: dict[str, int] = field(default_factory=dict)  # records that were sent, by severity
    flow_run: str = ""  # its mirror
    is_gone: bool = False  # somebody deleted the mirror: it stays deleted
    told_state: str = ""  # type and message of the state that Prefect was told last
    told_progress: int = -1
    is_summed_up: bool = False
    artifacts: dict[str, str] = field(default_factory=dict)  # key → id
    incidents: dict[str, str] = field(default_factory=dict)  # id → how Prefect was told it stands
    troubles: dict[str, str] = field(default_factory=dict)  # id → what the state's message says of it
    unseen: dict[str, Any] = field(default_factory=dict)  # id → event that was sent, and not yet read back
    unseen_resent: int = 0  # how often what is unseen was sent again
    # Not remembered over restarts:
    stages: dict[str, Stage] = field(default_factory=dict)  # each has a memory of its own
    touched: set[str] = field(default_factory=set)  # stages that changed since they were last remembered
    is_ours: bool = False  # we made the mirror, and nothing failed since: Prefect has what we told it, and no more
    was_over: bool = False  # Prefect had its end before we knew of it: what comes now is old news until it is not
    verify_at: int = 0
    look_at: int = 0  # for what is unseen
    held: list[Incident] = field(default_factory=list)  # until it is known whether it is a Prefect flow

    @property
    def is_native(self) -> bool:
        """Whether it is made of Prefect flows: those are the picture, and it has no mirror."""
        return bool(self.flow_runs)

    @property
    def is_over(self) -> bool:
        return bool(self.ended)

    def to_json(self) -> str:
        """All but the stages, which are remembered one by one."""
        said = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _FORGOTTEN}
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Run:
        """What `to_json` wrote, by this release or an older one."""
        return cls(**_known(cls, json.loads(text)))


def stage_to_json(stage: Stage) -> str:
    return json.dumps(asdict(stage), separators=(",", ":"))


def stage_from_json(text: str) -> Stage:
    return Stage(**_known(Stage, json.loads(text)))


def _known(kind: type[Any], said: dict[str, Any]) -> dict[str, Any]:
    known = {each.name for each in fields(kind)}
    return {name: value for name, value in said.items() if name in known}


def native_flow_run(record: Record) -> str:
    """The Prefect flow run that the record was made in; empty if none."""
    return next((found for name in _FLOW_RUN_IDS if (found := record.text(name))), "")


def fold_record(run: Run, record: Record) -> Stage | None:
    """Take in one record; the stage that it tells of, if it is such an event."""
    _place(run, record.pipeline, record.environment, record.trace_id)
    run.first, run.last = min(run.first, record.time), max(run.last, record.time)
    flow_run = native_flow_run(record)
    if flow_run and flow_run not in run.flow_runs:
        run.flow_runs.append(flow_run)
    for name in RUN_FACTS if record.event_name in (names.EVENT_RUN_START, names.EVENT_RUN_END) else ():
        if value := record.text(name):
            run.facts[name] = value
    match record.event_name:
        case names.EVENT_RUN_START:
            run.has_events = True
            run.pipeline = record.pipeline
            run.started = min(run.started or FAR_FUTURE, record.time)
            if run.ended and record.time > run.ended:  # the same run, begun anew
                run.ended, run.result, run.ended_at, run.is_summed_up = 0, "", 0, False
        case names.EVENT_RUN_END:
            run.has_events = True
            if record.time >= run.ended:
                run.ended, run.result, run.is_given_up = record.time, record.text(names.RUN_RESULT), False
        case names.EVENT_RUN_HEARTBEAT:
            run.has_heartbeat = True
        case names.EVENT_STAGE_START | names.EVENT_STAGE_END:
            return _fold_stage(run, record)
        case _:
            pass
    return None


def fold_span(run: Run, span: Span) -> Stage | None:
    """Take in one finished span; the stage that it is, if it is one."""
    resource, said = span.resource, span.attributes
    pipeline = str(resource.get(names.PIPELINE_NAME) or resource.get(names.SERVICE_NAME) or "unknown")
    _place(run, pipeline, str(resource.get(names.DEPLOYMENT_ENVIRONMENT) or ""), span.trace_id)
    run.first, run.last = min(run.first, span.start), max(run.last, span.end)
    if span.scope == "prefect" and said.get("prefect.run.type") == "flow":
        flow_run = str(said.get("prefect.run.id") or "")
        if flow_run and flow_run not in run.flow_runs:
            run.flow_runs.append(flow_run)
    name = str(said.get(names.STAGE) or "")
    if not name:
        if not span.parent_id and not run.has_events and span.end >= run.ended:
            run.started, run.ended = min(run.started or FAR_FUTURE, span.start), span.end
            run.result = names.RESULT_FAILURE if span.status == SPAN_ERROR else names.RESULT_SUCCESS
        return None
    stage = _stage(run, span.span_id, name)
    if stage is None:
        return None
    stage.model = stage.model or str(said.get(names.MODEL_NAME) or "")
    stage.parent = stage.parent or span.parent_id
    stage.started = min(stage.started or FAR_FUTURE, span.start)
    if not stage.ended or stage.is_end_assumed:
        told = str(said.get(names.STAGE_RESULT) or "")
        stage.result = told or (names.RESULT_FAILURE if span.status == SPAN_ERROR else names.RESULT_SUCCESS)
        stage.ended, stage.error, stage.is_end_assumed = span.end, span.status_message, False
    return stage


def close_left_open(run: Run, *, before: int) -> Iterable[Stage]:
    """End the stages that nobody can end any more: what they were within, or the run, ended at or before ``before``."""
    for stage in run.stages.values():
        if stage.ended:
            continue
        ended = min((end for end in _ends_around(run, stage) if end), default=0)
        if ended and ended <= before:
            stage.ended, stage.result, stage.is_end_assumed = max(ended, stage.started), names.RESULT_ERROR, True
            stage.error = "Its process ended without finishing this stage."
            run.touched.add(stage.key)
            yield stage


def _ends_around(run: Run, stage: Stage) -> Iterable[int]:
    yield run.ended
    seen = {stage.key}
    while stage.parent in run.stages and stage.parent not in seen:
        stage = run.stages[stage.parent]
        seen.add(stage.key)
        yield stage.ended


def _place(run: Run, pipeline: str, environment: str, trace_id: str) -> None:
    if run.pipeline in ("", "unknown"):
        run.pipeline = pipeline
    run.environment = run.environment or environment
    run.trace_id = run.trace_id or trace_id


def _fold_stage(run: Run, record: Record) -> Stage | None:
    stage = _stage(run, record.span_id or record.text(names.STAGE_RUN_ID), record.stage)
    if stage is None:
        return None
    stage.model = stage.model or record.text(names.MODEL_NAME)
    upstream = record.attributes.get(names.UPSTREAM)
    if isinstance(upstream, list | tuple) and not stage.upstream:
        stage.upstream = [str(name) for name in upstream]
    if record.event_name == names.EVENT_STAGE_START:
        stage.started = min(stage.started or FAR_FUTURE, record.time)
        stage.parent = stage.parent or record.text(names.PARENT_SPAN)
    elif record.time >= stage.ended or stage.is_end_assumed:
        stage.ended, stage.is_end_assumed = record.time, False
        stage.result = record.text(names.STAGE_RESULT)
        stage.error = record.text(names.EXCEPTION_MESSAGE)
        stage.started = stage.started or _began(record)
    return stage


def _began(record: Record) -> int:
    """When a stage began whose start was lost, from how long it took."""
    duration = record.attributes.get(names.DURATION)
    return record.time - int(float(duration) * 1e9) if isinstance(duration, int | float) else record.time


def _stage(run: Run, key: str, name: str) -> Stage | None:
    if not key or not name or (key not in run.stages and len(run.stages) >= MOST_STAGES):
        return None
    run.touched.add(key)
    return run.stages.setdefault(key, Stage(key, name))
