"""A real OpenTelemetry Collector for tests: the deployed configuration, on free ports, with a state folder of its own.

    with collector_for(tmp_path, bridge_url) as collector:
        post(f"{collector.http_endpoint}/v1/logs", body)
        collector.kill()   # as a power cut would
        collector.start()  # same ports, same state

`collector.log` is the file with what it says; `http_endpoint`, `grpc_endpoint` and `pid` say where and which it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from collector import binary
from collector.configuration import completed, resolve
from collector.errors import CollectorError
from collector.process import Collector, free_addresses

__all__ = ["CONFIGURATION", "collector_binary", "collector_environ", "collector_for"]

CONFIGURATION: Final = Path(__file__).parents[2] / "otel-collector.yaml"
_OURS = ("OTELCOL_", "BRIDGE_", "CLICKHOUSE_", "PIPELINE_LOG_GLOB")


@cache
def _found() -> Path | str:
    try:
        return binary.find(os.environ) or "no Collector here: `pipeline-alerts collector install` gets one"
    except CollectorError as error:
        return str(error)


def collector_binary() -> Path:
    """The Collector that tests use; skips the test, with the reason, where there is none."""
    found = _found()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def collector_environ(state: Path, bridge_url: str, **settings: str) -> dict[str, str]:
    """An environment with free ports, this state folder and this bridge; none of the caller's Collector settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return completed(
        {**inherited, **free_addresses(), "OTELCOL_STATE_DIR": str(state), "BRIDGE_URL": bridge_url, **settings}
    )


def collector_for(
    folder: Path,
    bridge_url: str,
    *,
    config: Path = CONFIGURATION,
    overlays: Iterable[str] = (),
    **settings: str,
) -> Collector:
    """A Collector, not yet started (enter it or call `start`), that keeps its state and its log in `folder`.

    `settings` are environment variables on top, such as `OTELCOL_INGEST_TOKEN_FILE`.
    """
    environ = collector_environ(folder / "collector-state", bridge_url, **settings)
    configuration = resolve(environ, config, overlays)
    return Collector(collector_binary(), configuration, environ, folder / "collector.log")
