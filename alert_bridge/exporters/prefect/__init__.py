"""Prefect: pipelines that are not Prefect flows are mirrored as such; those that are get annotated."""

from __future__ import annotations

from alert_bridge.exporters.prefect.settings import PrefectSettings, prefect_settings

__all__ = ["PrefectSettings", "prefect_settings"]
