"""`pipeline-alerts why`: why a record or an incident was told, or was not: the trail, the books, what comes next."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from alert_bridge.cli.stores import json_option, state_of, state_option
from alert_bridge.cli.wishes import iso
from alert_bridge.errors import PipelineAlertsError, UsageError
from alert_bridge.model import Incident, Record
from alert_bridge.policy.load import load
from alert_bridge.routing import judge, recipients
from alert_bridge.settings import setting
from alert_bridge.silences import covering, in_words
from alert_bridge.store.control import SqliteControlReader, open_reader
from alert_bridge.store.interface import Delivery
from alert_bridge.store.telemetry import Telemetry

__all__ = ["command", "explain_incident", "explain_record"]

NS = 1_000_000_000
RECEIPTS_SHOWN = 3


@click.command("why")
@click.argument("subject", metavar="ID")
@state_option
@json_option
def command(*, subject: str, state: str, as_json: bool) -> None:
    """Say why ID was told, or was not. ID is an incident's id, or a record's uid (log.record.uid).

    Exit codes: 0 it is known, 1 nobody knows it, 2 wrong usage or set-up.
    """
    folder, now = state_of(state), time.time_ns()
    reader = open_reader(folder)
    try:
        incident = reader.incident(subject)
        found = explain_incident(reader, incident, now) if incident else explain_record(reader, folder, subject, now)
    finally:
        reader.close()
    if found is None:
        raise click.ClickException(f"nothing is known of {subject}: it is no incident, and no record that we kept")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)


def explain_incident(reader: SqliteControlReader, incident: Incident, now: int) -> dict[str, Any]:
    """Everything that led to, and will follow from, an incident; JSON-able. Times are ISO 8601, UTC."""
    rung, version, components = reader.fingerprint_of(incident.fingerprint)
    silence = covering(reader.silences(ended_since=now), incident, now)
    return {
        "incident": incident.id,
        "title": incident.title,
        "state": incident.state.value,
        "severity": incident.severity.name,
        "count": incident.count,
        "folded_under": incident.root_id or None,
        "acknowledged_by": incident.acknowledged_by or None,
        "assigned_to": incident.assigned_to or None,
        "silence": None
        if silence is None
        else {"id": silence.id, "what": in_words(silence), "ends_at": iso(silence.ends_at), "reason": silence.reason},
        "policy": reader.meta().get("policy", ""),
        "fingerprint": {
            "value": incident.fingerprint,
            "rung": rung,
            "version": version,
            "components": [list(pair) for pair in components],
        },
        "decisions": _decisions(reader, incident.id, incident.sample.uid),
        "told": [_delivery(each) for each in reader.deliveries(incident.id)],
        "next": [
            {"channel": channel, "address": address, "reason": reason, "at": iso(at) if at else None}
            for channel, address, reason, at in reader.planned(incident.id)
        ],
    }


def explain_record(reader: SqliteControlReader, state: Path, uid: str, now: int) -> dict[str, Any] | None:
    """The trail of one record and of its incident; None if nobody ever saw it."""
    decisions = _decisions(reader, uid)
    owner = reader.incident_of_record(uid) or _named_incident(decisions)
    incident = reader.incident(owner) if owner else None
    record = _record(state, uid)
    if not decisions and incident is None and record is None:
        return None
    judged = _judged_now(reader, record, now) if record is not None and incident is None else []
    return {
        "record": uid,
        "text": record.body if record is not None else "",
        "severity": record.severity.name if record is not None else "",
        "decisions": decisions,
        "by_the_policy_in_force": judged,
        "of_incident": explain_incident(reader, incident, now) if incident is not None else None,
    }


def _decisions(reader: SqliteControlReader, *subjects: str) -> list[dict[str, str]]:
    found = [each for subject in dict.fromkeys(subjects) for each in reader.decisions(subject)]
    ordered = sorted(found, key=lambda each: each.at)
    return [{"at": iso(each.at), "of": each.subject, "step": each.step, "text": each.text} for each in ordered]


def _named_incident(decisions: Sequence[Mapping[str, str]]) -> str:
    """A record's own trail ends with the incident that it went to."""
    words = [each["text"].split() for each in decisions if each["step"] in ("incident", "fold")]
    return next((line[line.index("incident") + 1].rstrip(",") for line in words if "incident" in line[:-1]), "")


def _record(state: Path, uid: str) -> Record | None:
    try:
        telemetry = Telemetry(state)
        try:
            return telemetry.record(uid)
        finally:
            telemetry.close()
    except PipelineAlertsError:
        return None  # no bulk lane on this machine: the trail is all there is


def _judged_now(reader: SqliteControlReader, record: Record, now: int) -> list[str]:
    """What the policy says of a record that became nothing; the file may have changed since."""
    path = setting(os.environ, "PIPELINE_ALERTS_POLICY") or reader.meta().get("policy", "")
    try:
        policy = load(Path(path))
    except UsageError as error:
        return [f"the policy {path} cannot be read now: {error}"]
    judgement = judge(record, policy)
    said = [f"{path}:{line}: {what}" if line else f"the record {what}" for line, what in judgement.trail]
    if judgement.dropped:
        return [*said, "dropped: recorded, never told"]
    told = recipients(judgement, record, policy, now)
    if not told:
        least = min(
            (route.min_severity for channel in ("slack", "email") for route in policy.routes_to(channel)), default=None
        )
        is_below = least is not None and judgement.severity < least
        name = judgement.severity.name
        said.append(f"{name} is below what any route tells" if is_below else "no route leads to anybody")
        return said
    return [*said, *(f"{each.channel} to {each.address}: {each.why}" for each in told)]


def _delivery(delivery: Delivery) -> dict[str, Any]:
    talk = delivery.conversation
    return {
        "channel": talk.recipient.channel,
        "address": talk.recipient.address,
        "audiences": list(talk.recipient.audiences),
        "why": talk.recipient.why,
        "state": delivery.state.value,
        "records": {"matched": talk.matched, "told": talk.told, "suppressed": talk.suppressed, "dead": talk.dead},
        "last_error": delivery.last_error or None,
        "receipts": [
            {"at": iso(receipt.at), "outcome": receipt.outcome, "detail": receipt.detail}
            for receipt in delivery.receipts
        ],
    }


def _print(found: Mapping[str, Any]) -> None:
    if "record" in found:
        click.echo(f"Record {found['record']} · {found['severity'] or 'not in the telemetry store'}")
        if found["text"]:
            click.echo(f"  {found['text'].splitlines()[0][:200]}")
        _list("What happened to it", [f"{each['at']}  {each['step']}: {each['text']}" for each in found["decisions"]])
        _list("What the policy says of it now", found["by_the_policy_in_force"])
        if found["of_incident"] is not None:
            click.echo()
            _print(found["of_incident"])
        return
    click.echo(f"Incident {found['incident']} · {found['severity']} · {found['state']} · {found['count']} records")
    click.echo(f"  {found['title']}")
    mark = found["fingerprint"]
    _list(
        f"Why it is one problem (fingerprint {mark['value'][:16]}, by {mark['rung'] or 'its record'})",
        [f"{name}: {value}" for name, value in mark["components"]],
    )
    _list(f"What was decided (lines are those of {found['policy'] or 'the policy'})",
          [f"{each['at']}  {each['step']}: {each['text']}" for each in found["decisions"]])  # fmt: skip
    _list("Who was told", [line for each in found["told"] for line in _told(each)] or ["nobody"])
    _list("What comes next", _next(found))


def _told(delivery: Mapping[str, Any]) -> list[str]:
    records = delivery["records"]
    held = f", {records['suppressed']} not told" if records["suppressed"] else ""
    dead = f", {records['dead']} given up" if records["dead"] else ""
    line = (
        f"{delivery['channel']} to {delivery['address']}: {records['told']} of {records['matched']} records{held}{dead}"
    )
    receipts = [
        f"  {receipt['at']}  {receipt['outcome']}: {receipt['detail']}"
        for receipt in delivery["receipts"][-RECEIPTS_SHOWN:]
    ]
    return [f"{line} ({delivery['why']})", *receipts]


def _next(found: Mapping[str, Any]) -> list[str]:
    silence = found["silence"]
    lines = (
        [f"silence {silence['id']} ({silence['what']}) until {silence['ends_at']}: {silence['reason']}"]
        if silence
        else []
    )
    if found["folded_under"]:
        lines.append(f"nothing: incident {found['folded_under']} is told instead")
    lines += [
        f"{each['at'] or 'when it is over or gets worse'}  {each['reason']} by {each['channel']} to {each['address']}"
        for each in found["next"]
    ]
    return lines or ["nothing is planned"]


def _list(heading: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo(f"{heading}:")
        for line in lines:
            click.echo(f"  {line}")
