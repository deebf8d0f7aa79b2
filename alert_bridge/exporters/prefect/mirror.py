"""Brings the mirror of one run in Prefect to what our picture of it says. Safe to repeat: it asks before it doubts.

Stages are told by events with their true times, a request for all of them, as Prefect's own clients do since 3.0. The
documented endpoints know only the server's clock, and a beginning set by it would outrank an end that truly came
before. Since events are no documented contract, what was told this way is read back, told again, and in the end set by
the documented endpoints; a server that records no events is told that way from then on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from alert_bridge.exporters.prefect.api import Api, Rejected
from alert_bridge.exporters.prefect.payloads import (
    Log,
    flow_run_body,
    log_body,
    log_key,
    task_run_body,
    task_run_event,
    task_run_id,
)
from alert_bridge.exporters.prefect.runs import FAR_FUTURE, Run, Stage
from alert_bridge.exporters.prefect.states import TERMINAL, State, run_state, stage_state
from alert_bridge.model import Record

__all__ = ["Mirror"]

NS = 1_000_000_000
NOT_FOUND = 404
EVENTS_AT_ONCE = 200
LOGS_AT_ONCE = 500
LOG_BYTES_AT_ONCE = 1_000_000
VERIFY_AFTER_S = 10.0  # a busy server takes seconds to record events
RESENDS_MOST = 2
SETTLE_S = 0.5  # before an end is told: what its edges lead to may be on its way in another lane or process

log = logging.getLogger(__name__)


class Mirror:
    """Speaks for one Prefect API."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._flows: dict[str, str] = {}
        self._records_events = True

    def open(self, run: Run, *, again: bool) -> None:
        """The flow and the flow run; if they may have been there before, how they stand."""
        if not run.flow_run:
            state = run_state(run)
            begun = State("RUNNING", "Running", state.message if state.type == "RUNNING" else "")
            found, is_new = self._api.created("flow_runs/", flow_run_body(run, self._flow(run), begun))
            run.flow_run = found["id"]
            if is_new:
                run.told_state, run.is_ours = _told(begun), True
                return
            again = True
        if again and not run.is_ours:
            self._look(run)

    def tell_state(self, run: Run, trouble: str, *, caught_up: bool) -> None:
        """How the run stands, if Prefect does not know it yet."""
        state = run_state(run, trouble)
        if run.was_over and state.type == "RUNNING" and not caught_up:
            return  # a replay: its end comes in a later batch
        if _told(state) == run.told_state or run.is_gone:
            return
        try:
            self._api.post(f"flow_runs/{run.flow_run}/set_state", {"state": state.body(), "force": True})
        except Rejected as error:
            self._maybe_gone(run, error)
            return
        run.told_state, run.was_over = _told(state), state.type in TERMINAL

    def tell_stages(self, run: Run, stages: Iterable[Stage], *, now: int) -> None:
        """How these stages stand, as far as Prefect does not know it yet: beginnings at once, ends a moment later."""
        news = sorted((each for each in stages if each.started and _is_news(each)), key=lambda each: each.started)
        due: list[tuple[Stage, bool]] = []
        for stage in news:
            stage.known_at = stage.known_at or (now if stage.ended else 0)
            if not stage.ended or now - stage.known_at >= SETTLE_S * NS:
                due.append((stage, bool(stage.ended)))
        if self._records_events:
            self._tell_by_events(run, due, now=now)
        else:
            for stage, with_end in due:
                self._set(run, stage, exists=stage.told_start, with_end=with_end)

    def tell_logs(self, run: Run, records: Sequence[Record], *, again: bool) -> int:
        """The lines; returns how many the server refused for good."""
        lines: list[Log] = [log_body(run, record) for record in records]
        if again and lines and not run.is_ours:
            lines = self._missing(run, lines)
        refused = 0
        chunk: list[Log] = []
        size = 0
        for line in lines:
            chunk.append(line)
            size += len(str(line["message"]))
            if len(chunk) >= LOGS_AT_ONCE or size >= LOG_BYTES_AT_ONCE:
                refused += self._post_logs(chunk)
                chunk, size = [], 0
        return refused + (self._post_logs(chunk) if chunk else 0)

    def verify(self, run: Run, *, now: int) -> None:
        """Read back what was told by events; what is not there is told again, at last by the documented endpoint."""
        if now < run.verify_at or run.is_gone:
            return
        run.verify_at = FAR_FUTURE
        doubtful = [stage for stage in run.stages.values() if stage.resent >= 0]
        if not doubtful:
            return
        states = self._task_states(run)
        missing: list[tuple[Stage, bool]] = []
        for stage in doubtful:
            run.touched.add(stage.key)
            has = states.get(task_run_id(run, stage))
            if has is not None and (not stage.told_end or has == stage.told_end):
                stage.resent = -1
            elif stage.resent < RESENDS_MOST:
                missing.append((stage, bool(stage.told_end)))
                stage.told_start = has is not None
            else:
                self._records_events = self._records_events and has is not None
                self._set(run, stage, exists=has is not None, with_end=bool(stage.told_end))
        if missing:
            log.warning("%d stages of run %s are not in Prefect yet; they are told again", len(missing), run.key)
            self._tell_by_events(run, missing, now=now)

    def remove(self, run: Run) -> None:
        """Take the mirror away: the run turned out to be a Prefect flow of its own."""
        if run.flow_run:
            self._api.delete(f"flow_runs/{run.flow_run}")
        run.flow_run, run.told_state = "", ""
        for stage in run.stages.values():
            stage.told_start, stage.told_end, stage.resent = False, "", -1
            run.touched.add(stage.key)

    def put_artifact(self, run: Run, flow_run: str, key: str, kind: str, data: object, *, task_run: str = "") -> None:
        """A named piece of the run: made once, brought up to date afterwards."""
        known = run.artifacts.get(key)
        if known:
            try:
                self._api.patch(f"artifacts/{known}", {"data": data})
            except Rejected as error:
                if error.status != NOT_FOUND:
                    raise
            else:
                return
        body = {"key": key, "type": kind, "data": data, "flow_run_id": flow_run, "task_run_id": task_run or None}
        run.artifacts[key] = self._api.post("artifacts/", body)["id"]

    def know_artifacts(self, run: Run, flow_run: str) -> None:
        """Which pieces are there already."""
        rows = self._api.all("artifacts/filter", {"flow_runs": {"id": {"any_": [flow_run]}}, "sort": "ID_DESC"})
        run.artifacts |= {row["key"]: row["id"] for row in rows if row.get("key")}

    def _flow(self, run: Run) -> str:
        name = run.pipeline or "unknown"
        if name not in self._flows:
            self._flows[name] = self._api.post("flows/", {"name": name})["id"]
        return self._flows[name]

    def _look(self, run: Run) -> None:
        """What Prefect has of the run, instead of what we remember."""
        try:
            found = self._api.get(f"flow_runs/{run.flow_run}")
        except Rejected as error:
            self._maybe_gone(run, error)
            return
        state = found.get("state") or {}
        run.told_state = f"{state.get('type', '')} {state.get('message') or ''}"
        run.was_over = state.get("type") in TERMINAL
        states = self._task_states(run)
        for stage in run.stages.values():
            has = states.get(task_run_id(run, stage))
            told = (has is not None, has if has in TERMINAL else "")
            if (stage.told_start, stage.told_end) != told:
                stage.told_start, stage.told_end = told
                run.touched.add(stage.key)
        self.know_artifacts(run, run.flow_run)

    def _task_states(self, run: Run) -> dict[str, str]:
        rows = self._api.all("task_runs/filter", {"flow_runs": {"id": {"any_": [run.flow_run]}}, "sort": "ID_DESC"})
        return {row["id"]: row["state_type"] for row in rows}

    def _tell_by_events(self, run: Run, due: Sequence[tuple[Stage, bool]], *, now: int) -> None:
        """Stages, each with its end or only its beginning."""
        events = [task_run_event(run, stage, with_end=with_end) for stage, with_end in due]
        for start in range(0, len(events), EVENTS_AT_ONCE):
            self._api.post("events", events[start : start + EVENTS_AT_ONCE])
        for stage, with_end in due:
            stage.told_start, stage.resent = True, stage.resent + 1
            stage.told_end = stage_state(stage).type if with_end else ""
            run.touched.add(stage.key)
        if due:
            run.verify_at = now + int(VERIFY_AFTER_S * NS)

    def _set(self, run: Run, stage: Stage, *, exists: bool, with_end: bool) -> None:
        """By the documented endpoints: the server's clock instead of true times, which the message still says."""
        if not exists:
            self._api.post("task_runs/", task_run_body(run, stage))
        if with_end:
            state = stage_state(stage)
            self._api.post(f"task_runs/{task_run_id(run, stage)}/set_state", {"state": state.body(), "force": True})
            stage.told_end = state.type
        stage.told_start, stage.resent = True, -1
        run.touched.add(stage.key)

    def _missing(self, run: Run, lines: Sequence[Log]) -> list[Log]:
        """The lines that Prefect does not have."""
        times = [str(line["timestamp"]) for line in lines]
        window = {"after_": min(times), "before_": max(times)}
        there = Counter(
            log_key(row)
            for row in self._api.all(
                "logs/filter",
                {"logs": {"flow_run_id": {"any_": [run.flow_run]}, "timestamp": window}, "sort": "TIMESTAMP_ASC"},
            )
        )
        missing = []
        for line in lines:
            key = log_key(line)
            if there[key] > 0:
                there[key] -= 1
            else:
                missing.append(line)
        return missing

    def _post_logs(self, lines: Sequence[Log]) -> int:
        try:
            self._api.post("logs/", lines)
        except Rejected as error:
            if len(lines) == 1:
                log.warning("Prefect does not take one line of a log: %s", error)
                return 1
            half = len(lines) // 2
            return self._post_logs(lines[:half]) + self._post_logs(lines[half:])
        return 0

    def _maybe_gone(self, run: Run, error: Rejected) -> None:
        if error.status != NOT_FOUND:
            raise error
        log.info("Somebody deleted the mirror of run %s; it stays deleted", run.key)
        run.is_gone = True


def _told(state: State) -> str:
    return f"{state.type} {state.message}"


def _is_news(stage: Stage) -> bool:
    return not stage.told_start or bool(stage.ended and stage.told_end != stage_state(stage).type)
