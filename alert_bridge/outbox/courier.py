"""The thread of one channel: takes the most urgent notice out, tells it, writes the receipt. Nothing else sends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from alert_bridge import retry
from alert_bridge.channels.base import Channel, Delivered
from alert_bridge.errors import DeliveryError, Retryable, StoreBusy
from alert_bridge.incidents import posts_anew
from alert_bridge.incidents.storm import STORM_ALONE
from alert_bridge.messages import compose
from alert_bridge.outbox.planning import Rules
from alert_bridge.outbox.settle import settle_delivered, settle_failed
from alert_bridge.outbox.story import gather
from alert_bridge.policy.model import Policy
from alert_bridge.store.control import ControlStore, Lease
from alert_bridge.store.interface import TelemetryReader

__all__ = ["Courier", "Office"]

NS = 1_000_000_000
LONGEST_SLEEP_S = 60.0  # a clock that was set is noticed after this
STORE_BUSY_WAIT_S = 0.5
UNEXPECTED_WAIT_S = 5.0
ERROR_CHARACTERS = 300
FOLDED_TOLD_MOST = 8  # of what is told as part of an incident; its page lists all
PACED_ADDRESSES_MOST = 500  # of the last ones written to; more would not fit into one statement
HEARD_OF_WINDOW_S = 60.0  # a pipeline that an address heard much of within it lets others go first
HEARD_OF_MOST = 10_000  # messages remembered for that

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Office:
    """What all couriers share."""

    store: ControlStore
    policy: Callable[[], Policy]
    rules: Callable[[], Rules]
    telemetry: Callable[[], TelemetryReader | None]
    public_url: str
    clock: Callable[[], int] = time.time_ns
    jitter: Callable[[], float] = random.random
    new_id: Callable[[], str] = str
    on_delivered: Callable[[str, float], None] = lambda _channel, _seconds: None
    wake: Callable[[set[str]], None] = lambda _channels: None
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (channel, outcome) -> tries


class Courier(threading.Thread):
    """Delivers one channel's notices until it is stopped."""

    def __init__(self, channel: Channel, office: Office) -> None:
        super().__init__(name=f"courier-{channel.name}", daemon=True)
        self.channel = channel
        self.last_step_at = office.clock()  # for whoever watches that this thread still moves
        self._office = office
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._paused_at = self._paused_until = 0
        self._failures = 0
        self._written_at: dict[str, int] = {}  # address -> when it was last written to
        self._heard_of: deque[tuple[int, str, str]] = deque(maxlen=HEARD_OF_MOST)  # (when, address, pipeline)

    def wake(self) -> None:
        """There may be something to send now."""
        self._news.set()

    def stop(self) -> None:
        """End after the message that is being sent, if one is."""
        self._stopped.set()
        self._news.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            try:
                sleep_s = self.step()
            except StoreBusy as error:
                log.warning("%s waits for the store: %s", self.name, error)
                sleep_s = STORE_BUSY_WAIT_S
            except Exception:  # a courier that ends would silence a channel; it says so and goes on
                log.exception("%s failed", self.name)
                self._office.attempts[self.channel.name, "failure"] += 1
                sleep_s = UNEXPECTED_WAIT_S
            if sleep_s > 0:
                self._news.wait(min(sleep_s, LONGEST_SLEEP_S))

    def step(self) -> float:
        """Send one notice if one may be sent; returns how many seconds to sleep unless woken."""
        now = self.last_step_at = self._office.clock()
        # What lies ahead of now is from before the clock was set back: nobody waits for that.
        if self._paused_at <= now < self._paused_until:
            return (self._paused_until - now) / NS
        pause = int(self.channel.pause * NS)
        self._written_at = {address: at for address, at in self._written_at.items() if at <= now < at + pause}
        with self._office.store.writing() as book:
            lease = book.lease(
                self.channel.name,
                now=now,
                without=tuple(self._written_at)[-PACED_ADDRESSES_MOST:],
                after_others=self._loud(now)[-PACED_ADDRESSES_MOST:],
            )
            due = 0 if lease else book.next_due(self.channel.name)
            facts = book.facts_of_run(lease.case.incident.sample.run_id, now=now) if lease else ()
            folded = book.told_with(lease.case.incident.id, most=FOLDED_TOLD_MOST) if lease else ((), 0)
        if lease is None:
            free = min((at + pause for at in self._written_at.values()), default=due) if due <= now else due
            return max((free - now) / NS, 0.001)
        self._tell(lease, facts, folded)
        return 0.0

    def _loud(self, now: int) -> list[tuple[str, str]]:
        """(address, pipeline) of which an address has heard much lately: what others have to say goes first."""
        while self._heard_of and self._heard_of[0][0] + HEARD_OF_WINDOW_S * NS < now:
            self._heard_of.popleft()
        heard = Counter((address, pipeline) for at, address, pipeline in self._heard_of if at <= now)
        return [key for key, messages in heard.items() if messages >= STORM_ALONE]

    def _tell(
        self,
        lease: Lease,
        facts: tuple[tuple[str, str], ...],
        folded: tuple[tuple[tuple[str, int], ...], int] = ((), 0),
    ) -> None:
        office, address = self._office, lease.talk.recipient.address
        earlier = "" if posts_anew(lease.reason) else lease.talk.reference
        try:
            message = compose(
                gather(
                    lease,
                    policy=office.policy(),
                    rules=office.rules(),
                    public_url=office.public_url,
                    facts=facts,
                    folded=folded,
                    telemetry=office.telemetry(),
                    now=office.clock(),
                )
            )
            delivered = self.channel.deliver(message, address, earlier)
        except DeliveryError as refusal:
            self._settle(partial(self._failed, lease, refusal))
        except Exception as error:  # a message that cannot be made or sent waits and is tried again, never lost
            log.exception("Notice %s could not be told", lease.notice_id)
            trouble = Retryable(f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS], code="internal")
            self._settle(partial(self._failed, lease, trouble))
        else:
            self._settle(partial(self._delivered, lease, delivered, earlier))
        self._written_at[address] = office.clock()
        self._heard_of.append((self._written_at[address], address, lease.case.incident.pipeline))

    def _settle(self, write: Callable[[], None]) -> None:
        """Write the outcome, however long the store takes: for want of a receipt nothing must be sent again."""
        while True:
            try:
                write()
            except StoreBusy as error:
                log.warning("%s has an answer and no store to write it to: %s", self.name, error)
                if self._stopped.wait(STORE_BUSY_WAIT_S):
                    return
            else:
                return

    def _delivered(self, lease: Lease, delivered: Delivered, earlier: str) -> None:
        office, now = self._office, self._office.clock()
        with office.store.writing() as book:
            others = settle_delivered(
                book,
                lease,
                delivered,
                posted=delivered.reference != earlier or not earlier,
                rules=office.rules(),
                now=now,
            )
            if self._failures:
                book.try_now(self.channel.name)
        self._failures = 0
        outcome = "previewed" if delivered.previewed else "delivered"
        office.attempts[self.channel.name, outcome] += 1
        office.on_delivered(self.channel.name, max(now - lease.wanted_at, 0) / NS)
        log.info("%s: %s for incident %s", self.channel.name, delivered.detail, lease.case.incident.id)
        if others:
            office.wake(others)

    def _failed(self, lease: Lease, error: DeliveryError) -> None:
        office, now = self._office, self._office.clock()
        decision = retry.after(error, attempt=lease.attempts, failures=self._failures + 1, jitter=office.jitter())
        with office.store.writing() as book:
            others = settle_failed(
                book,
                lease,
                error,
                decision,
                policy=office.policy(),
                rules=office.rules(),
                new_id=office.new_id,
                now=now,
            )
        if decision.again_in is not None:
            self._failures += 1
        if decision.pause_channel:
            self._paused_at, self._paused_until = now, now + int(decision.pause_channel * NS)
        office.attempts[self.channel.name, decision.outcome] += 1
        log.warning(
            "%s to %s: %s (%s), %s",
            self.channel.name,
            lease.talk.recipient.address,
            error,
            error.code,
            decision.outcome,
        )
        if others:
            office.wake(others)
