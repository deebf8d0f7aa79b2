"""`pipeline-alerts explain`: why two records are, or are not, the same problem."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import click

from alert_bridge.cli.stores import state_of, state_option
from alert_bridge.cli.wishes import AUTHOR
from alert_bridge.errors import UsageError
from alert_bridge.fingerprint import Said, of
from alert_bridge.fingerprint.aliases import SETTLES_AFTER_S, Merge
from alert_bridge.model import Fingerprint
from alert_bridge.store.control import ControlStore, open_reader

__all__ = ["command"]

TEXTS_SHOWN = 12

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
    "code.filepath": "code_file",
    "code.function.name": "code_function",
    "code.function": "code_function",
    "program": "program",
}


@click.command("explain")
@click.option(
    "--jsonl", is_flag=True, help="Read records from standard input, one JSON object per line; print one each."
)
@click.option("--aliases", is_flag=True, help="Show which texts were merged, because they differ in one plain word.")
@click.option("--undo", default="", metavar="FORM", help="Tell texts of this form apart again, from now on.")
@AUTHOR
@state_option
@click.argument("texts", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(*, jsonl: bool, aliases: bool, undo: str, author: str, state: str, texts: tuple[Path, ...]) -> None:
    """Show which problem a record is, and why.

    Texts that differ in one plain word become one problem once enough were seen. --aliases shows what was merged;
    --undo takes one merge back, for what comes from then on.

    --jsonl answers each line by one object, in order; one that is no record by its error (exit code 1 if there is any).

    With one file, a log line or traceback: its fingerprint and components. With two: whether they are the same problem,
    and which component says so (exit code 0: same, 1: different).
    """
    if aliases:
        _show_merges(open_reader(state_of(state)).merges(now=time.time_ns()))
    elif undo:
        _undo(undo, author, state_of(state))
    elif jsonl:
        raise SystemExit(_explain_lines(sys.stdin.buffer))
    elif len(texts) == 1:
        _show(_of_text(texts[0]))
    elif len(texts) == 2:  # noqa: PLR2004 - a comparison has two sides
        raise SystemExit(_compare(_of_text(texts[0]), _of_text(texts[1])))
    else:
        raise UsageError("explain takes one or two files, or --jsonl with records on standard input")


def _show_merges(merges: Sequence[Merge]) -> None:
    if not merges:
        click.echo("Nothing is merged.")
    for merge in merges:
        state = "one problem" if merge.in_force else f"one problem once it is {SETTLES_AFTER_S / 3600:g} h old"
        click.echo(f"{merge.form}\n  is        {state}\n  at        {merge.place}")
        for text in merge.texts[:TEXTS_SHOWN]:
            click.echo(f"  text      {text}")
        if len(merge.texts) > TEXTS_SHOWN:
            click.echo(f"  and {len(merge.texts) - TEXTS_SHOWN} more")


def _undo(form: str, author: str, state: Path) -> None:
    places = [merge.place for merge in open_reader(state).merges(now=time.time_ns()) if merge.form == form]
    if not places:
        raise UsageError(f"nothing of the form {form!r} is merged; `pipeline-alerts explain --aliases` shows what is")
    with ControlStore(state).writing() as book:
        for place in places:
            book.undo_merge(place, form, author=author, now=time.time_ns())
    click.echo(f"Texts of the form {form!r} are problems of their own from now on.")


def _explain_lines(lines: Iterable[bytes]) -> int:
    """Prints one object for each line that is not blank, in order; 1 if one of them is no record."""
    bad = count = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        count += 1
        try:
            found = of(_said(_fields(line)))
            document: dict[str, object] = {"fingerprint": found.value, "rung": found.rung}
            document["components"] = found.components
        except ValueError as error:
            bad += 1
            document = {"error": f"line {number} {error}"}
        sys.stdout.write(f"{json.dumps(document)}\n")
    if bad:
        click.echo(f"{bad} of {count} lines could not be read", err=True)
    return int(bad > 0)


def _fields(line: bytes) -> Mapping[str, object]:
    try:
        fields = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        text = f"is not JSON: {error}"
        raise ValueError(text) from error
    if not isinstance(fields, dict):
        text = f"is not a JSON object but {type(fields).__name__}"
        raise ValueError(text)  # noqa: TRY004 - of the line's content, like the one above
    return fields


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
