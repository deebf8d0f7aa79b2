"""How long the pages take, beside a peer in the same run: the same template engine drawing one plain line per record.

Pages are asked of the real application without a socket, so that it is their own work that is timed. Stores are the
real SQLite ones, on disk. Processor time is the least of all rounds, so that a busy machine blurs it little; the median
is what somebody waits on this machine now. Run: `python -m tests.benchmarks.pages`.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jinja2
from starlette.applications import Starlette

from alert_bridge.intake.sifting import sift
from alert_bridge.intake.take import take
from alert_bridge.model import Record, Severity, Span
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.load import load
from alert_bridge.store.control import ControlStore, open_reader
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from alert_bridge.web import WebSettings, routes
from tests.servers.month import month
from tests.servers.month_telemetry import MS, NOW, resource

ROUNDS = 15
POLICY = """version: 1
audiences:
  infrastructure: {name: Infrastructure, slack: "#alerts-infra", email: [infra@site.test]}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [infrastructure]}
  - {channel: email, min_severity: ERROR, audiences: [infrastructure]}
"""


def run(name: str, lines: int, spans: int, sample: Record) -> tuple[list[Record], list[Span]]:
    """A run with one ERROR in the middle, under a span in the middle of the tree."""
    trace = f"{lines:032x}"
    tree = [
        Span(trace, f"{number + 1:016x}", f"{number // 3 + 1:016x}" if number else "", f"stage_{number}", 1,
             NOW + number * MS, NOW + (number + 50) * MS, 2 if number == spans // 2 else 0,
             attributes={"cicd.pipeline.task.name": f"stage_{number}", "rows": number, "part": "cm"},
             resource=resource(run=name))
        for number in range(spans)
    ]  # fmt: skip
    records = [
        Record(f"{name}-{number}", NOW + number * MS, NOW, Severity.INFO, "INFO", f"Fetched part {number} of {lines}",
               attributes={"cicd.pipeline.task.name": f"stage_{number % spans}"}, resource=resource(run=name),
               trace_id=trace)
        for number in range(lines)
    ]  # fmt: skip
    middle = lines // 2
    records[middle] = replace(
        sample,
        uid=f"{name}-error",
        time=NOW + middle * MS,
        trace_id=trace,
        span_id=f"{spans // 2 + 1:016x}",
        resource=resource(run=name),
        attributes={**sample.attributes, "pipeline.fingerprint": name},
    )
    return records, tree


def fill(state: Path) -> None:
    """Two runs, and 60 more open incidents for the list."""
    (state / "alerting.yaml").write_text(POLICY)
    policy = load(state / "alerting.yaml")
    sample = next(record for record in month()[1].records if record.uid == "7f3c-1007")
    control, telemetry = ControlStore(state), TelemetryStore(state)
    records: list[Record] = []
    for name, lines, spans in (("run-2000", 2000, 300), ("run-10000", 10_000, 300)):
        log, tree = run(name, lines, spans, sample)
        telemetry.append_logs(log)
        telemetry.append_spans(tree)
        records += log
    records += [
        replace(sample, uid=f"more-{number}", attributes={**sample.attributes, "pipeline.fingerprint": f"f{number}"})
        for number in range(60)
    ]
    sifted = [each for record in records if (each := sift(record, policy, NOW)) is not None]
    with control.writing() as book:
        numbers = itertools.count(1)
        take(book, sifted, Rules(policy.grouping, frozenset({"slack"})), now=NOW, new_id=lambda: f"i{next(numbers)}")
    control.close()
    telemetry.close()


async def asked(application: Starlette, path: str) -> tuple[int, int]:
    """Status and size of one answer."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    seen = {"status": 0, "size": 0}

    async def receive() -> dict[str, object]:
        return await asyncio.Future()  # this reader stays

    async def send(message) -> None:
        seen["status"] = message.get("status", seen["status"])
        seen["size"] += len(message.get("body", b""))

    await application(scope, receive, send)
    return seen["status"], seen["size"]


def peer() -> float:
    """Milliseconds of processor time for 1,000 plain lines by Jinja2, autoescaped: no page of that size is faster."""
    template = jinja2.Environment(autoescape=True).from_string(
        "{% for line in lines %}<li>{{ line }}</li>\n{% endfor %}"
    )
    lines = [f"Fetched part {number}, {number:,} rows" for number in range(1000)]
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        template.render(lines=lines).encode()
        times.append(time.process_time() - start)
    return min(times) * 1000


async def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        fill(state)
        control, telemetry = open_reader(state), Telemetry(state)
        application = Starlette(routes=routes(control, telemetry, WebSettings("http://127.0.0.1", clock=lambda: NOW)))
        ids = {incident.run_ids[-1]: incident.id for incident in control.incidents()}
        pages = {
            "incident, 300 spans, run of 2,000 lines": f"/incidents/{ids['run-2000']}",
            "incident, 300 spans, run of 10,000 lines": f"/incidents/{ids['run-10000']}",
            "log of 10,000 lines around the error": "/runs/run-10000/log?around=run-10000-error",
            "end of a log of 10,000 lines": "/runs/run-10000/log",
            "run, 300 spans": "/runs/run-10000",
            "trace, 300 spans and 2,000 records": f"/traces/{2000:032x}",
            "62 open incidents": "/",
            "whether the list has changed": "/live",
            "download of 10,000 records": "/runs/run-10000/log.jsonl",
        }
        plain = peer()
        print(f"peer: 1,000 plain lines by Jinja2 alone {plain:.2f} ms of processor time\n")
        print(f"{'page':<44}{'median ms':>10}{'cpu ms':>9}{'KiB':>8}{'cpu x peer':>12}")
        for label, path in pages.items():
            walls, cpus = [], []
            for _ in range(ROUNDS):
                wall, cpu = time.perf_counter(), time.process_time()
                status, size = await asked(application, path)
                walls.append((time.perf_counter() - wall) * 1000)
                cpus.append((time.process_time() - cpu) * 1000)
                assert status == 200, (path, status)
            wall, cpu = statistics.median(walls), min(cpus)
            print(f"{label:<44}{wall:>10.1f}{cpu:>9.1f}{size / 1024:>8.0f}{cpu / plain:>12.1f}")
        telemetry.close()


if __name__ == "__main__":
    asyncio.run(main())
