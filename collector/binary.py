"""Finds a Collector, or gets one: named, on the path, from the cache, as an official release, built with Go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector import build, cache, release
from collector.build import Progress
from collector.errors import CollectorError

__all__ = ["REQUIRED", "Source", "find", "install", "unsuitable"]

NAMES = ("otelcol-alerts", "otelcol-contrib", "otelcol")
REQUIRED = frozenset(
    {
        "otlp", "file_log", "memory_limiter", "filter", "transform", "redaction",
        "otlp_http", "forward", "health_check", "file_storage", "bearertokenauth",
    }
)  # fmt: skip
"""Component types that otel-collector.yaml and its everyday overlays name, as `otelcol components` spells them."""
MINIMUM_VERSION = (0, 156)
"""The first release that has all that the configuration says, `max_size` of file_storage last."""
COMPONENTS_TIMEOUT_SECONDS = 20
OTHER_WAYS = (
    f"Put otelcol-contrib {cache.VERSION} on the PATH or name it in OTELCOL, "
    "or run `pipeline-alerts collector install --from-file ARCHIVE`"
)
_VERSION = re.compile(r"^\s*version: v?(\d+)\.(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """Where to take a Collector from instead of the official release; all empty means the usual way."""

    file: Path | None = None
    """An archive on this machine."""
    url: str = ""
    """An archive on a mirror."""
    sha256: str = ""
    """The archive's digest; empty: the `.sha256` file beside it."""


def find(environ: Mapping[str, str]) -> Path | None:
    """The Collector to use: `$OTELCOL`, else one on the PATH that has all we need, else the newest in the cache.

    Raises:
        CollectorError: `$OTELCOL` is set but does not name a Collector with the components that we need.
    """
    named = environ.get("OTELCOL", "").strip()
    if named:
        path = shutil.which(named, path=environ.get("PATH"))
        if path is None:
            raise CollectorError(f"OTELCOL names {named}, which is not a program: correct it or unset it")
        reason = unsuitable(Path(path))
        if reason:
            raise CollectorError(f"OTELCOL names {path}, which {reason}: use otelcol-contrib {cache.VERSION}")
        return Path(path)
    for name in NAMES:
        path = shutil.which(name, path=environ.get("PATH"))
        if path is not None and not unsuitable(Path(path)):
            return Path(path)
    return cache.cached(environ)


def install(
    environ: Mapping[str, str], progress: Progress = print, *, source: Source | None = None, fresh: bool = False
) -> Path:
    """Return a Collector that is ready to run; download or build one if there is none yet.

    Args:
        environ: PATH, `OTELCOL`, `XDG_CACHE_HOME` and Go's settings are read from it.
        progress: takes one line at a time for the person who waits.
        source: an archive to use instead of the official one.
        fresh: get one even if there is one, for instance after an upgrade of Go.

    Raises:
        CollectorError: there is none and none can be had; the text says what to do.
    """
    if source is None and not fresh:
        found = find(environ)
        if found is not None:
            return found
    with cache.exclusive(environ, lambda: progress("Another process is getting a Collector; waiting for it")):
        # Whoever held the lock may have done the work.
        if source is None and not fresh and (found := cache.cached(environ)) is not None:
            return found
        return _checked(_get(environ, source or Source(), progress))


def unsuitable(binary: Path) -> str:
    """Why this program cannot be our Collector, as the end of a sentence; empty if it can."""
    try:
        answer = subprocess.run(  # noqa: S603 - the binary that the user has chosen
            [binary, "components"], capture_output=True, text=True, timeout=COMPONENTS_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "is no Collector"
    version = _VERSION.search(answer.stdout)
    if version is None:
        return "is no Collector"
    if (int(version[1]), int(version[2])) < MINIMUM_VERSION:
        return f"is version {version[1]}.{version[2]}; {'.'.join(map(str, MINIMUM_VERSION))} or newer is needed"
    missing = REQUIRED - {line.split("name:", 1)[1].strip() for line in answer.stdout.splitlines() if "name:" in line}
    return f"lacks {', '.join(sorted(missing))}" if missing else ""


def _get(environ: Mapping[str, str], source: Source, progress: Progress) -> Path:
    if source.file is not None:
        return release.from_file(environ, source.file, source.sha256, progress)
    if source.url:
        return release.from_url(environ, source.url, source.sha256, progress)
    try:
        return release.from_url(environ, release.archive_url(), source.sha256, progress)
    except CollectorError as error:
        if source.sha256 and not isinstance(error, release.Unreachable):
            raise
        refusal = str(error)
    progress(f"No official release: {refusal}")
    try:
        build.go_version(environ)
    except CollectorError as no_go:
        raise CollectorError(
            f"no Collector can be had: {refusal}; and {no_go} to build one. {OTHER_WAYS}, or install "
            f"Go {'.'.join(map(str, build.MINIMUM_GO))}"
        ) from no_go
    try:
        return build.build(environ, progress)
    except CollectorError as failed:
        raise CollectorError(f"no Collector can be had: {refusal}; and {failed}\n{OTHER_WAYS}") from failed


def _checked(binary: Path) -> Path:
    reason = unsuitable(binary)
    if reason:
        shutil.rmtree(binary.parent, ignore_errors=True)
        raise CollectorError(f"the Collector that came {reason}; it was removed")
    os.utime(binary)
    return binary
