"""A pipeline run as W&B is told of it: what the telemetry says, folded in. Pure; remembered over restarts as JSON."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from alert_bridge.model import Incident, Record, Severity
from instrumentation import attributes as names

__all__ = ["Run", "fold_incident", "fold_record", "wandb_id"]

NS_PER_S = 1e9
ID_CHARACTERS = 100
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_OWN_RUNS_MOST = 50
_SUFFIX = "-otel"  # so that it can never be the id of a run that the program itself has


@dataclass(slots=True)
class Run:
    """One pipeline run. Times in ns; 0: not known."""

    key: str
    pipeline: str = ""
    environment: str = ""
    trace_id: str = ""
    revision: str = ""
    started: int = 0
    ended: int = 0
    result: str = ""
    exit_code: int | None = None
    peak_memory: float | None = None  # bytes
    levels: dict[str, int] = field(default_factory=dict)  # records by severity
    incidents: dict[str, tuple[int, str]] = field(default_factory=dict)  # id → when it opened, severity
    alerted: list[str] = field(default_factory=list)  # incidents that W&B was asked to alert about
    own_runs: list[str] = field(default_factory=list)  # addresses of the W&B runs that the program itself has
    seen_at: int = 0  # our clock, when we last heard of it
    is_shown: bool = False  # there is, or was, something of it to see in W&B
    is_done: bool = False  # its W&B run is finished
    reopened: int = 0
    unsynced: list[str] = field(default_factory=list)  # folders that W&B does not have yet
    part: int = 1  # a W&B run that W&B has as a whole is left alone: what comes later is in another
    after: dict[str, int] = field(default_factory=dict)  # the store's cursors behind which the part begins
    rows: int = 0  # that its W&B run may have

    @property
    def id(self) -> str:
        """Of the W&B run that it is, or its latest part."""
        return wandb_id(self.key, self.part)

    @property
    def is_over(self) -> bool:
        return bool(self.ended)

    def begin_part(self, after: Mapping[str, int]) -> None:
        """What comes from here on is in a W&B run of its own. ``after``: the store's cursors, by signal."""
        self.part, self.after, self.rows = self.part + 1, dict(after), 0

    def copy(self) -> Run:
        """To be changed and thrown away if W&B does not take it."""
        return copy.deepcopy(self)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Run:
        """What `to_json` wrote, by this release or an older one."""
        known = {each.name for each in fields(cls)}
        run = cls(**{name: value for name, value in json.loads(text).items() if name in known})
        if isinstance(run.unsynced, str):  # by an older release
            run.unsynced = [run.unsynced] if run.unsynced else []
        run.incidents = {key: (int(at), str(severity)) for key, (at, severity) in run.incidents.items()}
        return run

    def config(self, page: str) -> dict[str, str]:
        """What a person filters W&B's table of runs by."""
        said = {
            "pipeline": self.pipeline,
            "run_id": self.key,
            "environment": self.environment,
            "revision": self.revision,
            "trace_id": self.trace_id,
            "page": page,
        }
        return {name: value for name, value in said.items() if value}

    def summary(self, page: str) -> dict[str, str | float]:
        """How it went, in W&B's table of runs."""
        said: dict[str, str | float] = {"result": self.result or ("unknown" if self.is_done else "running")}
        if self.started and self.ended:
            said["duration_s"] = (self.ended - self.started) / NS_PER_S
        if self.exit_code is not None:
            said["exit_code"] = self.exit_code
        if self.peak_memory is not None:
            said["peak_memory_bytes"] = self.peak_memory
        said |= {f"records/{level}": count for level, count in sorted(self.levels.items())}
        said |= {f"alerts/{level}": count for level, count in self.alerts().items()}
        if page:
            said["page"] = page
        if self.own_runs:
            said["own_runs"] = " ".join(self.own_runs)
        return said

    def alerts(self) -> dict[str, int]:
        """Incidents by severity; with a zero where none was, so that a table of runs shows it."""
        counts = {Severity.ERROR.name: 0, Severity.CRITICAL.name: 0}
        for _, severity in self.incidents.values():
            counts[severity] = counts.get(severity, 0) + 1
        return counts


def fold_record(run: Run, record: Record) -> bool:
    """Take in one record; whether W&B has to hear of it now (a start, an end), not only in the end."""
    run.pipeline = record.pipeline if run.pipeline in ("", "unknown") else run.pipeline
    run.environment = run.environment or record.environment
    run.trace_id = run.trace_id or record.trace_id
    run.revision = run.revision or record.text(names.VCS_REVISION)
    _fold_own_run(run, record.attributes)
    run.levels[record.severity.name] = run.levels.get(record.severity.name, 0) + 1
    match record.event_name:
        case names.EVENT_RUN_START:
            run.pipeline = record.pipeline
            run.started = min(run.started or record.time, record.time)
            if run.ended and record.time > run.ended:  # the same run, begun anew
                run.ended, run.result, run.exit_code = 0, "", None
            return True
        case names.EVENT_RUN_END:
            if record.time >= run.ended:
                run.ended, run.result = record.time, record.text(names.RUN_RESULT)
                run.exit_code = _int(record.attributes.get(names.EXIT_CODE))
                run.peak_memory = _float(record.attributes.get(names.PEAK_MEMORY))
                if not run.started and (duration := _float(record.attributes.get(names.DURATION))) is not None:
                    run.started = record.time - int(duration * NS_PER_S)
            return True
        case _:
            return False


def fold_incident(run: Run, incident: Incident) -> bool:
    """Take in one incident as it stands; whether that changes the alerts of the run. Consequences are not counted."""
    before = run.incidents.get(incident.id)
    if incident.root_id:
        return run.incidents.pop(incident.id, None) is not None
    run.incidents[incident.id] = (incident.opened_at, incident.severity.name)
    return before != run.incidents[incident.id]


def wandb_id(run_id: str, part: int = 1) -> str:
    """The id of the W&B run: the same for the same part of a pipeline run for ever, in characters that W&B takes."""
    plain = _NOT_IN_IDS.sub("-", run_id)[:ID_CHARACTERS]
    if plain != run_id:
        plain += "-" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return plain + _SUFFIX + (f"-{part}" if part > 1 else "")


def _fold_own_run(run: Run, attributes: Mapping[str, object]) -> None:
    url = attributes.get(names.WANDB_RUN_URL)
    if isinstance(url, str) and url and url not in run.own_runs and len(run.own_runs) < _OWN_RUNS_MOST:
        run.own_runs.append(url)


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
