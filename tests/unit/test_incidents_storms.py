"""B20: more problems at once than anybody can read. Bounded messages, exact totals, CRITICAL longest by itself."""

from __future__ import annotations

import pytest

from alert_bridge.incidents import storm as storms
from alert_bridge.incidents.storm import (
    STORM_A_MINUTE,
    STORM_CRITICAL_A_MINUTE,
    STORM_CRITICAL_WAITING,
    STORM_OVER_AFTER_S,
    STORM_WAITING,
)
from alert_bridge.model import Reason, Severity
from alert_bridge.policy.model import Match, Route
from alert_bridge.silences import Silence
from tests.servers.engine import NS, START, Engine, a_record, only_mdd

BATCH = 250
WORDS = [f"{a}{b}{c}{d}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst" for d in "aeiou"]


def storm(engine: Engine, problems: int, *, severity: Severity = Severity.ERROR, restart_after: int = 0) -> None:
    """So many distinct errors within half a minute, each twice, in requests of `BATCH`."""
    for start in range(0, problems, BATCH):
        numbers = range(start, min(start + BATCH, problems))
        for _ in range(2):
            engine.post(*(a_record(text_of(number), severity, at=engine.now) for number in numbers))
        engine.at(engine.seconds + 30 * BATCH / problems)
        if restart_after and start >= restart_after:
            engine.restart()
            restart_after = 0


def text_of(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} {WORDS[number // 7 % len(WORDS)]} shelf"


def the_storm(engine: Engine):
    return next(incident for incident in engine.incidents() if incident.title == "Many problems at once")


@pytest.mark.parametrize("restart_after", [0, 500])
def test_b20_a_storm_is_a_bounded_number_of_messages_with_exact_totals(engine, restart_after):
    storm(engine, 1_500, restart_after=restart_after)
    engine.at(60)

    gathered = the_storm(engine)
    alone = len(engine.incidents()) - 1
    assert STORM_WAITING <= alone <= STORM_WAITING + STORM_A_MINUTE
    assert len(engine.slack.posts) == alone + 1
    assert len(engine.reader.folded(gathered.id)) > 0
    told = [one.message.headline for one in engine.slack.told if one.message.incident_id == gathered.id][-1]
    assert f"{1_500 - alone:,} more problems, too many to tell one by one" in told
    assert gathered.count == 2 * (1_500 - alone)
    book = engine.books()["slack"]
    assert (book.matched, book.delivered, book.balance) == (3_000, 3_000, 0)


def test_b20_every_problem_of_a_storm_is_counted_with_its_issue(engine):
    storm(engine, 300)

    counts = engine.reader._rows("SELECT events FROM issues WHERE components NOT LIKE '%\"storm\"%'")

    assert sorted(row["events"] for row in counts) == [2] * 300


def test_b20_a_critical_problem_in_a_storm_is_told_by_itself_and_first(engine):
    storm(engine, 500)
    before = len(engine.slack.posts)

    engine.post(a_record("the whole month is zero", Severity.CRITICAL, at=engine.now))
    engine.at(engine.seconds + 2.5)

    assert "the whole month is zero" in str([one.message.headline for one in engine.slack.told[-3:]])
    assert len(engine.slack.posts) > before


def test_b20_a_storm_of_critical_problems_is_bounded_too_at_a_much_higher_number(engine):
    storm(engine, 750, severity=Severity.CRITICAL)
    engine.at(600)

    gathered = the_storm(engine)
    alone = len(engine.incidents()) - 1
    told = [one.message for one in engine.slack.told if one.message.incident_id == gathered.id][-1]
    assert STORM_CRITICAL_WAITING <= alone <= STORM_CRITICAL_WAITING + STORM_CRITICAL_A_MINUTE
    assert len(engine.slack.posts) == alone + 1
    assert told.severity is Severity.CRITICAL
    assert f"{750 - alone:,} more problems, too many to tell one by one" in told.headline
    book = engine.books()["slack"]
    assert (book.matched, book.delivered, book.balance) == (1_500, 1_500, 0)


def test_b20_a_storm_that_turns_critical_says_so_once_and_not_with_each_problem(engine):
    storm(engine, 500)
    engine.at(60)
    posts = len(engine.slack.posts)

    engine.post(*(a_record(f"gone {text_of(number)}", Severity.CRITICAL, at=engine.now) for number in range(500)))
    engine.at(engine.seconds + 500)

    of_storm = [one for one in engine.slack.posts[posts:] if one.message.incident_id == the_storm(engine).id]
    assert [one.message.reason for one in of_storm] == [Reason.ESCALATED]
    assert len(engine.slack.posts) - posts <= STORM_CRITICAL_A_MINUTE + 1


def test_b20_a_storm_that_nobody_is_told_of_is_a_bounded_list_with_exact_counts(tmp_path):
    engine = Engine(tmp_path, only_mdd(routes=(Route("slack", ("mdd",), Severity.CRITICAL, 10),)))
    storm(engine, 1_000)
    engine.at(60)

    gathered = the_storm(engine)
    shown = len(engine.incidents()) - 1
    assert STORM_A_MINUTE <= shown <= 2 * STORM_A_MINUTE
    assert gathered.count == 2 * (1_000 - shown)
    assert len(engine.reader.folded(gathered.id)) > 0
    assert engine.slack.told == []
    engine.close()


def test_b20_a_storm_under_a_silence_is_silent_bounded_and_told_when_that_ends(engine):
    muted = Silence("s1", Match((("body", "*shelf*"),)), "kim", "moving the shelves", START, START + 50 * NS)
    with engine.store.writing() as book:
        book.add_silence(muted)

    storm(engine, 500)
    before = len(engine.slack.told)
    engine.longest_step = 5.0
    engine.at(200)

    assert before == 0
    assert len(engine.incidents()) <= STORM_WAITING + 2 * STORM_A_MINUTE
    assert len(engine.slack.posts) == len(engine.incidents())
    assert engine.books()["slack"].balance == 0


def test_b20_of_the_many_problems_of_a_storm_only_counts_are_kept(engine, monkeypatch):
    monkeypatch.setattr(storms, "STORM_PROBLEMS_KEPT", 100)
    monkeypatch.setattr(storms, "STORM_PROBLEMS_COUNTED", 400)

    storm(engine, 750)
    engine.at(60)

    gathered = the_storm(engine)
    alone = len(engine.incidents()) - 1
    told = [one.message.headline for one in engine.slack.told if one.message.incident_id == gathered.id][-1]
    size = engine.reader._rows("SELECT count(*) AS folds, (SELECT count(*) FROM issues) AS issues FROM folds")[0]
    assert "more than 400 more problems, too many to tell one by one" in told
    assert f"{2 * (750 - alone):,} records" in told
    assert (size["folds"], size["issues"]) == (400 + 1, alone + 100 + 1)
    assert engine.books()["slack"].balance == 0


def test_b20_what_somebody_was_told_of_before_a_storm_goes_on_being_told_as_itself(engine):
    engine.post(a_record("the disk is full"))
    engine.at(3)
    storm(engine, 500)

    engine.post(a_record("the disk is full", at=engine.now))
    engine.at(engine.seconds + 120)

    disk = next(incident for incident in engine.incidents() if incident.title == "the disk is full")
    last = [one for one in engine.slack.told if one.message.incident_id == disk.id][-1]
    assert disk.count == 2
    assert "2\N{MULTIPLICATION SIGN}" in " ".join(last.message.facts)


def test_b20_a_storm_ends_by_itself_with_a_summary_and_the_next_problem_is_told_alone(engine):
    storm(engine, 500)
    engine.at(60 + STORM_OVER_AFTER_S + 60)
    over = the_storm(engine)
    summary = [one for one in engine.slack.told if one.message.incident_id == over.id][-1]

    engine.post(a_record("a new day, a new problem", at=engine.now))
    engine.at(engine.seconds + 300)

    assert over.resolved_at > START
    assert summary.message.resolved
    assert summary.earlier, "in place of the storm's message, not a new one"
    assert "a new day, a new problem" in engine.slack.posts[-1].message.headline


def test_b20_a_storm_of_what_is_known_is_one_edited_message(engine):
    engine.post(*(a_record("the shelf is empty", at=START + number) for number in range(2_000)))

    engine.at(20)

    assert [len(engine.incidents()), len(engine.slack.posts)] == [1, 1]
