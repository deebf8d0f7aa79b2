"""One month of a forecasting pipeline as the stores would show it: a failed fetch, an OOM, a flood, and a good run.

Modelled on the scenarios of the demo; made-up names, fixed times. The pages' tests and screenshots read it.
Its telemetry is in `month_telemetry`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from alert_bridge.channels.preview import email_payload, slack_payload
from alert_bridge.messages import compose
from alert_bridge.model import (
    Audience,
    Conversation,
    Decision,
    Duty,
    Incident,
    IncidentState,
    NoticeState,
    Reason,
    Receipt,
    Recipient,
    Record,
    Severity,
    Story,
)
from alert_bridge.store.interface import Books, ChannelHealth, Delivery, Folded, Occurrence, Previewed, RunSummary
from instrumentation import attributes as names
from tests.servers.memory_store import MemoryControl, MemoryTelemetry
from tests.servers.month_telemetry import HOUR, MINUTE, MS, NOW, RUN, SECOND, TRACE, resource, run_log, run_spans

LAST_MONTH, LAST_TRACE = "fatalities_003_558_a", "0af7651916cd43dd8448eb211c80319c"
FETCH, OOM, FLOOD, OLD = "inc-fetch", "inc-oom", "inc-flood", "inc-upload"
AUDIENCES = {
    "mdd": "Model Development & Deployment",
    "infrastructure": "Infrastructure",
    "outreach": "Outreach",
    "monthly_run": "Monthly-Run Responsible",
}
PUBLIC_URL = "http://testserver"


def _incident(sample: Record, incident_id: str, title: str, **changes: object) -> Incident:
    base = Incident(
        id=incident_id,
        fingerprint=f"v1:{incident_id}",
        title=title,
        pipeline="monthly_run",
        environment="production",
        stage=sample.stage,
        severity=sample.severity,
        state=IncidentState.OPEN,
        opened_at=sample.time + 20 * MS,
        first_event=sample.time,
        last_event=sample.time,
        count=1,
        run_ids=(sample.run_id,),
        sample=sample,
    )
    return replace(base, **changes)


def _conversation(number: int, incident: Incident, channel: str, address: str, audience: str, **changes: object):
    told = Conversation(
        id=number,
        incident_id=incident.id,
        recipient=Recipient(
            channel, address, (audience,), Duty.INFORM if audience == "outreach" else Duty.ACT, "routes, line 14"
        ),
        matched=incident.count,
        told=incident.count,
        suppressed=0,
        dead=0,
        first_told_at=incident.opened_at + SECOND,
        last_told_at=incident.opened_at + 2 * SECOND,
    )
    return replace(told, **changes)


def _delivered(conversation: Conversation, *, previewed: bool = True) -> Delivery:
    outcome = "previewed" if previewed else "delivered"
    detail = "kept as a preview: slack is not configured" if previewed else "250 2.0.0 Ok: queued"
    receipt = Receipt(conversation.id, conversation.first_told_at, outcome, detail)
    return Delivery(conversation, NoticeState.DELIVERED, 1, 0, "", (receipt,))


def _retrying(conversation: Conversation) -> Delivery:
    error = "451 4.3.0 Mail server temporarily rejected message"
    told = replace(conversation, told=0, first_told_at=0, last_told_at=0)
    receipts = tuple(Receipt(told.id, NOW - each * MINUTE, "retryable", error) for each in (11, 9, 5))
    return Delivery(told, NoticeState.QUEUED, 3, NOW + 3 * MINUTE, error, receipts)


def _days(counts: list[int]) -> list[tuple[str, int]]:
    last = datetime.fromtimestamp(NOW // SECOND, UTC).date()
    return [(f"{last - timedelta(days=len(counts) - 1 - index)}", count) for index, count in enumerate(counts)]


def _occurrence(record: Record) -> Occurrence:
    return Occurrence(
        record.uid, record.time, record.run_id, record.stage, record.trace_id, record.span_id, record.body
    )


def _folded(incident_id: str) -> list[Folded]:
    """What the failed fetch took down with it."""
    if incident_id != FETCH:
        return []
    at = NOW - 14 * MINUTE + 2 * MINUTE
    return [
        Folded(
            "Reconciliation input is missing: refusing to publish",
            "consequence",
            "reconcile",
            Severity.ERROR,
            RUN,
            at + 11 * SECOND,
            1,
        ),
        Folded("monthly_run ended with exit code 1", "end", "", Severity.ERROR, RUN, at + 12 * SECOND, 1),
    ]


def _preview(number: int, incident: Incident, audience: Audience, channel: str, log: list[Record], edits: int):
    here = next((index for index, record in enumerate(log) if record.uid == incident.sample.uid), len(log) - 1)
    story = Story(
        incident=incident,
        audience=audience,
        reason=Reason.OPENED,
        now=incident.opened_at + SECOND,
        public_url=PUBLIC_URL,
        count=incident.count,
        notice_key=f"n{number}",
        log_tail=tuple(log[max(here - 12, 0) : here + 3]),
        stage_path=("monthly_run", "ensemble.run", "model.run", "fetch_data"),
        run_facts=(("Host", "forecast-01"), ("Code revision", "4f2c9d1e88ab"), ("Running for", "2 min 28 s")),
        folded=tuple((each.title, each.events) for each in _folded(incident.id)),
        folded_in_all=len(_folded(incident.id)),
        also_told=tuple(name for key, name in AUDIENCES.items() if key not in (audience.key, "mdd")),
    )
    render = slack_payload if channel == "slack" else email_payload
    address = audience.slack if channel == "slack" else audience.email[0]
    return Previewed(
        number,
        story.now,
        channel,
        address,
        (audience.key,),
        incident.id,
        render(compose(story), address),
        edits,
    )


def month() -> tuple[MemoryControl, MemoryTelemetry]:
    """Both stores, a quarter of an hour after the failed fetch."""
    log = run_log()
    failed = [each for each in log if each.severity is Severity.ERROR and each.stage != "reconcile"]
    sample = next(record for record in log if record.uid == "7f3c-1007")
    fetch = _incident(
        sample,
        FETCH,
        "DataFetchError: queryset fatalities_cm could not be fetched: connection refused by data.internal:80",
        first_event=failed[0].time,
        last_event=failed[-1].time,
        count=4,
        owner="Infrastructure",
        runbook="https://wiki.example.org/runbooks/data-fetch",
        effect="Conflict data of one model could not be read; its forecast of this month is missing.",
        seen_before=2,
    )
    died = Record(
        uid="9b1d-3",
        time=NOW - 3 * HOUR,
        observed=NOW - 3 * HOUR,
        severity=Severity.CRITICAL,
        severity_text="CRITICAL",
        body="Process 5120 (python main.py) was killed by SIGKILL, probably for want of memory",
        event_name=names.EVENT_PROCESS_DIED,
        attributes={
            names.STAGE: "train",
            names.EXIT_CODE: 137,
            names.EXIT_SIGNAL: "SIGKILL",
            names.OOM_KILLED: True,
            names.PEAK_MEMORY: 31_900_000_000,
            names.STDERR_TAIL: "epoch 3/50\nepoch 4/50\nallocating window 36 of 36",
        },
        resource=resource("amber_ridge", 5120, "fatalities_003_559_b"),
    )
    oom = _incident(died, OOM, "Model amber_ridge was killed by SIGKILL (exit 137): out of memory", stage="train")
    flood_record = replace(
        sample,
        uid="aa-1",
        body="Cannot read tile 8812: checksum mismatch",
        time=NOW - 90 * SECOND,
        attributes={names.STAGE: "rasterise"},
        span_id="",
        trace_id="",
        resource=resource("tile_reader", 6001, "raster_tiles_0042"),
    )
    flood = _incident(
        flood_record,
        FLOOD,
        "Cannot read tile *: checksum mismatch",
        count=10_000,
        first_event=NOW - 40 * MINUTE,
        acknowledged_by="kim",
    )
    upload = replace(
        flood_record,
        uid="bb-1",
        body="Upload of report.json refused: HTTP 403 Forbidden",
        time=NOW - 50 * HOUR,
        attributes={names.STAGE: "deliver"},
        resource=resource("monthly_run", 77, LAST_MONTH),
    )
    old = _incident(
        upload,
        OLD,
        "Upload of report.json refused: HTTP 403 Forbidden",
        state=IncidentState.RESOLVED,
        resolved_at=NOW - 40 * HOUR,
    )
    infra = Audience("infrastructure", "Infrastructure", Duty.ACT, "#alerts-infra", ("infra@example.org",))
    outreach = Audience("outreach", "Outreach", Duty.INFORM, "#alerts-outreach")
    kim = Audience("monthly_run", "Monthly-Run Responsible", Duty.ACT, "@kim", ("kim@example.org",))
    control = MemoryControl(
        all_incidents=[fetch, oom, flood, old],
        all_folded={FETCH: _folded(FETCH)},
        all_occurrences={FETCH: [_occurrence(each) for each in reversed(failed)], OOM: [_occurrence(died)]},
        all_deliveries={
            FETCH: [
                _delivered(_conversation(1, fetch, "slack", "#alerts-infra", "infrastructure"), previewed=False),
                _delivered(_conversation(2, fetch, "slack", "@kim", "monthly_run"), previewed=False),
                _retrying(_conversation(3, fetch, "email", "infra@example.org", "infrastructure")),
            ],
            OOM: [_delivered(_conversation(4, oom, "slack", "#alerts-infra", "infrastructure"))],
            FLOOD: [_delivered(_conversation(5, flood, "slack", "#alerts-mdd", "mdd"))],
            OLD: [_delivered(_conversation(6, old, "slack", "#alerts-outreach", "outreach"))],
        },
        all_decisions=[
            Decision(fetch.opened_at, FETCH, "fingerprint", "stack: DataFetchError raised in fetch_data (model.py)"),
            Decision(fetch.opened_at + MS, FETCH, "rule", "line 24 set audiences to infrastructure, monthly_run"),
            Decision(fetch.opened_at + 2 * MS, FETCH, "route", "slack from ERROR, line 14: #alerts-infra, @kim"),
            Decision(fetch.opened_at + 3 * MS, FETCH, "hold", "held for 1 s to gather what belongs together"),
            Decision(fetch.opened_at + SECOND, FETCH, "fold", "7f3c-1009 re-reports 7f3c-1007 from its child span"),
        ],
        all_days={
            fetch.fingerprint: _days([0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4]),
            flood.fingerprint: _days([0] * 13 + [10_000]),
        },
        all_previewed=[
            _preview(1, fetch, infra, "slack", log, 1),
            _preview(2, fetch, infra, "email", log, 0),
            _preview(3, fetch, outreach, "slack", log, 0),
            _preview(4, flood, kim, "slack", log, 12),
            _preview(5, oom, infra, "slack", [died], 0),
        ],
        all_books=[Books("slack", 10_014, 10_014, 0, 0, 0), Books("email", 10_004, 10_000, 4, 0, 0)],
        all_health=[
            ChannelHealth("slack", NOW - 2 * MINUTE, 0, ""),
            ChannelHealth(
                "email", NOW - 2 * HOUR, NOW - 5 * MINUTE, "451 4.3.0 Mail server temporarily rejected message"
            ),
        ],
    )
    telemetry = MemoryTelemetry(
        records=[*log, died, flood_record, upload],
        spans=run_spans(),
        summaries=[
            RunSummary(
                RUN,
                "monthly_run",
                "production",
                TRACE,
                log[0].time,
                log[-1].time,
                "failure",
                Severity.CRITICAL,
                len(log),
            ),
            RunSummary(
                "fatalities_003_559_b",
                "monthly_run",
                "production",
                "",
                died.time - 8 * MINUTE,
                died.time,
                "error",
                Severity.CRITICAL,
                1,
            ),
            RunSummary(
                LAST_MONTH,
                "monthly_run",
                "production",
                LAST_TRACE,
                NOW - 51 * HOUR,
                NOW - 50 * HOUR,
                "success",
                Severity.ERROR,
                812,
            ),
            RunSummary(
                "nightly_refresh_1124", "data_refresh", "production", "", NOW - 20 * MINUTE, 0, "", Severity.INFO, 6_120
            ),
        ],
    )
    return control, telemetry
