"""How fast errors are taken in when each is a problem of its own, and what that leaves behind.

    python -m tests.benchmarks.error_storm [RECORDS] [RECORDS_OVER_HTTP]

First in this process: real transactions on a real control.db; a request holds as many records as the Collector's
batches do. The peer is the same number of records that are one problem. Then over HTTP into `serve` with a scripted
Slack, eight impatient senders, and every other second one ERROR of another run: to an address of its own, and to the
one that the storm fills.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.bridge import BridgeProcess, wait_for
from tests.servers.engine import NS, Engine, a_record
from tests.servers.otlp_client import RESOURCE, logs_request, post, record
from tests.servers.slack import SlackServer
from tests.servers.storm import send_storm, text_of

REQUEST_RECORDS = 500
RECORDS_A_SECOND = 1_700  # as the clock of the storm goes: 10^5 a minute
SENDERS = 8
PROBE_EVERY_S = 2.0  # every fifth of them beside the storm: more would be a storm of its own
WITHIN_S = 900.0
QUIET, NEIGHBOUR = "quiet", "neighbour"  # pipelines: told where nothing else is told, and beside the storm
POLICY = """\
version: 1
audiences:
  mdd: {name: MD&D, slack: "#mdd"}
  infrastructure: {name: Infrastructure, slack: "#infra"}
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, infrastructure]}
rules:
  - {match: {pipeline: quiet}, set: {audiences: [infrastructure]}}
  - {match: {pipeline: monthly_run}, set: {audiences: [mdd]}}
  - {match: {pipeline: neighbour}, set: {audiences: [mdd]}}
grouping: {hold: 0s, repeat_after: 24h, resolve_after: next_success}
"""


@dataclass(frozen=True, slots=True)
class _Probe:
    """One ERROR of another run: when it was sent, and how long its 200 took."""

    pipeline: str
    words: str
    sent_at: float
    answered_s: float


def main(records: int = 20_000, over_http: int = 10_000) -> None:
    """Prints a row per kind of storm, then what a storm over HTTP does to others."""
    _in_process(records)
    print()
    _over_http(over_http)


def _in_process(records: int) -> None:
    print(f"{'storm':28}{'records/CPU s':>15}{'incidents':>11}{'posts':>8}{'control.db':>12}{'peak memory':>13}")
    for name, distinct in (("one problem", False), ("each its own, one run", True)):
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine(Path(folder))
            used = 0.0
            for start in range(0, records, REQUEST_RECORDS):
                batch = [_record(number, engine.now, distinct) for number in range(start, start + REQUEST_RECORDS)]
                began = time.process_time()
                engine.post(*batch)
                used += time.process_time() - began
                engine.at(engine.seconds + REQUEST_RECORDS / RECORDS_A_SECOND)
            size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            print(
                f"{name:28}{records / used:15,.0f}{len(engine.incidents()):11,}{len(engine.slack.posts):8,}"
                f"{size:9,.0f} MiB{peak:9,.0f} MiB"
            )
            balances = {book.balance for book in engine.books().values()}
            assert balances == {0}, balances
            engine.close()


def _over_http(records: int) -> None:
    with SlackServer() as slack, tempfile.TemporaryDirectory() as folder:
        environ = {"SLACK_BOT_TOKEN": slack.token, "SLACK_API_URL": slack.api_url}
        with BridgeProcess(Path(folder), policy=POLICY, environ=environ) as bridge:
            bridge.wait_until_ready()
            alerts = bridge.children()["alerts"]
            before = _memory_mib(alerts, "VmRSS")
            began = time.monotonic()
            with _probing(bridge.url) as probes:
                stormed = send_storm(
                    bridge.url, range(records), per_request=REQUEST_RECORDS, senders=SENDERS, within_s=WITHIN_S
                )
            took = time.monotonic() - began
            reader = bridge.reader()
            wait_for(lambda: sum(book.queued for book in reader.books()) == 0, WITHIN_S)
            taken, books = reader.counters()["taken"], reader.books()
            reader.close()
            calls = [call for call in slack.calls if call.method == "chat.postMessage"]
            print(
                f"over HTTP: {records:,} records in {took:.1f} s, {records / took:,.0f} a second; answers"
                f" {dict(stormed.answers)}, {stormed.put_off} with Retry-After; 200 after"
                f" {statistics.median(stormed.accepted_s):.2f} s (median), {max(stormed.accepted_s):.2f} s at most"
            )
            print(
                f"  counted {taken - len(probes):,} of the storm and {len(probes)} others; {len(calls)} posts,"
                f" {slack.edits} edits; alerts process {before} MiB before, {_memory_mib(alerts, 'VmHWM')} at most"
            )
            for pipeline in (QUIET, NEIGHBOUR):
                _print_probes(pipeline, probes, {str(call.payload.get("text")): call.at for call in calls})
    assert set(stormed.answers) <= {200, 503}, stormed.answers
    assert taken == records + len(probes), (taken, records, len(probes))
    assert {book.balance for book in books} == {0}, books


def _print_probes(pipeline: str, probes: list[_Probe], told: dict[str, float]) -> None:
    mine = [probe for probe in probes if probe.pipeline == pipeline]
    delays = [at - probe.sent_at for probe in mine for text, at in told.items() if probe.words in text]
    if delays:
        print(
            f"  an ERROR of {pipeline}: 200 after {statistics.median(probe.answered_s for probe in mine):.2f} s,"
            f" told after {statistics.median(delays):.2f} s (median), {max(delays):.2f} s at most;"
            f" {len(delays)} of {len(mine)} by themselves, the others within a storm's message"
        )


@contextmanager
def _probing(url: str) -> Iterator[list[_Probe]]:
    """Send an ERROR of another run every other second."""
    probes: list[_Probe] = []
    over = threading.Event()

    def probe() -> None:
        while not over.wait(PROBE_EVERY_S):
            pipeline, words = NEIGHBOUR if len(probes) % 5 == 0 else QUIET, f"{_word(len(probes))} broke"
            resource_ = {"cicd.pipeline.name": pipeline, "cicd.pipeline.run.id": f"other-{len(probes)}"}
            body = logs_request(record(words), resource={**RESOURCE, "service.name": pipeline, **resource_})
            sent_at = time.monotonic()
            assert post(f"{url}/alerts/v1/logs", body).status == 200
            probes.append(_Probe(pipeline, words, sent_at, time.monotonic() - sent_at))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        over.set()
        thread.join()


def _memory_mib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024


def _record(number: int, now: int, distinct: bool):
    body = text_of(number) if distinct else "cannot read the shelf"
    return a_record(body, at=now + number % NS, run="run-1", stage=f"stage-{number % 10}")


def _word(number: int) -> str:
    return text_of(number).replace("ox", "ek")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
