"""`pipeline-alerts explain`: why two records are, or are not, the same problem."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

import click

from alert_bridge.errors import UsageError
from alert_bridge.fingerprint import Said, of
from alert_bridge.model import Fingerprint

__all__ = ["command"]

_FIELDS = {
    "pipeline.fingerprint": "own",
    "body": "body",
    "exception.type": "exception_type",
    "exception.message": "exception_message",
    "exception.stacktrace": "stacktrace",
    "template": "template",
    "pipeline.log.template": "template",
    "logger": "logger",
    "code.file.path": "code_file",
    "code.function.name": "code_function",
    "program": "program",
}


@click.command("explain")
@click.option(
    "--jsonl", is_flag=True, help="Read records from standard input, one JSON object per line; print one each."
)
@click.argument("texts", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(*, jsonl: bool, texts: tuple[Path, ...]) -> None:
    """Show which problem a record is, and why.

    With one file, a log line or traceback: its fingerprint and components. With two: whether they are the same problem,
    and which component says so (exit code 0: same, 1: different).
    """
    if jsonl:
        for line in _explained(sys.stdin):
            click.echo(line)
    elif len(texts) == 1:
        _show(_of_text(texts[0]))
    elif len(texts) == 2:  # noqa: PLR2004 - a comparison has two sides
        raise SystemExit(_compare(_of_text(texts[0]), _of_text(texts[1])))
    else:
        raise UsageError("explain takes one or two files, or --jsonl with records on standard input")


def _explained(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise UsageError(f"line {number} is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise UsageError(f"line {number} is not a JSON object")
        found = of(_said(fields))
        yield json.dumps({"fingerprint": found.value, "rung": found.rung, "components": found.components})


def _said(fields: Mapping[str, object]) -> Said:
    known = {_FIELDS[name]: "" if value is None else str(value) for name, value in fields.items() if name in _FIELDS}
    return Said(**known)


def _of_text(path: Path) -> Fingerprint:
    return of(Said(body=path.read_text(encoding="utf-8", errors="replace")))


def _show(found: Fingerprint) -> None:
    click.echo(f"{found.value}  by {found.rung}")
    for name, value in found.components:
        click.echo(f"  {name:9} {value}")


def _compare(one: Fingerprint, other: Fingerprint) -> int:
    if one.value == other.value:
        click.echo("The same problem:")
        _show(one)
        return 0
    click.echo("Different problems:")
    if one.rung != other.rung:
        click.echo(f"  decided by      {one.rung}\n              and {other.rung}")
    for (name, value), (other_name, other_value) in zip_longest(one.components, other.components, fillvalue=("", "")):
        if (name, value) != (other_name, other_value):
            click.echo(f"  {name or other_name:9} {value or '(nothing)'}\n  {'':9} {other_value or '(nothing)'}")
    return 1
