"""The demo: a monthly run that fails, through a real Collector and bridge, and who was told. `make demo FAIL=oom`.

Uses what its readers would use: the `pipeline-alerts` commands, with the configuration that ships.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO

from pipeline import faults

from alert_bridge.model import NoticeState
from alert_bridge.store.control import SqliteControlReader, open_reader
from alert_bridge.store.interface import Delivery, Previewed
from alert_bridge.store.telemetry import Telemetry
from collector.process import free_addresses, free_port

HERE = Path(__file__).parent
HOME = Path(".demo")
PORT = 4319
START_TIMEOUT_S = 120.0  # this and the next three are patience with a busy machine: usually a second or two is enough
DELIVERY_TIMEOUT_S = 120.0
DIGEST_TIMEOUT_S = 60.0
COUNTERS_TIMEOUT_S = 60.0
MOST_POINTS = 100_000
LINE_CHARS = 118
MOST_LINES = 40
INSIDE_TRACEBACK = (" ", "Traceback (most", "During handling of", "The above exception")
SETTLE_S = 6.0  # longer than the policy's longest hold: afterwards nothing new is on its way
POLL_S = 0.1
QUIET = ("none", "early_stop", "wandb_down")  # what must disturb nobody
COMMAND = (sys.executable, "-m", "alert_bridge.cli")
RECEIVED, SENT = "otelcol_receiver_accepted_log_records", "otelcol_exporter_sent_log_records"


def main() -> int:
    """Runs the demo; 0 if those who should be told were told, and no more."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--fail", choices=[*faults.FAULTS, "help"], default="fetch_error", metavar="NAME")
    parser.add_argument("--port", type=int, help=f"of the pages; {PORT} if that is free", metavar="NUMBER")
    options = parser.parse_args()
    if options.fail == "help":
        print("\n".join(f"  make demo FAIL={name:18} {what}" for name, what in faults.FAULTS.items()))
        return 0
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    with ExitStack() as stack:
        address = f"127.0.0.1:{options.port or (PORT if is_free(PORT) else free_port())}"
        environ = environment(address)
        policy = os.path.relpath(HERE / "alerting.yaml")
        say(1, f"The bridge, with the policy of {policy}")
        serve = ("serve", "--policy", policy, "--state", str(HOME / "bridge"), "--listen", address)
        stack.enter_context(service("bridge", serve, environ, f"http://{address}/readyz", says=f"http://{address}"))
        say(2, "A real OpenTelemetry Collector, with otel-collector.yaml")
        collector = ("collector", "run", "--overlay", str(HERE / "collector.yaml"))
        stack.enter_context(service("collector", collector, environ, f"http://{environ['OTELCOL_HEALTH_ADDR']}/"))
        say(3, f"The monthly run, broken by {options.fail}: {faults.FAULTS[options.fail]}")
        run_pipeline(options.fail, environ)
        say(4, "Who was told")
        good = report(options.fail, address)
        print(f"\n{'✔' if good else '✘'} {verdict(options.fail, good=good)}")
        if sys.stdout.isatty():
            print(f"  Pages: http://{address}/   What was sent: http://{address}/inbox   Ctrl-C ends.", flush=True)
            wait_for_ctrl_c()
        else:
            print("  On a terminal the pages stay open for a look. All that was kept is in", HOME)
    return 0 if good else 1


def environment(address: str) -> dict[str, str]:
    """What the parts of the demo see: free ports, a state of its own, no credentials, so that nothing leaves here."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "SMTP_", "OTEL"))}
    if "OTELCOL" in os.environ:
        environ["OTELCOL"] = os.environ["OTELCOL"]
    environ |= free_addresses()
    environ |= {
        "BRIDGE_URL": f"http://{address}",
        "PIPELINE_ALERTS_PUBLIC_URL": f"http://{address}",
        "PIPELINE_ALERTS_ENDPOINT": f"http://{environ['OTELCOL_HTTP_ADDR']}",
        "PIPELINE_ALERTS_RUN_ID": f"fatalities_003_559_{time.strftime('%H%M%S')}",
        "XDG_STATE_HOME": str((HOME / "state").resolve()),
        "PYTHON": sys.executable,
    }
    return environ


@contextmanager
def service(
    name: str, arguments: tuple[str, ...], environ: dict[str, str], ready: str, *, says: str = ""
) -> Iterator[None]:
    """A command in the background until the block ends; enters when it answers at `ready`.

    And when it says so: a service that was started in the same moment may have taken the address.
    """
    log = HOME / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*COMMAND, *arguments], env=environ, stdout=output, stderr=output)
    try:
        started = time.monotonic()
        while not (answers(ready) and says in log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() - started > START_TIMEOUT_S:
                sys.exit(f"The {name} did not start; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(POLL_S)
        print(f"   ready after {time.monotonic() - started:.1f} s, process {process.pid}, log in {log}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=START_TIMEOUT_S)


def run_pipeline(fail: str, environ: dict[str, str]) -> None:
    """The run itself, as its owner would start it, with one command in front; its output indented."""
    program = (sys.executable, str(HERE / "main.py"), "--fail", fail, "--out", str(HOME / "output"))
    command = [*COMMAND, "run", "--pipeline", "monthly_run", "--silent-after", "8s", "--timeout", "90s", "--", *program]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = echo(process.stdout)
    print(f"   {lines} lines in all, exit code {process.wait()}")


def echo(output: IO[str]) -> int:
    """Shows the first lines of an output, shortened and without the insides of tracebacks; counts all."""
    lines = shown = 0
    for line in output:
        lines += 1
        if not line.strip() or line.startswith(INSIDE_TRACEBACK):
            continue
        shown += 1
        if shown <= MOST_LINES:
            text = line.rstrip()
            short = text if len(text) <= LINE_CHARS else f"{text[:40]} … {text[40 - LINE_CHARS :]}"
            print(f"   │ {short}", flush=True)
        elif shown == MOST_LINES + 1:
            print("   │ …", flush=True)
    return lines


def report(fail: str, address: str) -> bool:
    """Prints a line per message as it is delivered, then the Collector's own counters; whether all went well."""
    control = open_reader(HOME / "bridge")
    told: set[tuple[str, str, str]] = set()
    started = time.monotonic()
    while time.monotonic() - started < DELIVERY_TIMEOUT_S:
        incidents = control.incidents(open_only=False)
        deliveries = [delivery for incident in incidents for delivery in control.deliveries(incident.id)]
        for delivery in deliveries:
            show(delivery, told)
        settled = time.monotonic() - started > SETTLE_S and (told or fail in QUIET)
        if settled and all(delivery.state is not NoticeState.QUEUED for delivery in deliveries):
            break
        time.sleep(POLL_S)
    if not told:
        print("   nobody of a problem")
    show_digests(control)
    for incident in control.incidents(open_only=False):
        if not incident.root_id:  # what is folded is told as part of its cause
            print(f"   {incident.severity.name} ({incident.count}) {incident.title}")
            print(f"      http://{address}/incidents/{incident.id}")
    received, sent = collector_counters()
    print(f"   The Collector counted {received:.0f} log records in, and {sent:.0f} out on its two ways to the bridge")
    channels = {channel for channel, _, _ in told}
    return received > 0 and sent > 0 and (not channels if fail in QUIET else "slack" in channels)


def show(delivery: Delivery, told: set[tuple[str, str, str]]) -> None:
    conversation = delivery.conversation
    if delivery.state is not NoticeState.DELIVERED:
        return
    for audience in conversation.recipient.audiences:
        key = (conversation.recipient.channel, audience, conversation.incident_id)
        if key not in told:
            told.add(key)
            previewed = any(receipt.outcome == "previewed" for receipt in delivery.receipts)
            print(f"delivered {' '.join(key)}{'  (previewed, see /inbox)' if previewed else ''}", flush=True)


def show_digests(control: SqliteControlReader) -> None:
    """Prints who got the summary of the run, once the bridge has seen its whole log."""
    deadline = time.monotonic() + DIGEST_TIMEOUT_S
    digests: list[Previewed] = []
    while not digests and time.monotonic() < deadline:
        problems = {incident.id for incident in control.incidents(open_only=False)}
        digests = [one for one in control.previewed() if one.incident_id not in problems]
        time.sleep(POLL_S)
    for one in sorted(digests, key=lambda one: one.channel):
        print(f"delivered {one.channel} {' '.join(one.audiences)} summary of the run  (previewed, see /inbox)")


def collector_counters() -> tuple[float, float]:
    """What the Collector says it has received and sent, from the metrics that it reports about itself."""
    telemetry = Telemetry(HOME / "bridge")
    deadline = time.monotonic() + COUNTERS_TIMEOUT_S
    received = sent = 0.0
    while time.monotonic() < deadline and not (received and sent):
        points = telemetry.points_after(0, limit=MOST_POINTS)
        latest = {(point.name, str(point.attributes)): point.value for _, point in points}
        received = sum(float(value) for (name, _), value in latest.items() if name == RECEIVED)
        sent = sum(float(value) for (name, _), value in latest.items() if name == SENT)
        time.sleep(POLL_S)
    return received, sent


def verdict(fail: str, *, good: bool) -> str:
    if not good:
        return f"Not everybody was told; {HOME}/*.log say more."
    return "All is well, and nobody was disturbed." if fail in QUIET else "Told, once, with the reason."


def say(step: int, text: str) -> None:
    print(f"\n── {step}/4 {text}", flush=True)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_for_ctrl_c() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main())
