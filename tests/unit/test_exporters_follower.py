"""The follower on real stores: cursors, books, repeats, drops, pauses; the target is scripted."""

from __future__ import annotations

import threading
import time
from collections import deque

import pytest

from alert_bridge.errors import DeliveryError, Permanent, Retryable
from alert_bridge.exporters import Batch, Follower, Signal, Taken
from alert_bridge.exporters.base import Tally
from alert_bridge.exporters.breaker import LONGEST_PAUSE_S, NS, Breaker
from alert_bridge.model import MetricPoint, Severity
from alert_bridge.store.exports import export_states
from tests.servers.bridge import WAIT_WITHIN_S, wait_for
from tests.servers.pipeline import StoredPipeline

AWAY = Retryable("away", code="away")


class Target:
    """Takes everything, unless errors are lined up; remembers what it was handed."""

    name = "target"
    setup = "a test's"
    url = ""

    def __init__(self, signals=frozenset({Signal.LOGS})) -> None:
        self.signals = frozenset(signals)
        self.batches: list[Batch] = []
        self.errors: deque[DeliveryError | None] = deque()
        self.memory: dict[str, str] = {}
        self.to_remember: dict[str, str | None] = {}
        self.hang = threading.Event()
        self.hang.set()

    def recall(self, memory) -> None:
        self.memory = dict(memory)

    def take(self, batch: Batch) -> Taken:
        self.hang.wait(WAIT_WITHIN_S)
        if batch:
            self.batches.append(batch)
            error = self.errors.popleft() if self.errors else None
            if error is not None:
                raise error
        counts = {
            Signal.LOGS: Tally(sent=len(batch.logs)),
            Signal.SPANS: Tally(sent=len(batch.spans)),
            Signal.POINTS: Tally(sent=len(batch.points)),
            Signal.INCIDENTS: Tally(sent=len(batch.incidents)),
        }
        return Taken({signal: counts[signal] for signal in self.signals}, self.to_remember)

    def close(self) -> None:
        self.hang.set()

    @property
    def bodies(self) -> list[str]:
        return [record.body for batch in self.batches for record in batch.logs]


class Clock:
    def __init__(self) -> None:
        self.now = time.time_ns()

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def stored(tmp_path):
    with StoredPipeline(tmp_path / "state") as pipeline:
        yield pipeline


def steps(follower: Follower, clock: Clock, count: int = 5, seconds: float = 1.0) -> None:
    for _ in range(count):
        follower.step()
        clock.now += int(seconds * NS)


def books(stored, signal: str = "logs"):
    (state,) = export_states(stored.state)
    return next(book for book in state.books if book.signal == signal)


def close(follower: Follower) -> None:
    for part in (follower._source, follower._ledger):
        if part is not None:
            part.close()


@pytest.fixture
def follow(stored):
    """Starts a follower that `steps` drives; another one on the same state is its next life."""
    begun = []

    def begin(target: Target, clock: Clock) -> Follower:
        begun.append(Follower(target, stored.state, clock=clock))
        return begun[-1]

    yield begin
    for follower in begun:
        close(follower)


def test_what_is_stored_is_handed_over_once_and_in_order(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    follower = follow(target, clock)
    for number in range(5):
        run.log(f"line {number}")
    steps(follower, clock)
    run.log("line 5")

    steps(follower, clock)

    assert target.bodies == [f"line {number}" for number in range(6)]
    assert (books(stored).sent, books(stored).waiting, books(stored).balance) == (6, 0, 0)


def test_a_batch_that_failed_comes_again_and_says_so(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    follower = follow(target, clock)
    steps(follower, clock)  # an empty ledger knows that nothing can be there yet
    run.log("one")
    target.errors.append(AWAY)

    steps(follower, clock, 1)
    run.log("two")
    steps(follower, clock)

    assert [[record.body for record in batch.logs] for batch in target.batches] == [["one"], ["one", "two"]]
    assert [batch.again for batch in target.batches] == [False, True]
    assert (books(stored).sent, books(stored).balance) == (2, 0)


def test_a_crash_between_target_and_ledger_is_known_in_the_next_life(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    first = follow(target, clock)
    steps(first, clock)
    run.log("told before the crash")
    first._settle = lambda *_: None  # the target has it; then the process dies

    steps(first, clock, 1)
    close(first)
    second = follow(target, clock)
    steps(second, clock)
    run.log("told after it")
    steps(second, clock)

    assert [(batch.logs[0].body, batch.again) for batch in target.batches] == [
        ("told before the crash", False),
        ("told before the crash", True),
        ("told after it", False),
    ]
    assert (books(stored).sent, books(stored).balance) == (2, 0)


def test_what_an_exporter_wants_to_remember_moves_with_the_cursor(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    first = follow(target, clock)
    run.log("one")
    target.to_remember = {"a": "1", "b": "2"}
    steps(first, clock)
    target.to_remember = {"b": None}
    steps(first, clock)
    close(first)

    second = follow(target, clock)
    steps(second, clock, 1)

    assert target.memory == {"a": "1"}


def test_what_retention_took_before_it_was_sent_is_counted_exactly(stored, follow):
    old, new, target, clock = stored.run("old"), stored.run("new"), Target(), Clock()
    old.shift = -7200.0
    target.errors.extend([AWAY] * 3)
    follower = follow(target, clock)
    for number in range(7):
        old.log(f"old {number}")
        new.log(f"new {number}")
    steps(follower, clock, 3)

    while stored.store.drop_before(clock.now - 3600 * NS):
        pass
    seen_while_away = books(stored)
    steps(follower, clock, 60)

    assert (seen_while_away.waiting, seen_while_away.dropped) == (7, 7)
    assert target.bodies[-7:] == [f"new {number}" for number in range(7)]
    assert (books(stored).sent, books(stored).dropped, books(stored).waiting, books(stored).balance) == (7, 7, 0, 0)


def test_retention_that_took_everything_is_counted_without_a_newer_record(stored, follow):
    run, target, clock = stored.run("old"), Target(), Clock()
    run.shift = -7200.0
    target.errors.append(AWAY)
    follower = follow(target, clock)
    for number in range(3):
        run.log(f"old {number}")
    steps(follower, clock, 1)

    while stored.store.drop_before(clock.now):
        pass
    steps(follower, clock)

    assert (books(stored).dropped, books(stored).waiting, books(stored).balance) == (3, 0, 0)


def test_a_point_that_came_twice_is_no_point_that_retention_took(stored, follow):
    target, clock = Target({Signal.POINTS}), Clock()
    follower = follow(target, clock)
    points = [MetricPoint("loss", "", "gauge", clock.now + number, float(number)) for number in range(4)]

    stored.store.append_metrics([points[0], points[0], points[1]])
    stored.store.append_metrics(points)
    steps(follower, clock)

    assert [point.value for batch in target.batches for point in batch.points] == [0.0, 1.0, 2.0, 3.0]
    assert (books(stored, "points").sent, books(stored, "points").dropped) == (4, 0)


def test_a_new_exporter_begins_with_the_last_day(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    run.shift = -25 * 3600.0
    run.log("the day before")
    run.shift = -23 * 3600.0
    run.log("yesterday")
    follower = follow(target, clock)

    steps(follower, clock)

    assert target.bodies == ["yesterday"]
    assert (books(stored).sent, books(stored).balance) == (1, 0)


def test_a_backlog_is_drawn_in_bounded_batches(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    stored.store.append_logs([run.record(f"line {number}") for number in range(2_500)])
    follower = follow(target, clock)

    waits = [follower.step() for _ in range(3)]

    assert [len(batch.logs) for batch in target.batches] == [1_000, 1_000, 500]
    assert [batch.caught_up for batch in target.batches] == [False, False, True]
    assert waits[:2] == [0.0, 0.0]


def test_an_incident_comes_after_it_settled_and_again_only_when_it_changed(stored, follow):
    run, target, clock = stored.run("run"), Target({Signal.INCIDENTS}), Clock()
    follower = follow(target, clock)
    run.log("boom", Severity.ERROR)
    clock.now = stored.engine.incidents()[0].opened_at
    steps(follower, clock, 1, seconds=0.5)
    at_once = len(target.batches)

    steps(follower, clock, 5)
    settled = [incident.count for batch in target.batches for incident in batch.incidents]
    run.log("boom", Severity.ERROR)
    steps(follower, clock, 5)

    assert at_once == 0
    assert settled == [1]
    assert [incident.count for batch in target.batches for incident in batch.incidents] == [1, 2]


def test_two_exporters_do_not_wait_for_one_another(stored):
    run, slow, quick = stored.run("run"), Target(), Target()
    slow.name = "slow"
    slow.hang.clear()
    followers = [Follower(target, stored.state, clock=time.time_ns) for target in (slow, quick)]
    for follower in followers:
        follower.start()

    run.log("one")
    wait_for(lambda: quick.bodies, WAIT_WITHIN_S / 2)  # less than the slow one hangs

    assert (quick.bodies, slow.bodies) == (["one"], [])
    for follower in followers:
        follower.stop()
    for follower in followers:
        follower.join(WAIT_WITHIN_S)
    assert not any(follower.is_alive() for follower in followers)


def test_a_bug_in_an_exporter_is_said_and_loses_nothing(stored, follow, caplog):
    run, target, clock = stored.run("run"), Target(), Clock()
    follower = follow(target, clock)
    target.errors.append(ValueError("a bug"))
    run.log("one")

    steps(follower, clock, 1)
    (failing,) = export_states(stored.state)
    steps(follower, clock, 60)

    assert "ValueError: a bug" in failing.last_error
    assert failing.failing_since > 0
    assert target.bodies == ["one", "one"]
    (well,) = export_states(stored.state)
    assert (well.failing_since, books(stored).sent) == (0, 1)


def test_the_breaker_opens_after_three_failures_and_probes_ever_more_rarely():
    breaker, pauses = Breaker(), []
    now = 1_000 * NS

    for _ in range(12):
        assert breaker.may_try(now)
        breaker = breaker.failed(now)
        assert not breaker.may_try(breaker.next_try_at - 1)
        pauses.append((breaker.next_try_at - now) / NS)
        now = breaker.next_try_at

    assert pauses == [0.5, 0.5, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    assert breaker.failing_since == 1_000 * NS
    assert breaker.succeeded() == Breaker()


def test_the_breaker_waits_as_long_as_it_was_asked_to_but_not_for_ever():
    assert Breaker().failed(0, retry_after=7.0).next_try_at == 7 * NS
    assert Breaker().failed(0, retry_after=86_400.0).next_try_at == LONGEST_PAUSE_S * NS
    assert Breaker().failed(0, for_good=True).next_try_at == LONGEST_PAUSE_S * NS


def test_a_target_that_refuses_us_for_good_is_asked_rarely_and_keeps_its_backlog(stored, follow):
    run, target, clock = stored.run("run"), Target(), Clock()
    follower = follow(target, clock)
    target.errors.append(Permanent("the key is wrong", code="401"))
    run.log("one")

    steps(follower, clock, 20)

    assert len(target.batches) == 1
    assert books(stored).waiting == 1
