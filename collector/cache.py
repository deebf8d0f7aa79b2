"""Where a Collector that we fetched or built lies, and how it gets there: whole, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from collector.errors import CollectorError

__all__ = [
    "MANIFEST", "VERSION", "base_folder", "build_prefix", "cached", "exclusive", "home", "manifest", "place",
    "release_folder", "workspace",
]  # fmt: skip

VERSION = "0.161.0"
"""The Collector release that the configuration was written and tested for, without a leading `v`."""

MANIFEST = resources.files("collector") / "distribution" / "manifest.yaml"
_KEY_HEX_DIGITS = 16
_EXECUTABLE_MODE = 0o755


def manifest() -> str:
    """The builder's manifest, as text."""
    return MANIFEST.read_text(encoding="utf-8")


def home(environ: Mapping[str, str]) -> Path:
    """The folder of fetched and built Collectors: `$XDG_CACHE_HOME/pipeline-alerts/collector`. Safe to delete."""
    return base_folder(environ, "XDG_CACHE_HOME", ".cache") / "pipeline-alerts" / "collector"


def base_folder(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    """A folder that the desktop standard names: by its variable, else below the user's home.

    Raises:
        CollectorError: there is neither.
    """
    named = environ.get(variable, "").strip()
    try:
        return Path(named) if named else Path.home() / below_home
    except RuntimeError as error:
        raise CollectorError(f"this user has no home: set {variable}, or HOME") from error


def build_prefix() -> str:
    """How the names of builds from today's manifest begin; the version of Go follows. Comments do not count."""
    content = "\n".join(
        code for line in manifest().splitlines() if (code := line.split(" #")[0].rstrip()) and code[0] != "#"
    )
    digest = hashlib.sha256(content.encode()).hexdigest()[:_KEY_HEX_DIGITS]
    return f"build-{VERSION}-{digest}-"


def release_folder(digest: str) -> str:
    """The folder name of an official archive with this SHA-256."""
    return f"release-{VERSION}-{digest[:_KEY_HEX_DIGITS]}"


def cached(environ: Mapping[str, str]) -> Path | None:
    """The newest Collector that is in the cache for this version and manifest, or none.

    A build counts whatever Go it came from: Go need not be there any more. Only whole binaries ever get this name.
    """
    folder = home(environ)
    candidates = [
        path
        for pattern in (f"{build_prefix()}*/otelcol-alerts", f"release-{VERSION}-*/otelcol-contrib")
        for path in folder.glob(pattern)
        if os.access(path, os.X_OK)
    ]
    return max(candidates, key=lambda path: path.stat().st_mtime, default=None)


def place(source: Path, destination: Path) -> Path:
    """Move a finished binary to its name in the cache, so that nobody ever sees a part of one."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=destination.parent, prefix=".incoming-")
    incoming = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target, source.open("rb") as content:
            while block := content.read(1 << 20):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        incoming.chmod(_EXECUTABLE_MODE)
        incoming.replace(destination)
    finally:
        incoming.unlink(missing_ok=True)
    return destination


@contextmanager
def workspace(environ: Mapping[str, str]) -> Iterator[Path]:
    """A temporary folder on the cache's own disk, gone afterwards."""
    folder = home(environ)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        yield Path(work)


@contextmanager
def exclusive(environ: Mapping[str, str], waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the cache's lock, so that two installs do the work once. Calls `waiting` if another process holds it."""
    folder = home(environ)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
