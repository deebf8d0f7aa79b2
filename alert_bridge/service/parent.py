"""The parent: owns the address and the state directory, forks the processes, replaces those that die, ends all.

It runs no thread and opens no store, so that a fork copies nothing half done.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import select
import signal
import socket
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType

from alert_bridge.errors import SettingsError
from alert_bridge.service.roles import ALERTS, EXPORTERS, TELEMETRY, USAGE_EXIT_CODE, preload, run_role
from alert_bridge.service.settings import ServiceSettings, wants_exporters

__all__ = ["serve"]

ROLES = (TELEMETRY, ALERTS)  # in this order, so that the second finds the first when it says that it is ready
BACKLOG = 512
TAKEOVER_WAIT_S = 5.0  # as long as what is left of a bridge that was killed may take to let go of its address and state
TAKEOVER_LOOK_S = 0.02
STOP_WITHIN_S = 2.7  # then a process is ended the hard way
FIRST_RESTART_WAIT_S = 0.1
LONGEST_RESTART_WAIT_S = 2.0  # senders keep what they have meanwhile, but people wait
START_FAILURES_MOST = 5  # a process that fails this often and never lived long will not come up by itself
STEADY_AFTER_S = 30.0  # a process that lived this long starts its next restarts from the shortest wait
OPEN_FILES = 16_384  # a connection is one; the usual 1,024 are soon taken by senders that hang
LOCK_NAME = "serve.lock"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Child:
    """One process of the service, whether it runs or waits to be started again."""

    role: str
    process: ForkProcess | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0
    was_steady: bool = False
    starts: int = 0


@dataclass(slots=True)
class _Orders:
    """What signals asked for; each of them writes to ``telling``, so that ``told`` becomes readable."""

    told: int
    telling: int
    stop: bool = False
    reload: bool = False


@dataclass(frozen=True, slots=True)
class _Estate:
    """What all processes of the service have in common."""

    settings: ServiceSettings
    listening: socket.socket
    alive: int  # readable when the parent is gone, however it went
    living: int  # its other end, which the parent alone holds


def serve(settings: ServiceSettings) -> int:
    """Run the service until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SettingsError: the address or the state directory is taken or cannot be used, or an exporter's settings cannot.
    """
    roles = (*ROLES, EXPORTERS) if wants_exporters(os.environ) else ROLES
    _own(settings.state)
    listening = _listen(settings.host, settings.port)
    estate = _Estate(replace(settings, port=listening.getsockname()[1]), listening, *os.pipe())
    orders = _obey()
    _allow_open_files()
    preload()
    children = [_Child(role) for role in roles]
    try:
        while not orders.stop:
            for child in children:
                if child.process is None and time.monotonic() >= child.restart_at:
                    _start(child, estate, orders)
            code = _watch(children, orders)
            if code is not None:
                return code
        return 0
    finally:
        _end(children)
        listening.close()
        os.close(estate.living)


def _own(state: Path) -> None:
    """Lock the state directory, for as long as any process of the service lives."""
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
            return


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


def _allow_open_files() -> None:
    """As many as we want, or as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _obey() -> _Orders:
    """Take signals as orders."""
    orders = _Orders(*os.pipe())

    def stop(_number: int, _frame: FrameType | None) -> None:
        orders.stop = True

    def reload(_number: int, _frame: FrameType | None) -> None:
        orders.reload = True

    os.set_blocking(orders.telling, False)
    signal.set_wakeup_fd(orders.telling, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # to be woken by it
    return orders


def _start(child: _Child, estate: _Estate, orders: _Orders) -> None:
    # A signal between the fork and the child's own handlers would be taken as an order to the parent, and be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        estate = replace(estate, settings=replace(estate.settings, starts_again=child.starts > 0))
        process = get_context("fork").Process(target=_begin, args=(child.role, estate, orders))
        process.start()
        child.starts += 1
    except OSError as error:  # the machine has no room for a process now: no reason to end the others
        child.restart_at = time.monotonic() + LONGEST_RESTART_WAIT_S
        log.error("The %s process cannot be started (%s); it is tried again soon", child.role, error.strerror)  # noqa: TRY400 - no trace
        return
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    child.process, child.started_at = process, time.monotonic()


def _begin(role: str, estate: _Estate, orders: _Orders) -> None:
    """In the child: let go of what is the parent's, then be the role."""
    os.close(estate.living)
    signal.set_wakeup_fd(-1)
    os.close(orders.told)
    os.close(orders.telling)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # A reload that is ordered meanwhile waits until the role has read the policy.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS} - {signal.SIGHUP})
    raise SystemExit(run_role(role, estate.settings, estate.listening, estate.alive))


def _watch(children: list[_Child], orders: _Orders) -> int | None:
    """Wait for a signal or for the time to start a process again; an exit code ends the service."""
    waits = [max(child.restart_at - time.monotonic(), 0.0) for child in children if child.process is None]
    if select.select([orders.told], [], [], min(waits, default=None))[0]:
        os.read(orders.told, 512)
    if orders.reload:
        orders.reload = False
        for child in children:
            if child.process is not None and child.process.pid is not None:
                os.kill(child.process.pid, signal.SIGHUP)
    for child in children:
        code = None if child.process is None else child.process.exitcode
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
        process.join(max(deadline - time.monotonic(), 0.01))
        if process.exitcode is None:
            log.warning("Process %d did not end in time and is killed", process.pid)
            process.kill()
            process.join()
