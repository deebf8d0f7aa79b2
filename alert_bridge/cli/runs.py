"""`pipeline-alerts runs`: the latest runs, how they ended, and the worst that was logged."""

from __future__ import annotations

import json

import click

from alert_bridge.cli.lines import as_document, run_line
from alert_bridge.cli.stores import json_option, open_stores, state_option

__all__ = ["command"]


@click.command("runs")
@click.option("--limit", default=20, show_default=True, help="How many, newest first.")
@state_option
@json_option
def command(limit: int, state: str, as_json: bool) -> None:
    """List the latest runs. A run that logged errors and still succeeded shows both."""
    with open_stores(state) as stores:
        runs = stores.telemetry.runs(limit=limit)
    if as_json:
        click.echo(json.dumps([as_document(run) for run in runs], indent=2, ensure_ascii=False))
        return
    if not runs:
        click.echo(f"No run has sent anything to {stores.state} yet.")
    for run in runs:
        click.echo(run_line(run))
