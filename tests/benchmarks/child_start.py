"""How much later a Python child starts under `run`, against the same child alone.

The candidates take turns, so that a busy machine slows all alike. What counts is CPU time, of which a start consists;
the smallest of many is what the work itself costs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.children import environment

ROUNDS = 40
MOST_MS = 5.0
PROGRAMS = {"that does nothing": "pass", "that logs a line": "import logging; logging.error('a')"}


def measure(program: str, folder: Path) -> dict[str, list[float]]:
    """CPU milliseconds from start to end, one figure per round, by candidate."""
    candidates = {"alone": environment(), "under run": environment(folder / "run")}
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS + 2):  # the first ones write the byte code and fill the page cache
        for name, environ in candidates.items():
            child = subprocess.Popen([sys.executable, "-c", program], env=environ, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            assert child.returncode == 0
            figures[name].append((usage.ru_utime + usage.ru_stime) * 1e3)
    return {name: values[2:] for name, values in figures.items()}


def main() -> None:
    """Prints what starting costs, and whether that is within what was promised."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, program in PROGRAMS.items():
            figures = measure(program, Path(folder))
            alone, under_run = figures["alone"], figures["under run"]
            more = min(under_run) - min(alone)
            ratio = statistics.median(ours / theirs for ours, theirs in zip(under_run, alone, strict=True))
            results[title] = round(more, 2)
            print(f"a child {title}: {min(alone):.1f} ms alone, {more:+.1f} ms under run, median ratio {ratio:.2f}")
    print(json.dumps(results))
    is_within = results["that does nothing"] <= MOST_MS
    print("within" if is_within else "BEYOND", f"the target of a start (at most {MOST_MS:.0f} ms more)")


if __name__ == "__main__":
    main()
