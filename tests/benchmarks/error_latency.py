"""How long from `logging.error(...)` under `run` to its arrival at a receiver; and what a record costs the parent.

    python -m tests.benchmarks.error_latency

The receiver is a plain loopback sink, so that what is measured is ours. Stock OpenTelemetry waits up to
a second by design; its way is measured with the same program beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.servers.otlp_sink import LOGS_PATH, OtlpSink

ROOT: Final = Path(__file__).resolve().parent.parent.parent
ERRORS: Final = 60
PAUSE_S: Final = 0.05
BURST: Final = 50_000

_PROGRAM: Final = f"""
import logging, time
logging.basicConfig(level=20, stream=open("/dev/null", "w"))
time.sleep(1.0)
for number in range({ERRORS}):
    logging.error("sent at %d", time.time_ns())
    time.sleep({PAUSE_S})
"""
_STOCK: Final = ("opentelemetry-instrument", "--traces_exporter", "none", "--metrics_exporter", "none",
                 "--logs_exporter", "otlp_proto_http")  # fmt: skip


def latencies_ms(command: list[str], environ: dict[str, str]) -> list[float]:
    """Milliseconds from the logging call to the complete request at the receiver, per record."""
    with OtlpSink() as sink:
        arrived: dict[str, float] = {}
        answer = sink.answer

        def note(request):
            now = time.time_ns()
            if request.path == LOGS_PATH:
                for record in request.records():
                    arrived[record.body.string_value] = now
            return answer(request)

        sink.answer = note
        targets = {"PIPELINE_ALERTS_ENDPOINT": sink.url, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
        subprocess.run(command, env={**environ, **targets}, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    sent = [(body, at) for body, at in arrived.items() if body.startswith("sent at ")]
    return sorted((at - int(body.removeprefix("sent at "))) / 1e6 for body, at in sent)


# What the parent does under `run`: reads, formats, redacts, ships, and writes the structured log.
_SHIPPER: Final = """
import logging, sys, time
from pathlib import Path
from instrumentation.sender.logfile import RunLog
from instrumentation.sender.sender import Sender
from instrumentation.settings import Settings
log = logging.getLogger("peer")
log.addHandler(logging.NullHandler())
log.setLevel(20)
calls = []
for _ in range(20):
    start = time.process_time()
    for number in range(2_000):
        log.info("Fetched %d rows of %s", number, "country_month")
    calls.append((time.process_time() - start) / 2_000)
folder = Path(sys.argv[1])
sender = Sender(folder, Settings(endpoint=sys.argv[2], linger_seconds=0), log=RunLog(folder.parent / "run.log"))
start = time.process_time()
sender.start()
report = sender.stop(600)
assert report.is_complete and report.accepted == int(sys.argv[3]), report
print((time.process_time() - start) * 1e6, min(calls) * 1e6)
"""


def parent_cost_us(environ: dict[str, str]) -> tuple[float, float]:
    """CPU microseconds of the shipping process per record, over a burst; and of a NullHandler call beside it."""
    with OtlpSink() as sink, tempfile.TemporaryDirectory() as temporary:
        spent = []
        for records in (10, BURST + 10):
            folder = Path(temporary) / f"run-{records}"
            folder.mkdir()
            with (folder / f"99999999-t{records}.jsonl").open("w", encoding="utf-8") as file:
                for number in range(records):
                    line = {"k": "log", "u": number, "t": time.time_ns(), "n": 20, "l": "INFO", "g": "views.fetch"}
                    line |= {"m": "Fetched %d rows of %s", "a": [number, "country_month"], "f": "/home/kim/p/fetch.py"}
                    file.write(json.dumps(line | {"o": "fetch", "i": 88, "h": "MainThread"}) + "\n")
            command = [sys.executable, "-c", _SHIPPER, str(folder), sink.url, str(records)]
            done = subprocess.run(command, env=environ, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
            spent.append([float(figure) for figure in done.stdout.split()])
    return (spent[1][0] - spent[0][0]) / BURST, min(spent[0][1], spent[1][1])


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        environ = {**os.environ, "XDG_STATE_HOME": temporary, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
        ours = [sys.executable, "-m", "alert_bridge.cli", "run", "--", sys.executable, "-c", _PROGRAM]
        stock = [str(Path(sys.executable).parent / _STOCK[0]), *_STOCK[1:], sys.executable, "-c", _PROGRAM]
        for name, command in (("pipeline-alerts run", ours), ("opentelemetry-instrument", stock)):
            measured = latencies_ms(command, environ)
            p99 = measured[min(len(measured) - 1, int(len(measured) * 0.99))]
            print(
                f"ERROR to receiver, {name:26} p50 {statistics.median(measured):7.1f} ms"
                f"   p99 {p99:7.1f} ms   {len(measured)} of {ERRORS} arrived"
            )
        cost, null = parent_cost_us(environ)
        print(f"shipping and filing one record, CPU {cost:5.1f} µs, {cost / null:.1f} x NullHandler ({null:.1f} µs)")


if __name__ == "__main__":
    main()
