"""Where Prefect's API is and how to get in, from Prefect's own settings. Without `PREFECT_API_URL` there is no Prefect.

Prefect's client starts a server of its own where that variable is missing; we never do.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alert_bridge.errors import SettingsError
from alert_bridge.exporters.address import checked, is_in_the_clear
from alert_bridge.settings import secret, setting

__all__ = ["PrefectSettings", "prefect_settings"]


@dataclass(frozen=True, slots=True)
class PrefectSettings:
    """One Prefect API. ``ui_url`` is where people look, without a trailing slash; it may be empty."""

    api_url: str  # ends with a slash
    ui_url: str
    key: str = field(default="", repr=False)
    user: str = field(default="", repr=False)  # `user:password` of a self-hosted server
    certificates: Path | None = None

    @property
    def setup(self) -> str:
        """In words, for `status`; holds no secret."""
        login = "with an API key" if self.key else "with a password" if self.user else "without login"
        return f"mirrors to {self.api_url.rstrip('/')}, {login}"

    def context(self) -> ssl.SSLContext | bool:
        """How to check the server's certificate.

        Raises:
            SettingsError: the file of certificates cannot be used.
        """
        if self.certificates is None:
            return True
        try:
            return ssl.create_default_context(cafile=str(self.certificates))
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"PREFECT_API_SSL_CERT_FILE {self.certificates} cannot be used: {error}") from error


def prefect_settings(environ: Mapping[str, str]) -> PrefectSettings | None:
    """The settings; None where Prefect is not configured.

    Raises:
        SettingsError: the address is none, or a secret would travel in the clear.
    """
    url = setting(environ, "PREFECT_API_URL")
    if not url:
        return None
    parts = checked(url, "PREFECT_API_URL", "http://127.0.0.1:4200/api")
    if parts.username or parts.password:
        raise SettingsError("PREFECT_API_URL holds a password: put it in PREFECT_API_AUTH_STRING")
    key, user = secret(environ, "PREFECT_API_KEY"), secret(environ, "PREFECT_API_AUTH_STRING")
    if (key or user) and is_in_the_clear(parts):
        raise SettingsError("PREFECT_API_URL begins with http://, which would send a secret for all to read")
    certificates = setting(environ, "PREFECT_API_SSL_CERT_FILE")
    return PrefectSettings(
        api_url=url.rstrip("/") + "/",
        ui_url=setting(environ, "PREFECT_UI_URL").rstrip("/") or _ui(url.rstrip("/")),
        key=key,
        user=user,
        certificates=Path(certificates) if certificates else None,
    )


def _ui(url: str) -> str:
    """A server of one's own shows its pages beside its API; Cloud's are elsewhere, at an address that names no API."""
    base = url.removesuffix("/api")
    return base if base != url and "api.prefect.cloud" not in url else ""
