"""`pipeline-alerts ship DIR`: sends what a machine without network left behind."""

from __future__ import annotations

import os
from pathlib import Path

import click

from alert_bridge.cli.durations import DURATION
from alert_bridge.errors import UsageError

__all__ = ["command"]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--within",
    type=DURATION,
    default=60.0,
    metavar="TIME",
    show_default="1m",
    help="Give a run up after this long, and the others soon if none of it was taken.",
)
def command(folder: Path, within: float) -> None:
    """Send the journals in DIR: a run's folder, or the folder of many. Sending twice delivers once.

    Exit code 0 if all was received and 1 if something is left.
    """
    from instrumentation.sender.linger import ship_folder
    from instrumentation.settings import Settings

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: name a run's folder, or the folder that holds them")
    settings = Settings.from_environ(os.environ)
    for problem in settings.problems:
        click.echo(f"pipeline-alerts: {problem}", err=True)
    is_left = is_hopeless = False
    for run in _runs(folder):
        try:
            report = ship_folder(run, settings, 0.0 if is_hopeless else within)
        except ValueError as error:
            raise UsageError(f"{error}; nothing was sent") from error
        if report is None:
            click.echo(f"{run.name}: another process is sending it")
            is_left = True
        elif report.is_complete:
            is_hopeless = False
            aside = f", {report.refused} refused (see {run / 'refused.jsonl.txt'})" if report.refused else ""
            click.echo(f"{run.name}: {report.accepted} sent{aside}")
        else:
            is_hopeless = not report.accepted and (is_hopeless or bool(report.trouble))
            reason = f": {report.trouble}" if report.trouble else ""
            click.echo(f"{run.name}: {report.accepted} sent, {report.bytes_left} bytes left{reason}")
            is_left = True
    if is_left:
        raise SystemExit(1)


def _runs(folder: Path) -> list[Path]:
    if (folder / "run.json").exists() or any(folder.glob("*.jsonl")):
        return [folder]
    runs = sorted(child for child in folder.iterdir() if child.is_dir() and any(child.glob("*.jsonl")))
    if not runs:
        click.echo(f"nothing to send in {folder}")
    return runs
