"""`pipeline-alerts collector`: get, check and start an OpenTelemetry Collector."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import click

from alert_bridge.errors import UsageError
from collector import binary, checks, configuration, process, state
from collector.errors import CollectorError

__all__ = ["command"]

_TERMINATED = 128 + signal.SIGTERM
_MARKS = {checks.Level.OK: "ok      ", checks.Level.WARNING: "warning ", checks.Level.ERROR: "ERROR   "}


class _Command(click.Command):
    """A command whose CollectorError becomes a UsageError: one sentence, exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except CollectorError as error:
            raise UsageError(str(error)) from error


def _configured(function: click.decorators.FC) -> click.decorators.FC:
    function = click.option(
        "--overlay", "overlays", multiple=True, metavar="NAME",
        help=f"Add one of {', '.join(configuration.OVERLAYS)}, or a file. May be repeated.",
    )(function)  # fmt: skip
    return click.option(
        "--config", "config", type=click.Path(path_type=Path), metavar="FILE",
        help="Configuration to use; default: ./otel-collector.yaml, else the packaged one.",
    )(function)  # fmt: skip


@click.group()
def command() -> None:
    """Get, check and start an OpenTelemetry Collector."""


@command.command(cls=_Command)
@click.option(
    "--from-file", "file", type=click.Path(path_type=Path), metavar="ARCHIVE", help="An archive on this machine."
)
@click.option("--url", default="", metavar="URL", help="An archive on a mirror.")
@click.option(
    "--sha256",
    default="",
    metavar="DIGEST",
    help="The archive's digest; default: the pinned one, else that of the .sha256 file beside it.",
)
@click.option("--fresh", is_flag=True, help="Get one even if there is one.")
def install(file: Path | None, url: str, sha256: str, *, fresh: bool) -> None:
    """Find a Collector, or download or build one, and print its path."""
    source = binary.Source(file, url, sha256) if file or url or sha256 else None
    _end_builds_on_sigterm()
    path = binary.install(os.environ, _progress, source=source, fresh=fresh)
    click.echo(f"Collector: {path}")


@command.command(cls=_Command)
def path() -> None:
    """Print the path of the Collector that `run` would start; exit code 1 if there is none."""
    found = binary.find(os.environ)
    if found is None:
        click.echo("no Collector yet: run `pipeline-alerts collector install`", err=True)
        raise SystemExit(1)
    click.echo(found)


@command.command(cls=_Command)
@_configured
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a list.")
def check(config: Path | None, overlays: tuple[str, ...], *, as_json: bool) -> None:
    """Check the configuration, and prove with known records that its filter does what it says.

    Exit codes: 0 fine (warnings included), 1 something would not work, 2 wrong usage or set-up.
    """
    collector, files, environ = _prepared(config, overlays)
    findings = checks.check(collector, files, environ)
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            click.echo(f"{_MARKS[finding.level]}{finding.rule}: {finding}")
    if any(finding.level is checks.Level.ERROR for finding in findings):
        raise SystemExit(1)


@command.command(cls=_Command)
@_configured
def run(config: Path | None, overlays: tuple[str, ...]) -> None:
    """Start the Collector in the foreground. SIGTERM and Ctrl-C end it orderly; its queues stay on disk."""
    collector, files, environ = _prepared(config, overlays)
    checks.refuse(checks.before_start(collector, files, environ))
    for damaged in state.set_aside_damaged(configuration.effective(collector, files, environ)):
        _progress(f"A queue file could not be opened and was set aside; what it held is not sent: {damaged}")
    _progress(f"Starting {collector} with {', '.join(map(str, files.files))}; state in {environ['OTELCOL_STATE_DIR']}")
    process.replace_with(collector, files, environ)


def _prepared(
    config: Path | None, overlays: tuple[str, ...]
) -> tuple[Path, configuration.Configuration, dict[str, str]]:
    files = configuration.resolve(os.environ, config, overlays)
    return _installed(), files, configuration.completed(os.environ)


def _installed() -> Path:
    _end_builds_on_sigterm()
    return binary.install(os.environ, _progress)


def _end_builds_on_sigterm() -> None:
    # A build starts compilers in a group of its own: leaving by an exception ends them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))


def _progress(line: str) -> None:
    click.echo(line, err=True)
