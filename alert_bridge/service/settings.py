"""What `serve` was told: flags first, else the environment, else defaults."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_bridge.errors import SettingsError
from alert_bridge.policy.load import policy_path
from alert_bridge.settings import secret, setting, state_home

__all__ = ["ServiceSettings", "service_settings", "wants_exporters"]

DEFAULT_LISTEN = "127.0.0.1:4319"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the bridge listens, what it obeys, where it keeps its state."""

    policy: Path
    state: Path
    host: str
    port: int
    public_url: str  # without a trailing slash; empty: follow from the port that is taken
    tokens: tuple[str, ...] = field(default=(), repr=False)  # any of them is right, so that they can be rotated
    starts_again: bool = False  # a process in place of one that ended: what was in force goes on

    @property
    def policy_copy(self) -> Path:
        """Where the last policy that worked lies, for processes that start again."""
        return self.state / "policy.in-force.yaml"

    @property
    def telemetry_socket(self) -> Path:
        """Where the telemetry process listens."""
        return self.state / "telemetry.sock"

    def url(self, port: int) -> str:
        """Where people reach the pages, when this port was taken."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{port}"


def service_settings(
    environ: Mapping[str, str], *, policy: str = "", state: str = "", listen: str = ""
) -> ServiceSettings:
    """The settings of the bridge.

    Raises:
        SettingsError: an address that is none, or one that others can reach without a token.
    """
    state = state or setting(environ, "PIPELINE_ALERTS_STATE")
    listen = listen or setting(environ, "PIPELINE_ALERTS_LISTEN", DEFAULT_LISTEN)
    host, port = _address(listen)
    tokens = tuple(token for token in secret(environ, "PIPELINE_ALERTS_TOKEN").replace(",", " ").split() if token)
    if not tokens and not _is_loopback(host):
        raise SettingsError(
            f"Listening on {listen} without a token would let anybody in:"
            " set PIPELINE_ALERTS_TOKEN, or listen on 127.0.0.1"
        )
    return ServiceSettings(
        policy=policy_path(environ, policy).absolute(),
        state=Path(state) if state else state_home(environ),
        host=host,
        port=port,
        public_url=setting(environ, "PIPELINE_ALERTS_PUBLIC_URL").rstrip("/"),
        tokens=tokens,
    )


def wants_exporters(environ: Mapping[str, str]) -> bool:
    """Whether there is anything to export to: Prefect is on when its URL is set, W&B when its key or mode is.

    Raises:
        SettingsError: settings cannot work. Better said at the start than in a log that nobody reads.
    """
    wants_prefect = False
    if setting(environ, "PREFECT_API_URL"):
        from alert_bridge.exporters.prefect import prefect_settings

        wants_prefect = prefect_settings(environ) is not None
    if any(setting(environ, name) for name in ("WANDB_API_KEY", "WANDB_API_KEY_FILE", "WANDB_MODE")):
        from alert_bridge.exporters.wandb import wandb_settings

        return wandb_settings(environ, state=Path()) is not None or wants_prefect
    return wants_prefect


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:  # noqa: PLR2004 - the largest port
        raise SettingsError(f"--listen {listen!r} is not HOST:PORT, such as {DEFAULT_LISTEN}")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - an empty host means every interface, with a token


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere
