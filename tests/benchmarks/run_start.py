"""How long a program waits for `run` before its first statement.

    python -m tests.benchmarks.run_start

From the command to the first statement of an interpreter without site packages, with and without `run`, in turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 15
MOST_S = 0.12
_PROGRAM = [sys.executable, "-I", "-S", "-c", "import time; print(time.monotonic())"]


def start_s(command: list[str], state: str) -> float:
    """Seconds from the command to the program's first statement."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"XDG_STATE_HOME": state, "PIPELINE_ALERTS_ENDPOINT": "http://127.0.0.1:1"}
    environ |= {"PIPELINE_ALERTS_LINGER_SECONDS": "0", "PYTHONPYCACHEPREFIX": f"{state}/pyc"}  # as installed: compiled
    began = time.monotonic()
    done = subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return float(done.stdout) - began


def main() -> None:
    """Prints both, and whether the difference is within the target."""
    with tempfile.TemporaryDirectory() as state:
        supervised = [sys.executable, "-m", "alert_bridge.cli", "run", "--", *_PROGRAM]
        start_s(supervised, state)  # compiles
        rows = [(start_s(_PROGRAM, state), start_s(supervised, state)) for _ in range(ROUNDS)]
    alone, ours = ([row[column] for row in rows] for column in (0, 1))
    later = statistics.median(with_us - without for without, with_us in rows)
    print(
        f"alone      first statement after {statistics.median(alone) * 1e3:4.0f} ms (smallest {min(alone) * 1e3:.0f})"
    )
    print(f"under run  first statement after {statistics.median(ours) * 1e3:4.0f} ms (smallest {min(ours) * 1e3:.0f})")
    print(f"{later * 1e3:.0f} ms later (median of {ROUNDS} pairs); the target is {MOST_S * 1e3:.0f} ms in all")


if __name__ == "__main__":
    main()
