"""A real Prefect server on a loopback port of its own, with a home of its own; and what it shows, read back by REST.

with PrefectServer(folder) as prefect:
    ...
    prefect.kill()      # as a machine that stops
    prefect.start()     # the same address, the same database
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx

from collector.process import free_port

READY_WITHIN_S = 240.0  # 11 s on a machine at rest
RECORDED_WITHIN_S = 120.0  # 5 s there
REQUEST_TIMEOUT_S = 120.0
POLL_S = 0.05
PAGE_ROWS = 200


@dataclass(frozen=True)
class TaskRun:
    """A task run as the server has it."""

    id: str
    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    message: str
    states: tuple[str, ...]  # of its history, oldest first


@dataclass(frozen=True)
class Picture:
    """One flow run with everything that hangs on it, as far as the server has recorded it.

    Task runs by name; a name that comes twice gets `#2`. Prefect records their rows, states and times one by one.
    """

    id: str
    name: str
    state: str
    message: str
    tags: tuple[str, ...]
    states: tuple[str, ...]  # of its history, oldest first
    tasks: dict[str, TaskRun]
    parents: dict[str, str]  # task → the task that it is drawn within
    upstream: dict[str, frozenset[str]]
    logs: Counter[tuple[str, int, str, str | None]]  # (logger, level, message, task)
    log_times: tuple[datetime, ...]
    artifacts: dict[str, list[Any]] = field(repr=False)  # key → data of each
    events: Counter[str]  # names of our own events

    @property
    def counts(self) -> dict[str, Any]:
        """What a replay must not change."""
        return {
            "states": self.states,
            "tasks": {name: task.states for name, task in self.tasks.items()},
            "logs": self.logs,
            "artifacts": {key: len(data) for key, data in self.artifacts.items()},
            "events": self.events,
        }


class PrefectServer:
    """Starts on entry and ends on exit; ended by its own process group, never by name."""

    def __init__(self, folder: Path, *, ui: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._home = folder / "prefect"
        self._home.mkdir(parents=True, exist_ok=True)
        self._log = folder / "prefect.log"
        self._ui = ui
        self._settings = dict(settings or {})
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.base}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to reach it, and what keeps it from calling anywhere else."""
        return {
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self._home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        """Return when it answers."""
        self.client = httpx.Client(base_url=self.url + "/", timeout=REQUEST_TIMEOUT_S, trust_env=False)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *([] if self._ui else ["--no-ui"])],
                env={**clean, **self.environ, **self._settings},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self.answers():
            assert self._process.poll() is None, f"Prefect ended:\n{self._log.read_text(errors='replace')[-3_000:]}"
            assert time.monotonic() < deadline, f"not ready:\n{self._log.read_text(errors='replace')[-3_000:]}"
            time.sleep(POLL_S)

    def kill(self) -> None:
        """SIGKILL: what was not on its disk is gone."""
        self._end(signal.SIGKILL)

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self.client.get("health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def flow_runs(self, name: str = "") -> list[dict[str, Any]]:
        """Flow runs, of this name if one is given."""
        named = {"flow_runs": {"name": {"any_": [name]}}} if name else {}
        return self._all("flow_runs/filter", named | {"sort": "ID_DESC"})

    def flow_name(self, flow_run: dict[str, Any]) -> str:
        """The name of a flow run's flow."""
        return self._get(f"flows/{flow_run['flow_id']}")["name"]

    def picture(self, name: str) -> Picture:
        """The one flow run of this name, as a person would see it."""
        (found,) = self.flow_runs(name)
        run = found["id"]
        about = {"flow_runs": {"id": {"any_": [run]}}}
        rows = sorted(self.task_runs(run), key=lambda row: row["start_time"] or "")
        names = _distinct(rows)
        logs = self._all("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
        artifacts: dict[str, list[Any]] = {}
        for row in self._all("artifacts/filter", {**about, "sort": "ID_DESC"}):
            artifacts.setdefault(row["key"], []).append(row["data"])
        inputs = {names[row["id"]]: row["task_inputs"] for row in rows}
        return Picture(
            id=run,
            name=name,
            state=found["state_name"],
            message=(found["state"] or {}).get("message") or "",
            tags=tuple(found["tags"]),
            states=tuple(row["type"] for row in self._get(f"flow_run_states/?flow_run_id={run}")),
            tasks={names[row["id"]]: self._task(row) for row in rows},
            parents={
                task: names[parent["id"]]
                for task, told in inputs.items()
                for parent in (told.get("__parents__") or [])[:1]
                if parent["id"] in names
            },
            upstream={
                task: frozenset(names[each["id"]] for each in told["upstream"] if each["id"] in names)
                for task, told in inputs.items()
                if told.get("upstream")
            },
            logs=Counter(
                (row["name"], row["level"], row["message"], names.get(row["task_run_id"] or "")) for row in logs
            ),
            log_times=tuple(_moment(row["timestamp"]) for row in logs),
            artifacts=artifacts,
            events=Counter(event["event"] for event in self.events(run)),
        )

    def task_runs(self, flow_run: str) -> list[dict[str, Any]]:
        """Every task run of a flow run, as the server has it."""
        return self._all("task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run]}}, "sort": "ID_DESC"})

    def states(self, kind: str, run: str) -> list[str]:
        """Types of the states that a `flow` run or `task` run went through, oldest first."""
        rows = self._get(f"{kind}_run_states/?{kind}_run_id={run}")
        return [row["type"] for row in sorted(rows, key=lambda row: row["timestamp"])]

    def events(self, flow_run: str) -> list[dict[str, Any]]:
        """Our own events in the feed of a flow run; the server writes them down every few seconds."""
        about = {"related": {"id": [f"prefect.flow-run.{flow_run}"]}, "event": {"prefix": ["pipeline-alerts."]}}
        return self.events_like(about)

    def events_like(self, about: dict[str, Any]) -> list[dict[str, Any]]:
        """The first events of the feed that a filter lets through."""
        answer = self.client.post("events/filter", json={"filter": about, "limit": 50})
        assert answer.status_code == 200, answer.text
        return answer.json()["events"]

    def record_events(self) -> None:
        """Return when every event that was taken so far can be read: the server writes them down in their order."""
        mark = {"id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": "tests.mark"}
        answer = self.client.post("events", json=[{**mark, "resource": {"prefect.resource.id": "tests.mark"}}])
        assert answer.status_code == 204, answer.text
        about, deadline = {"id": {"id": [mark["id"]]}}, time.monotonic() + RECORDED_WITHIN_S
        while not self.events_like(about):
            assert time.monotonic() < deadline, "the server records no events"
            time.sleep(POLL_S)

    def _task(self, row: dict[str, Any]) -> TaskRun:
        history = sorted(self._get(f"task_run_states/?task_run_id={row['id']}"), key=lambda state: state["timestamp"])
        return TaskRun(
            id=row["id"],
            name=row["name"],
            state=row["state_name"],
            started=_moment(row["start_time"]) if row["start_time"] else None,
            ended=_moment(row["end_time"]) if row["end_time"] else None,
            message=(row["state"] or {}).get("message") or "",
            states=tuple(state["type"] for state in history),
        )

    def _get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _all(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            answer = self.client.post(path, json={**body, "limit": PAGE_ROWS, "offset": len(rows)})
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
            rows += answer.json()
            if len(answer.json()) < PAGE_ROWS:
                return rows

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self.client.close()
        os.killpg(self._process.pid, number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _distinct(rows: list[dict[str, Any]]) -> dict[str, str]:
    seen: Counter[str] = Counter()
    names = {}
    for row in rows:
        seen[row["name"]] += 1
        names[row["id"]] = row["name"] if seen[row["name"]] == 1 else f"{row['name']}#{seen[row['name']]}"
    return names
