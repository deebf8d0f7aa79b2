"""B19: what opens and resolves again and again is told once as flapping, then counted, then summed up."""

from __future__ import annotations

from alert_bridge.incidents.flapping import FLAP_CALM_S, FLAP_EPISODES, is_flapping
from alert_bridge.model import IncidentState
from tests.servers.engine import NS, START, Engine, a_record, a_success

MINUTE_S = 60.0


def fail(engine: Engine, number: int) -> None:
    engine.post(a_record("the feed is stale", at=engine.now, run=f"bad-{number}", stage="fetch"))
    engine.at(engine.seconds + MINUTE_S)


def succeed(engine: Engine, number: int) -> None:
    engine.post(a_success(f"good-{number}", engine.now, "fetch"))
    engine.at(engine.seconds + MINUTE_S)


def come_and_go(engine: Engine, times: int, *, first: int = 0) -> None:
    for number in range(first, first + times):
        fail(engine, number)
        succeed(engine, number)


def test_b19_a_flapping_incident_is_told_as_that_once_and_then_only_counted(engine):
    come_and_go(engine, FLAP_EPISODES)
    posts = len(engine.slack.posts)

    come_and_go(engine, 10, first=FLAP_EPISODES)

    assert len(engine.incidents()) == FLAP_EPISODES
    assert len(engine.slack.posts) == posts + 1
    assert "Flapping: resolved and back 3 times" in engine.slack.posts[-1].message.note
    assert "Flapping: resolved and back 12 times" in engine.slack.told[-1].message.note
    assert engine.slack.told[-1].earlier, "an edit"


def test_b19_it_ends_with_one_summary_after_a_success_and_a_calm_time(engine):
    come_and_go(engine, FLAP_EPISODES + 4)
    before = len(engine.slack.told)

    engine.at(engine.seconds + FLAP_CALM_S)

    last = engine.incidents()[-1]
    assert last.state is IncidentState.RESOLVED
    assert len(engine.slack.told) == before + 1
    assert "It came and went 7 times" in engine.slack.told[-1].message.note


def test_b19_it_does_not_end_by_calm_alone(engine):
    come_and_go(engine, FLAP_EPISODES)
    fail(engine, 99)

    engine.at(engine.seconds + 3 * FLAP_CALM_S)

    assert engine.incidents()[-1].state is IncidentState.OPEN


def test_b19_a_restart_in_between_changes_nothing(engine):
    come_and_go(engine, FLAP_EPISODES + 1)
    engine.restart()
    posts = len(engine.slack.posts)

    come_and_go(engine, 3, first=50)

    assert len(engine.incidents()) == FLAP_EPISODES
    assert len(engine.slack.posts) == posts


def test_b19_what_comes_back_every_day_is_news_each_time(engine):
    for day in range(FLAP_EPISODES + 2):
        engine.at(day * 86_400.0)
        come_and_go(engine, 1, first=day)

    assert len(engine.incidents()) == FLAP_EPISODES + 2


def test_b19_books_balance(engine):
    come_and_go(engine, FLAP_EPISODES + 5)
    engine.at(engine.seconds + FLAP_CALM_S + 60)

    book = engine.books()["slack"]
    assert (book.matched, book.delivered, book.balance) == (FLAP_EPISODES + 5, FLAP_EPISODES + 5, 0)


def test_only_what_opened_within_the_window_counts():
    hour = 3_600 * NS

    assert is_flapping([START - hour, START - 2 * hour, START - 3 * hour], now=START)
    assert not is_flapping([START - hour, START - 2 * hour, START - 7 * hour], now=START)
