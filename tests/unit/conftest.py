"""Parts that unit tests of several rooms start from: the engine on its clock, and telemetry.db on a real file."""

from __future__ import annotations

import pytest

from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.engine import Engine, a_policy, only_mdd
from tests.servers.two_lanes import TwoLanes


@pytest.fixture
def engine(tmp_path):
    """Tells one audience in one channel."""
    opened = Engine(tmp_path, only_mdd())
    yield opened
    opened.close()


@pytest.fixture
def everybody(tmp_path):
    """An engine that tells everybody by Slack and two audiences by email."""
    opened = Engine(tmp_path, a_policy())
    yield opened
    opened.close()


@pytest.fixture
def two_lanes(tmp_path):
    """Builds engines that read a telemetry store of their own, for a policy each."""
    opened = []

    def build(policy):
        opened.append(TwoLanes(tmp_path / str(len(opened)), policy))
        return opened[-1]

    yield build
    for engine in opened:
        engine.close()


@pytest.fixture
def store(tmp_path):
    """telemetry.db, as its one writer has it."""
    opened = TelemetryStore(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def reader(store, tmp_path):
    """telemetry.db, as everybody else reads it."""
    opened = Telemetry(tmp_path)
    yield opened
    opened.close()
