"""What an exporter is fed from: telemetry.db by ids, control.db by changes. Reads beside the writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alert_bridge.exporters.base import Batch, Signal
from alert_bridge.model import Incident
from alert_bridge.store.control import SqliteControlReader, open_reader
from alert_bridge.store.telemetry import Telemetry

__all__ = ["Drawn", "Source"]

NS = 1_000_000_000
LOGS_AT_ONCE = 1_000
SPANS_AT_ONCE = 500
POINTS_AT_ONCE = 2_000
INCIDENTS_AT_ONCE = 100
MARKS_KEPT = 5_000  # an incident that is forgotten comes once more, which changes nothing
INCIDENT_SETTLE_S = 1.0  # as long as a message is held: what turns out to be a consequence is folded by then
INCIDENT_OVERLAP_S = 60.0  # transactions may end in another order than their clocks were read

_LIMITS = {Signal.LOGS: LOGS_AT_ONCE, Signal.SPANS: SPANS_AT_ONCE, Signal.POINTS: POINTS_AT_ONCE}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One batch, how far it reaches per signal, and what retention took before it could be drawn."""

    batch: Batch
    reach: Mapping[str, int]
    dropped: Mapping[str, int]
    marks: Mapping[str, str]  # the incidents in it, as they stood


class Source:
    """Batches of one state directory for one exporter.

    Args:
        state: the bridge's state directory.
        signals: what to read.
    """

    def __init__(self, state: Path, signals: frozenset[Signal]) -> None:
        self._state = state
        self._signals = signals
        self._telemetry = Telemetry(state)
        self._control: SqliteControlReader | None = None
        self._marks: dict[str, str] = {}  # incidents of the overlap, as they were last handed out

    def heads(self) -> Mapping[str, int]:
        """The highest id that each table ever gave; 0 for an empty one."""
        return self._telemetry.heads()

    def arrived_since(self, at: int) -> Mapping[str, int]:
        """Per table, the cursor behind which lies what arrived at or after this time (ns)."""
        return self._telemetry.cursors_at(at)

    def draw(self, cursors: Mapping[str, int], attempted: Mapping[str, int], *, now: int) -> Drawn:
        """What lies behind these cursors, up to a bounded number of items per signal."""
        heads = self._telemetry.heads()  # before the rows: what is missing up to here is missing for good
        readers: dict[Signal, Callable[..., Sequence[tuple[int, Any]]]] = {
            Signal.LOGS: self._telemetry.logs_after,
            Signal.SPANS: self._telemetry.spans_after,
            Signal.POINTS: self._telemetry.points_after,
        }
        items: dict[Signal, tuple[Any, ...]] = {}
        reach: dict[str, int] = {}
        dropped: dict[str, int] = {}
        caught_up, again = True, False
        for signal, limit in _LIMITS.items():
            if signal not in self._signals:
                continue
            cursor = cursors[signal]
            rows = readers[signal](cursor, limit=limit)
            is_last = len(rows) < limit
            end = rows[-1][0] if rows else cursor
            if is_last:
                end = max(end, heads.get(signal, 0))
            reach[signal], dropped[signal] = end, end - cursor - len(rows)
            items[signal] = tuple(item for _, item in rows)
            caught_up = caught_up and is_last
            again = again or (bool(rows) and rows[0][0] <= attempted[signal])
        incidents, marks = self._incidents(cursors, reach, now)
        batch = Batch(
            now=now,
            logs=items.get(Signal.LOGS, ()),
            spans=items.get(Signal.SPANS, ()),
            points=items.get(Signal.POINTS, ()),
            incidents=incidents,
            again=again,
            caught_up=caught_up,
            after=dict(cursors),
            until=reach,
        )
        return Drawn(batch, reach, dropped, marks)

    def settled(self, drawn: Drawn) -> None:
        """The batch was taken: its incidents come again only when they change."""
        for incident_id, mark in drawn.marks.items():
            self._marks.pop(incident_id, None)
            self._marks[incident_id] = mark  # the newest last
        while len(self._marks) > MARKS_KEPT:
            del self._marks[next(iter(self._marks))]

    def close(self) -> None:
        """Close the readers."""
        self._telemetry.close()
        if self._control is not None:
            self._control.close()

    def _incidents(
        self, cursors: Mapping[str, int], reach: dict[str, int], now: int
    ) -> tuple[tuple[Incident, ...], dict[str, str]]:
        if Signal.INCIDENTS not in self._signals:
            return (), {}
        if self._control is None:
            self._control = open_reader(self._state)
        since = cursors[Signal.INCIDENTS]
        marks: dict[str, str] = {}
        found: list[Incident] = []
        reached = since
        changed = self._control.incidents_changed(
            since - int(INCIDENT_OVERLAP_S * NS), opened_until=now - int(INCIDENT_SETTLE_S * NS)
        )
        for at, mark, incident_id in changed:
            if len(found) >= INCIDENTS_AT_ONCE:
                break
            reached = max(reached, at)
            incident = None if self._marks.get(incident_id) == mark else self._control.incident(incident_id)
            if incident is not None:
                marks[incident_id] = mark
                found.append(incident)
        reach[Signal.INCIDENTS] = reached
        return tuple(found), marks
