"""When to try again after a channel failed: a value, computed from the error, the attempt and a random number. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from alert_bridge.errors import Ambiguous, DeliveryError, Permanent, Retryable

__all__ = ["Decision", "after"]

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
AMBIGUOUS_WAIT_S = 5.0  # it may have been delivered: give the channel time to show it
RETRY_AFTER_SLACK_S = 0.5  # a little after the moment that the channel named, never before it
LONGEST_PAUSE_S = 3_600.0  # a channel that asks for more is asked again then
LONGEST_CHANNEL_PAUSE_S = 15.0  # without a word from the channel, somebody looks again after this


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one notice, and with its channel. Seconds from now."""

    again_in: float | None  # None: never
    pause_channel: float  # 0: others may go on
    outcome: str  # for the receipt: retryable, permanent, ambiguous


def after(error: DeliveryError, *, attempt: int, failures: int, jitter: float) -> Decision:
    """What follows from an error.

    Args:
        error: what the channel said.
        attempt: how often this notice was tried, 1 for the first time.
        failures: how many tries of the channel failed in a row, of any notice, with this one.
        jitter: a random number in [0, 1), so that many notices do not come back at once.
    """
    if isinstance(error, Permanent):
        return Decision(None, 0.0, "permanent")
    if isinstance(error, Retryable) and error.retry_after is not None:
        wait = min(error.retry_after, LONGEST_PAUSE_S) + RETRY_AFTER_SLACK_S * jitter
        return Decision(wait, wait, "retryable")
    backoff = _backoff(attempt) * (0.5 + jitter / 2)
    # One failure may be this message's own; several in a row are the channel's, and every notice waits with it.
    pause = min(_backoff(failures - 1), LONGEST_CHANNEL_PAUSE_S) if failures > 1 else 0.0
    if isinstance(error, Ambiguous):
        return Decision(max(backoff, AMBIGUOUS_WAIT_S), pause, "ambiguous")
    return Decision(backoff, pause, "retryable")


def _backoff(attempt: int) -> float:
    # The exponent is bounded: an outage of weeks must not end in an overflow.
    return float(min(FIRST_WAIT_S * 2 ** min(attempt - 1, 20), LONGEST_WAIT_S))
