"""What the records tell while they pass: how bad it got, how long it has been silent, in which stage it is, who runs.

Called from the sender's thread for all that it reads, read from the supervisor's; single assignments, so no lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Final

from instrumentation import attributes as names
from instrumentation.events import OWN_LOGGER
from instrumentation.sender.entry import LOG, Entry
from instrumentation.sender.sources import Source

__all__ = ["Listener", "Place"]

LAST_RECORDS: Final = 8  # kept of each process
MAX_PROCESSES: Final = 256
MAX_STAGES: Final = 4_096  # names of stages, to say which functions never became one
MAX_RECORD_CHARACTERS: Final = 300
INFO: Final = 20
ERROR: Final = 40
_level_of: Final = attrgetter("levelno")
# A hung download prints a line every few seconds for ever: these do not count as a sign of life.
_NO_SIGN_OF_LIFE: Final = frozenset(
    {"urllib3", "requests", "httpx", "httpcore", "http", "botocore", "boto3", "s3transfer", "aiohttp", "websockets"}
    | {"opentelemetry", "wandb", "sentry_sdk", "prometheus_client", "slack_sdk", "google", "azure", "grpc", "backoff"}
    | {"tenacity", "charset_normalizer", OWN_LOGGER}
)


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
    has_spoken: bool = False
    worst: int = 0
    errors: int = 0  # records of ERROR or above, ours not counted
    records: int = 0
    stage: str = ""
    stages: set[str] = field(default_factory=set)  # all that began
    wandb_run: str = ""  # address of the W&B run that any of its processes told of last
    latest: dict[int, Entry] = field(default_factory=dict)  # by pid, its last record that says where it was
    recent: dict[int, deque[str]] = field(default_factory=dict)  # by pid, its last records
    uncaught: dict[int, str] = field(default_factory=dict)  # by pid, the type of the exception that ended it

    def hear(self, entries: Sequence[Entry], source: Source) -> None:
        """Takes note of what a process told, in its order."""
        records = [entry for entry in entries if entry.kind == LOG]
        self.wandb_run = source.wandb_run or self.wandb_run
        for record in records:
            if record.is_urgent:
                self._mark(record, source.pid)
        for record in reversed(records):
            if record.span_id or names.STAGE in record.attributes:
                self.latest[source.pid] = record
                break
        for record in reversed(records):
            if record.levelno >= INFO and _is_sign_of_life(record.scope):
                self.last_heard = time.monotonic()
                self.has_spoken = True
                break
        of_program = [record for record in records if record.scope != OWN_LOGGER]
        self.records += len(of_program)
        self.worst = max([self.worst, *map(_level_of, of_program)])
        self._remember([record.body for record in of_program if record.levelno >= INFO], source.pid)

    def _mark(self, record: Entry, pid: int) -> None:
        """Takes note of an error, or of a step of the run."""
        attributes = record.attributes
        stage = str(attributes.get(names.STAGE, ""))
        if record.event_name == names.EVENT_STAGE_START:
            self.stage = stage
            if len(self.stages) < MAX_STAGES:
                self.stages.add(stage)
        elif record.event_name == names.EVENT_STAGE_END and self.stage == stage:
            self.stage = ""
        if record.scope == OWN_LOGGER:
            return
        self.errors += record.levelno >= ERROR
        if attributes.get(names.UNCAUGHT):
            self.uncaught[pid] = str(attributes.get(names.EXCEPTION_TYPE, ""))

    def place_of(self, pid: int) -> Place:
        """Where a process was when it spoke last."""
        entry = self.latest.get(pid)
        if entry is None:
            return Place()
        stage, model, wandb_run = (
            str(entry.attributes.get(name, "")) for name in (names.STAGE, names.MODEL_NAME, names.WANDB_RUN_URL)
        )
        return Place(stage, model, entry.trace_id, entry.span_id, wandb_run)

    def last_records(self, pid: int) -> str:
        """What a process said last, a line per record."""
        return "\n".join(self.recent.get(pid, ()))

    def _remember(self, bodies: Sequence[str], pid: int) -> None:
        if not bodies:
            return
        if pid not in self.recent:
            if len(self.recent) >= MAX_PROCESSES:
                del self.recent[next(iter(self.recent))]
            self.recent[pid] = deque(maxlen=LAST_RECORDS)
        self.recent[pid].extend(body[:MAX_RECORD_CHARACTERS] for body in bodies[-LAST_RECORDS:])


@lru_cache(1024)
def _is_sign_of_life(scope: str) -> bool:
    return scope.partition(".")[0] not in _NO_SIGN_OF_LIFE
