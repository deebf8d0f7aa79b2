"""The parent: owns the address and the state directory, starts the processes, replaces those that die, ends all."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

from alert_bridge.errors import SettingsError
from alert_bridge.service.settings import ServiceSettings, wants_exporters

__all__ = ["serve"]

ROLES = ("alerts", "telemetry")
EXPORTERS = "exporters"  # a third process, where there is something to export to; no trouble of its own ends the rest
BACKLOG = 512
TAKEOVER_WAIT_S = 3.0  # a bridge that was just killed needs a moment to let go of its address and its state
TAKEOVER_LOOK_S = 0.02
STOP_WITHIN_S = 2.7  # then a process is ended the hard way
FIRST_RESTART_WAIT_S = 0.1
LONGEST_RESTART_WAIT_S = 2.0  # senders keep what they have meanwhile, but people wait
START_FAILURES_MOST = 5  # a process that fails this often and never lived long will not come up by itself
STEADY_AFTER_S = 30.0  # a process that lived this long starts its next restarts from the shortest wait
USAGE_EXIT_CODE = 2
LOCK_NAME = "serve.lock"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Child:
    """One process of the service, whether it runs or waits to be started again."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0
    was_steady: bool = False


@dataclass(slots=True)
class _Orders:
    """What signals asked for."""

    stop: bool = False
    reload: bool = False


def serve(settings: ServiceSettings) -> int:
    """Run the service until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SettingsError: the address or the state directory is taken or cannot be used, or an exporter's settings cannot.
    """
    roles = (*ROLES, EXPORTERS) if wants_exporters(os.environ) else ROLES
    lock = _own(settings.state)
    listening = _listen(settings.host, settings.port)
    settings = replace(settings, port=listening.getsockname()[1])
    alive_read, alive_write = os.pipe()  # children see its end when this process is gone, however it went
    orders = _Orders()
    signals = _obey(orders)
    children = [_Child(role) for role in roles]
    inherited = (listening.fileno(), alive_read, lock)
    try:
        while not orders.stop:
            for child in children:
                if child.process is None and time.monotonic() >= child.restart_at:
                    _start(child, settings, inherited)
            code = _watch(children, orders, signals)
            if code is not None:
                return code
        return 0
    finally:
        _end(children)
        listening.close()
        os.close(alive_write)


def _own(state: Path) -> int:
    """A lock on the state directory, kept by the children too; the descriptor."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(f"The state directory {state} cannot be used: {error.strerror}") from error
    deadline = time.monotonic() + TAKEOVER_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise SettingsError(f"Another bridge works on {state}: end it, or choose another --state") from error
            time.sleep(TAKEOVER_LOOK_S)
        else:
            return lock


def _listen(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + TAKEOVER_WAIT_S
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family, kind, protocol)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(TAKEOVER_LOOK_S)
                continue
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(
                    f"{host}:{port} is taken by another program: end it, or choose another --listen"
                ) from error
            raise SettingsError(f"{host}:{port} cannot be listened on: {error.strerror or error}") from error
        else:
            return listening


def _obey(orders: _Orders) -> int:
    """Take signals as orders; returns a descriptor that becomes readable with each of them."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        orders.stop = True

    def reload(_number: int, _frame: FrameType | None) -> None:
        orders.reload = True

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # to be woken by it
    return reading


def _start(child: _Child, settings: ServiceSettings, inherited: tuple[int, int, int]) -> None:
    told = asdict(settings) | {"policy": str(settings.policy or ""), "state": str(settings.state)}
    told.pop("tokens")  # a secret travels in the environment, where it came from, never on a command line
    command = [
        sys.executable,
        "-m",
        "alert_bridge.service",
        child.role,
        str(inherited[0]),
        str(inherited[1]),
        json.dumps(told),
    ]
    child.process = subprocess.Popen(command, pass_fds=inherited, stdin=subprocess.DEVNULL)  # noqa: S603 - our own module
    child.started_at = time.monotonic()


def _watch(children: list[_Child], orders: _Orders, signals: int) -> int | None:
    """Wait for a signal or for the time to start a process again; an exit code ends the service."""
    waits = [max(child.restart_at - time.monotonic(), 0.0) for child in children if child.process is None]
    if select.select([signals], [], [], min(waits, default=None))[0]:
        os.read(signals, 512)
    if orders.reload:
        orders.reload = False
        for child in children:
            if child.process is not None:
                child.process.send_signal(signal.SIGHUP)
    for child in children:
        code = None if child.process is None else child.process.poll()
        if code is not None and not orders.stop:
            fatal = _lost(child, code)
            if fatal is not None:
                return fatal
    return None


def _lost(child: _Child, code: int) -> int | None:
    """A process ended that should not have; an exit code if starting it again cannot help."""
    lived = time.monotonic() - child.started_at
    child.process = None
    optional = child.role == EXPORTERS
    if code == USAGE_EXIT_CODE and not optional:
        return code  # it has said what is wrong, and would say it again
    child.was_steady = child.was_steady or lived >= STEADY_AFTER_S
    child.failures = 1 if lived >= STEADY_AFTER_S else child.failures + 1
    if code > 0 and not optional and not child.was_steady and child.failures >= START_FAILURES_MOST:
        log.error(
            "The %s process does not come up: it ended %d times with exit code %d", child.role, child.failures, code
        )
        return code
    wait = min(FIRST_RESTART_WAIT_S * 2 ** min(child.failures - 1, 10), LONGEST_RESTART_WAIT_S)
    child.restart_at = time.monotonic() + wait
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    log.error("The %s process ended %s after %.1f s; it is started again in %.1f s", child.role, how, lived, wait)
    return None


def _end(children: list[_Child]) -> None:
    """Orderly within `STOP_WITHIN_S`, then the hard way."""
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            log.warning("Process %d did not end in time and is killed", process.pid)
            process.kill()
            process.wait()
