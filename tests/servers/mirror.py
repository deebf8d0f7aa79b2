"""A mirror of releases on loopback that serves what a test puts there, archives for it, and programs for a PATH."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from collector import binary, cache, release

PROGRAM = b"#!/bin/sh\necho a Collector\n"
NAME = "otelcol-contrib_test_linux_amd64.tar.gz"
WHERE_NOBODY_LISTENS = f"http://127.0.0.1:1/{NAME}"


class Mirror:
    """Serves bytes by path; can promise more than it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.promised_extra_bytes = 0
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = mirror.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + mirror.promised_extra_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mirror")
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.base}/{NAME}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, archive: bytes, digest: str | None = None, name: str = NAME) -> None:
        self.files[name] = archive
        self.files[f"{name}.sha256"] = (digest or sha256(archive)).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as content:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                content.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                content.addfile(entry, io.BytesIO(member[1]))
    return target.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


GOOD = archive(("README.md", b"read me"), ("otelcol-contrib", PROGRAM))


def from_mirror(environ: dict[str, str], mirror: Mirror, digest: str = "") -> Path:
    return release.from_url(environ, mirror.url, digest, lambda _: None)


def left_behind(environ: dict[str, str]) -> list[Path]:
    return [path for path in cache.home(environ).rglob("*") if path.is_file()]


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def components(*without: str, version: str = cache.VERSION) -> str:
    return f"echo '    version: {version}'\n" + "\n".join(
        f"echo '    - name: {name}'" for name in sorted(binary.REQUIRED - set(without))
    )
