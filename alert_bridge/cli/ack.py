"""`pipeline-alerts ack`: say who is on an incident, whose it is, or that it is over."""

from __future__ import annotations

import json
import time

import click

from alert_bridge.cli.stores import json_option, state_of, state_option
from alert_bridge.cli.wishes import AUTHOR, taken_up
from alert_bridge.errors import UsageError
from alert_bridge.model import IncidentState
from alert_bridge.operations.orders import ACKNOWLEDGE, ASSIGN, RESOLVE
from alert_bridge.store.control import ControlStore, open_reader

__all__ = ["command"]

DONE = "done"


@click.command("ack")
@click.argument("incident_id", metavar="ID")
@click.option("--assign", default="", metavar="NAME", help="Give it to somebody; reminders go on until they take it.")
@click.option("--resolve", is_flag=True, help="Say that it is over; if it comes back, it is told again.")
@AUTHOR
@state_option
@json_option
def command(*, incident_id: str, assign: str, resolve: bool, author: str, state: str, as_json: bool) -> None:
    """Take an incident: reminders stop, its messages say who is on it; if it gets worse, that is still told."""
    if assign and resolve:
        raise UsageError("an incident is either given to somebody or over: --assign or --resolve")
    folder = state_of(state)
    kind = ASSIGN if assign else RESOLVE if resolve else ACKNOWLEDGE
    reader = open_reader(folder)
    try:
        incident = reader.incident(incident_id)
        if incident is None:
            raise UsageError(f"there is no incident {incident_id}: its id stands at the end of its link")
        if incident.state is IncidentState.RESOLVED:
            raise UsageError(f"incident {incident_id} is over already")
        store = ControlStore(folder)
        try:
            with store.writing() as book:
                order = book.give_order(kind, incident_id, author=author, value=assign, now=time.time_ns())
        finally:
            store.close()
        done = taken_up(folder, lambda: reader.carried_out(order))
        outcome = reader.carried_out(order) or "waits for the bridge, which is not running, or is stuck"
    finally:
        reader.close()
    if as_json:
        document = {"incident": incident_id, "order": kind, "by": author, "to": assign or None, "outcome": outcome}
        click.echo(json.dumps(document, indent=2))
    else:
        said = {ACKNOWLEDGE: f"{author} is on it", ASSIGN: f"it is {assign}'s now", RESOLVE: "it is over"}[kind]
        click.echo(f"{incident_id}: {said if outcome == DONE else outcome} ({incident.title})")
    if done and outcome != DONE:
        raise SystemExit(1)
