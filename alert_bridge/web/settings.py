"""What the pages need to know of their surroundings. Not the policy, not the stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from urllib.parse import urlsplit

from alert_bridge.store.exports import ExportState

__all__ = ["ChannelSetup", "WebSettings"]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def _installed_version() -> str:
    try:
        return metadata.version("pipeline-alerts")
    except metadata.PackageNotFoundError:
        return "from source"


@dataclass(frozen=True, slots=True)
class ChannelSetup:
    """How one channel is set up: live, or previewed because of what ``detail`` says."""

    name: str
    previewed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How the pages are reached and by whom. An empty ``token``: whoever reaches the port may read."""

    public_url: str  # without a trailing slash
    token: str = field(default="", repr=False)
    version: str = field(default_factory=_installed_version)
    clock: Callable[[], int] = time.time_ns  # nanoseconds since the Unix epoch
    audiences: Mapping[str, str] = field(default_factory=dict)  # key -> name in words
    channels: tuple[ChannelSetup, ...] = ()
    exports: Callable[[], Sequence[ExportState]] = tuple  # Prefect and W&B, as they stand when asked

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def host_names(self) -> frozenset[str]:
        """Names under which a browser may ask for us when no token protects the pages."""
        return frozenset({*LOOPBACK_NAMES, urlsplit(self.public_url).hostname or ""}) - {""}
