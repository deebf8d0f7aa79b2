"""From `logging.error(...)` in a plain script to Slack and a mail server: `run`, a real Collector, a real `serve`.

    python -m tests.benchmarks.end_to_end [ROUNDS]

With `hold: 0s`, one error every 1.2 s, each a problem of its own. The peer in the same run is the same script with the
same bridge and no Collector between them. The clock is the machine's monotonic one, which all processes share.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.servers.bridge import wait_for
from tests.servers.whole_way import WholeWay

__all__ = ["main"]

ROUNDS: Final = 20
WARM_UP_ROUNDS: Final = 1  # the first one loads what is loaded late
EVERY_S: Final = 1.2  # Slack takes one post a second and channel; the bridge keeps to that
TARGET_MS: Final = 250.0
ARRIVES_WITHIN_S: Final = 60.0

_PROGRAM: Final = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, stream=open("/dev/null", "w"))
for name in sys.stdin.read().split():
    logging.info("on the way to %s", name)
    print(time.monotonic(), time.time_ns(), flush=True)
    logging.error(f"{name} broke")
    time.sleep(EVERY_S)
""".replace("EVERY_S", str(EVERY_S))


def main(rounds: int = ROUNDS) -> None:
    """Measure and print medians and maxima in milliseconds."""
    print(f"{rounds} errors, one per {EVERY_S} s, hold 0s; median and max in ms")
    with tempfile.TemporaryDirectory() as folder, WholeWay(Path(folder)) as way:
        through = _measure(way, _names("whole", rounds), PIPELINE_ALERTS_ENDPOINT=way.collector.http_endpoint)
        _show("through the Collector", through)
        past = _measure(way, _names("short", rounds), PIPELINE_ALERTS_ENDPOINT=way.bridge.url)
        _show("peer: without a Collector", past)
    slower = max(statistics.median(through[part]) for part in ("Slack has it", "the mail server has it"))
    print(f"target {TARGET_MS:.0f} ms: {'met' if slower <= TARGET_MS else 'missed'} with {slower:.0f} ms")


def _names(prefix: str, rounds: int) -> list[str]:
    """Words, because numbers are masked; and short texts, because a bridge learns which longer ones are one problem."""
    return [f"{prefix}{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(rounds + WARM_UP_ROUNDS)]


def _measure(way: WholeWay, names: list[str], **environ: str) -> dict[str, list[float]]:
    """Milliseconds since the log call, per part of the way."""
    with way.start(_PROGRAM, **environ) as process:
        out, err = process.communicate(" ".join(names), timeout=len(names) * EVERY_S + ARRIVES_WITHIN_S)
    assert process.returncode == 0, err
    started = dict(zip(names, (line.split() for line in out.splitlines()), strict=True))
    wait_for(lambda: all(way.mails(f"{name} broke") and way.posts(f"{name} broke") for name in names),
             ARRIVES_WITHIN_S)  # fmt: skip
    accepted = _accepted(way)
    parts: dict[str, list[float]] = {"the bridge has it on disk": [], "Slack has it": [], "the mail server has it": []}
    for name in names[WARM_UP_ROUNDS:]:
        logged_s, logged_ns = float(started[name][0]), int(started[name][1])
        call = next(call for call in way.slack.calls if f"{name} broke" in str(call.payload))
        mail = way.mails(f"{name} broke")[0]
        on_disk = next(at for title, at in accepted.items() if f"{name} broke" in title)
        parts["the bridge has it on disk"].append((on_disk - logged_ns) / 1e6)
        parts["Slack has it"].append((call.at - logged_s) * 1e3)
        parts["the mail server has it"].append((mail.at - logged_s) * 1e3)
    return parts


def _accepted(way: WholeWay) -> dict[str, int]:
    """When the bridge opened each incident, by its title (ns)."""
    reader = way.bridge.reader()
    try:
        return {incident.title: incident.opened_at for incident in reader.incidents(open_only=False)}
    finally:
        reader.close()


def _show(title: str, parts: dict[str, list[float]]) -> None:
    print(title)
    for name, values in parts.items():
        print(f"  {name:<28} {statistics.median(values):7.1f} {max(values):7.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
