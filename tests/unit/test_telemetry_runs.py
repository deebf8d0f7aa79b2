"""Runs as telemetry.db puts them together from records, events and traces that come in any order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.model import Severity
from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.telemetry import SECOND, START, TRACE, a_record, a_span, an_event, uids


def test_a_program_that_names_no_run_is_told_apart_by_its_trace(store, reader):
    store.append_logs([a_record("u1", run="", severity=Severity.ERROR)])
    store.append_spans([a_span("01" * 8, run="", status=2)])

    run = reader.run(TRACE)

    assert (run.run_id, run.trace_id, run.pipeline, run.environment) == (TRACE, TRACE, "monthly_run", "test")
    assert (run.started, run.ended, run.result) == (START, START + SECOND, "error")
    assert (run.worst, run.records) == (Severity.ERROR, 1)
    assert uids(reader.run_log(TRACE, around="u1").records) == ["u1"]


def test_a_program_that_names_neither_run_nor_trace_has_a_log_too(store, reader):
    lines = [a_record(f"u{number}", at=number, run="", trace="") for number in range(3)]
    store.append_logs([*lines, a_record("other", run="", trace="", resource={"service.name": "else"})])

    assert uids(reader.run_log("", around="u1").records) == ["u0", "u1", "u2"]
    assert reader.run_log("").records == ()
    assert reader.runs() == []


@pytest.mark.parametrize("named_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_trace_that_turns_out_to_belong_to_a_named_run_joins_it(store, reader, named_first, together):
    """A child process that only got TRACEPARENT, beside a parent that knows the run."""
    records = [a_record("child", at=1, run=""), a_record("parent", at=2, run="run-1", severity=Severity.ERROR)]
    if named_first:
        records.reverse()

    for batch in [records] if together else [[record] for record in records]:
        store.append_logs(batch)
    store.append_spans([a_span("01" * 8, run="")])

    assert uids(reader.run_log("run-1").records) == ["child", "parent"]
    assert reader.run(TRACE) == reader.run("run-1")
    assert [run.run_id for run in reader.runs()] == ["run-1"]
    assert (reader.run("run-1").records, reader.run("run-1").worst) == (2, Severity.ERROR)
    assert len(reader.run_spans("run-1")) == 1


def test_a_run_has_all_its_traces_and_an_orchestrators_trace_all_its_runs(store, reader):
    other = "ef" * 16
    store.append_logs([a_record("a"), a_record("b", trace=other, at=1), a_record("c", run="run-2", trace=TRACE, at=2)])

    assert uids(reader.run_log("run-1").records) == ["a", "b"]
    assert uids(reader.trace_log(TRACE).records) == ["a", "c"]
    assert reader.run(other).run_id == "run-1"


def test_lifecycle_events_say_when_a_run_began_and_ended_in_whatever_order_they_come(store, reader):
    result = {"cicd.pipeline.result": "failure"}
    events = [
        an_event("pipeline.run.start", "s", at=10, **{"cicd.pipeline.name": "forecast"}),
        a_record("line", at=5, severity=Severity.ERROR),
        an_event("pipeline.run.end", "e", at=90, **result),
        a_record("after", at=95),
    ]
    random.Random(7).shuffle(events)

    for event in events:
        store.append_logs([event])
    store.append_spans([a_span("01" * 8, end=200)])

    run = reader.run("run-1")
    assert (run.started, run.ended, run.result) == (START + 10, START + 90, "failure")
    assert (run.pipeline, run.worst, run.records) == ("forecast", Severity.ERROR, 4)


def test_a_run_that_was_started_again_goes_on(store, reader):
    store.append_logs([an_event("pipeline.run.start", "s1", at=0), an_event("pipeline.run.end", "e1", at=5)])
    store.append_logs([an_event("pipeline.run.start", "s2", at=8)])
    again = reader.run("run-1")

    store.append_logs([an_event("pipeline.run.end", "e2", at=9, **{"cicd.pipeline.result": "success"})])

    assert (again.started, again.ended, again.result) == (START, 0, "")
    assert (reader.run("run-1").ended, reader.run("run-1").result) == (START + 9, "success")


def test_events_of_child_processes_do_not_end_the_run(store, reader):
    names = ["start", "start", "end"]
    store.append_logs([an_event(f"pipeline.run.{name}", f"u{number}", at=number) for number, name in enumerate(names)])
    store.append_logs([an_event("pipeline.run.end", "parent", at=50, **{"cicd.pipeline.result": "failure"})])

    assert (reader.run("run-1").started, reader.run("run-1").ended) == (START, START + 50)
    assert reader.run("run-1").result == "failure"


def test_runs_are_listed_newest_first(store, reader):
    for number in range(5):
        store.append_logs([a_record(f"u{number}", at=number * SECOND, run=f"run-{number}", trace="")])

    assert [run.run_id for run in reader.runs(limit=3)] == ["run-4", "run-3", "run-2"]


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_order_batching_and_duplication_gives_the_same_store(tmp_path_factory, data):
    records = [
        an_event("pipeline.run.start", "start", at=1, run="run-1"),
        an_event("pipeline.run.end", "end", at=8, run="run-1", **{"cicd.pipeline.result": "failure"}),
        a_record("child", at=3, run=""),
        a_record("error", at=4, run="run-1", severity=Severity.ERROR),
        a_record("other", at=5, run="run-2", trace="ef" * 16),
        a_record("lone", at=6, run="", trace="12" * 16),
        a_record("nobody", at=7, run="", trace=""),
    ]
    deliveries = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records), max_size=5))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(deliveries)), max_size=4)))
    folder = tmp_path_factory.mktemp("store")
    store, reader = TelemetryStore(folder), Telemetry(folder)

    for start, end in zip([0, *cuts], [*cuts, len(deliveries)], strict=True):
        store.append_logs(deliveries[start:end])

    runs = {run.run_id: run for run in reader.runs()}
    assert {
        run_id: (run.records, run.worst, run.started - START, run.ended, run.result) for run_id, run in runs.items()
    } == {
        "run-1": (4, Severity.ERROR, 1, START + 8, "failure"),
        "run-2": (1, Severity.INFO, 5, 0, ""),
        "12" * 16: (1, Severity.INFO, 6, 0, ""),
    }
    assert uids(reader.run_log("run-1").records) == ["start", "child", "error", "end"]
    assert uids(reader.run_log("", around="nobody").records) == ["nobody"]
    store.close()
    reader.close()
