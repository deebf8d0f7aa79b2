"""How much later a program ends because of us, with the receiver up and with nobody there.

    python -m tests.benchmarks.exit_time

From the program's last statement to the end of the command, less the same without us; the ways take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.otlp_sink import OtlpSink

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 7
WORK_S = 0.5  # long enough that the start is over
MOST_S = {("run", "up"): 0.15, ("configure", "up"): 0.1, ("run", "refused"): 1.5, ("configure", "refused"): 1.5}
_WORK = f"""
import logging, time
logging.basicConfig(level=20, stream=open("/dev/null", "w"))
for number in range(100):
    logging.info("row %d", number)
time.sleep({WORK_S})
logging.error("it failed")
print(time.time(), flush=True)
"""
_CONFIGURED = "import instrumentation; instrumentation.configure('p')\n" + _WORK


def exit_s(command: list[str], endpoint: str, state: str) -> float:
    """Seconds from the last statement to the end of the command."""
    environ = {**os.environ, "PIPELINE_ALERTS_ENDPOINT": endpoint, "XDG_STATE_HOME": state}
    environ["PIPELINE_ALERTS_LINGER_SECONDS"] = "0"
    done = subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return time.time() - float(done.stdout)


def main() -> None:
    """Prints a row per way, and whether it is within what was promised."""
    plain = [sys.executable, "-c", _WORK]
    ways = {
        "run": [sys.executable, "-m", "alert_bridge.cli", "run", "--", *plain],
        "configure": [sys.executable, "-c", _CONFIGURED],
    }
    with tempfile.TemporaryDirectory() as state, OtlpSink() as sink:
        endpoints = {"up": sink.url, "refused": "http://127.0.0.1:1"}
        later: dict[tuple[str, str], list[float]] = {case: [] for case in MOST_S}
        for _ in range(ROUNDS):
            alone = exit_s(plain, sink.url, state)
            for (way, receiver), figures in later.items():
                figures.append(exit_s(ways[way], endpoints[receiver], state) - alone)
    for case, figures in later.items():
        middle, most = statistics.median(figures), MOST_S[case]
        verdict = "within" if middle <= most else "BEYOND"
        print(
            f"{case[0]:10} receiver {case[1]:8} ends {middle * 1e3:6.0f} ms later (median of {ROUNDS},"
            f" smallest {min(figures) * 1e3:.0f}), {verdict} the target of {most * 1e3:.0f} ms"
        )


if __name__ == "__main__":
    main()
