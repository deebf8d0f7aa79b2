"""The thread that looks after everything nobody sends a record for, a few times a second; each step is short."""

from __future__ import annotations

from collections.abc import Callable

from alert_bridge.operations.expectations import RUN_END, count, missed_at
from alert_bridge.operations.noticing import end_of, notice, open_case_of
from alert_bridge.operations.orders import carry_out_orders
from alert_bridge.operations.punctuality import Quietness, watch_schedules, watch_silence
from alert_bridge.operations.quiet_end import plan_anew, tell_after_quiet
from alert_bridge.operations.reviewing import Arrivals, look_at, tell_of
from alert_bridge.operations.silencing import carry_out_silences
from alert_bridge.outbox import Rounds, Rules
from alert_bridge.policy import cron
from alert_bridge.policy.model import Expectation, Policy
from alert_bridge.store.control import ControlStore
from alert_bridge.store.interface import ControlReader, TelemetryReader

__all__ = ["Overseer"]

NS = 1_000_000_000
EVERY_S = 0.25  # what a person asks for is done before they look up
WATCH_EVERY_S = 5.0  # schedules, silent runs
REVIEW_EVERY_S = 1.0
QUEUES_DRAIN_S = 60.0  # after a start
JUDGE_AGAIN_S = 60.0  # what was missing at its time may still come


class Overseer(Rounds):
    """Carries out orders and silences, ends quiet hours, reviews runs that ended, watches schedules and silence.

    Args:
        store: control.db.
        control: the same, for reading.
        telemetry: the bulk lane's store.
        policy: the policy in force, asked anew for each step.
        rules: what the engine needs of it.
        clock: nanoseconds since the epoch.
        new_id: an unguessable incident id.
        wake: called after a commit with the channels that have something new to say.
    """

    def __init__(
        self,
        store: ControlStore,
        *,
        control: ControlReader,
        telemetry: TelemetryReader,
        policy: Callable[[], Policy],
        rules: Callable[[], Rules],
        clock: Callable[[], int],
        new_id: Callable[[], str],
        wake: Callable[[set[str]], None],
    ) -> None:
        super().__init__("overseer", every_s=EVERY_S)
        self._store = store
        self._control = control
        self._telemetry = telemetry
        self._arrivals = Arrivals(telemetry)
        self._policy = policy
        self._rules = rules
        self._clock = clock
        self._new_id = new_id
        self._wake = wake
        self._planned_by: Policy | None = None
        self._watched_at = self._reviewed_at = 0
        self._began_at = clock()
        self._judged: dict[Expectation, int] = {}  # when to judge it again

    def step(self) -> None:
        """Do what is due."""
        now = self._clock()
        channels = self._carry_out(now)
        if now - self._reviewed_at >= REVIEW_EVERY_S * NS:
            self._reviewed_at = now
            channels |= self._review(now)
        if now - self._watched_at >= WATCH_EVERY_S * NS:
            self._watched_at = now
            channels |= self._watch(now)
        if channels:
            self._wake(channels)

    def _carry_out(self, now: int) -> set[str]:
        policy, rules = self._policy(), self._rules()
        with self._store.writing() as book:
            channels = carry_out_orders(book, rules, now=now)
            channels |= carry_out_silences(book, rules, now=now)
            if self._planned_by is not policy:
                channels |= plan_anew(book, rules, now=now)
            channels |= tell_after_quiet(book, rules, now=now, new_id=self._new_id)
        self._planned_by = policy
        return channels

    def _review(self, now: int) -> set[str]:
        policy, rules = self._policy(), self._rules()
        with self._store.writing() as book:
            book.note_ends(now=now)
            waiting = [(run, book.last_good_run(run)) for run in book.unreviewed_runs()]
        channels: set[str] = set()
        for run, last_good in waiting:
            arrival = self._arrivals.of(run, policy, now=now)
            if arrival is None:
                continue
            review = look_at(run, last_good, arrival, policy=policy, control=self._control, telemetry=self._telemetry)
            with self._store.writing() as book:
                channels |= tell_of(book, review, policy, rules, now=now, new_id=self._new_id)
        return channels

    def _watch(self, now: int) -> set[str]:
        policy, rules = self._policy(), self._rules()
        channels: set[str] = set()
        # What came while nobody was here waits in the Collectors' queues: a run may have started, or spoken.
        if now - self._began_at < QUEUES_DRAIN_S * NS:
            return channels
        if policy.runs:
            with self._store.writing() as book:
                channels |= watch_schedules(book, policy, rules, now=now, new_id=self._new_id)
                watched = [key for key, plan in policy.runs.items() if plan.silent_after is not None]
                running = [run for key in watched for run in book.running(key)]
            quietness = [Quietness(run, max(self._telemetry.last_word(run.run_id), self._began_at)) for run in running]
            with self._store.writing() as book:
                channels |= watch_silence(book, policy, rules, quietness, now=now, new_id=self._new_id)
        for expectation in policy.expectations:
            if expectation.by != RUN_END:
                channels |= self._judge(expectation, policy, rules, now)
        return channels

    def _judge(self, expectation: Expectation, policy: Policy, rules: Rules, now: int) -> set[str]:
        """An expectation with a time: judged once after each of its moments, by the runs since the one before."""
        due = cron.latest(expectation.by, now)
        if self._judged.get(expectation, 0) > now:
            return set()
        before = cron.latest(expectation.by, due - 1)
        pipeline = expectation.pipeline.pattern
        with self._store.writing() as book:
            since = book.watched_since(f"expect/{pipeline}/{expectation.record.pattern}/{expectation.by}", now=now)
            runs = [run for run in book.runs_since(before, until=now) if expectation.pipeline.matches(run.pipeline)]
        if not due or due < since:
            return set()
        found = count(expectation, [run.run_id for run in runs], self._telemetry)
        met = found >= expectation.least
        self._judged[expectation] = cron.following(expectation.by, now) if met else now + int(JUDGE_AGAIN_S * NS)
        said = missed_at(expectation, pipeline, due, found)
        with self._store.writing() as book:
            if not met:
                return notice(book, said, policy, rules, now=now, new_id=self._new_id)
            case = open_case_of(book, said)
            return end_of(book, case, "it happened", rules, now=now) if case is not None else set()
