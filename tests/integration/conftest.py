"""What several modules of integration tests start from."""

from __future__ import annotations

import pytest

from tests.servers.pipeline import StoredPipeline


@pytest.fixture
def stored(tmp_path):
    """A pipeline whose telemetry and incidents a test writes into real stores."""
    with StoredPipeline(tmp_path / "state") as pipeline:
        yield pipeline
