"""How well masked text groups log lines, on CSV files in LogHub's format, and lines per second.

    python -m tests.benchmarks.log_grouping FOLDER

Every `*.csv` in the folder has the columns `Content` and `EventTemplate` (or `EventId`, where that column is missing).
The files are not part of the repository. One configuration for all; each set is read with its aliases.

GA and FGA are the grouping accuracies of the log parsing literature; hidden is the share of true templates that never
open a group of their own; inflation is groups per true template.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from alert_bridge.fingerprint import Said, of
from alert_bridge.fingerprint.aliases import Aliases
from alert_bridge.fingerprint.mask import forget, mask

SEED = 559
ROUNDS = 5
COLUMNS = ("GA", "FGA", "pair precision", "hidden", "inflation")


def main(folder: Path) -> None:
    """Prints one row per set and their means."""
    print(f"{'set':28}", *(f"{name:>15}" for name in COLUMNS))
    figures = []
    lines: list[str] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        label = "EventTemplate" if "EventTemplate" in rows[0] else "EventId"
        contents = [row["Content"] for row in rows]
        figures.append(_figures([row[label] for row in rows], _grouped(contents)))
        lines.extend(contents)
        print(f"{path.name[:28]:28}", *(f"{value:15.3f}" for value in figures[-1]))
    print(f"{'mean':28}", *(f"{sum(column) / len(column):15.3f}" for column in zip(*figures, strict=True)))
    for name, speed in _speeds(lines).items():
        print(f"lines per CPU second, {name}: {speed:,.0f}")


def _speeds(lines: list[str]) -> dict[str, float]:
    """Cold; warm and new: after every other line of a mixture was seen, those of the rest that equal none of them."""
    mixed = random.Random(SEED).sample(lines, len(lines))
    seen = set(mixed[::2])
    new = [line for line in mixed[1::2] if line not in seen]
    speeds: dict[str, float] = defaultdict(float)
    for _ in range(ROUNDS):  # the best: whatever else runs here only makes it slower
        forget()
        cold = _speed(mask, mixed)
        forget()
        _speed(mask, mixed[::2])
        warm = _speed(mask, new)
        whole = _speed(lambda line: of(Said(body=line)), mixed)
        for name, speed in (("cold", cold), ("warm, lines never seen", warm), ("whole fingerprint", whole)):
            speeds[name] = max(speeds[name], speed)
    return speeds


def _speed(work: Callable[[str], object], lines: Sequence[str]) -> float:
    began = time.thread_time()
    for line in lines:
        work(line)
    return len(lines) / (time.thread_time() - began)


def _grouped(contents: Iterable[str]) -> list[str]:
    aliases = Aliases()
    masked = [mask(line) for line in contents]
    for one in masked:
        aliases.add(one)
    return [aliases.problem_of(one) for one in masked]


def _figures(true: Sequence[str], groups: Sequence[str]) -> tuple[float, ...]:
    by_label = _places(true)
    by_group = _places(groups)
    exact = set(by_label.values()) & set(by_group.values())
    precision, recall = len(exact) / len(by_group), len(exact) / len(by_label)
    together = sum(_pairs(count) for count in Counter(zip(true, groups, strict=True)).values())
    opened: set[str] = set()
    seen: set[str] = set()
    for label, group in zip(true, groups, strict=True):
        if group not in seen:
            seen.add(group)
            opened.add(label)
    return (
        sum(map(len, exact)) / len(true),
        2 * precision * recall / (precision + recall) if exact else 0.0,
        together / max(1, sum(_pairs(len(one)) for one in by_group.values())),
        1 - len(opened) / len(by_label),
        len(by_group) / len(by_label),
    )


def _places(names: Sequence[str]) -> dict[str, frozenset[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for at, name in enumerate(names):
        places[name].append(at)
    return {name: frozenset(at) for name, at in places.items()}


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


if __name__ == "__main__":
    main(Path(sys.argv[1]))
