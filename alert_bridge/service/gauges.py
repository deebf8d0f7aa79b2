"""What the bridge says about itself in numbers: Prometheus text, from the books in the store and counters in memory."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from alert_bridge.store.control import SqliteControlReader
from alert_bridge.store.exports import ExportState, export_states

__all__ = ["Gauges"]

LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 3600.0)


class Gauges:
    """Counts what happens, and reads the books when asked."""

    def __init__(
        self,
        reader: SqliteControlReader,
        *,
        intake: Mapping[str, int],
        attempts: Mapping[tuple[str, str], int],
        state: Path,
    ) -> None:
        self._reader = reader
        self._intake = intake
        self._attempts = attempts
        self._state = state
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._latency: dict[str, list[int]] = {}
        self._latency_sum: Counter[str] = Counter()

    def count(self, name: str) -> None:
        """Add one."""
        with self._lock:
            self._counts[name] += 1

    def delivered(self, channel: str, seconds: float) -> None:
        """A message was delivered this long after it was due."""
        with self._lock:
            buckets = self._latency.setdefault(channel, [0] * (len(LATENCY_BUCKETS_S) + 1))
            buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
            self._latency_sum[channel] += round(seconds * 1_000_000)

    def text(self) -> str:
        """The exposition format, version 0.0.4."""
        lines: list[str] = []
        books = self._reader.books()
        for name in ("matched", "delivered", "queued", "suppressed", "dead", "balance"):
            kind = "counter" if name == "matched" else "gauge"
            rows = [({"channel": book.channel}, getattr(book, name)) for book in books]
            lines += _family(f"pipeline_alerts_records_{name}", kind, _BOOKS[name], rows)
        queues = self._reader.queues()
        lines += _family(
            "pipeline_alerts_notices_waiting",
            "gauge",
            "Notices that should have been sent by now.",
            [({"channel": channel}, waiting) for channel, waiting, _ in queues],
        )
        broken = Counter(channel for channel, *_ in self._reader.broken())
        lines += _family(
            "pipeline_alerts_addresses_broken",
            "gauge",
            "Addresses that do not work until a person mends something.",
            [({"channel": channel}, count) for channel, count in sorted(broken.items())],
        )
        stored = self._reader.counters()
        lines += _family(
            "pipeline_alerts_stored_total",
            "counter",
            "What intake did, over all restarts.",
            [({"what": name}, value) for name, value in stored.items()],
        )
        lines += _exports(export_states(self._state))
        with self._lock:
            counts = Counter(self._counts)
            latency = {channel: list(buckets) for channel, buckets in self._latency.items()}
            sums = dict(self._latency_sum)
        counts.update(self._intake)
        lines += _family(
            "pipeline_alerts_intake_total",
            "counter",
            "What intake did since the process started.",
            [({"what": name}, value) for name, value in sorted(counts.items())],
        )
        lines += _family(
            "pipeline_alerts_attempts_total",
            "counter",
            "Tries to deliver since the process started, by outcome.",
            [({"channel": key[0], "outcome": key[1]}, value) for key, value in sorted(dict(self._attempts).items())],
        )
        lines += _histogram(latency, sums)
        return "\n".join(lines) + "\n"


_BOOKS = {
    "matched": "Pairs of record and recipient that intake counted.",
    "delivered": "Pairs that a channel took.",
    "queued": "Pairs that a notice waits for.",
    "suppressed": "Pairs that are told as part of something else, or not at all, by rule.",
    "dead": "Pairs that a channel refused for good.",
    "balance": "matched - delivered - queued - suppressed - dead: zero, or something is wrong.",
}


def _family(name: str, kind: str, about: str, rows: Iterable[tuple[Mapping[str, str], int]]) -> list[str]:
    found = [f"{name}{_labels(labels)} {value}" for labels, value in rows]
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *found] if found else []


def _exports(states: Sequence[ExportState]) -> list[str]:
    """The exporters' books, per signal, and whether their targets answer."""
    lines: list[str] = []
    for name, about in _EXPORTS.items():
        rows = [
            ({"exporter": state.name, "signal": book.signal}, getattr(book, name))
            for state in states
            for book in state.books
        ]
        lines += _family(f"pipeline_alerts_export_{name}", "gauge" if name in _LEVELS else "counter", about, rows)
    return lines + _family(
        "pipeline_alerts_export_failing",
        "gauge",
        "1: the target does not take telemetry; it is kept and sent later.",
        [({"exporter": state.name}, int(state.failing_since > 0)) for state in states],
    )


_EXPORTS = {
    "sent": "Items that the target has.",
    "skipped": "Items that are not for this target, by policy or because they are told another way.",
    "refused": "Items that the target would not have, ever.",
    "dropped": "Items that retention removed before they could be sent.",
    "waiting": "Items that wait in the store.",
    "balance": "Items passed - sent - skipped - refused - dropped: zero, or something is wrong.",
}
_LEVELS = frozenset({"waiting", "balance"})


def _histogram(latency: Mapping[str, list[int]], sums: Mapping[str, int]) -> list[str]:
    name = "pipeline_alerts_delivery_seconds"
    if not latency:
        return []
    lines = [f"# HELP {name} From when a message was due to when the channel took it.", f"# TYPE {name} histogram"]
    for channel, buckets in sorted(latency.items()):
        running = 0
        for limit, count in zip((*LATENCY_BUCKETS_S, float("inf")), buckets, strict=True):
            running += count
            edge = "+Inf" if limit == float("inf") else f"{limit:g}"
            lines.append(f"{name}_bucket{_labels({'channel': channel, 'le': edge})} {running}")
        lines.append(f"{name}_sum{_labels({'channel': channel})} {sums[channel] / 1_000_000}")
        lines.append(f"{name}_count{_labels({'channel': channel})} {running}")
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
