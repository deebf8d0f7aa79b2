"""The seam where exporters plug in: what they are handed, what they answer, and what they may rely on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from alert_bridge.model import Incident, MetricPoint, Record, Span
from alert_bridge.store.exports import Tally

__all__ = ["Batch", "Exporter", "Signal", "Taken", "Tally"]


class Signal(enum.StrEnum):
    """What an exporter may follow. The first three are tables of telemetry.db; the last is from control.db."""

    LOGS = "logs"
    SPANS = "spans"
    POINTS = "points"
    INCIDENTS = "incidents"


@dataclass(frozen=True, slots=True)
class Batch:
    """What is new, each signal in the order of arrival. An empty batch is a tick, about twice a second."""

    now: int  # ns since the epoch
    logs: tuple[Record, ...] = ()
    spans: tuple[Span, ...] = ()
    points: tuple[MetricPoint, ...] = ()
    incidents: tuple[Incident, ...] = ()  # each as it stands now, also if it came before; folded ones too
    again: bool = False  # the target may have it already, whole or in part: a crash or a time-out lies between
    caught_up: bool = True  # nothing more waits in the store
    after: Mapping[str, int] = field(default_factory=dict)  # per signal, the store's cursor behind which it begins
    until: Mapping[str, int] = field(default_factory=dict)  # and the one with which it ends

    def __bool__(self) -> bool:
        return bool(self.logs or self.spans or self.points or self.incidents)


@dataclass(frozen=True, slots=True)
class Taken:
    """The target has the batch. Per signal, sent + skipped + refused are the items of the batch.

    ``memory`` is kept and comes back after a restart, in one change with the cursors: JSON texts, None to forget one.
    """

    tallies: Mapping[Signal, Tally] = field(default_factory=dict)
    memory: Mapping[str, str | None] = field(default_factory=dict)


class Exporter(Protocol):
    """One target. All calls come from one thread of its own; they may block, for seconds, never for ever.

    A batch that failed comes again, the same or longer, with ``again`` set: taking it twice must come to the same.
    """

    @property
    def name(self) -> str:
        """As in the policy's routes: `prefect`, `wandb`."""

    @property
    def signals(self) -> frozenset[Signal]:
        """What it wants to be handed."""

    @property
    def setup(self) -> str:
        """How it is set up, in words for `status`; holds no secret."""

    @property
    def url(self) -> str:
        """Where people look at what it mirrored; may be empty."""

    def recall(self, memory: Mapping[str, str]) -> None:
        """Take up what `Taken.memory` left behind; called once, before the first batch."""

    def take(self, batch: Batch) -> Taken:
        """Bring the target up to date.

        Raises:
            alert_bridge.errors.DeliveryError: the target has it in part at most. It is tried again, with growing
                pauses, after ``retry_after`` where the target named one; `Permanent` only waits longest at once.
        """

    def close(self) -> None:
        """Let go of connections, from any thread: a call of `take` that still runs may fail."""
