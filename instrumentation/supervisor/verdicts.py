"""Which of the processes that died were killed for memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from instrumentation.supervisor.descendants import Death
from instrumentation.supervisor.memory import Memory, OomWatch, judge

__all__ = ["verdicts"]


def verdicts(
    died: Callable[[], Sequence[Death]], watch: OomWatch, now: Callable[[], float]
) -> list[tuple[Death, Memory]]:
    """Asks who died, then the kernel for its count, and judges each death.

    Only in this order: the kernel counts a kill before it kills, so a count that is read after a death has it in it.

    Args:
        died: who died since it was asked last.
        watch: the kernel's counts.
        now: monotonic seconds.
    """
    deaths = died()
    moment = now()
    kills = watch.recent(moment)
    killed = sum(death.may_have_been_killed for death in deaths)
    watch.explain(min(killed, kills.here or 0), moment)
    return [(death, judge(kills, killed, death.peak_memory, watch.limit())) for death in deaths]
