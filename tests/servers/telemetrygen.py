"""A foreign OTLP client for tests: the Collector project's own load generator, written in Go.

`python -m tests.servers.telemetrygen` builds it ahead of the tests, so that no test's time limit has to allow for that.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from collector import build
from collector.cache import VERSION, exclusive
from collector.errors import CollectorError

__all__ = ["BUILD_WITHIN_SECONDS", "telemetrygen"]

MODULE: Final = f"github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v{VERSION}"


BUILD_WITHIN_SECONDS: Final = build.BUILD_TIMEOUT_SECONDS
"""What a test that has to build it first may take."""


def telemetrygen() -> Path:
    """`$TELEMETRYGEN`, else one on the PATH, else built once with Go into the cache; skips, with the reason, else."""
    found = _found()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _found() -> Path | str:
    named = shutil.which(os.environ.get("TELEMETRYGEN") or "telemetrygen")
    if named is not None:
        return Path(named)
    try:
        build.go_version(os.environ)
        with exclusive(os.environ, lambda: None):
            return build.install_tool(os.environ, MODULE, "telemetrygen", print)
    except CollectorError as error:
        return f"no telemetrygen: {error}"


if __name__ == "__main__":
    print(f"telemetrygen: {_found()}")
