"""What the records tell while they pass: how bad it got, how long it has been silent, in which stage it is, who runs.

Called from the sender's thread for all that it reads, read from the supervisor's; single assignments, so no lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from instrumentation import attributes as names
from instrumentation.events import OWN_LOGGER
from instrumentation.sender.entry import LOG, Entry
from instrumentation.sender.sources import Source

__all__ = ["Listener", "Place"]

LAST_RECORDS: Final = 8  # kept of each process
MAX_PROCESSES: Final = 1_024  # of which is known where they were and what they said last
MAX_STAGES: Final = 4_096  # names of stages, to say which functions never became one
MAX_RECORD_CHARACTERS: Final = 300
INFO: Final = 20
ERROR: Final = 40
# A hung download prints a line every few seconds for ever: these do not count as a sign of life.
_NO_SIGN_OF_LIFE: Final = frozenset(
    {"urllib3", "requests", "httpx", "httpcore", "http", "botocore", "boto3", "s3transfer", "aiohttp", "websockets"}
    | {"opentelemetry", "wandb", "sentry_sdk", "prometheus_client", "slack_sdk", "google", "azure", "grpc", "backoff"}
    | {"tenacity", "charset_normalizer", OWN_LOGGER}
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the run a process was: as far as its records say, empty where they do not."""

    stage: str = ""
    model: str = ""
    trace_id: str = ""
    span_id: str = ""
    wandb_run: str = ""  # address of the W&B run that it opened last


@dataclass(slots=True)
class Listener:
    """The state of a run as its records show it."""

    last_heard: float = field(default_factory=time.monotonic)
    records: int = 0  # all that are sent, ours too
    errors: int = 0  # records of ERROR or above, ours not counted
    stage: str = ""
    stages: set[str] = field(default_factory=set)  # all that began
    wandb_run: str = ""  # address of the W&B run that any of its processes told of last
    latest: dict[int, Entry] = field(default_factory=dict)  # by pid, its last record that says where it was
    recent: dict[int, deque[str]] = field(default_factory=dict)  # by pid, its last records
    uncaught: set[str] = field(default_factory=set)  # types of the exceptions that ended processes
    kills: dict[int, bool] = field(default_factory=dict)  # by pid, whether the program says that it kills it

    def hear(self, entries: Sequence[Entry], source: Source) -> None:
        """Takes note of what a process told, in its order."""
        records = [entry for entry in entries if entry.kind == LOG]
        self.records += len(records)
        self.wandb_run = source.wandb_run or self.wandb_run
        for record in records:
            if record.is_urgent:
                self._mark(record)
        for record in reversed(records):
            if record.span_id or names.STAGE in record.attributes:
                _keep(self.latest, source.pid, record)
                break
        for record in reversed(records):
            if record.levelno >= INFO and _is_sign_of_life(record.scope):
                self.last_heard = time.monotonic()
                break
        said = [record.body for record in records if record.levelno >= INFO and record.scope != OWN_LOGGER]
        if said:
            last = self.recent.get(source.pid) or deque(maxlen=LAST_RECORDS)
            last.extend(body[:MAX_RECORD_CHARACTERS] for body in said[-LAST_RECORDS:])
            _keep(self.recent, source.pid, last)

    def _mark(self, record: Entry) -> None:
        """Takes note of an error, or of a step of the run."""
        attributes = record.attributes
        stage = str(attributes.get(names.STAGE, ""))
        if record.event_name == names.EVENT_STAGE_START:
            self.stage = stage
            if len(self.stages) < MAX_STAGES:
                self.stages.add(stage)
        elif record.event_name == names.EVENT_STAGE_END and self.stage == stage:
            self.stage = ""
        elif record.event_name == names.EVENT_PROCESS_KILL:
            pid = attributes.get(names.PROCESS_PID)
            if isinstance(pid, int):
                _keep(self.kills, pid, what=True)
        if record.scope == OWN_LOGGER:
            return
        self.errors += record.levelno >= ERROR
        if attributes.get(names.UNCAUGHT):
            self.uncaught.add(str(attributes.get(names.EXCEPTION_TYPE, "")))

    def place_of(self, pid: int) -> Place:
        """Where a process was when it spoke last."""
        entry = self.latest.get(pid)
        if entry is None:
            return Place()
        stage, model, wandb_run = (
            str(entry.attributes.get(name, "")) for name in (names.STAGE, names.MODEL_NAME, names.WANDB_RUN_URL)
        )
        return Place(stage, model, entry.trace_id, entry.span_id, wandb_run)

    def was_killed_by_program(self, pid: int) -> bool:
        """Whether the program said that it kills this process; true once, for the number may come again."""
        return self.kills.pop(pid, False)

    def last_records(self, pid: int) -> str:
        """What a process said last, a line per record."""
        return "\n".join(self.recent.get(pid, ()))


def _keep(known: dict[int, T], pid: int, what: T) -> None:
    """Notes it as the newest, for which the one that was not heard of for longest goes if there are too many."""
    known.pop(pid, None)
    known[pid] = what
    if len(known) > MAX_PROCESSES:
        del known[next(iter(known))]


@lru_cache(1024)
def _is_sign_of_life(scope: str) -> bool:
    return scope.partition(".")[0] not in _NO_SIGN_OF_LIFE
