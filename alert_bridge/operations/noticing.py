"""What the bridge itself has to say about a pipeline, as records that go the way of all others, and how that ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alert_bridge.fingerprint import fingerprint
from alert_bridge.incidents import Case, Success, resolve
from alert_bridge.intake import sift, take
from alert_bridge.model import AttributeValue, Record, Severity
from alert_bridge.outbox import Rules, replan
from alert_bridge.policy.model import Policy
from alert_bridge.store.control.database import Book
from instrumentation import attributes as names

__all__ = ["Notice", "end_of", "notice", "open_case_of", "resource_of"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that did not happen. The same ``uid`` is told once for ever; the same ``problem`` is one incident."""

    uid: str
    event_name: str
    kind: str  # expectation, late, silent
    problem: str
    text: str
    severity: Severity
    pipeline: str
    environment: str
    time: int  # ns: when it should have happened
    run_id: str = ""
    trace_id: str = ""
    audiences: tuple[str, ...] = ()
    owner: str = ""
    runbook: str = ""
    effect: str = ""

    def record(self) -> Record:
        """The record that says so."""
        attributes: dict[str, AttributeValue] = {names.WATCHED: self.kind, names.FINGERPRINT: self.problem}
        if self.audiences:
            attributes[names.AUDIENCE] = self.audiences
        return Record(
            uid=self.uid,
            time=self.time,
            observed=self.time,
            severity=self.severity,
            severity_text=self.severity.name,
            body=self.text,
            event_name=self.event_name,
            attributes=attributes,
            resource=resource_of(self.pipeline, self.environment, self.run_id),
            scope="alert_bridge",
            trace_id=self.trace_id,
        )


def notice(book: Book, said: Notice, policy: Policy, rules: Rules, *, now: int, new_id: Callable[[], str]) -> set[str]:
    """Take it in like a record from outside: rules may redirect it; returns channels that have something new to say."""
    sifted = sift(said.record(), policy, now)
    if sifted is None:
        return set()
    if sifted.event is not None:
        event = sifted.event
        sifted = replace(
            sifted,
            event=replace(
                event,
                owner=event.owner or said.owner,
                runbook=event.runbook or said.runbook,
                effect=event.effect or said.effect,
            ),
        )
    tally, channels = take(book, [sifted], rules, now=now, new_id=new_id)
    book.count(tally)
    return channels


def open_case_of(book: Book, said: Notice) -> Case | None:
    """The open incident about this problem."""
    mark = fingerprint(said.record()).value
    current = next((incident_id for incident_id, end in book.episodes(mark) if not end), "")
    return book.case(current) if current else None


def end_of(book: Book, case: Case, why: str, rules: Rules, *, run_id: str = "", now: int) -> set[str]:
    """The incident, over: what did not happen has happened; returns channels that have something new to say."""
    incident = case.incident
    success = Success(incident.pipeline, incident.environment, run_id, "", max(now, incident.last_event))
    over = book.save_case(resolve(case, success, now=now))
    book.decide(now, incident.id, "resolve", why)
    for talk in over.talks:
        replan(book, over, talk, rules, now=now)
    return {talk.recipient.channel for talk in over.talks}


def resource_of(pipeline: str, environment: str, run_id: str) -> Mapping[str, AttributeValue]:
    """Who a record about a pipeline is from, as far as it is known."""
    told = {
        names.SERVICE_NAME: pipeline,
        names.PIPELINE_NAME: pipeline,
        names.DEPLOYMENT_ENVIRONMENT: environment,
        names.RUN_ID: run_id,
    }
    return {name: text for name, text in told.items() if text}
