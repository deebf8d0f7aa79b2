"""What goes from control.db when it is old, under a clock that the test moves; and what never goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alert_bridge.cli.status import status_of
from alert_bridge.errors import Retryable
from alert_bridge.model import Severity
from alert_bridge.policy.model import Grouping, Retention, Route
from alert_bridge.store.control import retention
from tests.servers.engine import NS, Engine, a_policy, a_record

DAY_S = 86_400.0
KEPT = Retention(incidents=100 * DAY_S, issues=1_000 * DAY_S)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, a_policy(retention=KEPT, grouping=Grouping({}, 365 * DAY_S, None)))
    yield engine
    engine.close()


def rows(engine: Engine, table: str) -> int:
    return int(engine.reader._rows(f"SELECT count(*) AS rows FROM {table}")[0]["rows"])


def fail(engine: Engine, body: str, run: str, **more: object) -> None:
    engine.post(a_record(body, at=engine.now, run=run, stage="fetch", **more))
    engine.at(engine.seconds + 60)


def succeed(engine: Engine, run: str) -> None:
    for event, result in (
        ("pipeline.stage.end", "cicd.pipeline.task.run.result"),
        ("pipeline.run.end", "cicd.pipeline.result"),
    ):
        engine.post(
            a_record(
                "", Severity.INFO, at=engine.now, run=run, event=event, attributes={result: "success"}, stage="fetch"
            )
        )
    engine.at(engine.seconds + 60)


def test_an_incident_that_is_over_goes_with_all_that_hangs_on_it_and_the_books_still_balance(engine):
    fail(engine, "the disk is full", "run-1")
    succeed(engine, "run-2")
    before = engine.books()
    tables = (
        "incidents",
        "conversations",
        "notices",
        "receipts",
        "occurrences",
        "incident_runs",
        "sightings",
        "decisions",
    )
    assert all(rows(engine, table) for table in tables)

    engine.at(engine.seconds + 99 * DAY_S)
    early = rows(engine, "incidents")
    engine.at(engine.seconds + 2 * DAY_S)

    assert early == 1
    assert {table: rows(engine, table) for table in tables} == dict.fromkeys(tables, 0)
    assert engine.books() == before
    assert before["slack"].delivered == 3


def test_an_open_incident_stays_however_old_it_is_with_its_whole_history(engine):
    fail(engine, "the disk is full", "run-1")
    posts = len(engine.slack.posts)

    engine.at(engine.seconds + 2_000 * DAY_S)
    (incident,) = engine.incidents()
    fail(engine, "the disk is full", "run-2")

    assert (incident.id, incident.count) == ("incident-001", 1)
    assert [(one.id, one.count) for one in engine.incidents()] == [("incident-001", 2)]
    assert rows(engine, "receipts") >= posts


def test_an_open_incident_that_nobody_is_told_of_stays_too(tmp_path):
    critical_only = (Route("slack", ("mdd",), Severity.CRITICAL, 10),)
    engine = Engine(tmp_path, a_policy(retention=KEPT, routes=critical_only))
    fail(engine, "the disk is full", "run-1")

    engine.at(engine.seconds + 500 * DAY_S)

    assert [(incident.title, incident.count) for incident in engine.incidents()] == [("the disk is full", 1)]
    engine.close()


def test_what_is_still_to_be_told_keeps_its_incident(engine):
    engine.slack.always = Retryable("away", code="connection")
    fail(engine, "the disk is full", "run-1")
    succeed(engine, "run-2")

    engine.now += int(200 * DAY_S * NS)
    engine.upkeep.step()
    waiting = rows(engine, "incidents")
    engine.slack.always = None
    engine.at(engine.seconds + 600)

    assert waiting == 1
    assert len(engine.slack.posts) == 3
    assert engine.books()["slack"].balance == 0


def test_a_root_stays_as_long_as_a_part_of_it_does(engine):
    fail(engine, "the disk is full", "run-1")
    fail(engine, "value is missing", "run-1")
    first, second = engine.incidents()
    with engine.store.writing() as book:
        book.connection.execute("UPDATE incidents SET root_id = ? WHERE id = ?", (first.id, second.id))
        book.connection.execute(
            "UPDATE incidents SET state = 'resolved', resolved_at = ? WHERE id = ?", (engine.now, first.id)
        )
        book.connection.execute("UPDATE notices SET state = 'delivered', closed_at = 1 WHERE state = 'queued'")

    engine.at(engine.seconds + 300 * DAY_S)

    assert {incident.id for incident in engine.incidents()} == {first.id, second.id}


def test_a_copy_of_a_record_counts_nothing_as_long_as_identities_are_kept(engine):
    record = a_record("the disk is full", at=engine.now, uid="once")
    engine.post(record)
    engine.at(29 * DAY_S)

    tally = engine.post(record)

    assert tally["duplicates"] == 1
    assert engine.incidents()[0].count == 1


def test_a_problem_is_known_for_years_after_its_incidents_are_gone(engine):
    fail(engine, "the disk is full", "run-1")
    succeed(engine, "run-2")
    engine.at(engine.seconds + 150 * DAY_S)
    kept = rows(engine, "issues")

    engine.at(engine.seconds + 1_000 * DAY_S)

    assert (kept, rows(engine, "incidents")) == (1, 0)
    assert rows(engine, "issues") == rows(engine, "issue_days") == 0


def test_an_old_run_goes_and_its_end_does_not_look_new_afterwards(engine):
    fail(engine, "the disk is full", "run-1")
    succeed(engine, "run-2")
    assert rows(engine, "reviews") == 1

    engine.at(engine.seconds + 300 * DAY_S)
    engine.at(engine.seconds + 60)

    assert [rows(engine, table) for table in ("runs", "steps", "stage_spans", "reviews")] == [0, 0, 0, 0]


def test_many_old_incidents_go_in_small_steps_and_the_file_gets_smaller(engine, monkeypatch):
    monkeypatch.setattr(retention, "STEP_ROWS", 20)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "klmnrst"]
    for number, word in enumerate(words):
        engine.now += 3 * NS  # no storm
        engine.post(a_record(f"{word} {words[-number - 1]} broke {'x' * 5_000}", at=engine.now, run=f"run-{number}"))
    with engine.store.writing() as book:
        book.connection.execute("UPDATE incidents SET state = 'resolved', resolved_at = opened_at")
        book.connection.execute("UPDATE notices SET state = 'delivered', closed_at = 1 WHERE state = 'queued'")
    pages = engine.reader._rows("PRAGMA page_count")[0][0]

    engine.now += int(200 * DAY_S * NS)
    engine.upkeep.step()

    assert rows(engine, "incidents") == 0
    assert engine.reader._rows("PRAGMA page_count")[0][0] < pages / 2


def test_status_shows_how_large_the_stores_are(engine):
    fail(engine, "the disk is full", "run-1")

    sizes = status_of(engine.state)["stores"]

    assert sizes.keys() == {"control"}
    assert sizes["control"] >= (engine.state / "control.db").stat().st_size > 0
