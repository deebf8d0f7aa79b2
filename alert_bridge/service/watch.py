"""Whether the bridge can accept and send: what `/readyz` says, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from threading import Thread

from alert_bridge.intake import Intake
from alert_bridge.outbox import Courier
from alert_bridge.service.relay import Relay
from alert_bridge.service.rulebook import Rulebook
from alert_bridge.store.control import SqliteControlReader

__all__ = ["Watch"]

NS = 1_000_000_000
STALLED_AFTER_S = 150.0  # longer than a courier's longest sleep and a channel's longest time-out together


class Watch:
    """Looks at the threads and the stores when asked."""

    def __init__(
        self,
        *,
        intake: Intake,
        couriers: Sequence[Courier],
        relay: Relay,
        rulebook: Rulebook,
        reader: SqliteControlReader,
        overseer: Thread,
        clock: Callable[[], int],
    ) -> None:
        self._intake = intake
        self._couriers = couriers
        self._relay = relay
        self._rulebook = rulebook
        self._reader = reader
        self._overseer = overseer
        self._clock = clock

    async def report(self) -> tuple[bool, dict[str, object]]:
        """Ready or not, and each part's state.

        Not ready: no intake, a courier that died or stalled, or a telemetry process that never came up. What a
        person must mend elsewhere (a broken address, a policy file) is said and does not turn senders away.
        """
        reached = await self._relay.answers()
        broken, unbalanced = await asyncio.to_thread(self._from_store)
        now = self._clock()
        stalled = [
            courier.channel.name
            for courier in self._couriers
            if not courier.is_alive() or now - courier.last_step_at > STALLED_AFTER_S * NS
        ]
        ready = (
            self._intake.is_alive()
            and self._overseer.is_alive()
            and not stalled
            and (reached or self._relay.was_reached)
        )
        return ready, {
            "ready": ready,
            "intake": self._intake.is_alive(),
            "overseer": self._overseer.is_alive(),
            "telemetry": reached,
            "stalled_channels": stalled,
            "broken_addresses": broken,
            "unbalanced_channels": unbalanced,
            "policy": str(self._rulebook.policy().path),
            "policy_problem": self._rulebook.problem,
        }

    def _from_store(self) -> tuple[list[str], list[str]]:
        broken = [f"{channel} {address}: {error}" for channel, address, _, error in self._reader.broken()]
        return broken, [book.channel for book in self._reader.books() if book.balance]
