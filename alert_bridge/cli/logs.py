"""`pipeline-alerts logs`: the log of a run, whole, around a record, or what contains a text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click

from alert_bridge.cli.lines import as_document, log_lines
from alert_bridge.cli.stores import json_option, open_stores, state_option
from alert_bridge.errors import UsageError
from alert_bridge.model import Record, Severity
from alert_bridge.store.telemetry import Telemetry

__all__ = ["command"]

MATCHES_MOST = 1_000


@click.command("logs")
@click.argument("run_id", metavar="RUN")
@click.option("--around", default="", metavar="UID", help="A window around this record; the end of the log otherwise.")
@click.option("--before", default=50, show_default=True, help="Records before it.")
@click.option("--after", default=20, show_default=True, help="Records after it.")
@click.option("--all", "whole", is_flag=True, help="The whole log.")
@click.option("--grep", "text", default="", metavar="TEXT", help="Records with this text, in any case.")
@click.option(
    "--level",
    default=Severity.TRACE.name,
    type=click.Choice([level.name for level in Severity], case_sensitive=False),
    help="Only records at least as severe.",
)
@state_option
@json_option
def command(run_id: str, state: str, as_json: bool, **asked: Any) -> None:
    """Show the log of a run, of all its processes by time. RUN is a run's id or a trace id."""
    wanted = _Wanted(**asked)
    with open_stores(state) as stores:
        if stores.telemetry.run(run_id) is None:
            raise UsageError(f"There is no run {run_id!r} in {stores.state}: `pipeline-alerts runs` lists them")
        _show(_records(stores.telemetry, run_id, wanted), wanted.around, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options, by the names that they have on the command line."""

    around: str
    before: int
    after: int
    whole: bool
    text: str
    level: str


def _records(telemetry: Telemetry, run_id: str, wanted: _Wanted) -> Iterable[Record]:
    least = Severity[wanted.level.upper()]
    if wanted.text:
        found = telemetry.search(wanted.text, run_id=run_id, limit=MATCHES_MOST)
        return [record for record in reversed(found) if record.severity >= least]
    if wanted.whole:
        return telemetry.run_records(run_id, least=least)
    return telemetry.run_log(
        run_id, around=wanted.around, least=least, before=wanted.before, after=wanted.after
    ).records


def _show(records: Iterable[Record], around: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([as_document(record) for record in records], indent=2, ensure_ascii=False))
        return
    for record in records:
        for line in log_lines(record, is_error=record.uid == around):
            click.echo(line)
