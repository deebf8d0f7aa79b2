"""`trace`, `logs` and `runs` over real stores: from whatever a person has at hand to the failing line."""

from __future__ import annotations

import itertools
import json

import pytest
from click.testing import CliRunner

from alert_bridge.cli import root
from alert_bridge.errors import UsageError
from alert_bridge.intake.sifting import sift
from alert_bridge.intake.take import take
from alert_bridge.model import Record, Severity
from alert_bridge.outbox.planning import Rules
from alert_bridge.policy.load import load, packaged_path
from alert_bridge.store.control import ControlStore, open_reader
from alert_bridge.store.telemetry import TelemetryStore
from tests.servers.month import month
from tests.servers.month_telemetry import FAILING_UID, NOW, RUN, TRACE

ESCAPE = "\x1b[2J\x1b[1;1H"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    _, told = month()
    hostile = Record(
        uid="hostile",
        time=NOW,
        observed=NOW,
        severity=Severity.ERROR,
        severity_text="ERROR",
        body=f"{ESCAPE}all is well\u202e",
        resource={"cicd.pipeline.run.id": "hostile run"},
    )
    telemetry = TelemetryStore(folder)
    telemetry.append_logs([*told.records, hostile])
    telemetry.append_spans(told.spans)
    telemetry.close()
    control, policy = ControlStore(folder), load(packaged_path())
    sifted = [each for record in told.records if (each := sift(record, policy, NOW)) is not None]
    with control.writing() as book:
        numbers = itertools.count(1)
        take(book, sifted, Rules(policy.grouping, frozenset()), now=NOW, new_id=lambda: f"i{next(numbers)}")
    control.close()
    return folder


@pytest.fixture(scope="module")
def incident(state):
    """The id of the incident that the failed fetch became."""
    reader = open_reader(state)
    (found,) = [one.id for one in reader.incidents() if one.title.startswith("DataFetchError")]
    reader.close()
    return found


def run(state, *arguments):
    result = CliRunner().invoke(root, [*arguments, "--state", str(state)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def run_json(state, *arguments):
    return json.loads(run(state, *arguments, "--json"))


def marked(output):
    return [line for line in output.splitlines() if line.startswith("▶")]


@pytest.mark.parametrize(
    "identifier",
    [FAILING_UID, TRACE, TRACE.upper(), RUN, f"00-{TRACE}-00f067aa0ba902b7-01", "incident"],
    ids=["uid", "trace", "upper", "run", "traceparent", "incident"],
)
def test_every_identifier_leads_to_an_error_in_its_trace_and_its_log(state, incident, identifier):
    output = run(state, "trace", incident if identifier == "incident" else identifier)

    assert RUN in output
    assert TRACE in output
    assert ("◀ the error" in output) is not identifier.startswith("00-")  # no span has the id of that one
    assert len(marked(output)) == 1
    assert "ERROR" in marked(output)[0] or "CRITICAL" in marked(output)[0]


def test_an_error_is_shown_with_its_failing_span_its_stack_and_the_lines_around_it(state):
    output = run(state, "trace", "7f3c-1007", "--before", "3", "--after", "2")

    lines = output.splitlines()
    place = lines.index(marked(output)[0])
    assert "failed" in output.partition("Stages and spans")[2].partition("\n\n")[0]
    assert "ConnectionError" in output
    assert len([line for line in lines[:place] if line.startswith("  ") and ":" in line[:6]]) >= 3
    assert f"pipeline-alerts logs {RUN} --around 7f3c-1007" in output


def test_the_json_of_a_trace_has_everything_that_the_text_has(state, incident):
    document = run_json(state, "trace", incident)

    assert document["incident"] == incident
    assert document["run"]["run_id"] == RUN
    assert document["trace_id"] == TRACE
    assert document["error"]["severity"] in {"ERROR", "CRITICAL"}
    assert document["error"] in document["log"]
    assert {span["status"] for span in document["spans"]} >= {"error"}
    assert document["span_id"] in {span["span_id"] for span in document["spans"]}


def test_a_log_can_be_read_around_a_record_from_its_end_whole_by_level_and_by_text(state):
    whole = run_json(state, "logs", RUN, "--all")
    place = [line["uid"] for line in whole].index("7f3c-1007")

    assert (
        run_json(state, "logs", RUN, "--around", "7f3c-1007", "--before", "2", "--after", "1")
        == whole[place - 2 : place + 2]
    )
    assert run_json(state, "logs", RUN, "--before", "2") == whole[-2:]
    errors = run_json(state, "logs", RUN, "--all", "--level", "error")
    assert errors == [line for line in whole if line["severity"] in {"ERROR", "CRITICAL"}]
    found = run_json(state, "logs", RUN, "--grep", "AFTER 3 ATTEMPTS")
    assert "7f3c-1007" in [line["uid"] for line in found]
    assert run_json(state, "logs", TRACE, "--before", "2")[-1]["run_id"] == RUN


def test_runs_are_listed_with_how_they_ended_and_the_worst_in_them(state):
    output = run(state, "runs")

    (line,) = [line for line in output.splitlines() if line.startswith(RUN)]
    assert "failure" in line
    assert "worst" in line
    assert run_json(state, "runs", "--limit", "1")[0]["run_id"] == output.split("  ")[0]


@pytest.mark.parametrize("command", ["trace", "logs"])
def test_a_log_line_cannot_move_the_cursor_or_reorder_the_text(state, command):
    output = run(state, command, "hostile run")

    assert "all is well" in output
    assert "\x1b" not in output
    assert "\u202e" not in output


@pytest.mark.parametrize("command", ["trace", "logs"])
def test_an_unknown_identifier_is_one_sentence_that_says_where_to_look(state, command):
    with pytest.raises(UsageError, match="pipeline-alerts runs"):
        run(state, command, "nowhere")


@pytest.mark.parametrize("arguments", [["trace", "x"], ["logs", "x"], ["runs"]])
def test_without_a_store_it_says_how_to_get_one(tmp_path, arguments):
    with pytest.raises(UsageError, match="pipeline-alerts serve"):
        run(tmp_path, *arguments)


def test_a_store_without_runs_says_so(tmp_path):
    TelemetryStore(tmp_path).close()

    assert "No run has sent anything" in run(tmp_path, "runs")
    assert run_json(tmp_path, "runs") == []
