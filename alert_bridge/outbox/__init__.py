"""From a promise to a receipt: notices are leased, told and settled. One thread per channel, woken, never polling."""

from __future__ import annotations

from alert_bridge.outbox.courier import Courier, Office
from alert_bridge.outbox.planning import Rules, replan, rules_of
from alert_bridge.outbox.rounds import Rounds
from alert_bridge.outbox.upkeep import Upkeep, begin, revive

__all__ = ["Courier", "Office", "Rounds", "Rules", "Upkeep", "begin", "replan", "revive", "rules_of"]
