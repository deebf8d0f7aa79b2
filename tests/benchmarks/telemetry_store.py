"""How fast telemetry is decoded, redacted, judged and kept, and found again; beside plain peers in the same run.

Peers: `ParseFromString` of the same bytes (what nobody can decode without), and `executemany` of the same columns into
one table without an index, a check for what is there or a run (what nobody can store without). All take turns.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from alert_bridge import otlp
from alert_bridge.model import Record, Severity, Span
from alert_bridge.policy.load import load, packaged_path
from alert_bridge.service.handover import is_promoted
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.otlp_client import PROTOBUF, logs_request, record

DECODED_RECORDS, DECODED_ROUNDS = 100, 40
ROWS, ROWS_PER_BATCH, RUNS = 200_000, 512, 100
SPANS_PER_RUN = 150
QUESTIONS = 200
START = 1_800_000_000_000_000_000


def main() -> None:
    decoding()
    with tempfile.TemporaryDirectory() as folder:
        storing(Path(folder))
        asking(Path(folder))


def decoding() -> None:
    body = logs_request(
        *[
            record(
                f"Month {number} of the forecast was written to the store",
                9,
                uid=f"3f9a2c-{number}",
                trace_id="ab" * 16,
                span_id="cd" * 8,
                **{"code.file.path": "models/train.py", "code.function.name": "train", "code.line.number": number},
            )
            for number in range(DECODED_RECORDS)
        ]
    )
    policy = load(packaged_path())
    records = otlp.decode_logs(body, content_type=PROTOBUF).records
    work: dict[str, Callable[[], object]] = {
        "parse only (peer)": lambda: ExportLogsServiceRequest.FromString(body),
        "decode": lambda: otlp.decode_logs(body, content_type=PROTOBUF),
        "redact": lambda: otlp.scrub_records(records),
        "judge": lambda: [is_promoted(item, policy, START) for item in records],
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(DECODED_ROUNDS):
        for name, do in work.items():
            began = time.process_time()
            for _ in range(5):
                do()
            best[name] = min(best[name], (time.process_time() - began) / 5)
    print(f"{DECODED_RECORDS} records in protobuf, {len(body):,} bytes; best of {DECODED_ROUNDS} rounds, CPU time")
    for name, seconds in best.items():
        print(
            f"  {name:18} {seconds / DECODED_RECORDS * 1e6:7.2f} µs a record, {DECODED_RECORDS / seconds:,.0f} a second"
        )


def storing(folder: Path) -> None:
    batches = [batch(number) for number in range(ROWS // ROWS_PER_BATCH)]
    store = TelemetryStore(folder)
    plain = sqlite3.connect(folder / "plain.db", isolation_level=None)
    plain.execute("PRAGMA page_size = 8192")
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = FULL")
    plain.execute("CREATE TABLE logs (uid, time, severity, body, trace_id, span_id, resource, attributes)")
    normal = TelemetryStore(folder / "normal")
    normal._connection.execute("PRAGMA synchronous = NORMAL")
    writers: dict[str, Callable[[list[Record]], object]] = {
        "executemany (peer)": lambda records: insert_plain(plain, records),
        "store, FULL": store.append_logs,
        "store, NORMAL": normal.append_logs,
    }
    wall, cpu = dict.fromkeys(writers, 0.0), dict.fromkeys(writers, 0.0)
    for records in batches:
        for name, write in writers.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            write(records)
            wall[name] += time.perf_counter() - began
            cpu[name] += time.process_time() - began_cpu
    rows = len(batches) * ROWS_PER_BATCH
    print(f"\n{rows:,} rows in commits of {ROWS_PER_BATCH}")
    for name in writers:
        ratio = cpu[name] / cpu["executemany (peer)"]
        print(
            f"  {name:18} {rows / wall[name]:8,.0f} rows/s  {cpu[name] / rows * 1e6:5.1f} CPU s/M rows  {ratio:4.1f}x"
        )
    for run in range(RUNS):
        store.append_spans([a_span(run, number) for number in range(SPANS_PER_RUN)])
    size = sum(file.stat().st_size for file in folder.glob("telemetry.db*"))
    print(f"  on disk {size / rows:,.0f} bytes a row, with spans and write-ahead log")
    store.close()
    normal.close()
    plain.close()


def asking(folder: Path) -> None:
    reader = Telemetry(folder)
    runs = [run.run_id for run in reader.runs(limit=RUNS)]
    per_run = ROWS // RUNS
    questions: dict[str, Callable[[int], object]] = {
        "run": lambda n: reader.run(runs[n % RUNS]),
        "run_log, last 500": lambda n: reader.run_log(runs[n % RUNS]),
        "run_log, 25 around": lambda n: reader.run_log(
            runs[n % RUNS], around=uid(n % RUNS, n % per_run), before=25, after=25
        ),
        "trace_spans": lambda n: reader.trace_spans(trace_of(n % RUNS)),
        "search in a run": lambda n: reader.search(f"month {n} of", run_id=runs[n % RUNS]),
        "runs, newest 50": lambda _: reader.runs(),
    }
    print(f"\n{ROWS:,} rows, {RUNS} runs, {SPANS_PER_RUN} spans each; {QUESTIONS} times each, ms")
    for name, ask in questions.items():
        took = []
        for number in range(QUESTIONS):
            began = time.perf_counter()
            ask(number)
            took.append((time.perf_counter() - began) * 1000)
        p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1]
        print(f"  {name:18} p50 {p50:7.2f}  p95 {p95:7.2f}")
    began = time.perf_counter()
    reader.search("nowhere at all")
    print(f"  {'search everything':18} once {(time.perf_counter() - began) * 1000:6.0f}")
    reader.close()


def batch(number: int) -> list[Record]:
    """One commit's records, of one run; the runs take turns, as when several pipelines run at once."""
    run = number % RUNS
    resource = {
        "service.name": "monthly_run",
        "cicd.pipeline.name": "monthly_run",
        "cicd.pipeline.run.id": f"run-{run:03}",
        "deployment.environment.name": "production",
        "host.name": "node-7",
        "process.pid": 4000 + run,
    }
    first = number // RUNS * ROWS_PER_BATCH
    return [
        Record(
            uid=uid(run, first + line),
            time=START + number * 1_000_000_000 + line * 1_000,
            observed=START,
            severity=Severity.INFO,
            severity_number=9,
            severity_text="INFO",
            body=f"Month {line} of the forecast was written to the store after {line % 7} tries",
            attributes={"code.file.path": "models/train.py", "code.function.name": "train", "code.line.number": line},
            resource=resource,
            scope="models.lavender",
            trace_id=trace_of(run),
            span_id="cd" * 8,
        )
        for line in range(ROWS_PER_BATCH)
    ]


def insert_plain(connection: sqlite3.Connection, records: list[Record]) -> None:
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                item.uid,
                item.time,
                int(item.severity),
                item.body,
                item.trace_id,
                item.span_id,
                id(item.resource),
                json.dumps(item.attributes),
            )
            for item in records
        ],
    )
    connection.execute("COMMIT")


def a_span(run: int, number: int) -> Span:
    return Span(
        trace_id=trace_of(run),
        span_id=f"{run:08x}{number + 1:08x}",
        parent_id=f"{run:08x}{number:08x}" if number else "",
        name=f"stage {number}",
        kind=1,
        start=START + number,
        end=START + number + 1_000,
        status=0,
        resource={"service.name": "monthly_run", "cicd.pipeline.run.id": f"run-{run:03}"},
    )


def uid(run: int, number: int) -> str:
    return f"{run:06x}-{number}"


def trace_of(run: int) -> str:
    return f"{run + 1:032x}"


if __name__ == "__main__":
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    main()
