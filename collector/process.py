"""A Collector as a process: in the foreground for `collector run`, in the background for checks, demo and tests."""

from __future__ import annotations

import http.client
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, Self

from collector.configuration import Configuration
from collector.errors import CollectorError

__all__ = ["Collector", "free_addresses", "free_port", "replace_with"]

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 30.0
HEALTH_TIMEOUT_SECONDS = 1.0
_POLL_SECONDS = 0.02
_TAIL_LINES = 8
_ADDRESSES = ("OTELCOL_HTTP_ADDR", "OTELCOL_GRPC_ADDR", "OTELCOL_HEALTH_ADDR")


_PORTS = range(20_000, 32_000)
"""Below those that systems hand out by themselves, to outgoing connections and for port 0: between our look and the
start of whoever gets the port, and while that is down, nobody takes it by chance."""
_SHARES = 64  # of these ports; processes that ask at the same time look at different ones


def _own_ports() -> Iterator[int]:
    """This process's share of them, for ever, beginning anywhere; none comes again before all others did."""
    share = _PORTS[os.getpid() % _SHARES :: _SHARES]
    first = secrets.randbelow(len(share))
    return itertools.cycle([*share[first:], *share[:first]])


_candidates = _own_ports()


def free_port() -> int:
    """A loopback port that nobody holds now, and that only somebody who asks for it by number can take."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", next(_candidates)))
            except OSError:
                continue
            return int(probe.getsockname()[1])


def free_addresses() -> dict[str, str]:
    """Settings that put a Collector on three free loopback ports."""
    ports: set[int] = set()
    while len(ports) < len(_ADDRESSES):
        ports.add(free_port())
    return {name: f"127.0.0.1:{port}" for name, port in zip(_ADDRESSES, sorted(ports), strict=True)}


def replace_with(binary: Path, configuration: Configuration, environ: Mapping[str, str]) -> NoReturn:
    """Become the Collector: same process, so that signals, exit code and service managers see it and nothing of us."""
    os.execve(binary, [str(binary), *configuration.arguments()], dict(environ))  # noqa: S606 - no shell is the point


class Collector:
    """A Collector in the background. A context manager: enters when it is ready, ends it orderly on exit."""

    def __init__(self, binary: Path, configuration: Configuration, environ: Mapping[str, str], log: Path) -> None:
        """`environ` must carry `OTELCOL_HEALTH_ADDR`; the Collector's own log goes to the file `log`, appended."""
        self.binary = binary
        self.configuration = configuration
        self.environ = dict(environ)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running Collector."""
        return self._running().pid

    @property
    def http_endpoint(self) -> str:
        """Where it takes OTLP over HTTP, such as `http://127.0.0.1:4318`."""
        return f"http://{self.environ['OTELCOL_HTTP_ADDR']}"

    @property
    def grpc_endpoint(self) -> str:
        """Where it takes OTLP over gRPC, such as `127.0.0.1:4317`."""
        return self.environ["OTELCOL_GRPC_ADDR"]

    def start(self) -> Self:
        """Start it and return when it takes data.

        Raises:
            CollectorError: it ended, or was not ready in time; the text ends with the last lines of its log.
        """
        with self.log.open("ab") as log:
            self._process = self._spawn(log)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._is_ready():
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise CollectorError(f"the Collector ended at its start with exit code {code}:\n{self._reason()}")
            if time.monotonic() > deadline:
                self.kill()
                raise CollectorError(f"the Collector was not ready in {START_TIMEOUT_SECONDS:.0f} s:\n{self._reason()}")
            time.sleep(_POLL_SECONDS)
        return self

    def stop(self) -> int:
        """End it orderly (SIGTERM) and return its exit code; kills it if it does not end in time."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._process = None
        return code

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise CollectorError("the Collector is not running")
        return self._process

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the binary that the user has chosen
            [self.binary, *self.configuration.arguments()],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def _is_ready(self) -> bool:
        host, _, port = self.environ["OTELCOL_HEALTH_ADDR"].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=HEALTH_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _reason(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        # Its last word is plain text, after a screen of JSON.
        _, found, sentence = text.rpartition("\nError: ")
        return sentence.strip() if found else "\n".join(text.splitlines()[-_TAIL_LINES:])
