"""When a silence is told: once, only if it is one, and not of a program that somebody stopped."""

from __future__ import annotations

from collections.abc import Callable

from instrumentation.supervisor.silence import Silence

TICK_S = 0.25


def told(silence: Silence, heard_at: Callable[[float], float], moments: list[float]) -> list[float]:
    """The moments at which a silence was told."""
    return [now for now in moments if silence.look(heard_at(now), now)]


def ticks(start: float, end: float) -> list[float]:
    return [start + TICK_S * number for number in range(1, round((end - start) / TICK_S) + 1)]


def test_a_silence_is_told_once_and_the_next_one_again() -> None:
    moments = told(Silence(10.0, since=100.0), lambda now: 130.0 if now >= 130.0 else 100.0, ticks(100.0, 160.0))

    assert moments == [110.0, 140.0]


def test_words_break_a_silence() -> None:
    assert told(Silence(10.0, since=100.0), lambda now: now - 9.0, ticks(100.0, 200.0)) == []


def test_without_a_limit_no_silence_is_told() -> None:
    assert told(Silence(0.0, since=100.0), lambda _: 100.0, ticks(100.0, 200.0)) == []


def test_what_was_stopped_from_the_terminal_was_not_silent() -> None:
    stopped_over_night = [*ticks(100.0, 105.0), *ticks(40_000.0, 40_012.0)]

    assert told(Silence(10.0, since=100.0), lambda _: 100.0, stopped_over_night) == [40_010.25]


def test_a_silence_is_not_told_again_because_the_watch_itself_was_held_up() -> None:
    held_up = [*ticks(100.0, 115.0), *ticks(118.0, 140.0)]

    assert told(Silence(10.0, since=100.0), lambda _: 100.0, held_up) == [110.0]
