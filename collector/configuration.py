"""Which configuration files a Collector starts with, and the environment that fills them in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from collector.cache import base_folder
from collector.errors import CollectorError

__all__ = ["OVERLAYS", "Configuration", "completed", "effective", "resolve"]

FILE_NAME = "otel-collector.yaml"
OVERLAYS = ("auth", "auth_bridge", "auth_ingest", "clickhouse", "gateway", "log_files")
"""Names for `--overlay`, one file each in `collector/overlays`."""
MEMORY_LIMIT = "320MiB"
"""`GOMEMLIMIT`, four fifths of the memory_limiter's default: Go collects garbage harder before data is refused."""
PRINT_CONFIG_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Configuration:
    """Configuration files in the order in which they are merged: maps merge, lists are replaced."""

    files: tuple[Path, ...]

    def arguments(self) -> list[str]:
        """The Collector's command-line flags."""
        return [f"--config={path}" for path in self.files]


def resolve(
    environ: Mapping[str, str],
    config: Path | None = None,
    overlays: Iterable[str] = (),
    folder: Path | None = None,
) -> Configuration:
    """The files to start with: `config`, else `otel-collector.yaml` in `folder`, else the packaged one; then overlays.

    Token settings add their overlay by themselves. An overlay is a name of `OVERLAYS` or the path of a file.

    Raises:
        CollectorError: a file or an overlay does not exist.
    """
    base = config or (folder or Path.cwd()) / FILE_NAME
    if config is None and not base.is_file():
        base = _packaged()
    if not base.is_file():
        raise CollectorError(f"{base} is not a file: give the Collector's configuration with --config FILE")
    names = list(dict.fromkeys(overlays))
    automatic = _token_overlay(environ)
    if automatic and not any(name.startswith("auth") for name in names):
        names.insert(0, automatic)
    return Configuration((base, *(_overlay(name) for name in names)))


def completed(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the defaults of a plain user's machine: a state folder of their own, a memory limit."""
    # Meant for a pipeline in the same shell: the Collector's reports on itself would take them on, headers included.
    filled = {name: value for name, value in environ.items() if not name.startswith("OTEL_")}
    if not filled.get("OTELCOL_STATE_DIR"):
        state = base_folder(environ, "XDG_STATE_HOME", ".local/state")
        filled["OTELCOL_STATE_DIR"] = str(state / "pipeline-alerts" / "collector")
    filled.setdefault("GOMEMLIMIT", MEMORY_LIMIT)
    # Paths are joined to it in the file, and `//alerts` is not `/alerts`.
    if filled.get("BRIDGE_URL"):
        filled["BRIDGE_URL"] = filled["BRIDGE_URL"].rstrip("/")
    return filled


def effective(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the Collector makes of the files and the environment, by its own `print-config`; secrets are masked.

    Raises:
        CollectorError: it cannot read them; the text is the Collector's own.
    """
    answer = subprocess.run(  # noqa: S603 - the binary that the user has chosen
        [binary, "print-config", "--format=json", *configuration.arguments()],
        env=environ, capture_output=True, text=True, timeout=PRINT_CONFIG_TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        raise CollectorError(f"the Collector cannot read its configuration: {answer.stderr.strip()}")
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


def _packaged() -> Path:
    inside = Path(str(resources.files("collector"))) / FILE_NAME
    # In a checkout it lies at the top level only; the wheel carries a copy beside this module.
    return inside if inside.is_file() else inside.parent.parent / FILE_NAME


def _overlay(name: str) -> Path:
    if name in OVERLAYS:
        return Path(str(resources.files("collector"))) / "overlays" / f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        raise CollectorError(f"there is no overlay {name}: use one of {', '.join(OVERLAYS)}, or the path of a file")
    return path


def _token_overlay(environ: Mapping[str, str]) -> str:
    ingest = bool(environ.get("OTELCOL_INGEST_TOKEN_FILE"))
    bridge = bool(environ.get("BRIDGE_TOKEN_FILE"))
    if ingest and bridge:
        return "auth"
    return "auth_ingest" if ingest else "auth_bridge" if bridge else ""
