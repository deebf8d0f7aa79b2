"""Builds a Collector from the pinned manifest with Go. Takes minutes, once; the cache keeps the result."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from collector import cache
from collector.errors import CollectorError

__all__ = ["Progress", "build", "go_version", "install_tool"]

Progress = Callable[[str], None]
"""Takes one line for the person who waits."""

BUILDER = f"go.opentelemetry.io/collector/cmd/builder@v{cache.VERSION}"
MINIMUM_GO = (1, 26)
BUILD_TIMEOUT_SECONDS = 1800
PROGRESS_EVERY_SECONDS = 10
_TAIL_LINES = 12
_GO_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.\d+)?\S*")


def go_version(environ: Mapping[str, str]) -> str:
    """The version of the Go on the path, such as `go1.26.8`.

    Raises:
        CollectorError: there is none, or it is too old for the Collector's sources.
    """
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise CollectorError("Go is not on the PATH")
    answer = subprocess.run([go, "version"], env=_go_environ(environ), capture_output=True, text=True, check=False)  # noqa: S603 - the user's own Go
    found = _GO_VERSION.search(answer.stdout)
    if found is None:
        raise CollectorError(f"{go} does not say its version: {(answer.stderr or answer.stdout).strip()[:200]}")
    if (int(found[1]), int(found[2])) < MINIMUM_GO:
        raise CollectorError(f"{go} is {found[0]}; the Collector's sources need Go {'.'.join(map(str, MINIMUM_GO))}")
    return found[0]


def build(environ: Mapping[str, str], progress: Progress) -> Path:
    """Build the Collector of `distribution/manifest.yaml` into the cache and return it. The caller holds the lock.

    Modules are verified by Go's checksum database; the manifest alone pins the result.

    Raises:
        CollectorError: no suitable Go, or a step failed; the text ends with the failing step's last lines.
    """
    version = go_version(environ)
    destination = cache.home(environ) / f"{cache.build_prefix()}{version}" / "otelcol-alerts"
    progress(f"Building a Collector from pinned sources with {version}: about five minutes on two cores, once")
    builder = install_tool(environ, BUILDER, "builder", progress)
    with cache.workspace(environ) as work:
        (work / "manifest.yaml").write_text(cache.manifest(), encoding="utf-8")
        _watched(
            [str(builder), "--config=manifest.yaml", "--skip-strict-versioning"],
            "compiling the Collector",
            environ,
            progress,
            folder=work,
        )
        return cache.place(work / "_build" / "otelcol-alerts", destination)


def install_tool(environ: Mapping[str, str], module: str, name: str, progress: Progress) -> Path:
    """Install the Go program `module@version` once into the cache and return its path. `name` is its file name."""
    release = module.rpartition("@")[2]
    destination = cache.home(environ) / "tools" / f"{name}-{release}" / name
    if os.access(destination, os.X_OK):
        return destination
    with cache.workspace(environ) as work:
        settings = {**environ, "GOBIN": str(work)}
        _watched(["go", "install", module], f"fetching {name} {release}", settings, progress, folder=work)
        return cache.place(work / name, destination)


def _go_environ(environ: Mapping[str, str]) -> dict[str, str]:
    # `local`: a build must not fetch another toolchain behind the user's back. No cgo: no C compiler, one static file.
    return {**environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def _watched(
    command: Sequence[str], doing: str, environ: Mapping[str, str], progress: Progress, *, folder: Path
) -> None:
    """Run a long step, saying every few seconds that it still runs: Go is silent while it compiles."""
    started = time.monotonic()
    progress(doing)
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603 - our own pinned builder and the user's Go
            command,
            env=_go_environ(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C and the time limit must reach the compilers that it starts.
            start_new_session=True,
        )
        try:
            while (code := _wait(process, PROGRESS_EVERY_SECONDS)) is None:
                elapsed = time.monotonic() - started
                if elapsed > BUILD_TIMEOUT_SECONDS:
                    break
                progress(f"{doing} … {elapsed:.0f} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code is None:
            raise CollectorError(f"{doing} took over {BUILD_TIMEOUT_SECONDS // 60} minutes and was ended")
        if code != 0:
            output.seek(0)
            tail = "".join(output.readlines()[-_TAIL_LINES:]).rstrip()
            raise CollectorError(f"{doing} failed (exit code {code}):\n{tail}")
    progress(f"{doing}: done in {time.monotonic() - started:.0f} s")


def _wait(process: subprocess.Popen[bytes], timeout_seconds: float) -> int | None:
    try:
        return process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return None
