"""What the records tell while they pass: how bad it got, how long it has been silent, in which stage it is, who runs.

Called from the sender's thread for every entry, read from the supervisor's; single assignments only, so no lock.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
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

    def hear(self, entry: Entry, source: Source) -> None:
        """Takes note of one entry."""
        if entry.kind != LOG:
            return
        attributes = entry.attributes
        if entry.event_name == names.EVENT_STAGE_START:
            self._begin(str(attributes.get(names.STAGE, "")))
        elif entry.event_name == names.EVENT_STAGE_END and self.stage == attributes.get(names.STAGE):
            self.stage = ""
        if names.WANDB_RUN_URL in attributes:
            self.wandb_run = str(attributes[names.WANDB_RUN_URL]) or self.wandb_run
        if entry.span_id or names.STAGE in attributes:
            self.latest[source.pid] = entry
        if entry.levelno >= INFO and _is_sign_of_life(entry.scope):
            self.last_heard = time.monotonic()
            self.has_spoken = True
        if entry.scope == OWN_LOGGER:
            return
        self.records += 1
        self._remember(entry, source.pid)
        self.worst = max(self.worst, entry.levelno)
        if entry.levelno >= ERROR:
            self.errors += 1
        if attributes.get(names.UNCAUGHT):
            self.uncaught[source.pid] = str(attributes.get(names.EXCEPTION_TYPE, ""))

    def _begin(self, stage: str) -> None:
        self.stage = stage
        if len(self.stages) < MAX_STAGES:
            self.stages.add(stage)

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

    def _remember(self, entry: Entry, pid: int) -> None:
        if entry.levelno < INFO:
            return
        if pid not in self.recent:
            if len(self.recent) >= MAX_PROCESSES:
                del self.recent[next(iter(self.recent))]
            self.recent[pid] = deque(maxlen=LAST_RECORDS)
        self.recent[pid].append(entry.body[:MAX_RECORD_CHARACTERS])


@lru_cache(1024)
def _is_sign_of_life(scope: str) -> bool:
    return scope.partition(".")[0] not in _NO_SIGN_OF_LIFE
