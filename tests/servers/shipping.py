"""What a run left to be shipped: on a busy machine it is more than its last moments have room for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

DEADLINE_S = 120.0
LOOK_EVERY_S = 0.02


def wait_until_shipped(environ: Mapping[str, str]) -> None:
    """Returns when no run in the state of this environment owes anything; a run's folder is removed then."""
    journals = Path(environ["XDG_STATE_HOME"]) / "pipeline-alerts" / "journals"
    ends_at = time.monotonic() + DEADLINE_S
    while journals.is_dir() and any(journals.iterdir()):
        assert time.monotonic() < ends_at, f"not shipped: {sorted(path.name for path in journals.iterdir())}"
        time.sleep(LOOK_EVERY_S)
