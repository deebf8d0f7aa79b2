"""Digests in words: how a run went, and what happened in quiet hours. Pure; the values come inside the record.

Short enough to be read on a phone: what needs somebody comes first, what went well is counted, not listed.
"""

from __future__ import annotations

from urllib.parse import quote

from alert_bridge.digests import QUIET, RUN, IncidentLine, QuietDigest, RunDigest, StageLine
from alert_bridge.messages.moments import NS_PER_SECOND, lasting, moment
from alert_bridge.messages.text import clip, one_line, plain_name
from alert_bridge.model import Duty, Message, Severity, Story
from instrumentation import attributes as names

__all__ = ["compose_digest", "is_digest"]

MAX_HEADLINE_CHARS = 200
MAX_SUBJECT_CHARS = 120
MAX_TITLE_CHARS = 110
MAX_NAME_CHARS = 48
MAX_INCIDENTS = 8
MAX_STAGES = 12
MAX_FAILED_MODELS = 8
MAX_WARNINGS = 5
MAX_MISSING = 8
LINKED_INCIDENTS = 3
NOTABLE_SHARE = 0.25  # a stage is said to be slower or faster from this difference on …
NOTABLE_SECONDS = 5.0  # … if it is also at least so much

_ENDED = {
    names.RESULT_SUCCESS: ("FINISHED", "ended well"),
    names.RESULT_CANCELLATION: ("STOPPED", "was stopped"),
    names.RESULT_TIMEOUT: ("FAILED", "ran out of time"),
}


def is_digest(story: Story) -> bool:
    """Whether the story's incident is a digest of ours, as far as its record says so."""
    sample = story.incident.sample
    return sample.event_name == names.EVENT_DIGEST and sample.attributes.get(names.DIGEST) in (RUN, QUIET)


def compose_digest(story: Story) -> Message:
    """The message for one recipient. Never raises, whatever the record holds."""
    sample = story.incident.sample
    content = sample.attributes.get(names.DIGEST_CONTENT)
    if sample.attributes.get(names.DIGEST) == QUIET:
        return _quiet(story, QuietDigest.from_value(content))
    return _run(story, RunDigest.from_value(content))


def _run(story: Story, digest: RunDigest) -> Message:
    acts = story.audience.duty is Duty.ACT
    word, ended = _ENDED.get(digest.result, ("FAILED", "failed"))
    seconds = _seconds(digest)
    well = digest.result == names.RESULT_SUCCESS and not digest.missing and not _open(digest.incidents)
    ended, but = (
        ("ended", ", but not all is well") if digest.result == names.RESULT_SUCCESS and not well else (ended, "")
    )
    after = f" after {lasting(seconds)}" if seconds >= 0 else ""
    environment = f"[{one_line(digest.environment)}] " if digest.environment else ""
    name = clip(one_line(digest.pipeline), MAX_NAME_CHARS)
    if acts:
        headline = f"{word} · {name} {ended}{after}{but}"
    else:
        headline = f"Run {'finished' if word == 'FINISHED' else 'ended early'}: {_in_words(digest.pipeline)}"
    return Message(
        key=story.notice_key,
        incident_id=story.incident.id,
        reason=story.reason,
        severity=Severity.INFO if well else Severity.ERROR if word == "FAILED" else Severity.WARNING,
        duty=story.audience.duty,
        headline=clip(headline, MAX_HEADLINE_CHARS),
        facts=_run_facts(digest, story.now) if acts else (f"ended {moment(digest.ended, story.now)}",),
        links=_links(story, digest.run_id, digest.incidents if acts else ()),
        subject=clip(f"{environment}{name} {ended}{but}: run {one_line(digest.run_id)}", MAX_SUBJECT_CHARS),
        paragraphs=_run_paragraphs(digest) if acts else _for_readers(digest),
        resolved=well,
        note=_verdict(digest, well=well),
    )


def _verdict(digest: RunDigest, *, well: bool) -> str:
    """What the reader has to do, in one sentence."""
    still = len(_open(digest.incidents))
    parts = [
        f"{still} incident{'s are' if still > 1 else ' is'} open" if still else "",
        f"{len(digest.missing)} thing{'s' if len(digest.missing) > 1 else ''} that should have happened did not"
        if digest.missing
        else "",
    ]
    said = [part for part in parts if part]
    if said:
        return f"{' and '.join(said)}."
    return "All is well: nothing needs you." if well else ""


def _run_facts(digest: RunDigest, now: int) -> tuple[str, ...]:
    failed = [model for model in digest.models if model.failed_at]
    seconds = _seconds(digest)
    compared = _compared(seconds, digest.usual_s)
    facts = (
        one_line(digest.environment),
        f"run {clip(one_line(digest.run_id), MAX_NAME_CHARS)}",
        f"ended {moment(digest.ended, now)}",
        f"{compared} than the last good run" if compared else "",
        _models(len(digest.models), len(failed)),
        one_line(digest.note),
    )
    return tuple(fact for fact in facts if fact)


def _models(all_of_them: int, failed: int) -> str:
    if not all_of_them:
        return ""
    return f"{all_of_them} model{'s' if all_of_them > 1 else ''}, {failed or 'none'} with errors"


def _run_paragraphs(digest: RunDigest) -> tuple[tuple[str, str], ...]:
    """(heading, text) in the order in which they matter."""
    failed = [model for model in digest.models if model.failed_at]
    candidates = (
        ("Did not happen", _bullets([clip(one_line(item), MAX_TITLE_CHARS) for item in digest.missing], MAX_MISSING)),
        ("Incidents", _numbered(digest.incidents)),
        (
            "Models with errors",
            _bullets([f"{clip(one_line(m.name), MAX_NAME_CHARS)}, in {one_line(m.failed_at)}" for m in failed],
                     MAX_FAILED_MODELS),
        ),
        ("Stages", _stages(digest.stages)),
        ("Warnings, told only here", _warnings(digest)),
        (
            "Without a message of their own",
            ", ".join(f"{one_line(name)}: {count:,}" for name, count in digest.held_back if count),
        ),
    )  # fmt: skip
    return tuple((heading, text) for heading, text in candidates if text)


def _for_readers(digest: RunDigest) -> tuple[tuple[str, str], ...]:
    still = _open(digest.incidents)
    if still or digest.missing:
        problems = len(still) + len(digest.missing)
        text = f"{problems} problem{'s are' if problems > 1 else ' is'} not solved yet; whoever can act has been told."
        return (("What it means", f"This run's results may be incomplete. {text}"),)
    if digest.result != names.RESULT_SUCCESS:
        return (("What it means", "The run did not get to its end, so this run's results may be missing."),)
    return (("What it means", "The run went through to its end, and no problem is open."),)


def _stages(stages: tuple[StageLine, ...]) -> str:
    """Those that took time, failed or changed; the others are only counted."""
    notable = [one for one in stages if one.failed or one.seconds >= 1 or _compared(one.seconds, one.usual_s)]
    quick = len(stages) - len(notable)
    lines = _bullets([_stage(one) for one in notable], MAX_STAGES)
    rest = f"{quick} {'more ' if notable else ''}of less than a second" if quick else ""
    return "\n".join(part for part in (lines, f"and {rest}" if lines and rest else rest) if part)


def _stage(stage: StageLine) -> str:
    times = f" in {stage.times} models" if stage.times > 1 else ""
    failed = f", {stage.failed} failed" if stage.failed else ""
    compared = _compared(stage.seconds, stage.usual_s)
    usual = f" ({compared} than usual)" if compared else ""
    return f"{clip(one_line(stage.name), MAX_NAME_CHARS)}{times}: {lasting(stage.seconds)}{usual}{failed}"


def _warnings(digest: RunDigest) -> str:
    lines = [f"{one.count:,}× {clip(one_line(one.text), MAX_TITLE_CHARS)}" for one in digest.warnings]  # noqa: RUF001 - the sign of times is meant
    text = _bullets(lines, MAX_WARNINGS)
    shown = sum(one.count for one in digest.warnings[:MAX_WARNINGS])
    rest = digest.warnings_in_all - shown
    return f"{text}\nand {rest:,} more" if text and rest > 0 and len(lines) <= MAX_WARNINGS else text


def _compared(seconds: float, usual: float) -> str:
    """`3 min more`, where the difference is worth a word."""
    difference = seconds - usual
    if usual < 0 or seconds < 0 or abs(difference) < max(NOTABLE_SECONDS, usual * NOTABLE_SHARE):
        return ""
    return f"{lasting(abs(difference))} {'more' if difference > 0 else 'less'}"


def _quiet(story: Story, digest: QuietDigest) -> Message:
    acts = story.audience.duty is Duty.ACT
    count, still = len(digest.incidents), len(_open(digest.incidents))
    what = "incident" if acts else "problem"
    many = f"{count} {what}{'s' if count != 1 else ''}"
    open_now = f"{still} still open" if still else "all over by now"
    headline = f"HELD BACK · {many} during your quiet hours, {open_now}"
    if not acts:
        headline = f"While you were not to be woken: {many}, {open_now}"
    worst = max((line.severity for line in digest.incidents), default=int(Severity.INFO))
    return Message(
        key=story.notice_key,
        incident_id=story.incident.id,
        reason=story.reason,
        severity=Severity.of(worst) if still else Severity.INFO,
        duty=story.audience.duty,
        headline=headline,
        facts=(f"since {moment(digest.since, story.now)}", "each goes on by itself from here"),
        links=_links(story, "", digest.incidents if acts else ()),
        subject=f"Held back until {moment(digest.until)}: {many}",
        paragraphs=(("Incidents", _numbered(digest.incidents)),) if acts else _quiet_for_readers(digest),
        resolved=not still,
    )


def _quiet_for_readers(digest: QuietDigest) -> tuple[tuple[str, str], ...]:
    lines = [
        f"{_in_words(line.pipeline)}: {clip(one_line(line.effect), MAX_TITLE_CHARS) or 'a problem.'}"
        f" {'Solved.' if line.is_over else 'Not solved yet.'}"
        for line in digest.incidents
    ]
    return (("What happened", _bullets(list(dict.fromkeys(lines)), MAX_INCIDENTS)),)


def _numbered(incidents: tuple[IncidentLine, ...]) -> str:
    lines = [f"{number}. {_incident(line)}" for number, line in enumerate(incidents[:MAX_INCIDENTS], start=1)]
    more = len(incidents) - MAX_INCIDENTS
    return "\n".join([*lines, f"and {more:,} more, on the list of incidents"] if more > 0 else lines)


def _incident(line: IncidentLine) -> str:
    place = " / ".join(clip(one_line(part), MAX_NAME_CHARS) for part in (line.pipeline, line.stage) if part)
    state = " (over)" if line.is_over else ""
    quiet = "" if line.told else " (nobody was told)"
    count = f", {line.count:,}×" if line.count > 1 else ""  # noqa: RUF001 - the sign of times is meant
    title = clip(one_line(line.title), MAX_TITLE_CHARS)
    return f"{Severity.of(line.severity).name} {place + ': ' if place else ''}{title}{count}{state}{quiet}"


def _bullets(items: list[str], most: int) -> str:
    lines = [f"• {item}" for item in items[:most]]
    return "\n".join([*lines, f"and {len(items) - most:,} more"] if len(items) > most else lines)


def _links(story: Story, run_id: str, incidents: tuple[IncidentLine, ...]) -> tuple[tuple[str, str], ...]:
    base = story.public_url.rstrip("/")
    if not base:
        return ()
    run = f"{base}/runs/{quote(run_id, safe='', errors='replace')}"
    links = [("The run", run), ("Full log", f"{run}/log")] if run_id else [("All incidents", base)]
    if story.audience.duty is Duty.INFORM:
        links = [("Details", links[0][1])]
    shown = enumerate(incidents[:LINKED_INCIDENTS], start=1)
    return (*links, *((f"Incident {number}", f"{base}/incidents/{quote(line.id, safe='')}") for number, line in shown))


def _open(incidents: tuple[IncidentLine, ...]) -> list[IncidentLine]:
    return [line for line in incidents if not line.is_over]


def _seconds(digest: RunDigest) -> float:
    return (digest.ended - digest.started) / NS_PER_SECOND if 0 < digest.started <= digest.ended else -1.0


def _in_words(pipeline: str) -> str:
    return plain_name(pipeline).replace("_", " ").strip() or "a pipeline"
