"""What Prefect and W&B cost an alert: POST to Slack with the exporters on and off, pair by pair.

    python -m tests.benchmarks.exporters_effect [PAIRS]

Two bridges run side by side and are given the same figures and records all the while; an error goes to one and then to
the other, and the order changes with each pair. First with W&B online on a scripted server, then with W&B hanging and
Prefect refusing. The peer is the bridge without exporters; what counts is the median of the differences.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from alert_bridge.store.exports import export_states
from tests.servers.bridge import BridgeProcess
from tests.servers.otlp_client import gauge, logs_request, metrics_request, post, record
from tests.servers.slack import SlackServer
from tests.servers.wandb import WandbServer

PAIRS = 200
CHANNELS = ("a", "b", "c", "d", "e", "f")  # Slack takes one post a second in each
EVERY_S = 0.2
POINTS_PER_PAIR, RECORDS_PER_PAIR = 50, 20
REFUSES = "http://127.0.0.1:9/api"
POLICY = (
    "version: 1\naudiences:\n"
    + "".join(f"  {name}: {{name: {name}, slack: '#{name}'}}\n" for name in CHANNELS)
    + f"routes:\n  - {{channel: slack, min_severity: ERROR, audiences: [{', '.join(CHANNELS)}]}}\n"
    + f"  - {{channel: prefect, audiences: [{CHANNELS[0]}]}}\n  - {{channel: wandb, audiences: [{CHANNELS[0]}]}}\n"
    + "grouping: {hold: 0s, repeat_after: 24h, resolve_after: next_success}\n"
)
RUN = {"service.name": "bench", "cicd.pipeline.name": "bench", "cicd.pipeline.run.id": "bench-run"}
NOBODY = {"service.name": "bench"}


class Side:
    """One bridge and the Slack that it posts to."""

    def __init__(self, stack: ExitStack, folder: Path, environ: Mapping[str, str]) -> None:
        self.slack = stack.enter_context(SlackServer())
        told = {"SLACK_BOT_TOKEN": self.slack.token, "SLACK_API_URL": self.slack.api_url, **environ}
        self.bridge = stack.enter_context(BridgeProcess(folder, policy=POLICY, environ=told))
        self.bridge.wait_until_ready()

    def load(self, number: int) -> None:
        """What a pipeline sends besides errors."""
        steps = range(number * POINTS_PER_PAIR, (number + 1) * POINTS_PER_PAIR)
        points = [gauge("loss", 1 / (1 + step), **{"pipeline.metric.step": step}) for step in steps]
        post(f"{self.bridge.url}/v1/metrics", metrics_request(*points, resource=RUN))
        lines = [record(f"line {number}-{line}", 9) for line in range(RECORDS_PER_PAIR)]
        post(f"{self.bridge.url}/v1/logs", logs_request(*lines, resource=RUN))

    def alert(self, number: int, told_before: int) -> float:
        """Seconds from POST until Slack has the message."""
        words = "".join(chr(97 + int(digit)) for digit in f"{number:04}")
        error = record(f"problem {words} broke", **{"pipeline.audience": CHANNELS[number % len(CHANNELS)]})
        began = time.monotonic()
        post(f"{self.bridge.url}/alerts/v1/logs", logs_request(error, resource=NOBODY))
        return self.slack.wait_for_calls(told_before + 1)[told_before].at - began


def measure(title: str, environ: Mapping[str, str], pairs: int) -> None:
    """Run all pairs and print what came of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        on, off = Side(stack, folder / "on", environ), Side(stack, folder / "off", {})
        taken: dict[str, list[float]] = {"on": [], "off": []}
        for number in range(pairs + len(CHANNELS)):
            order = [("on", on), ("off", off)]
            for name, side in order if number % 2 else reversed(order):
                side.load(number)
                taken[name].append(side.alert(number, number))
            time.sleep(EVERY_S)
        began = time.monotonic()
        on.bridge.stop()
        ended_after = time.monotonic() - began
        books = {
            f"{state.name} {book.signal}": f"{book.sent} sent, {book.skipped} skipped, {book.dropped} dropped,"
            f" {book.waiting} waiting, balance {book.balance}"
            for state in export_states(on.bridge.state)
            for book in state.books
        }
    with_them, without = (values[len(CHANNELS) :] for values in (taken["on"], taken["off"]))
    differences = [(one - other) * 1000 for one, other in zip(with_them, without, strict=True)]
    medians = [statistics.median(values) * 1000 for values in (with_them, without)]
    print(f"{title}: {len(differences)} pairs")
    print(f"  median on {medians[0]:.1f} ms, off {medians[1]:.1f} ms, ratio {medians[0] / medians[1]:.2f}")
    print(
        f"  median of the differences {statistics.median(differences):+.1f} ms; serve ended within {ended_after:.2f} s"
    )
    for name, said in sorted(books.items()):
        print(f"  {name}: {said}")


def main(pairs: int = PAIRS) -> None:
    """Both measurements."""
    with WandbServer() as server:
        measure("W&B online", {**server.environ, "WANDB_MODE": "online"}, pairs)
    with WandbServer() as server:
        server.hang(60.0)
        away = {**server.environ, "WANDB_MODE": "online", "PREFECT_API_URL": REFUSES}
        measure("W&B hangs, Prefect refuses", away, pairs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
