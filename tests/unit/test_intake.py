"""The intake thread: one commit for what waits, an answer after it, and no record that holds up the others."""

from __future__ import annotations

import json
import sqlite3
import time
from itertools import count

import pytest

from alert_bridge.errors import StoreBusy, Undecodable
from alert_bridge.intake import Intake, Request, Waiting, service, sift
from alert_bridge.model import Severity
from alert_bridge.outbox import rules_of
from alert_bridge.policy.model import Match, Rule, Settings
from alert_bridge.store.control import ControlStore, open_reader
from tests.servers.engine import a_policy, a_record
from tests.servers.otlp_client import PROTOBUF, logs_request, record

ANSWER_WITHIN_S = 60


@pytest.fixture
def intake(tmp_path):
    store = ControlStore(tmp_path)
    ids = count(1)
    policy = a_policy()
    thread = Intake(
        store,
        policy=lambda: policy,
        rules=lambda: rules_of(policy, {}),
        clock=time.time_ns,
        new_id=lambda: f"incident-{next(ids)}",
        wake=lambda _channels: None,
    )
    yield thread
    if thread.is_alive():
        thread.stop()
        thread.join(ANSWER_WITHIN_S)
    store.close()


def submit(intake, *records):
    return intake.submit(logs_request(*records), PROTOBUF, "")


def incidents(tmp_path):
    reader = open_reader(tmp_path)
    try:
        return sorted((incident.title, incident.count) for incident in reader.incidents())
    finally:
        reader.close()


def test_requests_that_wait_share_one_commit(tmp_path, intake):
    futures = [submit(intake, record("boom", uid=f"u{number}")) for number in range(50)]

    intake.start()
    answers = [future.result(ANSWER_WITHIN_S) for future in futures]

    assert [answer.records for answer in answers] == [1] * 50
    assert incidents(tmp_path) == [("boom", 50)]


def test_one_bad_request_does_not_fail_those_that_wait_with_it(tmp_path, intake):
    good, bad = submit(intake, record("boom")), intake.submit(b"\xff garbage", PROTOBUF, "")

    intake.start()

    assert good.result(ANSWER_WITHIN_S).records == 1
    with pytest.raises(Undecodable):
        bad.result(ANSWER_WITHIN_S)


def test_a_record_that_breaks_our_own_code_is_a_dead_letter_and_its_neighbours_are_told(tmp_path, intake, monkeypatch):
    whole = service.take

    def fails_on_poison(book, sifted, *rest, **named):
        if any("poison" in item.record.body for item in sifted):
            raise ZeroDivisionError
        return whole(book, sifted, *rest, **named)

    monkeypatch.setattr(service, "take", fails_on_poison)
    future = submit(intake, record("poison"), record("boom"))

    intake.start()

    assert future.result(ANSWER_WITHIN_S).rejected == 1
    assert incidents(tmp_path) == [("boom", 1)]
    reader = open_reader(tmp_path)
    assert reader.counters()["dead_letters"] == 1
    reader.close()


def test_a_record_that_cannot_be_judged_is_a_dead_letter_too(tmp_path, intake, monkeypatch):
    whole = service.sift

    def fails_on_poison(one, policy, now):
        if one.body == "poison":
            raise ZeroDivisionError
        return whole(one, policy, now)

    monkeypatch.setattr(service, "sift", fails_on_poison)
    future = submit(intake, record("poison"), record("boom"))

    intake.start()

    assert future.result(ANSWER_WITHIN_S).rejected == 1
    assert incidents(tmp_path) == [("boom", 1)]


def test_a_locked_store_refuses_all_that_wait_and_writes_nothing(tmp_path, intake):
    intake._store._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    futures = [submit(intake, record("boom", uid=f"u{number}")) for number in range(3)]

    intake.start()

    for future in futures:
        with pytest.raises(StoreBusy):
            future.result(ANSWER_WITHIN_S)
    other.execute("ROLLBACK")
    other.close()
    assert incidents(tmp_path) == []


def test_a_queue_that_is_full_says_busy_at_once(intake, monkeypatch):
    futures = [submit(intake, record()) for _ in range(service.REQUESTS_WAITING_MOST + 1)]

    with pytest.raises(StoreBusy):
        futures[-1].result(0)


def test_b20_what_waits_is_bounded_in_bytes_and_a_single_large_request_always_fits(intake, monkeypatch):
    size = len(logs_request(record("x" * 1_000)))
    monkeypatch.setattr(intake, "_waiting", Waiting(requests_most=100, bytes_most=3 * size))
    huge = Waiting(requests_most=100, bytes_most=10)

    answers = [submit(intake, record("x" * 1_000)) for _ in range(5)]

    assert [answer.done() for answer in answers] == [False, False, False, True, True]
    assert isinstance(answers[4].exception(), StoreBusy)
    assert huge.put(Request(b"x" * 1_000, PROTOBUF, ""))
    assert not huge.put(Request(b"x", PROTOBUF, ""))


def test_what_is_taken_at_once_is_bounded_in_number_and_bytes():
    waiting = Waiting(requests_most=100, bytes_most=1_000_000)
    for _ in range(10):
        assert waiting.put(Request(b"x" * 10, PROTOBUF, ""))
    waiting.end()

    taken = [
        waiting.gather(4, weight_most=1_000),
        waiting.gather(100, weight_most=20),
        waiting.gather(100, weight_most=99),
    ]

    assert [(len(requests), ended) for requests, ended in taken] == [(4, False), (2, False), (4, True)]
    assert waiting.requests == 0


def test_what_is_sifted_holds_no_secret():
    dirty = a_record("login with password=hunter2-hunter2", attributes={"api_key": "AKIAABCDEFGHIJKLMNOP"})

    item = sift(dirty, a_policy(), 0)

    assert "hunter2" not in json.dumps([item.record.body, dict(item.record.attributes), item.event.title])
    assert "AKIA" not in json.dumps(dict(item.record.attributes))


def test_a_rule_that_drops_leaves_no_recipient():
    drop = Rule(Match((("body", "*noise*"),)), Settings(drop=True), 9)

    item = sift(a_record("just noise"), a_policy(rules=(drop,)), 0)

    assert (item.tells, item.event.recipients) == (False, ())
    assert item.trail == ("line 9: dropped",)


def test_what_is_neither_error_nor_event_is_nothing():
    assert sift(a_record("all well", Severity.INFO), a_policy(), 0) is None
