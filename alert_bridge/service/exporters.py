"""The exporters process: a thread per exporter that follows the stores. Runs only where Prefect or W&B is configured.

Whatever happens in it, alerts do not notice: it only reads what the other processes have committed.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType

from alert_bridge.exporters import Exporter, Follower
from alert_bridge.exporters.prefect import prefect_settings
from alert_bridge.exporters.wandb import wandb_settings
from alert_bridge.model import Severity
from alert_bridge.service.rulebook import FollowedPolicy, reload_by_signal
from alert_bridge.service.settings import ServiceSettings
from alert_bridge.store.telemetry import Telemetry

__all__ = ["run"]

STOP_WITHIN_S = 2.0  # a request that runs may end; what is not confirmed comes again next time

log = logging.getLogger(__name__)


class Routes(FollowedPolicy):
    """Which levels go to which exporter, by the policy's routes."""

    def least(self, exporter: str) -> Severity | None:
        """The lowest level that any route sends there; None if there is no route."""
        return min((route.min_severity for route in self.policy.routes_to(exporter)), default=None)


def open_exporters(settings: ServiceSettings, routes: Routes, environ: Mapping[str, str]) -> list[Exporter]:
    """The exporters that are configured, each with its library loaded only now.

    Raises:
        SettingsError: settings cannot work.
    """
    exporters: list[Exporter] = []
    stored = Telemetry(settings.state)
    prefect = prefect_settings(environ)
    if prefect is not None:
        from alert_bridge.exporters.prefect.exporter import PrefectExporter

        exporters.append(
            PrefectExporter(
                prefect,
                public_url=settings.url(settings.port),
                least=lambda: routes.least("prefect"),
                log_of_run=stored.run_records,
            )
        )
    wandb = wandb_settings(environ, state=settings.state)
    if wandb is not None:
        from alert_bridge.exporters.wandb.exporter import WandbExporter

        exporters.append(
            WandbExporter(
                wandb,
                public_url=settings.url(settings.port),
                least=lambda: routes.least("wandb"),
                alerts_from=lambda: routes.least("wandb_alert"),
                points_of_run=stored.run_points,
                spans_of_run=stored.run_spans,
            )
        )
    return exporters


def run(settings: ServiceSettings, environ: Mapping[str, str]) -> None:
    """Follow until SIGTERM; SIGHUP reads the policy again.

    Raises:
        UsageError: the policy or the settings would not work.
    """
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    routes = Routes(settings)
    reload_by_signal(routes.reload)
    followers = [
        Follower(exporter, settings.state, clock=time.time_ns) for exporter in open_exporters(settings, routes, environ)
    ]
    for follower in followers:
        follower.start()
    ended.wait()
    deadline = time.monotonic() + STOP_WITHIN_S
    for follower in followers:
        follower.stop()
    for follower in followers:
        follower.join(max(deadline - time.monotonic(), 0.0))
