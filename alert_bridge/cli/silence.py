"""`pipeline-alerts silence`: hold back what is known for a while; what is still open when it ends is told."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from alert_bridge.cli.durations import DURATION
from alert_bridge.cli.stores import json_option, state_of, state_option
from alert_bridge.cli.wishes import AUTHOR, iso, taken_up
from alert_bridge.errors import UsageError
from alert_bridge.model import Incident, Severity
from alert_bridge.silences import Silence, covers_incident, in_words, new_silence
from alert_bridge.store.control import ControlStore, open_reader

__all__ = ["command"]

NS = 1_000_000_000
LISTED_AFTER_END_S = 7 * 86_400.0


@click.group("silence")
def command() -> None:
    """Hold back what is known for a while. Counted all the same, and told when the silence ends if it is still open."""


@command.command("add")
@click.argument("conditions", nargs=-1, metavar="[KEY=GLOB]…")
@click.option("--incident", default="", metavar="ID", help="One incident instead of conditions.")
@click.option("--for", "for_s", type=DURATION, help="How long: 30m, 2h, 3d.")
@click.option("--until", default="", metavar="TIME", help="Until when: 2026-11-26T07:00, UTC unless it says otherwise.")
@click.option("--reason", required=True, help="Why. Whoever misses an alert will ask.")
@click.option("--critical", is_flag=True, help="CRITICAL too, which otherwise comes through.")
@AUTHOR
@state_option
@json_option
def add(
    *, conditions: tuple[str, ...], incident: str, for_s: float | None, until: str, reason: str, critical: bool,
    author: str, state: str, as_json: bool,
) -> None:  # fmt: skip
    """Silence everything that matches all CONDITIONS, or one incident.

    KEY is what rules match (pipeline, environment, stage, severity, body, scope, event_name or any attribute), or
    fingerprint; GLOB may have * and ?. An end is needed: --for or --until.

    Example: pipeline-alerts silence add pipeline=monthly_run body="*disk*" --for 2h --reason "disk is being replaced"
    """
    now = time.time_ns()
    folder = state_of(state)
    silence = new_silence(
        _pairs(conditions), incident, ends_at=_end(for_s, until, now), author=author,
        reason=reason, critical=critical, now=now,
    )  # fmt: skip
    reader = open_reader(folder)
    try:
        found = reader.incident(silence.incident_id) if silence.incident_id else None
        if silence.incident_id and found is None:
            raise UsageError(
                f"there is no incident {silence.incident_id}: `pipeline-alerts silence add KEY=GLOB` instead?"
            )
        if found is not None and found.severity >= Severity.CRITICAL and not critical:
            raise UsageError(
                f"incident {found.id} is CRITICAL, which comes through a silence: say --critical if you mean it"
            )
        covered = [each for each in reader.incidents(limit=10_000) if covers_incident(silence, each)]
        _write(folder, silence)
        done = taken_up(folder, lambda: reader.has_taken_up(silence.id))
    finally:
        reader.close()
    if as_json:
        click.echo(
            json.dumps(_document(silence, now) | {"covers_open_incidents": [each.id for each in covered]}, indent=2)
        )
        return
    _say(silence, covered, done=done)


@command.command("list")
@click.option("--all", "with_ended", is_flag=True, help="Also those that ended within the last week.")
@state_option
@json_option
def show(*, with_ended: bool, state: str, as_json: bool) -> None:
    """List silences, the newest first."""
    now = time.time_ns()
    reader = open_reader(state_of(state))
    try:
        since = now - int(LISTED_AFTER_END_S * NS) if with_ended else now
        silences = reader.silences(ended_since=since)
    finally:
        reader.close()
    if as_json:
        click.echo(json.dumps({"silences": [_document(each, now) for each in silences]}, indent=2))
        return
    if not silences:
        click.echo("No silence is in force.")
    for each in silences:
        ended = "" if each.is_in_force(now) else f" (ended{' by ' + each.ended_by if each.ended_by else ''})"
        click.echo(
            f"{each.id}  until {iso(each.ends_at)}{ended}  {in_words(each)}\n          {each.author}: {each.reason}"
        )


@command.command("end")
@click.argument("silence_id", metavar="ID")
@AUTHOR
@state_option
@json_option
def end(*, silence_id: str, author: str, state: str, as_json: bool) -> None:
    """End a silence early: what it holds back and is still open is told now."""
    folder, now = state_of(state), time.time_ns()
    reader = open_reader(folder)
    try:
        store = ControlStore(folder)
        try:
            with store.writing() as book:
                ended = book.end_silence(silence_id, author=author, now=now)
        finally:
            store.close()
        if not ended:
            raise UsageError(
                f"no silence {silence_id} is in force: `pipeline-alerts silence list` shows those that are"
            )
        done = taken_up(folder, lambda: reader.has_taken_up(silence_id))
    finally:
        reader.close()
    if as_json:
        click.echo(json.dumps({"id": silence_id, "ended_at": iso(now), "carried_out": done}, indent=2))
    else:
        click.echo(
            f"Silence {silence_id} is over."
            + ("" if done else " The bridge is not running, or is stuck; it acts when it runs.")
        )


def _pairs(conditions: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in conditions:
        key, equals, pattern = text.partition("=")
        if not equals or not key or not pattern:
            raise UsageError(f'{text!r} is not a condition: write KEY=GLOB, such as body="*disk is full*"')
        pairs.append((key, pattern))
    return tuple(pairs)


def _end(for_s: float | None, until: str, now: int) -> int:
    if (for_s is None) == (not until):
        raise UsageError("a silence needs one end: --for 2h, or --until 2026-11-26T07:00")
    if for_s is not None:
        return now + int(for_s * NS)
    try:
        moment = datetime.fromisoformat(until)
    except ValueError as error:
        raise UsageError(f"--until {until!r} is not a time: write 2026-11-26T07:00 (UTC), or with +01:00") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * NS


def _write(folder: Path, silence: Silence) -> None:
    store = ControlStore(folder)
    try:
        with store.writing() as book:
            book.add_silence(silence)
    finally:
        store.close()


def _say(silence: Silence, covered: list[Incident], *, done: bool) -> None:
    click.echo(f"{silence.id}: {in_words(silence)} is silent until {iso(silence.ends_at)}.")
    if covered:
        click.echo(f"It covers {len(covered)} open incident{'s' if len(covered) > 1 else ''}: {covered[0].title}"
                   + (" …" if len(covered) > 1 else ""))  # fmt: skip
    else:
        click.echo("No open incident matches now.")
    if not silence.critical:
        click.echo("CRITICAL comes through.")
    if not done:
        click.echo("The bridge is not running, or is stuck; when it runs, it holds back from its first moment on.")
    click.echo(f"End it early with: pipeline-alerts silence end {silence.id}")


def _document(silence: Silence, now: int) -> dict[str, Any]:
    return {
        "id": silence.id,
        "conditions": dict(silence.match.conditions),
        "incident": silence.incident_id or None,
        "critical": silence.critical,
        "author": silence.author,
        "reason": silence.reason,
        "created_at": iso(silence.created_at),
        "ends_at": iso(silence.ends_at),
        "in_force": silence.is_in_force(now),
        "ended_by": silence.ended_by or None,
    }
