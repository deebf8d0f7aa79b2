"""How long from `logging.error(...)` under `run` to its arrival at a receiver.

    python -m tests.benchmarks.error_latency

The receiver is a plain loopback sink, so that what is measured is ours. Stock OpenTelemetry waits up to
a second by design; its way is measured with the same program beside it.
"""

from __future__ import annotations

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


if __name__ == "__main__":
    main()
