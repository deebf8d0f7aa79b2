"""Gets an official Collector release: from the project's releases, a mirror, or a file that somebody carried in.

The archive is compared with its SHA-256 before anything in it is looked at. The digest comes from the person who asks
(`--sha256`), else from our own table (`distribution/releases.sha256`) if the archive bears an official name, else from
the `.sha256` file beside the archive, which releases have carried since v0.158.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import IO

from collector import cache
from collector.errors import CollectorError

__all__ = ["Unreachable", "archive_url", "from_file", "from_url"]

MEMBER = "otelcol-contrib"
PINNED = resources.files("collector") / "distribution" / "releases.sha256"
CONNECT_TIMEOUT_SECONDS = 5.0
"""Also the longest silence within a download. Short, because building from source is the next thing to try."""
ARCHIVE_LIMIT_BYTES = 512 << 20
BINARY_LIMIT_BYTES = 2 << 30
DIGEST_LIMIT_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Unreachable(CollectorError):
    """The server did not give us the file. Another way to a Collector may still work."""


def archive_url(system: str = sys.platform, machine: str | None = None) -> str:
    """Where the official archive for this machine lies.

    Raises:
        CollectorError: no archive is published for this kind of machine.
    """
    architecture = _ARCHITECTURES.get((machine or platform.machine()).lower())
    if system not in {"linux", "darwin"} or architecture is None:
        raise CollectorError(f"no official Collector archive is known for {system} on {machine or platform.machine()}")
    return (
        "https://github.com/open-telemetry/opentelemetry-collector-releases/releases/download/"
        f"v{cache.VERSION}/{MEMBER}_{cache.VERSION}_{system}_{architecture}.tar.gz"
    )


def from_url(environ: Mapping[str, str], url: str, sha256: str, progress: Callable[[str], None]) -> Path:
    """Download an archive, compare it with its digest, and put its Collector into the cache.

    Raises:
        Unreachable: the server could not be reached in time, or does not have the file.
        CollectorError: what came is not what its digest promises, or has no Collector in it.
    """
    expected = _promised(url.rpartition("/")[2], sha256) or _published_digest(url)
    progress(f"Downloading {url}")
    with cache.workspace(environ) as work:
        archive = work / "archive.tar.gz"
        with archive.open("wb") as target:
            _download(url, target, ARCHIVE_LIMIT_BYTES)
        return _install(environ, archive, expected, origin=url)


def from_file(environ: Mapping[str, str], archive: Path, sha256: str, progress: Callable[[str], None]) -> Path:
    """Put the Collector of an archive that is already on this machine into the cache.

    The digest is `sha256`, else the pinned one of an official name, else the content of `ARCHIVE.sha256`. There must be
    one: the file was carried by hand.

    Raises:
        CollectorError: there is no archive or no digest, they do not match, or there is no Collector in it.
    """
    beside = archive.with_name(f"{archive.name}.sha256")
    if not archive.is_file():
        raise CollectorError(
            f"{archive} is not a file: give the path of an archive such as {MEMBER}_{cache.VERSION}_linux_amd64.tar.gz"
        )
    expected = _promised(archive.name, sha256)
    if not expected and beside.is_file():
        expected = _digest(beside.read_text(encoding="ascii", errors="replace")[:DIGEST_LIMIT_BYTES], str(beside))
    if not expected:
        raise CollectorError(
            f"nothing to verify {archive} against: put {beside.name} beside it, or give --sha256 DIGEST"
        )
    progress(f"Installing {archive}")
    return _install(environ, archive, expected, origin=str(archive))


def _promised(name: str, sha256: str) -> str:
    """The digest that an archive of this name must have, by who asks or by our table; empty if neither says."""
    if sha256:
        return _digest(sha256, "--sha256")
    lines = (line.split() for line in PINNED.read_text(encoding="ascii").splitlines() if not line.startswith("#"))
    return next((digest for digest, pinned in lines if pinned == name), "")


def _published_digest(url: str) -> str:
    with tempfile.TemporaryFile() as target:
        _download(f"{url}.sha256", target, DIGEST_LIMIT_BYTES)
        target.seek(0)
        return _digest(target.read().decode("ascii", "replace"), f"{url}.sha256")


def _digest(text: str, origin: str) -> str:
    found = _DIGEST.search(text.lower())
    if found is None:
        raise CollectorError(f"{origin} holds no SHA-256 (64 hexadecimal digits)")
    return found[0]


def _download(url: str, target: IO[bytes], limit_bytes: int) -> None:
    if not url.startswith(("https://", "http://")):
        raise CollectorError(f"{url} is not an http or https address")
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme is checked above
            announced = answer.headers.get("Content-Length")
            while block := answer.read(_BLOCK_BYTES):
                received += len(block)
                if received > limit_bytes:
                    raise CollectorError(f"{url} is larger than {limit_bytes} bytes")
                target.write(block)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unreachable(f"{url} answered {error.code}") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(f"{url} cannot be reached: {reason}") from error
    if announced is not None and received != int(announced):
        raise Unreachable(f"{url} ended after {received} of {announced} bytes")


def _install(environ: Mapping[str, str], archive: Path, expected: str, *, origin: str) -> Path:
    with archive.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if actual != expected:
        raise CollectorError(
            f"{origin} has SHA-256 {actual}, but {expected} was promised: it is not what was published"
        )
    destination = cache.home(environ) / cache.release_folder(actual) / MEMBER
    with cache.workspace(environ) as work:
        binary = work / MEMBER
        _extract(archive, binary, origin)
        return cache.place(binary, destination)


def _extract(archive: Path, target: Path, origin: str) -> None:
    """Copy the one member that we want, by content: no name, mode or link of the archive reaches the disk."""
    try:
        with tarfile.open(archive, "r:gz") as content:
            for member in content:
                if member.name.removeprefix("./") != MEMBER:
                    continue
                if not member.isreg():
                    raise CollectorError(f"in {origin}, {MEMBER} is not a plain file")
                if member.size > BINARY_LIMIT_BYTES:
                    raise CollectorError(f"in {origin}, {MEMBER} is larger than {BINARY_LIMIT_BYTES} bytes")
                source = content.extractfile(member)
                if source is None:  # pragma: no cover - isreg() above
                    break
                with source, target.open("wb") as out:
                    while block := source.read(_BLOCK_BYTES):
                        out.write(block)
                return
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CollectorError(f"{origin} cannot be unpacked: {error}") from error
    raise CollectorError(f"{origin} has no {MEMBER} in it")
