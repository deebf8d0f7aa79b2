"""Texts that differ in one plain word: one problem from some moment on, for ever, unless a person says otherwise."""

from __future__ import annotations

import random
import string

from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alert_bridge.cli.explain import command
from alert_bridge.fingerprint.aliases import DISTINCT_WORDS, SETTLES_AFTER_S, Family
from alert_bridge.store.control import aliasing
from tests.servers.engine import NS, Engine, a_record, only_mdd, passing_engine

NAMES = ["cyrus", "news", "root", "guest", "operator", "backup", "games", "mail", "daemon", "nobody"]
LINES = [f"session opened for user {name}" for name in NAMES]
FORM = "session opened for user *"


def post(engine: Engine, *lines: str) -> None:
    for line in lines:
        engine.post(a_record(line, at=engine.now))


def an_hour_later(engine: Engine) -> None:
    engine.now += int(SETTLES_AFTER_S * NS)


def test_texts_that_differ_in_one_plain_word_are_one_problem_once_enough_were_seen(engine):
    post(engine, *LINES[:DISTINCT_WORDS])
    an_hour_later(engine)

    post(engine, *LINES)

    assert [incident.count for incident in engine.incidents()] == [1 + len(LINES), *[1] * (DISTINCT_WORDS - 1)]


def test_fewer_than_enough_words_stay_problems_of_their_own(engine):
    post(engine, *LINES[: DISTINCT_WORDS - 1])
    an_hour_later(engine)

    post(engine, *LINES[: DISTINCT_WORDS - 1])

    assert [incident.count for incident in engine.incidents()] == [2] * (DISTINCT_WORDS - 1)


def test_what_comes_in_one_burst_is_told_one_by_one(engine):
    post(engine, *LINES)

    assert len(engine.incidents()) == len(LINES)


def test_a_merge_survives_a_restart(engine):
    post(engine, *LINES[:DISTINCT_WORDS])
    an_hour_later(engine)
    engine.restart()

    post(engine, *LINES[DISTINCT_WORDS:], LINES[3])

    assert len(engine.incidents()) == DISTINCT_WORDS


def test_why_a_record_was_counted_with_another_text_is_written_down(engine):
    post(engine, *LINES[:-1])
    an_hour_later(engine)
    engine.post(a_record(LINES[-1], uid="the-last"))

    steps = [decision.step for decision in engine.reader.decisions("the-last")]
    assert "alias" in steps


def test_losing_the_table_splits_and_hides_nothing(engine):
    post(engine, *LINES)
    an_hour_later(engine)
    with engine.store.writing() as book:
        book.connection.execute("DELETE FROM alias_texts")
    engine.restart()

    post(engine, "session opened for user late")

    assert engine.incidents()[-1].title == "session opened for user late"
    assert engine.incidents()[-1].count == 1


def test_other_words_in_two_places_stay_problems_of_their_own(engine):
    post(engine, *(f"cannot {verb} the {thing}" for verb, thing in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)))
    an_hour_later(engine)
    post(engine, *(f"cannot {verb} the {thing}" for verb, thing in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)))

    assert len(engine.incidents()) == len(NAMES)


def test_a_person_sees_and_undoes_a_merge(engine):
    post(engine, *LINES)
    state = ["--state", str(engine.state)]

    shown = CliRunner().invoke(command, ["--aliases", *state])
    undone = CliRunner().invoke(command, ["--undo", FORM, "--by", "kim", *state])
    an_hour_later(engine)
    post(engine, "session opened for user late")

    assert FORM in shown.output
    assert "user cyrus" in shown.output
    assert undone.exit_code == 0, undone.output
    assert engine.incidents()[-1].title == "session opened for user late"
    assert CliRunner().invoke(command, ["--aliases", *state]).output == "Nothing is merged.\n"


def test_undoing_what_is_not_merged_says_what_is(engine):
    result = CliRunner().invoke(command, ["--undo", "no such *", "--state", str(engine.state)])

    assert result.exit_code != 0
    assert "explain --aliases" in str(result.exception)


def test_the_table_is_bounded_and_what_does_not_fit_is_told_apart(engine, monkeypatch):
    monkeypatch.setattr(aliasing, "TEXTS_PER_PLACE", 3)

    post(engine, *LINES[:6])
    an_hour_later(engine)
    post(engine, *LINES)

    assert len(engine.incidents()) == len(LINES)
    with engine.store.writing() as book:
        assert book.connection.execute("SELECT count(*) FROM alias_texts").fetchone()[0] == 3


WORD = st.text(string.ascii_lowercase, min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_what_is_merged_does_not_depend_on_the_order(pairs, dice: random.Random):
    lines = [f"user {user} may not open the {thing}" for user, thing in pairs]
    shuffled = dice.sample(lines, len(lines))

    assert _partition(lines) == _partition(shuffled)


def _partition(lines: list[str]) -> set[frozenset[str]]:
    family = Family("here")
    for line in lines:
        family.learn(line, line, at=0)
    groups: dict[str, set[str]] = {}
    for line in lines:
        groups.setdefault(family.leader(line, line, now=int(SETTLES_AFTER_S * NS)), set()).add(line)
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=30), st.integers(0, 30))
def test_a_restart_at_any_moment_changes_no_merge(lines, restart_at):
    def counts(restart: int) -> list[tuple[str, int]]:
        with passing_engine(only_mdd()) as engine:
            for number, line in enumerate(lines):
                if number == restart:
                    engine.restart()
                engine.now += int(SETTLES_AFTER_S / 8) * NS
                engine.post(a_record(line, at=engine.now + number))
            return sorted((incident.title, incident.count) for incident in engine.incidents())

    assert counts(restart_at) == counts(-1)
