"""`pipeline-alerts trace`: from an alert to the failing line, in its trace and in its log."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

from alert_bridge.cli.found import Found, find
from alert_bridge.cli.lines import as_document, log_lines, run_line, span_lines
from alert_bridge.cli.stores import json_option, open_stores, state_option
from alert_bridge.web.waterfall import waterfall
from alert_bridge.web.wording import visible

__all__ = ["command"]


@click.command("trace")
@click.argument("identifier", metavar="ID")
@click.option("--before", default=15, show_default=True, help="Log lines before the error.")
@click.option("--after", default=10, show_default=True, help="Log lines after the error.")
@state_option
@json_option
def command(identifier: str, before: int, after: int, state: str, as_json: bool) -> None:
    """Show what led to an error: the span tree with the failing span, and the log around the line.

    ID is an incident's id, a trace id, a `traceparent`, a run's id or a record's uid.
    """
    with open_stores(state) as stores:
        found = find(stores, identifier, before=before, after=after)
    if as_json:
        click.echo(json.dumps(_document(identifier, found), indent=2, ensure_ascii=False))
        return
    _show_names(found)
    _show_spans(found)
    _show_log(found)


def _document(identifier: str, found: Found) -> dict[str, Any]:
    return {
        "id": identifier,
        "incident": None if found.incident is None else found.incident.id,
        "run": as_document(found.run),
        "trace_id": found.trace_id,
        "span_id": found.span_id,
        "spans": [as_document(span) for span in found.spans],
        "error": as_document(found.error),
        "log": [as_document(record) for record in found.log.records],
        "more_before": found.log.more_before,
        "more_after": found.log.more_after,
    }


def _show_names(found: Found) -> None:
    if found.incident is not None:
        incident = found.incident
        records = "1 record" if incident.count == 1 else f"{incident.count:,} records"
        click.echo(f"incident {incident.id} · {incident.state.value} · {records} · {visible(incident.title)}")
    click.echo(f"run {run_line(found.run)}" if found.run else "This program named no run.")
    if found.trace_id:
        click.echo(f"trace {found.trace_id}")


def _show_spans(found: Found) -> None:
    if not found.spans:
        click.echo(
            "\nNo spans have arrived: one is sent when its stage ends, and only where OpenTelemetry is installed."
        )
        return
    tree = waterfall(found.spans, focus=found.span_id, moment=found.error.time if found.error else 0)
    click.echo(f"\nStages and spans, {tree.failures} failed:")
    for line in span_lines(tree.rows):
        click.echo(line)
    if tree.left_out:
        click.echo(f"  … and {tree.left_out} more")


def _show_log(found: Found) -> None:
    uid = found.error.uid if found.error else ""
    lines = found.log.records
    if not lines:
        click.echo("\nThe telemetry store has no log of it, or not any more.")
        lines = (found.error,) if found.error else ()
    else:
        click.echo("\nThe log around the error:" if uid else "\nNo error was logged. The end of the log:")
    for record in lines:
        for line in log_lines(record, is_error=record.uid == uid):
            click.echo(line)
    run_id = found.run.run_id if found.run else found.trace_id
    if run_id and (found.log.more_before or found.log.more_after):
        around = f" --around {shlex.quote(uid)}" if uid else ""
        click.echo(f"\nMore of it: pipeline-alerts logs {shlex.quote(run_id)}{around} --before 200 --after 200")
