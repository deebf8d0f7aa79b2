"""A clock that is set back keeps nobody from being told: pauses from before lie ahead, and count no more."""

from __future__ import annotations

import pytest

from alert_bridge.errors import Retryable
from tests.servers.engine import NS, Engine, a_record, only_mdd

HOUR_S = 3_600


def set_back(engine: Engine) -> None:
    engine.now -= HOUR_S * NS


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path, only_mdd())
    yield engine
    engine.close()


def test_an_address_that_was_just_written_to_is_written_to_again_after_the_clock_was_set_back(engine):
    engine.post(a_record("alpha broke", at=engine.now))
    engine.at(1.05)
    before = len(engine.slack.posts)
    set_back(engine)

    engine.post(a_record("beta broke", at=engine.now))
    engine.at(engine.seconds + 5)

    assert [before, len(engine.slack.posts)] == [1, 2]


def test_a_channel_that_asked_for_a_pause_is_used_again_after_the_clock_was_set_back(engine):
    engine.slack.errors.append(Retryable("slow down", code="ratelimited", retry_after=30.0))
    engine.post(a_record("alpha broke", at=engine.now))
    engine.at(2)
    set_back(engine)

    engine.post(a_record("beta broke", at=engine.now))
    engine.at(engine.seconds + 5)

    assert ["beta broke" in one.message.headline for one in engine.slack.posts] == [True]
