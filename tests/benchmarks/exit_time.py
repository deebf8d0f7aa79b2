"""How much later a program ends because of us, whatever the receiver does: logs, a span and metrics together.

    python -m tests.benchmarks.exit_time

From the program's last statement to its end as whoever waits for it sees it, less the same without us. The ways and the
receivers take turns. "a child" is a program below `run`; what the command does after it is not the child's.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.servers.otlp_sink import LOGS_PATH, METRICS_PATH, TRACES_PATH, Answer, OtlpSink

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ROUNDS: Final = 7
WORK_S: Final = 0.5  # long enough that the start is over
MOST_S: Final = {  # with the receiver up, and with any other
    "run": (0.15, 1.5),
    "a child": (0.02, 0.02),
    "configure": (0.1, 1.5),
}
_WORK: Final = f"""
import logging, time
from instrumentation import log_metrics, stage
logging.basicConfig(level=20, stream=open("/dev/null", "w"))
with stage("train"):
    for number in range(100):
        logging.info("row %d", number)
        log_metrics({{"loss": 1 / (number + 1)}}, step=number)
time.sleep({WORK_S})
logging.error("it failed")
print(time.time(), flush=True)
"""
_CONFIGURED: Final = "import instrumentation; instrumentation.configure('p')\n" + _WORK
_PARENT: Final = f"""
import subprocess, sys, time
child = subprocess.run([sys.executable, "-c", {_WORK!r}], stdout=subprocess.PIPE, check=True)
print(float(child.stdout) - time.time())
"""
_PYTHON: Final = (sys.executable, "-c")
_RUN: Final = (sys.executable, "-m", "alert_bridge.cli", "run", "--", *_PYTHON)
# By way: without us, and with us.
_COMMANDS: Final = {
    "run": ((*_PYTHON, _WORK), (*_RUN, _WORK)),
    "a child": ((*_PYTHON, _PARENT), (*_RUN, _PARENT)),
    "configure": ((*_PYTHON, _WORK), (*_PYTHON, _CONFIGURED)),
}


def exit_s(command: tuple[str, ...], endpoint: str, state: str) -> float:
    """Seconds from the last statement to the end, of the command or of the child that says so itself."""
    environ = {**os.environ, "PIPELINE_ALERTS_ENDPOINT": endpoint, "XDG_STATE_HOME": state}
    environ["PIPELINE_ALERTS_LINGER_SECONDS"] = "0"
    done = subprocess.run(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    ended, said = time.time(), float(done.stdout)
    return ended - said if said > 0 else -said


def main() -> None:
    """Prints a row per way and receiver, and whether it is within what was promised."""
    with tempfile.TemporaryDirectory() as state, OtlpSink() as sink, OtlpSink() as busy, socket.socket() as silent:
        for path in (LOGS_PATH, METRICS_PATH, TRACES_PATH):
            busy.always(path, Answer(503))
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # connects, and never answers
        endpoints = {
            "up": sink.url,
            "refused": "http://127.0.0.1:1",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "503": busy.url,
        }
        later: dict[tuple[str, str], list[float]] = {(way, to): [] for way in _COMMANDS for to in endpoints}
        for _ in range(ROUNDS):
            for way, (plain, ours) in _COMMANDS.items():
                alone = exit_s(plain, sink.url, state)
                for receiver, endpoint in endpoints.items():
                    later[way, receiver].append(exit_s(ours, endpoint, state) - alone)
    for (way, receiver), figures in later.items():
        middle, most = statistics.median(figures), MOST_S[way][receiver != "up"]
        verdict = "within" if middle <= most else "BEYOND"
        print(
            f"{way:10} receiver {receiver:8} ends {middle * 1e3:6.0f} ms later (median of {ROUNDS},"
            f" smallest {min(figures) * 1e3:.0f}), {verdict} the target of {most * 1e3:.0f} ms"
        )


if __name__ == "__main__":
    main()
