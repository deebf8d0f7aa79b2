"""How a run went, read from both stores once its end is there: for the digest at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from alert_bridge.digests import IncidentLine, ModelLine, RunDigest, StageLine, WarningLine
from alert_bridge.fingerprint import fingerprint
from alert_bridge.messages.text import first_words
from alert_bridge.model import Incident, IncidentState, NoticeState, Record, Severity
from alert_bridge.policy.model import Policy
from alert_bridge.routing import judge
from alert_bridge.store.control.reviews import RunRow
from alert_bridge.store.interface import ControlReader, TelemetryReader
from instrumentation import attributes as names

__all__ = ["summarise"]

RECORDS_READ_MOST = 30_000  # of WARNING and worse; a run with more has one problem, and its log shows the rest
WARNINGS_KEPT = 20
STAGES_KEPT = 60
MODELS_KEPT = 300
INCIDENTS_KEPT = 50
TEXT_CHARACTERS = 160

_FAILING = (names.RESULT_FAILURE, names.RESULT_ERROR, names.RESULT_TIMEOUT)


@dataclass(frozen=True, slots=True)
class _Troubles:
    """WARNINGs by what they say, and ERRORs that a rule demoted or dropped."""

    warnings: tuple[WarningLine, ...]
    in_all: int
    demoted: int


def summarise(
    run: RunRow,
    last_good: RunRow | None,
    missing: Sequence[str],
    *,
    control: ControlReader,
    telemetry: TelemetryReader,
    policy: Policy,
    note: str,
) -> RunDigest:
    """Everything that the digest says, as values."""
    events = telemetry.run_events(run.run_id)
    usual = _seconds_by_stage(telemetry.run_events(last_good.run_id)) if last_good is not None else {}
    incidents = control.incidents_of_run(run.run_id)
    roots = [incident for incident in incidents if not incident.root_id]
    troubles = _troubles(telemetry, run.run_id, policy)
    return RunDigest(
        run_id=run.run_id,
        pipeline=run.pipeline,
        environment=run.environment,
        result=run.result,
        started=run.started,
        ended=run.ended,
        usual_s=_lasted(last_good) if last_good is not None else -1.0,
        usual_run_id=last_good.run_id if last_good is not None else "",
        stages=_stages(events, usual),
        models=_models(events, incidents, control),
        incidents=tuple(_line(incident, control) for incident in _worst_first(roots)[:INCIDENTS_KEPT]),
        warnings=troubles.warnings,
        warnings_in_all=troubles.in_all,
        missing=tuple(missing),
        held_back=(
            ("records lowered or dropped by a rule", troubles.demoted),
            ("problems told as part of another", sum(len(control.folded(incident.id)) for incident in roots)),
            ("records held back by a silence or quiet hours", _suppressed(roots, control)),
        ),
        note=note,
    )


def _lasted(run: RunRow) -> float:
    return (run.ended - run.started) / 1e9 if 0 < run.started <= run.ended else -1.0


def _stages(events: Sequence[Record], usual: Mapping[str, float]) -> tuple[StageLine, ...]:
    ends = [record for record in events if record.event_name == names.EVENT_STAGE_END and record.stage]
    seconds = _seconds_by_stage(ends)
    times = Counter(record.stage for record in ends)
    failed = Counter(record.stage for record in ends if record.text(names.STAGE_RESULT) in _FAILING)
    # In the order in which they began; one that only its end tells of comes where it ended.
    order = dict.fromkeys(
        record.stage for record in events if record.event_name in (names.EVENT_STAGE_START, names.EVENT_STAGE_END)
    )
    lines = (
        StageLine(name, times[name], failed[name], seconds[name], usual.get(name, -1.0))
        for name in order
        if times[name]
    )
    return tuple(islice(lines, STAGES_KEPT))


def _seconds_by_stage(events: Sequence[Record]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for record in events:
        if record.event_name == names.EVENT_STAGE_END and record.stage:
            totals[record.stage] = totals.get(record.stage, 0.0) + _number(record.text(names.DURATION))
    return totals


def _number(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


def _models(events: Sequence[Record], incidents: Sequence[Incident], control: ControlReader) -> tuple[ModelLine, ...]:
    failed: dict[str, str] = {}
    known: dict[str, None] = {}
    for record in events:
        model = record.text(names.MODEL_NAME)
        if not model:
            continue
        known[model] = None
        ended_badly = record.event_name == names.EVENT_STAGE_END and record.text(names.STAGE_RESULT) in _FAILING
        if ended_badly or record.event_name == names.EVENT_PROCESS_DIED:
            failed.setdefault(model, record.stage or "its process")
    for incident in incidents:
        if incident.severity < Severity.ERROR:
            continue
        if latest := incident.sample.text(names.MODEL_NAME):
            known[latest] = None
        for model in control.models_of(incident.id):
            if model in known:  # of this run; the incident may have others, of earlier runs
                failed.setdefault(model, incident.stage or "its run")
    return tuple(ModelLine(model, failed.get(model, "")) for model in islice(sorted(known), MODELS_KEPT))


def _worst_first(incidents: Sequence[Incident]) -> list[Incident]:
    return sorted(incidents, key=lambda incident: (-incident.severity, incident.first_event))


def _line(incident: Incident, control: ControlReader) -> IncidentLine:
    deliveries = control.deliveries(incident.id)
    untold = (NoticeState.SUPPRESSED, NoticeState.DEAD)
    return IncidentLine(
        id=incident.id,
        severity=int(incident.severity),
        title=incident.title,
        stage=incident.stage,
        count=incident.count,
        is_over=incident.state is IncidentState.RESOLVED,
        told=any(delivery.state not in untold for delivery in deliveries),
    )


def _suppressed(incidents: Sequence[Incident], control: ControlReader) -> int:
    """Records that at least one recipient was not told of, without those that are told as part of an incident."""
    held = 0
    for incident in incidents:
        suppressed = max((one.conversation.suppressed for one in control.deliveries(incident.id)), default=0)
        held += max(0, suppressed - sum(one.events for one in control.folded(incident.id)))
    return held


def _troubles(telemetry: TelemetryReader, run_id: str, policy: Policy) -> _Troubles:
    counts: Counter[str] = Counter()
    texts: dict[str, str] = {}
    demoted = 0
    for record in islice(telemetry.run_records(run_id, least=Severity.WARNING), RECORDS_READ_MOST):
        judgement = judge(record, policy)
        is_error = record.severity >= Severity.ERROR
        if judgement.severity >= Severity.ERROR and not judgement.dropped:
            continue  # an incident, which says it
        if is_error:
            demoted += 1
            continue
        if not judgement.dropped:
            mark = fingerprint(record).value
            counts[mark] += 1
            texts.setdefault(mark, first_words(record.body)[:TEXT_CHARACTERS])
    lines = tuple(WarningLine(texts[mark], count) for mark, count in counts.most_common(WARNINGS_KEPT))
    return _Troubles(lines, sum(counts.values()), demoted)
