"""`pipeline-alerts test-alert`: a marked message through the real path, and a receipt per recipient."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from alert_bridge.cli.otlp_post import post_logs, require_listener
from alert_bridge.cli.stores import is_running, state_of
from alert_bridge.cli.wishes import login_name
from alert_bridge.errors import SettingsError, UsageError
from alert_bridge.model import NoticeState, Severity
from alert_bridge.settings import secret, setting
from alert_bridge.store.control.reader import SqliteControlReader, open_reader
from alert_bridge.store.interface import Delivery
from instrumentation import attributes as names
from instrumentation.settings import DEFAULT_ENDPOINT

__all__ = ["command"]

DEADLINE_S: Final = 15.0
POLL_S: Final = 0.1

_LEVELS: Final = [level.name for level in Severity if level >= Severity.ERROR]


@dataclass(frozen=True, slots=True)
class Line:
    """What became of the test for one recipient."""

    channel: str
    address: str
    outcome: str  # delivered, previewed, retryable, permanent, ambiguous, queued
    detail: str
    seconds: float  # from sending to the receipt; 0 without one

    @property
    def arrived(self) -> bool:
        return self.outcome in ("delivered", "previewed")


@click.command("test-alert")
@click.option("--audience", required=True, metavar="NAME", help="Whom to reach, as the policy calls them.")
@click.option("--channel", type=click.Choice(["slack", "email"]), help="Only in this channel; default: all they have.")
@click.option(
    "--severity", type=click.Choice(_LEVELS, case_sensitive=False), default="ERROR", show_default=True,
    help="The level of the record.",
)  # fmt: skip
@click.option(
    "--endpoint", metavar="URL",
    help=f"Where to send it, a Collector or the bridge; default: as a pipeline would, else {DEFAULT_ENDPOINT}.",
)  # fmt: skip
@click.option("--state", default="", metavar="DIR", help="The bridge's state, to read receipts from.")
@click.option(
    "--timeout", default=DEADLINE_S, show_default=True, metavar="SECONDS", help="How long to wait for receipts."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a line per receipt.")
def command(
    audience: str, channel: str | None, severity: str, endpoint: str | None, state: str, timeout: float,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Send a test alert the way a pipeline's error travels, and wait for the channels' answers.

    Rules neither redirect nor drop it. It resolves by itself.

    Exit codes: 0 delivered (or previewed) everywhere, 1 not, 2 wrong usage or set-up.
    """
    target = endpoint or _endpoint(os.environ)
    require_listener(target)
    reader = _reader(state_of(state))
    token = secrets.token_hex(6)
    body = _request(audience, channel or "", Severity[severity.upper()], token)
    started = time.monotonic()
    post_logs(target, body, secret(os.environ, "PIPELINE_ALERTS_INGEST_TOKEN"))
    lines = _wait(reader, _run_id(token), channel or "", started, timeout)
    reasons = () if lines else tuple(_reasons(reader, _run_id(token)))
    _report(audience, lines, reasons, target, timeout, as_json=as_json)
    if not lines or not all(line.arrived for line in lines):
        raise SystemExit(1)


def _endpoint(environ: Mapping[str, str]) -> str:
    ours = setting(environ, "PIPELINE_ALERTS_ENDPOINT")
    return ours or setting(environ, "OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_ENDPOINT)


def _reader(state: Path) -> SqliteControlReader:
    if not is_running(state):
        raise UsageError(
            f"no bridge is running with its state in {state}: start `pipeline-alerts serve`, or name its --state;"
            " nothing was sent"
        )
    try:
        return open_reader(state)
    except SettingsError as error:
        raise UsageError(f"{error}; nothing was sent") from error


def _run_id(token: str) -> str:
    return f"test-{token}"


def _request(audience: str, channel: str, severity: Severity, token: str) -> dict[str, Any]:
    """The test as OTLP/JSON; its own run, so that it can be found again."""
    now = str(time.time_ns())
    sender = f"{login_name()} on {socket.gethostname()}"
    attributes: dict[str, str | bool] = {
        names.RECORD_UID: _run_id(token),
        names.TEST_ALERT: True,
        names.AUDIENCE: audience,
        names.FINGERPRINT: _run_id(token),
        names.STAGE: "test-alert",
    }
    if channel:
        attributes[names.TEST_CHANNEL] = channel
    record = {
        "timeUnixNano": now,
        "observedTimeUnixNano": now,
        "severityNumber": int(severity),
        "severityText": severity.name,
        "body": {"stringValue": f"Test alert for {audience}, sent by {sender}: nothing is wrong"},
        "attributes": _pairs(attributes),
    }
    resource = {names.SERVICE_NAME: "pipeline-alerts", names.PIPELINE_NAME: "test", names.RUN_ID: _run_id(token)}
    scope_logs = [{"scope": {"name": "pipeline_alerts.test_alert"}, "logRecords": [record]}]
    return {"resourceLogs": [{"resource": {"attributes": _pairs(resource)}, "scopeLogs": scope_logs}]}


def _pairs(values: Mapping[str, str | bool]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": {"boolValue": value} if isinstance(value, bool) else {"stringValue": value}}
        for key, value in values.items()
    ]


def _wait(reader: SqliteControlReader, run_id: str, channel: str, started: float, timeout: float) -> tuple[Line, ...]:
    """What the channels answered, as soon as all have, else as far as they have by the deadline."""
    lines: tuple[Line, ...] = ()
    while time.monotonic() - started < timeout:
        deliveries = [
            delivery
            for incident in reader.incidents_of_run(run_id)
            for delivery in reader.deliveries(incident.id)
            if channel in ("", delivery.conversation.recipient.channel)
        ]
        sent_at = time.time_ns() - int((time.monotonic() - started) * 1e9)
        lines = tuple(_line(delivery, sent_at) for delivery in deliveries)
        if lines and all(delivery.state is not NoticeState.QUEUED for delivery in deliveries):
            break
        if not lines and reader.incidents_of_run(run_id):
            break  # taken, and nobody is to be told: waiting changes nothing
        time.sleep(POLL_S)
    return lines


def _line(delivery: Delivery, sent_at: int) -> Line:
    recipient = delivery.conversation.recipient
    if not delivery.receipts:
        return Line(recipient.channel, recipient.address, "queued", delivery.last_error or "no answer yet", 0.0)
    receipt = delivery.receipts[-1]
    seconds = max(0.0, (receipt.at - sent_at) / 1e9)
    return Line(recipient.channel, recipient.address, receipt.outcome, receipt.detail, seconds)


def _reasons(reader: SqliteControlReader, run_id: str) -> Iterator[str]:
    for subject in (run_id, *(incident.id for incident in reader.incidents_of_run(run_id))):
        yield from (found.text for found in reader.decisions(subject) if found.step in ("rule", "route"))


def _report(
    audience: str, lines: tuple[Line, ...], reasons: tuple[str, ...], target: str, timeout: float, *, as_json: bool
) -> None:
    if as_json:
        receipts = [
            {
                "channel": line.channel,
                "address": line.address,
                "outcome": line.outcome,
                "detail": line.detail,
                "seconds": round(line.seconds, 3),
            }
            for line in lines
        ]
        click.echo(json.dumps({"audience": audience, "receipts": receipts, "reasons": reasons}, indent=2))
        return
    for line in lines:
        after = f" after {line.seconds:.1f} s" if line.seconds else ""
        click.echo(f"{line.outcome} {line.channel} {line.address}{after}{': ' if line.detail else ''}{line.detail}")
    if lines:
        return
    if reasons:
        click.echo(
            f"nobody was told: {'; '.join(reasons)} (`pipeline-alerts check-policy` shows who could be)", err=True
        )
    else:
        click.echo(
            f"{target} took the test, but within {timeout:g} s the bridge did not get it:"
            " is it the Collector of this bridge? `pipeline-alerts collector check` tells",
            err=True,
        )
