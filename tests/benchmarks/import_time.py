"""What our imports and commands cost at start, against the bare interpreter in the same run.

python -m tests.benchmarks.import_time
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ROUNDS: Final = 9
_CASES: Final = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import instrumentation": [sys.executable, "-c", "import instrumentation"],
    "… and stage, log_metrics": [sys.executable, "-c", "from instrumentation import stage, log_metrics"],
    "… and configure": [sys.executable, "-c", "from instrumentation import configure"],
    "import opentelemetry.sdk.trace": [sys.executable, "-c", "import opentelemetry.sdk.trace"],
    "pipeline-alerts --help": [sys.executable, "-m", "alert_bridge.cli", "--help"],
    "pipeline-alerts run -- true": [sys.executable, "-m", "alert_bridge.cli", "run", "--", "true"],
}


def fastest_ms(command: list[str], environ: dict[str, str]) -> float:
    """The fastest of some rounds, because everything slower is somebody else's work."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        best = min(best, time.perf_counter() - started)
    return best * 1000


def main() -> None:
    """Prints a line per case."""
    with tempfile.TemporaryDirectory() as temporary:
        environ = {**os.environ, "XDG_STATE_HOME": temporary, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
        bare = 0.0
        for name, command in _CASES.items():
            taken = fastest_ms(command, environ)
            bare = bare or taken
            print(f"{name:32} {taken:7.1f} ms   {taken - bare:+7.1f} ms over bare Python   {taken / bare:5.1f} times")


if __name__ == "__main__":
    main()
