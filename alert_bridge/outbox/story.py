"""Everything that a message may need to say, gathered before a channel is called. Missing telemetry delays nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from alert_bridge.incidents import Talk, late_since
from alert_bridge.messages.moments import moment
from alert_bridge.model import Audience, Record, Severity, Span, Story
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.model import Policy
from alert_bridge.store.control import Lease
from alert_bridge.store.interface import TelemetryReader

__all__ = ["RunFacts", "gather"]

NS = 1_000_000_000
EXPANDED_CHANNELS = frozenset({"email"})  # these tell the log around the error; a short summary links to it
LOG_LINES_BEFORE = 40
LOG_LINES_AFTER = 10
STAGE_PATH_SPANS_MOST = 32

log = logging.getLogger(__name__)

RunFacts = Callable[[str], Mapping[str, object] | None]


def gather(
    lease: Lease,
    *,
    policy: Policy,
    rules: Rules,
    public_url: str,
    facts: tuple[tuple[str, str], ...],
    folded: tuple[tuple[tuple[str, int], ...], int] = ((), 0),
    telemetry: TelemetryReader | None,
    now: int,
) -> Story:
    """The story of one notice.

    Args:
        lease: the notice, with incident and conversation as they stand.
        policy: for the names of audiences.
        rules: for how late is late.
        public_url: where the pages are, without a trailing slash.
        facts: what is known of the run, as (label, text).
        folded: the first problems that are told as part of it, as (title, records), and how many there are.
        telemetry: the bulk lane's store; None, or without this run, if it is away or not that far.
        now: nanoseconds since the epoch.
    """
    case, talk = lease.case, lease.talk
    sample = case.incident.sample
    expanded = talk.recipient.channel in EXPANDED_CHANNELS
    reporters = case.models or (case.stages - {""})
    return Story(
        incident=case.incident,
        audience=_audience(talk.recipient.audiences, policy, lease),
        reason=lease.reason,
        now=now,
        public_url=public_url,
        count=talk.told + talk.queued,
        notice_key=f"{case.incident.id}-{lease.notice_id}",
        log_tail=_log_tail(sample, telemetry) if expanded and telemetry is not None else (),
        stage_path=_stage_path(sample, telemetry) if expanded and telemetry is not None else (),
        run_facts=facts,
        also_told=_also_told(lease, policy),
        affected=tuple(sorted(reporters)) if len(reporters) > 1 else (),
        late_since=late_since(
            talk,
            reason=lease.reason,
            wanted_at=lease.wanted_at,
            hold=rules.hold(talk.recipient.channel),
            now=now,
        ),
        reminder_at=now + int(rules.grouping.repeat_after * NS),
        held=_held(talk),
        folded=folded[0],
        folded_in_all=folded[1],
        part_of=lease.part_of,
    )


def _held(talk: Talk) -> str:
    """What held this back until now, for the reader who wonders why it comes so late."""
    if talk.retell_at > talk.last_told_at:
        return f"A silence over it ended {moment(talk.retell_at)}, and it is still open."
    return f"Held back during quiet hours, until {moment(talk.quiet_until)}." if talk.quiet_until else ""


def _audience(keys: tuple[str, ...], policy: Policy, lease: Lease) -> Audience:
    """The audiences behind one address, as one: they read the same message."""
    names = [_name(key, policy) for key in keys]
    return Audience(key=keys[0] if keys else "", name=", ".join(names), duty=lease.talk.recipient.duty)


def _also_told(lease: Lease, policy: Policy) -> tuple[str, ...]:
    own = set(lease.talk.recipient.audiences)
    others = {key for talk in lease.case.talks for key in talk.recipient.audiences if talk.id != lease.talk.id}
    return tuple(sorted(_name(key, policy) for key in others - own))


def _name(key: str, policy: Policy) -> str:
    audience = policy.audiences.get(key)
    return audience.name if audience else key


def _log_tail(sample: Record, telemetry: TelemetryReader) -> tuple[Record, ...]:
    if not sample.run_id:
        return ()
    try:
        page = telemetry.run_log(
            sample.run_id, around=sample.uid, least=Severity.DEBUG, before=LOG_LINES_BEFORE, after=LOG_LINES_AFTER
        )
    except Exception:  # whatever is wrong with the bulk lane, people are told
        log.warning("The log of run %s could not be read", sample.run_id, exc_info=True)
        return ()
    return page.records


def _stage_path(sample: Record, telemetry: TelemetryReader) -> tuple[str, ...]:
    if not sample.trace_id or not sample.span_id:
        return ()
    try:
        spans = telemetry.trace_spans(sample.trace_id)
    except Exception:  # whatever is wrong with the bulk lane, people are told
        log.warning("The spans of trace %s could not be read", sample.trace_id, exc_info=True)
        return ()
    return _path(spans, sample.span_id)


def _path(spans: Sequence[Span], span_id: str) -> tuple[str, ...]:
    by_id = {span.span_id: span for span in spans}
    path: list[str] = []
    while span_id in by_id and len(path) < STAGE_PATH_SPANS_MOST:
        span = by_id.pop(span_id)
        path.append(span.name)
        span_id = span.parent_id
    return tuple(reversed(path))
