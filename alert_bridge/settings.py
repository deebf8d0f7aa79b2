"""Settings from the environment. A secret `NAME` may also come as `NAME_FILE`; neither is ever printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alert_bridge.errors import SettingsError

__all__ = ["secret", "setting", "state_home"]


def setting(environ: Mapping[str, str], name: str, default: str = "") -> str:
    """The variable's value without surrounding space; the default if it is unset or empty."""
    return environ.get(name, "").strip() or default


def secret(environ: Mapping[str, str], name: str) -> str:
    """The secret `NAME`, or the content of the file that `NAME_FILE` names; empty if neither is set.

    Raises:
        SettingsError: the file is missing, unreadable or empty. A secret that was meant must not turn into none.
    """
    direct = setting(environ, name)
    if direct:
        return direct
    file = setting(environ, f"{name}_FILE")
    if not file:
        return ""
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{name}_FILE names {file}, which cannot be read: {reason}") from error
    if not value:
        raise SettingsError(f"{name}_FILE names {file}, which is empty: put the secret in it, or unset {name}_FILE")
    return value


def state_home(environ: Mapping[str, str]) -> Path:
    """Where state lies unless told otherwise: `$XDG_STATE_HOME/pipeline-alerts`.

    Raises:
        SettingsError: there is neither that nor a home.
    """
    base = setting(environ, "XDG_STATE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "pipeline-alerts"
    except RuntimeError as error:
        raise SettingsError("this user has no home to keep state in: set PIPELINE_ALERTS_STATE, or HOME") from error
