"""An incident that opens and resolves again and again: told once as that, then counted, then told once that it is calm.

Pure. While it flaps it stays one incident: a success ends it only if nothing comes for a while after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from alert_bridge.incidents.case import Case
from alert_bridge.model import IncidentState

__all__ = ["FLAP_CALM_S", "FLAP_EPISODES", "FLAP_WINDOW_S", "come_back", "is_flapping"]

NS = 1_000_000_000
FLAP_EPISODES = 3  # so many incidents of one problem …
FLAP_WINDOW_S = 6 * 3_600.0  # … opened within this time: the next one is no news
FLAP_CALM_S = 2 * 3_600.0  # a success, and then nothing for so long: it is over


def is_flapping(opened_at: Sequence[int], *, now: int) -> bool:
    """Whether a problem whose incidents opened at these times (ns) is flapping if it comes back now."""
    return sum(now - at < FLAP_WINDOW_S * NS for at in opened_at) >= FLAP_EPISODES


def come_back(case: Case) -> Case:
    """The problem's last incident, going on."""
    incident = case.incident
    return replace(
        case,
        incident=replace(incident, state=IncidentState.OPEN, resolved_at=0, flaps=incident.flaps + 1),
        closed_event=0,
        closed_by_run="",
    )
