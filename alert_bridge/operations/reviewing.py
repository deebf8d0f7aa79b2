"""The end of a run, looked at once its log is there: what was expected is judged, and the digest is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alert_bridge.digests import RUN, RunDigest
from alert_bridge.model import Duty, Recipient
from alert_bridge.operations.expectations import due_at_end_of, missing_in_words, settle_expectation, unmet
from alert_bridge.operations.noticing import resource_of
from alert_bridge.operations.run_summary import summarise
from alert_bridge.operations.telling import digest_record, tell_digest
from alert_bridge.outbox import Rules
from alert_bridge.outbox.trouble import OWN_PIPELINE
from alert_bridge.policy.model import Expectation, Policy
from alert_bridge.routing import on_duty
from alert_bridge.store.control.database import Book
from alert_bridge.store.control.reviews import RunRow
from alert_bridge.store.interface import ControlReader, RunSummary, TelemetryReader
from instrumentation import attributes as names

__all__ = ["Arrival", "Arrivals", "Review", "look_at", "tell_of"]

NS = 1_000_000_000
SETTLE_S = 2.0  # without a new record: other processes of the run may have had the last word
MISSED_SETTLE_S = 6.0  # the same before something is called missing, where the end does not tell how long the log is
WAIT_FOR_LOG_S = 120.0  # then it is judged by what is there, and says so
OLDEST_TOLD_S = 7 * 86_400.0  # an end that is told of later than this is no news

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Review:
    """What was found about one run that ended."""

    run: RunRow
    unmet: tuple[tuple[Expectation, int], ...]
    digest: RunDigest | None  # None: nobody gets one
    log_arrived: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a run that ended can be judged by, now."""

    log_arrived: bool
    unmet: Sequence[tuple[Expectation, int]] | None  # None: not looked for yet


class Arrivals:
    """Which runs that ended have their log in the bulk lane's store: as long as their end says, or come to rest.

    Records travel by another way than the end does, and later where something on that way is down.
    """

    def __init__(self, telemetry: TelemetryReader) -> None:
        self._telemetry = telemetry
        self._resting: dict[str, tuple[int, int]] = {}  # by run: how many records there are, and since when

    def of(self, run: RunRow, policy: Policy, *, now: int) -> Arrival | None:
        """What there is of the run; None: look again later."""
        missing, is_whole = None, None
        try:
            summary = self._telemetry.run(run.run_id)
            has_arrived = summary is not None and summary.ended > 0
            rested_s = self._rested_s(run.run_id, summary.records, now) if summary and has_arrived else 0.0
            if rested_s >= SETTLE_S:
                missing = unmet(policy, run, self._telemetry)
                is_whole = _is_whole(summary, self._telemetry) if summary and missing else None
        except Exception:  # whatever is wrong with the bulk lane, the run's end is told
            log.warning("The end of run %s could not be looked up", run.run_id, exc_info=True)
            has_arrived, rested_s, missing = False, 0.0, None
        settle_s = MISSED_SETTLE_S if missing and not is_whole else SETTLE_S
        if (rested_s < settle_s or is_whole is False) and now - run.seen_at < WAIT_FOR_LOG_S * NS:
            return None
        self._resting.pop(run.run_id, None)
        return Arrival(has_arrived and is_whole is not False, missing)

    def _rested_s(self, run_id: str, records: int, now: int) -> float:
        known, since = self._resting.get(run_id, (-1, now))
        if known != records:
            since = now
        self._resting[run_id] = records, since
        return (now - since) / NS


def _is_whole(summary: RunSummary, telemetry: TelemetryReader) -> bool | None:
    """Whether as many records are there as the run's end says; None if it does not say."""
    ends = (one for one in telemetry.run_events(summary.run_id) if one.event_name == names.EVENT_RUN_END)
    written = [count for one in ends if isinstance(count := one.attributes.get(names.RUN_RECORDS), int)]
    return summary.records >= max(written) if written else None


def look_at(
    run: RunRow,
    last_good: RunRow | None,
    arrival: Arrival,
    *,
    policy: Policy,
    control: ControlReader,
    telemetry: TelemetryReader,
) -> Review:
    """Read what there is about the run. Outside of any transaction: it may take a second."""
    log_arrived = arrival.log_arrived
    note = "" if log_arrived else "the run's log has not arrived yet"
    try:
        missing = unmet(policy, run, telemetry) if arrival.unmet is None else arrival.unmet
        words = [missing_in_words(expectation, found) for expectation, found in missing]
        wanted = run.is_named and policy.digest_to
        digest = (
            summarise(run, last_good, words, control=control, telemetry=telemetry, policy=policy, note=note)
            if wanted
            else None
        )
    except Exception:  # a digest without figures is better than none, and an expectation that cannot be judged is told
        log.exception("Run %s could not be summarised", run.run_id)
        missing = [(one, 0) for one in due_at_end_of(run, policy)]
        digest = RunDigest(
            run.run_id,
            run.pipeline,
            run.environment,
            run.result,
            run.started,
            run.ended,
            note="the run's log could not be read",
        )
        log_arrived = False
    return Review(run, tuple(missing), digest if run.is_named else None, log_arrived)


def tell_of(
    book: Book, review: Review, policy: Policy, rules: Rules, *, now: int, new_id: Callable[[], str]
) -> set[str]:
    """Write down what follows, in one transaction; returns channels that have something new to say."""
    run = review.run
    channels: set[str] = set()
    found = dict(review.unmet)
    for expectation in due_at_end_of(run, policy):
        channels |= settle_expectation(
            book,
            expectation,
            run,
            found.get(expectation),
            policy,
            rules,
            log_arrived=review.log_arrived,
            now=now,
            new_id=new_id,
        )
    book.reviewed(run.run_id, now=now)
    if review.digest is None or now - run.ended > OLDEST_TOLD_S * NS:
        return channels
    record = digest_record(
        RUN,
        f"{run.pipeline} ended: {run.result or 'no result'}",
        review.digest.to_value(),
        uid=f"{OWN_PIPELINE}/digest/{run.run_id}",
        resource=resource_of(run.pipeline, run.environment, run.run_id),
        now=now,
    )
    return channels | tell_digest(book, rules, record, _readers(policy, now), now=now, new_id=new_id)


def _readers(policy: Policy, now: int) -> tuple[Recipient, ...]:
    """Who gets the digest, each address once."""
    behind: dict[tuple[str, str], list[str]] = {}
    for key in policy.digest_to:
        contact = on_duty(key, policy, now)
        pairs = [("slack", contact.slack)] if contact.slack else []
        for pair in [*pairs, *(("email", address) for address in contact.email)]:
            behind.setdefault(pair, []).append(key)
    return tuple(
        Recipient(channel, address, tuple(keys), _duty(keys, policy), "the digest at the end of a run")
        for (channel, address), keys in sorted(behind.items())
    )


def _duty(keys: Sequence[str], policy: Policy) -> Duty:
    return Duty.ACT if any(policy.audiences[key].duty is Duty.ACT for key in keys) else Duty.INFORM
