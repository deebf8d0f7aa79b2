"""The Prefect exporter against a real Prefect server: what it shows, read back by REST, compared with the telemetry."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alert_bridge.model import Severity
from instrumentation import attributes as names
from tests.servers.bridge import wait_for
from tests.servers.pipeline import NS
from tests.servers.prefect import RECORDED_WITHIN_S, PrefectServer
from tests.servers.prefect_mirror import PAGES, DrivenMirror, a_good_run, shape, the_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
EXAMPLES = Path(__file__).parents[2] / "examples" / "monthly_run"


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    with PrefectServer(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture
def drive(prefect, stored):
    alive: list[DrivenMirror] = []

    def start(**options) -> DrivenMirror:
        alive.append(DrivenMirror(stored.state, prefect, **options))
        return alive[-1]

    yield start
    for driven in alive:
        driven.end()


def is_shown(prefect: PrefectServer, run: str, task: str, state: str) -> bool:
    """Whether the server has recorded so much of a run, which it does bit by bit."""
    if not prefect.flow_runs(run):
        return False
    found = prefect.picture(run).tasks.get(task)
    return found is not None and found.state == state


def test_a_run_shows_with_its_stages_their_edges_their_true_times_and_its_log(prefect, stored, drive):
    driven = drive()

    run = a_good_run(stored, "good")
    driven.settle()

    seen = prefect.picture("good")
    assert (seen.state, seen.tags) == ("Completed", ("otel-mirror",))
    assert {name: task.state for name, task in seen.tasks.items()} == dict.fromkeys(
        ("fetch", "ensemble", "train (heron)", "train (delta)", "deliver"), "Completed"
    )
    assert seen.parents == {"train (heron)": "ensemble", "train (delta)": "ensemble"}
    assert seen.upstream == {
        "ensemble": frozenset({"fetch"}),
        "train (delta)": frozenset({"train (heron)"}),
        "deliver": frozenset({"fetch"}),
    }
    spans = {span.name: span for span in stored.telemetry.run_spans(run.id) if span.name in ("fetch", "deliver")}
    for name, span in spans.items():
        assert abs(seen.tasks[name].started.timestamp() - span.start / NS) < 0.001
        assert abs(seen.tasks[name].ended.timestamp() - span.end / NS) < 0.001
    assert seen.logs == the_log(stored, run)
    assert seen.logs[("tests", 30, "one is short", "fetch")] == 1
    assert "## monthly\\_run: Completed" in seen.artifacts["run-monthly-run"][0]
    assert "DEBUG 2" in seen.artifacts["run-monthly-run"][0]
    assert seen.artifacts["progress"] == [100.0]


def test_what_runs_is_shown_running_and_what_failed_says_why(prefect, stored, drive):
    driven = drive()
    run = stored.run("failing")
    run.start()
    span, began = run.open_stage("fetch")
    driven.until(lambda: is_shown(prefect, "failing", "fetch", "Running"))
    before = prefect.picture("failing")

    run.log(
        "Error fetching data: connection refused",
        Severity.ERROR,
        **{
            names.EXCEPTION_TYPE: "ConnectionError",
            names.EXCEPTION_MESSAGE: "refused",
            "exception.stacktrace": "Trace",
        },
    )
    run.close_stage(span, "fetch", began, result="failure")
    run.end("failure", exit_code=1)
    driven.settle()
    prefect.record_events()

    after = prefect.picture("failing")
    (incident,) = stored.engine.incidents()
    assert (before.state, before.tasks["fetch"].state) == ("Running", "Running")
    assert (after.state, after.tasks["fetch"].state) == ("Failed", "Failed")
    assert after.states == ("RUNNING", "FAILED")
    assert "Exit code 1" in after.message
    assert "ConnectionError: refused" in after.message
    assert after.events == Counter({"pipeline-alerts.incident.opened": 1})
    (text,) = after.artifacts[f"alert-{incident.id}"]
    assert f"{PAGES}/incidents/{incident.id}" in text
    assert f"{PAGES}/runs/failing/log?around=" in text
    (event,) = prefect.events(after.id)
    task = after.tasks["fetch"].id
    assert {one["prefect.resource.id"] for one in event["related"]} == {
        f"prefect.flow-run.{after.id}",
        f"prefect.task-run.{task}",
        "prefect.tag.otel-mirror",
    }


def test_the_same_telemetry_again_changes_no_count(prefect, stored, drive):
    driven = drive()
    run = a_good_run(stored, "replayed")
    run.log("a late failure", Severity.ERROR)
    driven.settle()
    prefect.record_events()
    before = prefect.picture("replayed")
    driven.end()
    (stored.state / "export-prefect.db").unlink()

    again = drive()
    again.settle()
    prefect.record_events()

    assert prefect.picture("replayed").counts == before.counts
    assert before.events == Counter({"pipeline-alerts.incident.opened": 1})


def test_a_restart_in_the_middle_ends_in_the_same_picture(prefect, stored, drive):
    first = drive()
    run = stored.run("restarted")
    run.start()
    with run.stage("fetch"):
        run.log("fetched")
    span, began = run.open_stage("train")
    first.until(lambda: first.idle and is_shown(prefect, "restarted", "train", "Running"))
    first.end()

    second = drive()
    run.close_stage(span, "train", began)
    run.end()
    second.settle()

    seen = prefect.picture("restarted")
    assert seen.states == ("RUNNING", "COMPLETED")
    assert {name: task.states for name, task in seen.tasks.items()} == {
        "fetch": ("COMPLETED",),  # it was over before anybody looked
        "train": ("RUNNING", "COMPLETED"),
    }
    assert seen.upstream == {"train": frozenset({"fetch"})}
    assert seen.logs == the_log(stored, run)


def test_a_server_that_was_killed_in_the_middle_ends_in_the_same_picture(prefect, stored, drive):
    driven = drive()
    runs = {}
    for name, failure in (("calm", "no forecast for Mali"), ("interrupted", "the upload was refused")):
        run = runs[name] = stored.run(name, f"pipeline_{name}")  # one of its own: a good end would resolve the other's
        run.start()
        with run.stage("fetch"):
            run.log("fetched")
        span, began = run.open_stage("train")
        run.log(failure, Severity.ERROR)
        driven.until(lambda name=name: driven.idle and bool(driven.exporter._runs[name].unseen))

        if name == "interrupted":
            prefect.kill()  # which has confirmed an event that is not on its disk yet
        run.log("epoch 1", Severity.DEBUG)
        run.close_stage(span, "train", began)
        with run.stage("report"):
            run.log("written")
        if name == "interrupted":
            driven.until(lambda: driven.follower.breaker.is_open)
            waiting = driven.books["logs"].waiting
            run.end("failure", exit_code=1)
            prefect.start()
            driven.ahead += 60.0
        else:
            run.end("failure", exit_code=1)
        driven.settle()
    prefect.record_events()

    calm, interrupted = prefect.picture("calm"), prefect.picture("interrupted")
    assert waiting == 5
    assert driven.books["logs"].dropped == 0
    assert shape(interrupted) == shape(calm)
    assert calm.states[-1] == "FAILED"
    assert calm.events == Counter({"pipeline-alerts.incident.opened": 1})
    for name, seen in (("calm", calm), ("interrupted", interrupted)):
        assert seen.logs == the_log(stored, runs[name])


def test_stages_of_an_outage_are_shown_later_with_their_true_times(prefect, stored, drive):
    run = a_good_run(stored, "late", shift=-1800.0)
    driven = drive()

    driven.settle()

    seen = prefect.picture("late")
    half_an_hour_ago = datetime.now(UTC).timestamp() - 1800.0
    assert all(abs(task.started.timestamp() - half_an_hour_ago) < 60.0 for task in seen.tasks.values())
    assert all(task.states == ("COMPLETED",) for task in seen.tasks.values())
    assert seen.logs == the_log(stored, run)


def test_a_killed_stage_and_a_killed_run_are_shown_as_crashed(prefect, stored, drive):
    driven = drive()
    run = stored.run("killed")
    run.start()
    run.open_stage("train")
    run.end("error", exit_code=137, **{names.EXIT_SIGNAL: "SIGKILL", names.OOM_KILLED: True})

    driven.settle()

    seen = prefect.picture("killed")
    assert (seen.state, seen.tasks["train"].state) == ("Crashed", "Crashed")
    assert "Out of memory" in seen.message
    assert "without finishing this stage" in seen.tasks["train"].message


def test_a_run_whose_heartbeat_stopped_is_shown_as_crashed_and_runs_again_when_it_speaks(prefect, stored, drive):
    driven = drive()
    run = stored.run("silent")
    run.start()
    run.log("monthly_run is running", event=names.EVENT_RUN_HEARTBEAT)
    driven.until(lambda: driven.idle and any(prefect.flow_runs("silent")))

    driven.ahead += 301.0
    driven.until(lambda: prefect.picture("silent").state == "Crashed")
    said = prefect.picture("silent").message
    run.log("still here")
    driven.until(lambda: prefect.picture("silent").state == "Running")

    assert "No sign of life" in said
    assert prefect.picture("silent").states == ("RUNNING", "CRASHED", "RUNNING")


def test_a_mirror_that_somebody_deleted_stays_deleted(prefect, stored, drive):
    driven = drive()
    run = stored.run("unwanted")
    run.start()
    driven.until(lambda: driven.idle and any(prefect.flow_runs("unwanted")))

    prefect.client.delete(f"flow_runs/{prefect.flow_runs('unwanted')[0]['id']}")
    with run.stage("fetch"):
        run.log("fetched")
    run.end()
    driven.settle()

    assert prefect.flow_runs("unwanted") == []
    assert driven.books["logs"].balance == 0


def test_a_server_that_records_no_events_is_told_by_its_documented_endpoints(stored, tmp_path):
    settings = {"PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false"}
    with PrefectServer(tmp_path, settings=settings) as plain:
        driven = DrivenMirror(stored.state, plain)
        a_good_run(stored, "first")
        driven.until(lambda: driven.idle)
        for _ in range(4):  # read back, told again, read back …
            driven.ahead += 11.0
            for _ in range(3):
                driven.follower.step()
        driven.settle()
        asked_before = driven.exporter._api.requests
        a_good_run(stored, "second")
        driven.settle()
        asked = driven.exporter._api.requests - asked_before

        seen = {name: plain.picture(name) for name in ("first", "second")}
        driven.end()
    for picture in seen.values():
        assert {name: task.state for name, task in picture.tasks.items()} == dict.fromkeys(
            ("fetch", "ensemble", "train (heron)", "train (delta)", "deliver"), "Completed"
        )
        assert picture.parents == {"train (heron)": "ensemble", "train (delta)": "ensemble"}
    assert asked < 30  # without asking again whether events arrive


def test_the_documented_trigger_leaves_mirrors_out_of_an_automation(prefect, stored, drive):
    documented = (Path(__file__).parents[2] / "docs" / "prefect.md").read_text(encoding="utf-8")
    trigger = json.loads(documented.partition("```json\n")[2].partition("```")[0])
    automation = {"name": "tell me", "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    made = prefect.client.post("automations/", json=automation)
    assert made.status_code == 201, made.text
    driven, mirrored = drive(), stored.run("mirrored")
    mirrored.start()
    mirrored.end("failure", exit_code=1)

    driven.until(lambda: any(run["state_type"] == "FAILED" for run in prefect.flow_runs("mirrored")))
    flow = prefect.client.post("flows/", json={"name": "own"}).json()["id"]
    state = {"type": "FAILED", "message": "Flow run encountered an exception"}
    own = prefect.client.post("flow_runs/", json={"flow_id": flow, "name": "own", "state": state}).json()["id"]
    about = {"event": {"name": ["prefect.automation.triggered"]}}
    wait_for(lambda: prefect.events_like(about), RECORDED_WITHIN_S)

    events = prefect.events_like(about)
    prefect.client.delete(f"automations/{made.json()['id']}")
    assert len(events) == 1
    assert f"prefect.flow-run.{own}" in str(events[0])


def test_the_policys_level_keeps_quieter_records_out_of_prefect(prefect, stored, drive):
    driven = drive(least=lambda: Severity.WARNING)

    a_good_run(stored, "loud")
    driven.settle()

    assert sum(prefect.picture("loud").logs.values()) == 1
    assert (driven.books["logs"].sent, driven.books["logs"].balance) == (1, 0)
