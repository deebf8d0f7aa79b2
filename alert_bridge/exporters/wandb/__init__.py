"""W&B, the metrics: a W&B run per pipeline run, written from the telemetry store. `settings` alone is light to load."""

from __future__ import annotations

from alert_bridge.exporters.wandb.settings import WandbSettings, wandb_settings

__all__ = ["WandbSettings", "wandb_settings"]
