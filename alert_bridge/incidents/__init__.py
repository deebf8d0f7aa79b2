"""The engine: what an incident is, when it is over, and what must be said next. Pure: values and `now` in, values out.

`absorb` counts records, `resolve` ends episodes, `plan` says what one recipient must hear next, `told` and `failed`
write down what became of it. No I/O, no clock; `alert_bridge.intake` and `alert_bridge.outbox` carry it out.
"""

from __future__ import annotations

from alert_bridge.incidents.absorb import absorb, open_case
from alert_bridge.incidents.case import Case, Event, Talk, TalkState
from alert_bridge.incidents.endings import (
    Ending,
    consequence,
    ending_of,
    explains,
    fold,
    no_longer_explains,
    reclaimed,
    unfold,
)
from alert_bridge.incidents.held import digested, hush, release
from alert_bridge.incidents.plan import EDIT_EVERY_S, LATE_AFTER_S, Planned, late_since, plan, posts_anew
from alert_bridge.incidents.resolve import Success, closes, expire, expires, resolve, success_of
from alert_bridge.incidents.talk import buried, hand_over, revived, suppress, told

__all__ = [
    "EDIT_EVERY_S",
    "LATE_AFTER_S",
    "Case",
    "Ending",
    "Event",
    "Planned",
    "Success",
    "Talk",
    "TalkState",
    "absorb",
    "buried",
    "closes",
    "consequence",
    "digested",
    "ending_of",
    "expire",
    "expires",
    "explains",
    "fold",
    "hand_over",
    "hush",
    "late_since",
    "no_longer_explains",
    "open_case",
    "plan",
    "posts_anew",
    "reclaimed",
    "release",
    "resolve",
    "revived",
    "success_of",
    "suppress",
    "told",
    "unfold",
]
