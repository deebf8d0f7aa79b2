"""The picture of a run and what Prefect is told of it: pure, whatever order and however often telemetry comes."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_bridge.errors import SettingsError
from alert_bridge.exporters.prefect import prefect_settings
from alert_bridge.exporters.prefect.edges import upstream_of
from alert_bridge.exporters.prefect.payloads import LOG_CHARS, event_id, log_body, log_key, task_run_id
from alert_bridge.exporters.prefect.runs import (
    Run,
    Stage,
    close_left_open,
    fold_record,
    fold_span,
    stage_from_json,
    stage_to_json,
)
from alert_bridge.exporters.prefect.states import run_state, stage_state
from alert_bridge.exporters.prefect.texts import incident_markdown, slug, summary_markdown
from alert_bridge.model import Incident, IncidentState, Record, Severity, Span
from instrumentation import attributes as names

NS = 1_000_000_000
T0 = 1_790_000_000 * NS


def record(body="", *, at=0.0, event="", span="", severity=Severity.INFO, **said) -> Record:
    return Record(
        uid=f"{body}-{at}-{event}",
        time=T0 + int(at * NS),
        observed=T0 + int(at * NS),
        severity=severity,
        severity_text=severity.name,
        body=body,
        event_name=event,
        attributes=said,
        resource={names.PIPELINE_NAME: "month", names.RUN_ID: "r1"},
        scope="app",
        trace_id="a" * 32,
        span_id=span,
    )


def begun(name, span, at, **said) -> Record:
    return record(at=at, event=names.EVENT_STAGE_START, span=span, **{names.STAGE: name, **said})


def ended(name, span, at, result="success", **said) -> Record:
    said = {names.STAGE: name, names.STAGE_RESULT: result, **said}
    return record(at=at, event=names.EVENT_STAGE_END, span=span, **said)


def spanned(name, span, start, end, parent="") -> Span:
    return Span(
        "a" * 32, span, parent, name, 1, T0 + int(start * NS), T0 + int(end * NS), 0, attributes={names.STAGE: name}
    )


def stage(key, started, ended=0.0, *, parent="", upstream=(), name="") -> Stage:
    return Stage(
        key, name or key, parent=parent, upstream=list(upstream), started=int(started * NS), ended=int(ended * NS)
    )


def run_of(*stages) -> Run:
    return Run("r1", stages={each.key: each for each in stages})


STORY = (
    record("month started", at=0, event=names.EVENT_RUN_START, span="root"),
    begun("fetch", "s1", 1, **{names.PARENT_SPAN: "root"}),
    record("fetched", at=1.5, span="s1"),
    ended("fetch", "s1", 2),
    begun("train", "s2", 3, **{names.PARENT_SPAN: "root", names.MODEL_NAME: "heron"}),
    ended("train", "s2", 5, "failure", **{names.EXCEPTION_MESSAGE: "loss is nan"}),
    record("month ended", at=6, event=names.EVENT_RUN_END, **{names.RUN_RESULT: "failure", names.EXIT_CODE: 1}),
    spanned("fetch", "s1", 1, 2, "root"),
    spanned("train", "s2", 3, 5, "root"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(STORY))), max_size=8), st.permutations(range(len(STORY))))
def test_any_order_and_any_repetition_of_telemetry_gives_the_same_picture(repeated, order):
    pictures = []
    for numbers in (range(len(STORY)), [*order, *repeated]):
        run = Run("r1")
        for number in numbers:
            fold = fold_span if isinstance(STORY[number], Span) else fold_record
            fold(run, STORY[number])
        stages = {key: (s.name, s.model, s.parent, s.started, s.ended, s.result) for key, s in run.stages.items()}
        pictures.append((run.pipeline, run.started, run.ended, run.result, run.facts, stages))

    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("stages", "of", "expected"),
    [
        ([stage("a", 0, 1), stage("b", 2)], "b", ["a"]),
        ([stage("a", 0, 1), stage("b", 2, 3), stage("c", 4)], "c", ["b"]),
        ([stage("a", 0, 1), stage("b", 2, 6), stage("c", 3, 5), stage("d", 7)], "d", ["b", "c"]),
        ([stage("a", 0, 1), stage("b", 2), stage("c", 3)], "c", ["a"]),
        ([stage("a", 0, 3), stage("b", 1)], "b", []),
        ([stage("a", 0, 1), stage("p", 2), stage("c", 3, parent="p")], "c", []),
        ([stage("p", 0), stage("a", 1, 2, parent="p"), stage("b", 3, parent="p")], "b", ["a"]),
        ([stage("a", 0, 1), stage("b", 2, 3), stage("c", 4, upstream=("a",))], "c", ["a"]),
        ([stage("a1", 0, 1, name="a"), stage("a2", 2, 3, name="a"), stage("c", 4, upstream=("a",))], "c", ["a2"]),
        ([stage("p", 0), stage("a", 1, 2, parent="p"), stage("c", 4, upstream=("a",))], "c", ["a"]),
        ([stage("c", 4, upstream=("nobody",))], "c", []),
    ],
    ids=[
        "in a row",
        "the latest only",
        "fan in",
        "fan out",
        "overlapping",
        "a child is not beside its elder",
        "beside one another within",
        "as its author says",
        "the latest of a name",
        "named elsewhere in the run",
        "named but unknown",
    ],
)
def test_a_stage_comes_after(stages, of, expected):
    run = run_of(*stages)

    assert list(upstream_of(run, run.stages[of])) == expected


def test_what_was_open_when_its_surroundings_ended_is_crashed():
    run = run_of(stage("p", 0, 5), stage("c", 1, parent="p"), stage("g", 2, parent="c"), stage("other", 1))

    closed = {each.key for each in close_left_open(run, before=6 * NS)}

    assert closed == {"c", "g"}
    assert stage_state(run.stages["g"]).name == "Crashed"
    assert not run.stages["other"].ended


def test_a_late_true_end_replaces_an_assumed_one():
    run = Run("r1")
    fold_record(run, begun("train", "s2", 3))
    run.ended = T0 + 9 * NS
    list(close_left_open(run, before=run.ended))

    fold_record(run, ended("train", "s2", 5))

    assert (run.stages["s2"].ended, run.stages["s2"].result) == (T0 + 5 * NS, "success")
    assert not run.stages["s2"].is_end_assumed


@pytest.mark.parametrize(
    ("result", "facts", "expected"),
    [
        ("success", {}, ("COMPLETED", "Completed")),
        ("failure", {names.EXIT_CODE: "1"}, ("FAILED", "Failed")),
        ("error", {names.EXIT_SIGNAL: "SIGSEGV"}, ("CRASHED", "Crashed")),
        ("failure", {names.OOM_KILLED: "True"}, ("CRASHED", "Crashed")),
        ("timeout", {}, ("FAILED", "TimedOut")),
        ("cancellation", {}, ("CANCELLED", "Cancelled")),
        ("skip", {}, ("COMPLETED", "Skipped")),
    ],
)
def test_results_read_as_prefects_states(result, facts, expected):
    run = Run("r1", started=T0, ended=T0 + NS, result=result, facts=facts)

    assert (run_state(run).type, run_state(run).name) == expected


def test_a_program_without_lifecycle_events_is_shown_by_its_spans():
    run = Run("t1")
    fold_span(run, dataclasses.replace(spanned("fetch", "s1", 1, 2, "root"), resource={"service.name": "nightly"}))
    fold_span(run, Span("a" * 32, "root", "", "main", 2, T0, T0 + 3 * NS, 2))

    assert (run.pipeline, run.started, run.ended, run_state(run).name) == ("nightly", T0, T0 + 3 * NS, "Failed")
    assert run.stages["s1"].result == "success"


@pytest.mark.parametrize("attribute", ["flow_run_id", "pipeline.scheduler.prefect.flow_run_id"])
def test_a_prefect_flow_is_recognised_by_what_its_records_carry(attribute):
    run = Run("r1")

    fold_record(run, record("Beginning flow run", **{attribute: "0c6f"}))

    assert run.is_native


def test_a_run_and_its_stages_survive_being_remembered():
    run = Run("r1")
    for each in STORY:
        (fold_span if isinstance(each, Span) else fold_record)(run, each)
    run.flow_run, run.artifacts = "f1", {"a": "b"}

    again = Run.from_json(run.to_json())
    again.stages = {key: stage_from_json(stage_to_json(each)) for key, each in run.stages.items()}
    again.touched = run.touched

    assert again == run


def test_memory_of_a_newer_release_is_read_as_far_as_it_is_known():
    text = json.dumps({**json.loads(Run("r1").to_json()), "invented_later": 1})

    assert Run.from_json(text) == Run("r1")


def test_a_line_carries_its_stack_trace_and_says_what_it_leaves_out():
    run = Run("r1", flow_run="f1")

    short = log_body(run, record("boom", **{names.EXCEPTION_STACKTRACE: "Traceback …"}))
    long = log_body(run, record("x" * (LOG_CHARS + 5)))

    assert short["message"] == "boom\nTraceback …"
    assert len(str(long["message"])) < LOG_CHARS + 100
    assert "5 characters more" in str(long["message"])


def test_a_line_is_found_again_in_what_prefect_gives_back():
    sent = log_body(Run("r1", flow_run="f1"), record("hello", at=1.25))

    given_back = {**sent, "id": "x", "timestamp": str(sent["timestamp"]).replace("+00:00", "Z")}

    assert log_key(sent) == log_key(given_back)


def test_ids_follow_from_ours_and_differ_between_runs_and_stages():
    one, other = Run("r1", flow_run="f1"), Run("r2", flow_run="f2")

    ids = [task_run_id(run, Stage(key, "train")) for run in (one, other) for key in ("s1", "s2")]

    assert ids == [task_run_id(run, Stage(key, "train")) for run in (one, other) for key in ("s1", "s2")]
    assert len(set(ids)) == 4
    assert event_id("a", "b") != event_id("a", "c")


def an_incident(text: str, **said) -> Incident:
    said = {names.EXCEPTION_STACKTRACE: f"Traceback\n{text}", **said}
    sample = record(text, severity=Severity.ERROR, **said)
    return Incident(
        id="inc1",
        fingerprint="f",
        title=text,
        pipeline=text,
        environment="",
        stage="",
        severity=Severity.ERROR,
        state=IncidentState.OPEN,
        opened_at=T0,
        first_event=T0,
        last_event=T0,
        count=3,
        run_ids=("r1",),
        sample=sample,
        owner=text,
        effect=text,
    )


@given(st.text(alphabet=st.sampled_from("ab `\n#|[]()<>*_!~\\"), min_size=1, max_size=60))
def test_no_text_of_a_record_can_break_out_of_its_place(text):
    rendered = incident_markdown(an_incident(text), "r1", "http://pages")

    outside = re.sub(r"(?ms)^(`{3,})text\n.*?\n\1$", "", rendered)
    links = re.findall(r"(?<!\\)\]\((.*?)\)", outside)
    assert all(link.startswith("http://pages/") for link in links)
    assert "<" not in re.sub(r"\\.", "", outside)
    assert sum(line.startswith("#") for line in outside.splitlines()) == 1


@pytest.mark.parametrize(
    ("told", "link"),
    [
        ("https://wandb.test/t/p/runs/4q1x", "[W&B run](https://wandb.test/t/p/runs/4q1x)"),
        ("https://wandb.test/a)[b](c d", "[W&B run](https://wandb.test/a%29%5Bb%5D%28c%20d)"),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_an_incident_leads_to_the_w_and_b_run_that_it_happened_in(told, link):
    rendered = incident_markdown(an_incident("diverged", **{names.WANDB_RUN_URL: told}), "r1", "http://pages")

    (links,) = [line for line in rendered.splitlines() if "[Incident]" in line]
    assert (link in links.split(" · ")) if link else ("W&B" not in rendered)


def test_a_summary_counts_and_says_how_each_stage_went():
    run = Run("r1")
    for each in STORY:
        (fold_span if isinstance(each, Span) else fold_record)(run, each)
    run.levels = {"INFO": 5, "ERROR": 2}

    text = summary_markdown(run, [("inc1", "ERROR: month / train failed")], "http://pages")

    assert "## month: Failed" in text
    assert "| train \\(heron\\) | Failed |" in text
    assert "ERROR 2 · INFO 5" in text
    assert "- ERROR: month / train failed [Incident](http://pages/incidents/inc1)" in text


@given(st.text(max_size=200))
def test_a_slug_is_what_prefect_takes_as_a_key(text):
    assert re.fullmatch(r"[a-z0-9-]{1,80}", slug(text))


@pytest.mark.parametrize(
    "environ",
    [
        {"PREFECT_API_URL": "127.0.0.1:4200/api"},
        {"PREFECT_API_URL": "http://prefect.example/api", "PREFECT_API_KEY": "pnu_1"},
        {"PREFECT_API_URL": "https://me:secret@prefect.example/api"},
        {"PREFECT_API_URL": "http://[::1/api"},
    ],
    ids=["no scheme", "a key in the clear", "a password in the address", "a broken address"],
)
def test_settings_that_cannot_work_are_refused_without_repeating_a_secret(environ):
    with pytest.raises(SettingsError) as refused:
        prefect_settings(environ)

    assert "pnu_1" not in str(refused.value)
    assert "me:secret" not in str(refused.value)


def test_without_an_address_there_is_no_prefect_whatever_else_is_set():
    assert prefect_settings({"PREFECT_API_KEY": "pnu_1", "PREFECT_PROFILE": "prod"}) is None


def test_a_server_of_ones_own_shows_its_pages_beside_its_api():
    settings_ = prefect_settings({"PREFECT_API_URL": "http://127.0.0.1:4200/api"})

    assert settings_ is not None
    assert (settings_.api_url, settings_.ui_url) == ("http://127.0.0.1:4200/api/", "http://127.0.0.1:4200")
    assert "without login" in settings_.setup
