"""What several modules of integration tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.bridge import BridgeProcess
from tests.servers.pipeline import StoredPipeline
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards


@pytest.fixture
def stored(tmp_path):
    """A pipeline whose telemetry and incidents a test writes into real stores."""
    with StoredPipeline(tmp_path / "state") as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A `serve` that the tests of a module share, so what each says must be its own."""
    with BridgeProcess(tmp_path_factory.mktemp("bridge")) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """What takes OTLP, and keeps it."""
    with Receiver() as started:
        yield started


@pytest.fixture
def environ(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    """What a program is started with whose run is told to the receiver."""
    return environ_towards(receiver, tmp_path / "state")
