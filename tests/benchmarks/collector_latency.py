"""What the Collector adds to an alert's way: POST of one ERROR to its arrival, through it and past it, in one run.

Prints medians and 95th percentiles in milliseconds, idle machine assumed, disk queue with fsync as deployed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from tests.servers.collector import collector_for
from tests.servers.otlp_client import PROTOBUF, logs_request, record
from tests.servers.otlp_sink import ALERTS_PATH, OtlpSink

__all__ = ["main"]

ROUNDS: Final = 50
WARM_UP_ROUNDS: Final = 5
PAUSE_SECONDS: Final = 0.1
ARRIVAL_TIMEOUT_SECONDS: Final = 10.0


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, OtlpSink() as sink:
        with collector_for(Path(folder), sink.url) as collector:
            through = _latencies_ms(f"{collector.http_endpoint}/v1/logs", sink)
        past = _latencies_ms(f"{sink.url}{ALERTS_PATH}", sink)
    for name, values in (("through the Collector", through), ("directly", past)):
        print(f"{name:24} p50 {_percentile(values, 50):6.1f} ms   p95 {_percentile(values, 95):6.1f} ms")
    added = _percentile(through, 50) - _percentile(past, 50)
    print(f"{'added by the Collector':24} p50 {added:6.1f} ms   ({ROUNDS} ERROR records, one per {PAUSE_SECONDS} s)")


def _latencies_ms(url: str, sink: OtlpSink) -> list[float]:
    """From before the POST to the moment when the sink has read the record, in milliseconds."""
    latencies = []
    with httpx.Client(headers={"content-type": PROTOBUF}) as client:
        for number in range(WARM_UP_ROUNDS + ROUNDS):
            body = f"{url} {number}"
            request = logs_request(record(body))
            before = len(sink.times[ALERTS_PATH])
            started = time.monotonic()
            client.post(url, content=request).raise_for_status()
            arrived = sink.wait_for(lambda body=body: body in sink.bodies(ALERTS_PATH), ARRIVAL_TIMEOUT_SECONDS)
            if not arrived:
                raise TimeoutError(f"{body} did not arrive in {ARRIVAL_TIMEOUT_SECONDS:.0f} s")
            if number >= WARM_UP_ROUNDS:
                latencies.append((sink.times[ALERTS_PATH][before] - started) * 1_000)
            time.sleep(PAUSE_SECONDS)
    return latencies


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
