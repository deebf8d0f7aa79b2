"""B20: more problems at once than anybody can read. Bounded messages, exact totals, nothing of CRITICAL hidden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alert_bridge.incidents.storm import STORM_A_MINUTE, STORM_OVER_AFTER_S, STORM_WAITING
from alert_bridge.model import Severity
from tests.servers.engine import START, Engine, a_record, only_mdd

BATCH = 250
WORDS = [f"{a}{b}{c}{d}" for a in "bdfgklmnprst" for b in "aeiou" for c in "klmnrst" for d in "aeiou"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, only_mdd())
    yield engine
    engine.close()


def storm(engine: Engine, problems: int, *, restart_after: int = 0) -> None:
    """So many distinct errors within half a minute, each twice, in requests of `BATCH`."""
    for start in range(0, problems, BATCH):
        batch = [a_record(text_of(number), at=engine.now) for number in range(start, min(start + BATCH, problems))]
        engine.post(*batch)
        engine.post(
            *(a_record(text_of(number), at=engine.now) for number in range(start, min(start + BATCH, problems)))
        )
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
