"""What one log call costs under `run`, as a multiple of a call to a NullHandler; peers measured in the same run.

Every candidate is a process of its own and pays for its own threads too (CPU time). They take turns in short rounds, so
that a busy machine slows all alike, and each round is compared with its own NullHandler round.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ROUNDS = 40
CALLS_PER_ROUND = 2_000
MOST_OF_NULL = 1.9
MOST_OF_JSON = 0.65
CHILD = Path(__file__).parents[2] / "instrumentation" / "child"

_CANDIDATE = """
import logging, sys, time
calls = int(sys.argv[2])
root = logging.getLogger()
root.setLevel(logging.INFO)
if sys.argv[1] == "json":
    import json
    known = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
    class Json(logging.Formatter):  # the fields of a journal's line
        def format(self, record):
            line = {
                "time": self.formatTime(record), "level": record.levelname, "logger": record.name,
                "message": record.getMessage(), "template": record.msg, "file": record.pathname,
                "function": record.funcName, "line": record.lineno, "thread": record.threadName,
                "process": record.process,
            }
            if record.exc_info:
                line["exception"] = self.formatException(record.exc_info)
            line.update((name, value) for name, value in record.__dict__.items() if name not in known)
            return json.dumps(line, default=str)
    handler = logging.FileHandler(sys.argv[3])
    handler.setFormatter(Json())
elif sys.argv[1] == "otel":
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=sys.argv[3])))
    handler = LoggingHandler(logger_provider=provider)
else:
    handler = logging.NullHandler()
root.addHandler(handler)
log = logging.getLogger("models.orange_pasta")
for _ in sys.stdin:
    start = time.process_time()
    for step in range(calls):
        log.info("epoch %d of model %s: loss %.4f", step, "orange_pasta", 0.25)
    print((time.process_time() - start) / calls * 1e6, flush=True)
"""


class _Sink(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def measure() -> dict[str, list[float]]:
    """CPU microseconds per call, one figure per round, by candidate."""
    sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    Thread(target=sink.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHONPATH"))}
        under_run = {**plain, "PYTHONPATH": str(CHILD), "PIPELINE_ALERTS_JOURNAL_DIR_RUN": folder}
        extra = {"json": f"{folder}/peer.json", "otel": f"http://127.0.0.1:{sink.server_port}/v1/logs"}
        processes = {
            name: subprocess.Popen(
                [sys.executable, "-c", _CANDIDATE, name, str(CALLS_PER_ROUND), extra.get(name, "")],
                env=under_run if name == "run" else plain,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("null", "run", "json", "otel")
        }
        figures: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(ROUNDS + 2):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                figures[name].append(float(process.stdout.readline()))
        for process in processes.values():
            process.communicate()
    sink.shutdown()
    return {name: values[2:] for name, values in figures.items()}


def main() -> None:
    """Prints the ratios, and whether they are within what was promised."""
    figures = measure()
    null, json_file, run = figures["null"], figures["json"], figures["run"]
    print(f"log call, median of {ROUNDS} rounds of {CALLS_PER_ROUND}, NullHandler {statistics.median(null):.1f} µs")
    for name, title in (("run", "under run"), ("json", "stdlib JSON FileHandler"), ("otel", "stock OTLP/HTTP handler")):
        ratio = statistics.median(mine / floor for mine, floor in zip(figures[name], null, strict=True))
        print(f"  {title:24} {ratio:.2f} x NullHandler")
    of_null = statistics.median(mine / floor for mine, floor in zip(run, null, strict=True))
    of_json = statistics.median(mine / peer for mine, peer in zip(run, json_file, strict=True))
    print(f"  under run / JSON file    {of_json:.2f}")
    print(json.dumps({"of_null": round(of_null, 3), "of_json": round(of_json, 3)}))
    print("within" if of_null <= MOST_OF_NULL and of_json <= MOST_OF_JSON else "BEYOND", "the target", end=" ")
    print(f"(≤ {MOST_OF_NULL} x NullHandler, ≤ {MOST_OF_JSON} x JSON file)")


if __name__ == "__main__":
    main()
