"""The log and the spans of that month's run: a fetch fails, its ensemble goes on, nothing is published."""

from __future__ import annotations

from datetime import UTC, datetime

from alert_bridge.model import (
    Record,
    Severity,
    Span,
)
from instrumentation import attributes as names

MS, SECOND, MINUTE, HOUR = 10**6, 10**9, 60 * 10**9, 3600 * 10**9
NOW = int(datetime(2026, 11, 25, 19, 53, 3, tzinfo=UTC).timestamp()) * SECOND
RUN = "fatalities_003_559_a"
TRACE = "5b8efff798038103d269b633813fc60c"
FAILING_UID = "7f3c-1009"
MODELS = ("quiet_fjord", "lucid_lynx", "amber_ridge")
TRACEBACK = """Traceback (most recent call last):
  File "/srv/monthly_run/pipeline/model.py", line 88, in fetch_data
    frame = services.fetch(queryset, month=month, timeout=TIMEOUT)
  File "/srv/monthly_run/pipeline/services.py", line 41, in fetch
    answer = session.get(url, timeout=timeout)
  File "/srv/venv/lib/python3.11/site-packages/requests/sessions.py", line 602, in get
    return self.request("GET", url, **kwargs)
  File "/srv/venv/lib/python3.11/site-packages/requests/adapters.py", line 700, in send
    raise ConnectionError(e, request=request)
requests.exceptions.ConnectionError: HTTPConnectionPool(host='data.internal', port=80): Max retries exceeded

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/monthly_run/pipeline/model.py", line 131, in run
    self.fetch_data(month)
  File "/srv/monthly_run/pipeline/model.py", line 91, in fetch_data
    raise DataFetchError(f"queryset {queryset} could not be fetched: {error}") from error
pipeline.model.DataFetchError: queryset fatalities_cm could not be fetched: connection refused by data.internal:80"""


def resource(model: str = "monthly_run", pid: int = 4711, run: str = RUN) -> dict[str, object]:
    return {
        names.SERVICE_NAME: model,
        names.PIPELINE_NAME: "monthly_run",
        names.RUN_ID: run,
        names.DEPLOYMENT_ENVIRONMENT: "production",
        names.HOST_NAME: "forecast-01",
        names.PROCESS_PID: pid,
        names.VCS_REVISION: "4f2c9d1e88ab",
    }


def run_log() -> list[Record]:
    start, records = NOW - 14 * MINUTE, []

    def say(at: int, severity: Severity, body: str, stage: str = "", model: str = "monthly_run", **extra: object):
        pid = 4711 if model == "monthly_run" else 4720 + MODELS.index(model)
        attributes = {**({names.STAGE: stage} if stage else {}), **extra.pop("attributes", {})}
        records.append(
            Record(
                uid=extra.pop("uid", f"7f3c-{1000 + len(records) + 500}"),
                time=start + at,
                observed=start + at + MS,
                severity=severity,
                severity_text=severity.name,
                body=body,
                attributes=attributes,
                resource=resource(model, pid),
                scope=f"pipeline.{stage or 'main'}",
                trace_id=TRACE,
                **extra,
            )
        )

    say(
        0,
        Severity.INFO,
        "run manifest",
        event_name=names.EVENT_RUN_MANIFEST,
        attributes={names.COMMAND: "python main.py --month 559", names.SERVICE_VERSION: "2.3.0"},
    )
    say(1 * MS, Severity.INFO, "Month 559 begins: 2 ensembles, 6 models", span_id="a" * 16)
    for number, model in enumerate(MODELS):
        at = 2 * SECOND + number * 40 * SECOND
        say(at, Severity.INFO, f"Model {model} starts", "fetch_data", model)
        for part in range(1, 13):
            body = f"Fetched part {part} of 12, {part * 1143:,} rows so far"
            say(at + part * 900 * MS, Severity.INFO, body, "fetch_data", model)
        say(at + 12 * SECOND, Severity.DEBUG, "frame shape (13716, 42), float64", "fetch_data", model)
        drift = (
            "Input alarm: feature delta_zeroes; offender: ged_sb_best, threshold: 0.01 Severity: 3\n"
            "checked 30 months against the last 1\ncountries with a change: 4"
        )
        say(at + 13 * SECOND, Severity.WARNING, drift, "drift_check", model)
        for epoch in range(1, 6):
            body = f"epoch {epoch}/5 train_loss={0.41 / epoch:.4f} val_loss={0.47 / epoch:.4f}"
            say(at + (14 + 3 * epoch) * SECOND, Severity.INFO, body, "train", model)
        say(at + 31 * SECOND, Severity.INFO, f"Model {model} done: 13,716 forecasts", "forecast", model)
    late = 2 * MINUTE + 12 * SECOND
    for attempt in range(1, 4):
        body = f"Fetch of queryset fatalities_cm failed, attempt {attempt} of 3: connection refused"
        say(late + attempt * 5 * SECOND, Severity.WARNING, body, "fetch_data", "lucid_lynx", span_id="f" * 16)
    at = late + 16 * SECOND
    exception = {
        names.EXCEPTION_TYPE: "pipeline.model.DataFetchError",
        names.EXCEPTION_MESSAGE: "queryset fatalities_cm could not be fetched: connection refused by data.internal:80",
        names.EXCEPTION_STACKTRACE: TRACEBACK,
        names.CODE_FILE: "pipeline/model.py",
        names.CODE_LINE: 93,
        names.CODE_FUNCTION: "fetch_data",
    }
    failed = "Error while fetching data for model lucid_lynx"
    say(at, Severity.ERROR, failed, "fetch_data", "lucid_lynx", uid="7f3c-1006", span_id="f" * 16)
    say(
        at + 2 * MS,
        Severity.ERROR,
        "Fetch of queryset fatalities_cm failed after 3 attempts",
        "fetch_data",
        "lucid_lynx",
        uid="7f3c-1007",
        span_id="f" * 16,
        attributes=exception,
    )
    say(at + 4 * MS, Severity.ERROR, TRACEBACK, "fetch_data", "lucid_lynx", uid="7f3c-1008", span_id="f" * 16)
    say(
        at + 900 * MS,
        Severity.ERROR,
        "Model lucid_lynx failed with exit code 1",
        "ensemble.run",
        uid=FAILING_UID,
        span_id="b" * 16,
        attributes=exception,
    )
    say(at + SECOND, Severity.WARNING, "Ensemble calm_harbor goes on without lucid_lynx", "ensemble.run")
    for number in range(8):
        say(at + (2 + number) * SECOND, Severity.INFO, f"Aggregated cell block {number + 1} of 8", "aggregate")
    say(at + 11 * SECOND, Severity.ERROR, "Reconciliation input is missing: refusing to publish", "reconcile")
    say(
        at + 12 * SECOND,
        Severity.INFO,
        "run ended",
        event_name=names.EVENT_RUN_END,
        attributes={names.EXIT_CODE: 1, names.PEAK_MEMORY: 3_412_000_000, names.RUN_RESULT: "failure"},
    )
    return records


def run_spans() -> list[Span]:
    start = NOW - 14 * MINUTE
    total = 2 * MINUTE + 40 * SECOND

    def span(span_id: str, parent: str, name: str, at: int, lasts: int, *, failed: str = "", model: str = ""):
        attributes = {names.STAGE: name, **({names.MODEL_NAME: model} if model else {})}
        if failed:
            attributes[names.STAGE_RESULT] = names.RESULT_FAILURE
        pid = 4720 + MODELS.index(model) if model in MODELS else 4711
        return Span(
            trace_id=TRACE,
            span_id=span_id,
            parent_id=parent,
            name=name,
            kind=1,
            start=start + at,
            end=start + at + lasts,
            status=2 if failed else 0,
            status_message=failed,
            attributes=attributes,
            resource=resource(model or "monthly_run", pid),
        )

    spans = [
        span("a" * 16, "", "monthly_run", 0, total, failed="reconciliation input is missing"),
        span("b" * 16, "a" * 16, "ensemble.run", SECOND, total - 14 * SECOND, model="calm_harbor"),
    ]
    for number, model in enumerate(MODELS):
        at, own = 2 * SECOND + number * 40 * SECOND, f"{number + 1:016x}"
        is_failed = model == "lucid_lynx"
        lasts = 106 * SECOND if is_failed else 32 * SECOND
        spans.append(
            span(own, "b" * 16, "model.run", at, lasts, model=model, failed="exit code 1" if is_failed else "")
        )
        parts = (("fetch_data", 0, 12), ("drift_check", 12, 2), ("train", 14, 16), ("forecast", 30, 2))
        for index, (name, offset, seconds) in enumerate(parts):
            if is_failed and name == "fetch_data":
                continue
            if is_failed and index > 1:
                break
            spans.append(
                span(f"{number + 1:015x}{index + 5}", own, name, at + offset * SECOND, seconds * SECOND, model=model)
            )
    failing = "DataFetchError: queryset fatalities_cm could not be fetched"
    spans.append(
        span("f" * 16, f"{2:016x}", "fetch_data", 130 * SECOND, 18 * SECOND, failed=failing, model="lucid_lynx")
    )
    spans.append(span("c" * 16, "a" * 16, "aggregate", 149 * SECOND, 8 * SECOND))
    spans.append(span("d" * 16, "a" * 16, "reconcile", 158 * SECOND, SECOND, failed="reconciliation input is missing"))
    return spans
