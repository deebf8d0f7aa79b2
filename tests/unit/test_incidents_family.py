"""B5 and B15 with folding: a run's records in any order tell the same, and nothing stays hidden behind what is over."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.model import Record, Severity
from tests.servers.engine import START, Engine, a_record, only_mdd

NS = 1_000_000_000
STACK = """\
Traceback (most recent call last):
  File "/app/model.py", line 5, in fetch
    urlopen(url)
  File "/usr/local/lib/python3.11/urllib/request.py", line 1351, in do_open
    raise URLError(err)
urllib.error.URLError: <urlopen error [Errno 111] Connection refused>
"""
RAISED = """\
Traceback (most recent call last):
  File "/app/e.py", line {}, in reconcile
    raise RuntimeError("no")
RuntimeError: no
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, only_mdd())
    yield engine
    engine.close()


def said(
    body: str, second: float, span: str, stage: str, severity: Severity = Severity.ERROR, *,
    event: str = "", run: str = "run-1", **attributes: object,
) -> Record:  # fmt: skip
    record = a_record(
        body, severity, at=START + int(second * NS), stage=stage, event=event, run=run, attributes=attributes,
        uid=f"{run} {second} {body}",
    )  # fmt: skip
    return Record(**{**{name: getattr(record, name) for name in record.__slots__}, "span_id": span})


def begins(stage: str, second: float, span: str, parent: str = "", needs: tuple[str, ...] = (), run: str = "run-1"):
    hangs = {"pipeline.stage.parent_span.id": parent, "pipeline.stage.upstream": needs}
    return said(f"{stage} started", second, span, stage, Severity.INFO, event="pipeline.stage.start", run=run, **hangs)


FAILED_RUN = (
    begins("ensemble", 0, "s-ensemble"),
    begins("fetch", 1, "s-fetch", "s-ensemble"),
    said("Error fetching data", 2, "s-fetch", "fetch", **{
        "exception.stacktrace": STACK, "exception.type": "urllib.error.URLError", "exception.message": "refused"}),
    said("fetch ended: failure", 3, "s-fetch", "fetch", event="pipeline.stage.end",
         **{"cicd.pipeline.task.run.result": "failure"}),
    said("Model failed with exit code 1", 4, "s-ensemble", "ensemble"),
    said("ensemble ended: failure", 5, "s-ensemble", "ensemble", event="pipeline.stage.end",
         **{"cicd.pipeline.task.run.result": "failure"}),
    said("Disk quota is nearly used up", 5.5, "s-other", "other"),
    said("monthly_run ended with exit code 1", 6, "", "", event="pipeline.run.end",
         **{"cicd.pipeline.result": "failure", "process.exit.code": 1}),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(FAILED_RUN[2:]), st.integers(1, 8), st.lists(st.sampled_from(FAILED_RUN), max_size=4))
def test_b5_a_failed_run_tells_the_same_problems_in_any_order_batching_and_duplication(records, batch, again):
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), only_mdd())
        sent = [*FAILED_RUN[:2], *records, *again]  # without the starts of its stages nothing hangs together
        for start in range(0, len(sent), batch):
            engine.post(*sent[start : start + batch])

        told = {incident.title: incident.count for incident in engine.incidents() if not incident.root_id}
        roots = {incident.title: incident.id for incident in engine.incidents()}
        under = sum(one.events for title in told for one in engine.reader.folded(roots[title]))
        balance = engine.books()["slack"].balance
        engine.close()
    assert told == {"URLError: refused": 1, "Disk quota is nearly used up": 1}
    assert under == 4, "the echo and the three ends"
    assert balance == 0


def downstream(run: str, at: float) -> list[Record]:
    return [
        begins("fetch", at, f"{run}-f", run=run),
        begins("report", at + 1, f"{run}-r", needs=("fetch",), run=run),
    ]


def misses(run: str, at: float) -> Record:
    return said("No such file: forecasts.parquet", at, f"{run}-r", "report", run=run)


def test_b15_a_failed_stage_mutes_the_missing_input_behind_it_in_the_same_run(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"), misses("run-1", 3))
    engine.at(10)

    assert [post.message.headline for post in engine.slack.posts] == ["ERROR · monthly_run / fetch: the store is down"]
    root = engine.incidents()[0]
    assert [one.title for one in engine.reader.folded(root.id)] == ["No such file: forecasts.parquet"]


def test_b15_what_still_fails_when_its_cause_is_over_is_told(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"), misses("run-1", 3))
    engine.at(10)
    good = said("fetch ended", 22, "run-2-f", "fetch", Severity.INFO, event="pipeline.stage.end", run="run-2",
                **{"cicd.pipeline.task.run.result": "success"})  # fmt: skip

    engine.post(*downstream("run-2", 20), good, misses("run-2", 23))
    engine.at(40)

    assert "No such file: forecasts.parquet" in engine.slack.posts[-1].message.headline
    assert [incident.state.value for incident in engine.incidents()] == ["resolved", "open"]


def test_b15_the_same_in_another_run_is_not_muted(engine):
    engine.post(*downstream("run-1", 0), said("the store is down", 2, "run-1-f", "fetch"))
    engine.post(*downstream("run-2", 0), misses("run-2", 3))
    engine.at(10)

    assert len(engine.slack.posts) == 2


def test_a_log_call_and_the_raise_behind_it_are_one_message(engine):
    stack = RAISED.format(92)
    where = {"code.file.path": "/app/e.py", "code.function.name": "reconcile", "code.line.number": "91"}
    logged = said("Reconciliation input is absent", 1, "s", "reconcile", Severity.CRITICAL, **where)
    raised = {"exception.stacktrace": stack, "exception.type": "RuntimeError", "pipeline.uncaught": True}

    engine.post(logged, said("uncaught RuntimeError: no", 2, "", "", Severity.CRITICAL, **raised))
    engine.at(10)

    assert len(engine.slack.posts) == 1


def test_a_raise_elsewhere_in_the_function_is_a_message_of_its_own(engine):
    stack = RAISED.format(120)
    where = {"code.file.path": "/app/e.py", "code.function.name": "reconcile", "code.line.number": "91"}
    raised = {"exception.stacktrace": stack, "exception.type": "RuntimeError", "pipeline.uncaught": True}

    engine.post(
        said("Weights are absent", 1, "s", "reconcile", Severity.CRITICAL, **where),
        said("uncaught RuntimeError: no", 2, "", "", Severity.CRITICAL, **raised),
    )
    engine.at(10)

    assert len(engine.slack.posts) == 2
