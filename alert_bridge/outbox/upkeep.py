"""What must happen though nothing arrives: incidents end by time, old rows go, channels get a second chance."""

from __future__ import annotations

from collections.abc import Callable

from alert_bridge.incidents import expire, expires, revived
from alert_bridge.incidents.resolve import TEST_RESOLVES_AFTER_S
from alert_bridge.incidents.storm import STORM_OVER_AFTER_S
from alert_bridge.outbox.planning import Rules, replan
from alert_bridge.outbox.rounds import Rounds
from alert_bridge.policy.model import Policy
from alert_bridge.store.control import Ages, ControlStore

__all__ = ["Upkeep", "begin", "revive"]

NS = 1_000_000_000
EVERY_S = 5.0
PRUNE_EVERY_S = 3_600.0
SEEN_KEPT_S = 30 * 86_400.0  # a Collector's queue may bring a second copy days later
TRAIL_KEPT_S = 90 * 86_400.0  # decisions, records of incidents that are over, steps of runs, digests
PREVIEWS_KEPT = 2_000
EDITS_KEPT_S = 7 * 86_400.0  # of what was edited into a message; first messages and their receipts stay
REVIVED_WITHIN_S = 7 * 86_400.0  # what is older is no news any more; it stays on the page, as not told


def begin(store: ControlStore, *, now: int) -> int:
    """Put back what was being sent when the process before this one ended; returns how many."""
    with store.writing() as book:
        interrupted = book.interrupted()
        for notice_id in interrupted:
            detail = "the bridge ended while this was being sent; it may have arrived, and is sent again"
            book.receipt(notice_id, now=now, outcome="ambiguous", detail=detail)
    return len(interrupted)


def revive(store: ControlStore, rules: Rules, *, now: int) -> int:
    """Queue again what a broken channel refused and nobody else was told, after a person may have mended it."""
    with store.writing() as book:
        given_up = book.given_up(opened_after=now - int(REVIVED_WITHIN_S * NS))
        for incident_id, conversation_id in given_up:
            case = book.case(incident_id)
            assert case is not None, "a conversation has its incident"
            talk = revived(next(talk for talk in case.talks if talk.id == conversation_id))
            book.save_talk(incident_id, talk)
            replan(book, case, talk, rules, now=now)
            book.decide(
                now, incident_id, "send", f"{talk.recipient.channel} to {talk.recipient.address} is tried again"
            )
    return len(given_up)


class Upkeep(Rounds):
    """Runs every few seconds; each step is one short transaction."""

    def __init__(
        self,
        store: ControlStore,
        *,
        policy: Callable[[], Policy],
        rules: Callable[[], Rules],
        clock: Callable[[], int],
        wake: Callable[[set[str]], None],
    ) -> None:
        super().__init__("upkeep", every_s=EVERY_S)
        self._store = store
        self._policy = policy
        self._rules = rules
        self._clock = clock
        self._wake = wake
        self._pruned_at = 0

    def step(self) -> None:
        """End what is over by time, and remove what is old enough."""
        now = self._clock()
        channels = self._expire(now)
        if channels:
            self._wake(channels)
        if now - self._pruned_at >= PRUNE_EVERY_S * NS:
            self._pruned_at = now
            self._prune(now)

    def _prune(self, now: int) -> None:
        kept = self._policy().retention

        def before(seconds: float) -> int:
            return now - int(seconds * NS)

        ages = Ages(
            seen=before(SEEN_KEPT_S),
            trail=before(min(TRAIL_KEPT_S, kept.incidents)),
            edits=before(min(EDITS_KEPT_S, kept.incidents)),
            incidents=before(kept.incidents),
            issues=before(kept.issues),
        )
        gone = 1
        while gone and not self._stopped.is_set():
            with self._store.writing() as book:  # a step at a time: intake must not wait long
                gone = book.prune_step(ages, previews_kept=PREVIEWS_KEPT)
            if gone:
                self._store.give_back()

    def _expire(self, now: int) -> set[str]:
        rules = self._rules()
        resolve_after = rules.grouping.resolve_after
        limits = (TEST_RESOLVES_AFTER_S, STORM_OVER_AFTER_S, resolve_after)
        shortest = min(limit for limit in limits if limit is not None)
        channels: set[str] = set()
        with self._store.writing() as book:
            for case in book.idle_cases(taken_before=now - int(shortest * NS)):
                if not expires(case, resolve_after=resolve_after, now=now):
                    continue
                over = book.save_case(expire(case, now=now))
                book.decide(now, over.incident.id, "resolve", "nothing came for as long as the policy waits")
                for talk in over.talks:
                    replan(book, over, talk, rules, now=now)
                    channels.add(talk.recipient.channel)
        return channels
