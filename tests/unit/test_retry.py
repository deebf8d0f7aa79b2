"""When to try again: a value from the error, the attempt and a random number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alert_bridge.errors import Ambiguous, Permanent, Retryable
from alert_bridge.retry import LONGEST_CHANNEL_PAUSE_S, LONGEST_WAIT_S, after

away = Retryable("away", code="connection")


def test_a_permanent_answer_is_never_tried_again():
    decision = after(Permanent("gone", code="is_archived"), attempt=1, failures=1, jitter=0.0)

    assert (decision.again_in, decision.outcome) == (None, "permanent")


@given(st.floats(0, 3_000), st.floats(0, 0.999))
def test_b7_the_pause_that_a_channel_names_is_kept_and_exceeded_by_a_second_at_most(named, jitter):
    decision = after(Retryable("slow", code="ratelimited", retry_after=named), attempt=5, failures=1, jitter=jitter)

    assert named <= decision.again_in <= named + 1
    assert decision.pause_channel == decision.again_in


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 0.999))
def test_no_outage_is_long_enough_to_stop_trying(attempt, failures, jitter):
    decision = after(away, attempt=attempt, failures=failures, jitter=jitter)

    assert 0 < decision.again_in <= LONGEST_WAIT_S
    assert decision.pause_channel <= LONGEST_CHANNEL_PAUSE_S


def test_waits_grow_and_one_failure_does_not_stop_the_others():
    waits = [after(away, attempt=attempt, failures=1, jitter=0.0).again_in for attempt in (1, 2, 3, 4)]

    assert waits == sorted(waits)
    assert after(away, attempt=1, failures=1, jitter=0.0).pause_channel == 0
    assert after(away, attempt=1, failures=3, jitter=0.0).pause_channel > 0


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_may_have_been_delivered_waits_until_the_channel_can_show_it(attempt):
    decision = after(Ambiguous("lost", code="timeout"), attempt=attempt, failures=1, jitter=0.0)

    assert decision.again_in >= 5
    assert decision.outcome == "ambiguous"
