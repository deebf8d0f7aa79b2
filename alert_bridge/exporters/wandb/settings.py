"""How W&B is reached, from W&B's own variables. Nothing of W&B is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_bridge.errors import SettingsError
from alert_bridge.exporters.address import checked, is_in_the_clear
from alert_bridge.settings import secret, setting

__all__ = ["WandbSettings", "wandb_settings"]

OFFLINE, ONLINE = "offline", "online"
_MODES = {"": OFFLINE, "offline": OFFLINE, "dryrun": OFFLINE, "online": ONLINE, "run": ONLINE}
_OFF = "disabled"
_NOT_IN_PROJECTS = str.maketrans(dict.fromkeys("/\\#?%:", "-"))
_PROJECT_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class WandbSettings:
    """Where runs are written, and where they go from there. ``project`` empty: each pipeline has its own."""

    mode: str  # offline or online
    directory: Path  # W&B puts a folder `wandb` into it
    project: str = ""
    entity: str = ""
    base_url: str = ""  # empty: W&B's own cloud
    key: str = field(default="", repr=False)

    @property
    def is_online(self) -> bool:
        return self.mode == ONLINE

    @property
    def syncs(self) -> bool:
        """Whether what was written to disk is brought to W&B later."""
        return bool(self.key)

    @property
    def setup(self) -> str:
        """In words, for `status`; holds no secret."""
        server = self.base_url or "W&B"
        if self.is_online:
            return f"writes to {server} as it happens"
        if self.syncs:
            return f"writes to {self.directory / 'wandb'}, brought to {server} when a run is over"
        return f"writes to {self.directory / 'wandb'}, for `wandb sync`"

    def project_of(self, pipeline: str) -> str:
        """The project that a pipeline's runs are in."""
        name = (self.project or pipeline).translate(_NOT_IN_PROJECTS)
        return name[:_PROJECT_CHARACTERS] or "pipeline-alerts"


def wandb_settings(environ: Mapping[str, str], *, state: Path) -> WandbSettings | None:
    """The settings; None where W&B is not configured or switched off (`WANDB_MODE=disabled`).

    Raises:
        SettingsError: an unknown mode, online without a key, or a key that would travel in the clear.
    """
    mode, key = setting(environ, "WANDB_MODE").lower(), secret(environ, "WANDB_API_KEY")
    if mode == _OFF or not (mode or key):
        return None
    if mode not in _MODES:
        known = ", ".join([*filter(None, _MODES), _OFF])
        raise SettingsError(f"WANDB_MODE {mode!r} is not one that the bridge can write in: one of {known}")
    if _MODES[mode] == ONLINE and not key:
        raise SettingsError("WANDB_MODE=online needs WANDB_API_KEY or WANDB_API_KEY_FILE")
    directory = setting(environ, "WANDB_DIR")
    return WandbSettings(
        mode=_MODES[mode],
        directory=Path(directory) if directory else state / "wandb",
        project=setting(environ, "WANDB_PROJECT"),
        entity=setting(environ, "WANDB_ENTITY"),
        base_url=_base_url(environ, key),
        key=key,
    )


def _base_url(environ: Mapping[str, str], key: str) -> str:
    url = setting(environ, "WANDB_BASE_URL").rstrip("/")
    if not url:
        return ""
    parts = checked(url, "WANDB_BASE_URL", "https://wandb.example.org")
    if key and is_in_the_clear(parts):
        raise SettingsError("WANDB_BASE_URL begins with http://, which would send the key for all to read")
    return url
