"""When to leave a target alone, and when to look again. Pure: times come in, decisions go out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Breaker"]

FAILURES_TO_OPEN = 3
FIRST_PAUSE_S = 0.5  # between tries while it is closed
OPEN_PAUSE_S = 2.0  # the first time it opens; doubles with each probe that fails
LONGEST_PAUSE_S = 30.0
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a target stands. Closed: tried freely. Open: left alone until ``next_try_at``, when one probe may go."""

    failures: int = 0  # in a row
    failing_since: int = 0  # ns; 0: it answers
    next_try_at: int = 0  # ns

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN

    def may_try(self, now: int) -> bool:
        """Whether it is time."""
        return now >= self.next_try_at

    def succeeded(self) -> Breaker:
        """Closed again."""
        return Breaker()

    def failed(self, now: int, *, retry_after: float | None = None, for_good: bool = False) -> Breaker:
        """One more failure. ``retry_after``: seconds that the target asked for; ``for_good``: only a person helps."""
        failures = self.failures + 1
        if failures < FAILURES_TO_OPEN:
            pause = FIRST_PAUSE_S
        else:
            pause = min(OPEN_PAUSE_S * 2.0 ** min(failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE_S)
        if for_good:
            pause = LONGEST_PAUSE_S
        if retry_after is not None:
            pause = max(pause, min(retry_after, LONGEST_PAUSE_S))
        return Breaker(failures, self.failing_since or now, now + int(pause * NS))
