"""Results of runs and stages as Prefect's states. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alert_bridge.exporters.prefect.runs import Run, Stage
from alert_bridge.messages.moments import clock, lasting
from alert_bridge.messages.text import clip, one_line
from instrumentation import attributes as names

__all__ = ["MARK", "TERMINAL", "State", "run_state", "stage_state", "took_in_words"]

MESSAGE_CHARS = 1_000
# At the end of every flow run's message. A trigger cannot ask for runs without a tag, but for messages without a word.
MARK = " · otel-mirror"
TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
NS = 1_000_000_000

# Name by which people see it; Prefect's own where it has one (`prefect.states`).
_STATES = {
    names.RESULT_SUCCESS: ("COMPLETED", "Completed"),
    names.RESULT_SKIP: ("COMPLETED", "Skipped"),
    names.RESULT_FAILURE: ("FAILED", "Failed"),
    names.RESULT_ERROR: ("CRASHED", "Crashed"),
    names.RESULT_TIMEOUT: ("FAILED", "TimedOut"),
    names.RESULT_CANCELLATION: ("CANCELLED", "Cancelled"),
}


@dataclass(frozen=True, slots=True)
class State:
    """A state of a flow run or a task run."""

    type: str
    name: str
    message: str

    def body(self) -> Mapping[str, str]:
        """As the API takes it."""
        return {"type": self.type, "name": self.name, "message": self.message}


def stage_state(stage: Stage) -> State:
    """How a stage stands."""
    if not stage.ended:
        return State("RUNNING", "Running", f"Since {clock(stage.started)} UTC.")
    kind, name = _STATES.get(stage.result, ("COMPLETED", "Completed"))
    took = f"{clock(stage.started)}-{clock(stage.ended)} UTC, {took_in_words(stage.ended - stage.started)}."
    return State(kind, name, clip(f"{took} {one_line(stage.error)}".rstrip(), MESSAGE_CHARS))


def run_state(run: Run, trouble: str = "") -> State:
    """How a run stands. ``trouble``: what its latest incident says, which its message must say too."""
    said = f" {one_line(trouble)}" if trouble else ""
    if run.is_given_up:
        since = f"No sign of life since {clock(run.last)} UTC: its process, its machine or the network is gone."
        return State("CRASHED", "Crashed", _message(since + said))
    if not run.ended:
        began = run.started or run.first
        return State("RUNNING", "Running", _message(f"Since {clock(began)} UTC.{said}"))
    kind, name = _STATES.get(run.result, ("COMPLETED", "Completed"))
    began = run.started or run.first
    how = ""
    if run.facts.get(names.OOM_KILLED):
        kind, name, how = "CRASHED", "Crashed", " Out of memory."
    elif signal := run.facts.get(names.EXIT_SIGNAL, ""):
        how = f" Ended by {signal}."
    elif (code := run.facts.get(names.EXIT_CODE, "0")) not in ("0", ""):
        how = f" Exit code {code}."
    took = f"{clock(began)}-{clock(run.ended)} UTC, {took_in_words(run.ended - began)}."
    return State(kind, name, _message(took + how + said))


def _message(text: str) -> str:
    return clip(text, MESSAGE_CHARS) + MARK


def took_in_words(duration: int) -> str:
    """`34 ms`, `4.2 s`, `3 min 05 s` from nanoseconds."""
    seconds = duration / NS
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else lasting(seconds)  # noqa: PLR2004 - below, tenths matter
