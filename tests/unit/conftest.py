"""What several modules of unit tests start from: engines on their clock, telemetry.db, a mirror of releases."""

from __future__ import annotations

import pytest

from alert_bridge.store.telemetry import Telemetry, TelemetryStore
from tests.servers.engine import Engine, a_policy, only_mdd
from tests.servers.mirror import Mirror
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


@pytest.fixture
def mirror():
    """Releases to download, from a server on loopback."""
    with Mirror() as served:
        yield served


@pytest.fixture
def bare_environ(tmp_path):
    """An environment without a Collector: nothing cached, nothing on the PATH."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": ""}
