"""One story in, one message out: short and expanded summary, worded for the audience's duty. Pure."""

from __future__ import annotations

from urllib.parse import quote

from alert_bridge.incidents.flapping import FLAP_CALM_S
from alert_bridge.messages.cause import sentence
from alert_bridge.messages.digest import compose_digest, is_digest
from alert_bridge.messages.effects import (
    effect_of,
    headline_for_readers,
    is_over,
    paragraphs_for_readers,
    pipeline_in_words,
)
from alert_bridge.messages.expanded import closing_for_action, log_around, paragraphs_for_action, trace_in_parts
from alert_bridge.messages.moments import NS_PER_SECOND, lasting, moment
from alert_bridge.messages.text import claims, clip, one_line, plain_name
from alert_bridge.model import Duty, Incident, Message, Reason, Severity, Story
from instrumentation import attributes as names

__all__ = ["compose"]

MAX_HEADLINE_CHARS = 420
MAX_SUBJECT_CHARS = 120
MAX_FACT_CHARS = 80
MAX_LISTED = 6
MAX_LISTING_CHARS = 140
MAX_URL_CHARS = 500  # a longer one is left out: the incident's page leads to the same place
MAX_CAUSE_CHARS = 70  # of another incident's title, within a note
SHORT_ID_CHARS = 8
LONG_OPEN_SECONDS = 3_600.0  # from here on an edit says how long it has been


def compose(story: Story) -> Message:
    """The message for one recipient. Never raises, whatever the record holds; all parts are within their limits."""
    if is_digest(story):
        return compose_digest(story)
    incident = story.incident
    acts = story.audience.duty is Duty.ACT
    log_title, log_tail = log_around(story) if acts else ("", ())
    return Message(
        key=story.notice_key,
        incident_id=incident.id,
        reason=story.reason,
        severity=incident.severity,
        duty=story.audience.duty,
        headline=clip(_marked(story) + _headline(story), MAX_HEADLINE_CHARS),
        facts=_facts(story) if acts else _facts_for_readers(story),
        links=_links(story),
        subject=clip(_marked(story) + _subject(story), MAX_SUBJECT_CHARS),
        paragraphs=paragraphs_for_action(story) if acts else paragraphs_for_readers(story),
        closing=closing_for_action(story) if acts else (),
        log_tail=log_tail,
        stacktrace=trace_in_parts(incident.sample) if acts else "",
        resolved=is_over(story),
        late=_late(story),
        note=" ".join(part for part in (story.held, _part(story) if incident.root_id else _note(story)) if part),
        log_title=log_title,
    )


def _headline(story: Story) -> str:
    if story.audience.duty is Duty.INFORM:
        return headline_for_readers(story)
    if is_over(story):
        return f"RESOLVED · {sentence(story.incident, over=True)}"
    if _is_own(story):
        return f"{story.incident.severity.name} · about the alerting itself · {sentence(story.incident)}"
    return f"{story.incident.severity.name} · {sentence(story.incident)}"


def _subject(story: Story) -> str:
    """From what does not change while an incident is open: its title, not its latest record, severity or state."""
    incident = story.incident
    known = plain_name(incident.environment) if story.audience.duty is Duty.INFORM else one_line(incident.environment)
    environment = f"[{known}] " if known else ""
    if story.audience.duty is Duty.INFORM:
        return f"{environment}{pipeline_in_words(incident)}: {effect_of(incident, story.reason)}"
    stage = f" / {one_line(incident.stage)}" if incident.stage else ""
    pipeline, title = one_line(incident.pipeline), one_line(incident.title) or f"problem {one_line(incident.id)}"
    about_itself = title.removeprefix(f"{pipeline} ")
    return f"{environment}{pipeline}{stage}{': ' if about_itself == title else ' '}{about_itself}"


def _marked(story: Story) -> str:
    return "[TEST] " if _is_test(story) else ""


def _is_own(story: Story) -> bool:
    """About ourselves, also in an edit or a reminder of it."""
    return story.reason is Reason.OPERATOR or bool(story.incident.sample.text(names.OWN_TROUBLE))


def _is_test(story: Story) -> bool:
    return story.reason is Reason.TEST or claims(story.incident.sample.attributes.get(names.TEST_ALERT))


def _facts(story: Story) -> tuple[str, ...]:
    incident = story.incident
    facts = (
        one_line(incident.environment),
        _run(incident),
        _counted(story),
        _history(incident),
        f"owner {one_line(incident.owner)}" if one_line(incident.owner) else "",
        f"acknowledged by {one_line(incident.acknowledged_by)}" if one_line(incident.acknowledged_by) else "",
        f"assigned to {one_line(incident.assigned_to)}" if one_line(incident.assigned_to) else "",
    )
    return (*(clip(fact, MAX_FACT_CHARS) for fact in facts if fact), *_affected(story))


def _facts_for_readers(story: Story) -> tuple[str, ...]:
    return (f"since {moment(story.incident.first_event, story.now)}",)


def _run(incident: Incident) -> str:
    runs = incident.run_ids or ((incident.sample.run_id,) if incident.sample.run_id else ())
    if not runs:
        return ""
    latest = one_line(runs[-1])
    if latest == incident.sample.trace_id:  # a program that names no run is known by its trace
        latest = latest[:SHORT_ID_CHARS]
    return f"run {clip(latest, 48)}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


def _counted(story: Story) -> str:
    count = max(story.count, story.incident.count)
    since = moment(story.incident.first_event, story.now)
    return f"{count:,}× since {since}" if count > 1 else f"at {since}"  # noqa: RUF001 - the sign of times is meant


def _history(incident: Incident) -> str:
    if incident.seen_before <= 0:
        return "new"
    return f"seen {incident.seen_before} time{'s' if incident.seen_before > 1 else ''} before"


def _affected(story: Story) -> tuple[str, ...]:
    """Which models or stages reported it."""
    affected = [name for item in story.affected if (name := one_line(item))]
    if len(affected) <= 1:
        model = one_line(story.incident.sample.text(names.MODEL_NAME))
        return (clip(f"model {model}", MAX_FACT_CHARS),) if model else ()
    kind = "models" if one_line(story.incident.sample.text(names.MODEL_NAME)) in affected else "stages"
    more = f" and {len(affected) - MAX_LISTED} more" if len(affected) > MAX_LISTED else ""
    return (clip(f"in {len(affected)} {kind}: {', '.join(affected[:MAX_LISTED])}", MAX_LISTING_CHARS) + more,)


def _links(story: Story) -> tuple[tuple[str, str], ...]:
    incident, record, base = story.incident, story.incident.sample, story.public_url.rstrip("/")
    incident_page = f"{base}/incidents/{_quoted(incident.id)}"
    told_in = f"{base}/incidents/{_quoted(incident.root_id)}" if incident.root_id else ""
    if story.audience.duty is Duty.INFORM:
        candidates = [("Details and full log", (told_in or incident_page) if base else "")]
    else:
        uid, span = _quoted(record.uid), f"?span={_quoted(record.span_id)}" if record.span_id else ""
        log = f"{base}/runs/{_quoted(record.run_id)}/log?around={uid}#r-{uid}"
        candidates = [
            ("Told there", told_in if base else ""),
            ("Full log", log if base and record.run_id and record.uid else ""),
            ("Incident", incident_page if base else ""),
            ("Trace", f"{base}/traces/{_quoted(record.trace_id)}{span}" if base and record.trace_id else ""),
            ("Runbook", _web_address(incident.runbook)),
            ("W&B run", _web_address(record.text(names.WANDB_RUN_URL))),
        ]
    return tuple((label, url) for label, url in candidates if url and len(url) <= MAX_URL_CHARS)


def _quoted(part: str) -> str:
    return quote(part[:MAX_URL_CHARS], safe="", errors="replace")


def _web_address(text: str) -> str:
    """The runbook if it is a link; quoted so that it cannot end the link it is put in."""
    address = one_line(text)
    return quote(address, safe=":/?#[]@!$&()*+,;=%~") if address.startswith(("https://", "http://")) else ""


def _late(story: Story) -> str:
    told_at = story.late_told_at or story.now
    if not 0 < story.late_since < told_at:
        return ""
    due, told = moment(story.late_since), moment(told_at)
    behind = lasting((told_at - story.late_since) / NS_PER_SECOND)
    return f"Late: due {due}, told {told}, {behind} later, because this channel could not be reached."


def _note(story: Story) -> str:
    """One sentence on why this is said now."""
    incident = story.incident
    open_seconds = max(0, story.now - incident.first_event) / NS_PER_SECOND
    if _is_test(story):
        return "This is a test of the alert path. Nobody needs to act."
    if is_over(story):
        ended = incident.resolved_at or story.now
        took = lasting(max(0, ended - incident.first_event) / NS_PER_SECOND)
        times = f" It came and went {incident.seen_before + incident.flaps + 1} times." if incident.flaps else ""
        return f"Resolved {moment(ended, story.now)}, {took} after it began.{times}"
    if incident.flaps and story.reason in (Reason.REGRESSED, Reason.REPEATED):
        calm = lasting(FLAP_CALM_S)
        return (
            f"Flapping: resolved and back {incident.seen_before + incident.flaps} times. It is counted here from now"
            f" on; you hear of it again when it is over and calm for {calm}."
        )
    match story.reason:
        case Reason.REMINDER:
            return _still(story, open_seconds)
        case Reason.REPEATED if open_seconds >= LONG_OPEN_SECONDS and not _is_own(story):
            return _still(story, open_seconds)  # the edit of a reminder must not take back what that said
        case Reason.ESCALATED:
            return f"Worse than when it was first told: now {_level(story)}."
        case Reason.REGRESSED:
            earlier = f" on {moment(incident.resolved_at)}" if 0 < incident.resolved_at < story.now else ""
            return f"Again, after it was resolved{earlier}."
        case _:
            return "This is about the alerting itself, not about a pipeline." if _is_own(story) else ""


def _part(story: Story) -> str:
    """It was told by itself before its cause was known."""
    if story.audience.duty is Duty.INFORM:
        return "This turned out to be part of another problem that you are told of."
    cause = clip(one_line(story.part_of), MAX_CAUSE_CHARS) or "another incident"
    return f"Part of “{cause}”: see there what happens next."


def _still(story: Story, open_seconds: float) -> str:
    still = "failing" if story.audience.duty is Duty.ACT else "not solved"
    return f"Still {still}, {lasting(open_seconds)} after it began."


def _level(story: Story) -> str:
    if story.audience.duty is Duty.ACT:
        return story.incident.severity.name
    return "a serious problem" if story.incident.severity >= Severity.CRITICAL else "a problem"
