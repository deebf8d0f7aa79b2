"""One run, from its folder to its end: starts the program, follows it, and sees to it that all of it is told."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from instrumentation import manifest
from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.journal import Journal
from instrumentation.sender import linger
from instrumentation.sender.folder import RunFolder, bind_poke, new_run_id
from instrumentation.sender.logfile import RunLog, keep_within, log_path
from instrumentation.sender.sender import Report, Sender
from instrumentation.settings import Settings, resource_of
from instrumentation.supervisor import memory
from instrumentation.supervisor.descendants import Descendants, become_subreaper, below
from instrumentation.supervisor.ending import Ending
from instrumentation.supervisor.listening import Listener
from instrumentation.supervisor.naming import name_of
from instrumentation.supervisor.output import Output
from instrumentation.supervisor.spawning import NotStarted, Program, block_signals
from instrumentation.supervisor.stacks import dump_stacks
from instrumentation.supervisor.telling import Teller

__all__ = ["Limits", "Outcome", "Supervision"]

CHILD_PATH: Final = Path(__file__).resolve().parent.parent / "child"
TICK_S: Final = 0.25
HEARTBEAT_EVERY_S: Final = 60.0
KILL_AFTER_S: Final = 10.0  # between the polite and the final signal of a time-out
EXIT_BUDGET_S: Final = 1.2  # of shipping after the program ended; the command's promise is 1.5 s
MANIFEST_WAIT_S: Final = 1.0  # for a first Python process, whose packages are the interesting ones
_MANIFEST_GRACE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; 0 means no limit."""

    timeout_s: float = 0.0
    silent_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the program ended, how many of its records were errors, and how far they got."""

    ending: Ending
    errors: int
    report: Report
    folder: Path


class Supervision:
    """A run under way.

    Raises:
        OSError: there is no place for the run's folder.
    """

    def __init__(self, command: Sequence[str], limits: Limits, settings: Settings, environ: Mapping[str, str]) -> None:
        self.pipeline = settings.pipeline or name_of(command)
        self._command = command
        self._limits = limits
        self._settings = settings
        self._environ = environ
        self._started = time.monotonic()
        self._run_id = settings.run_id or new_run_id(time.time())
        trace_id, parent_span = parse_traceparent(environ.get(contract.ENV_TRACEPARENT, ""))
        self._make_folder(trace_id := trace_id or secrets.token_hex(16))
        self._listener = Listener()
        self._descendants = Descendants(str(CHILD_PATH))
        self._log = RunLog(log_path(settings.log_home, self.pipeline, self._run_id))
        self._poke_path, self._poke = bind_poke(environ)
        self._sender = Sender(
            self._folder.path,
            settings,
            log=self._log,
            observe=self._listener.hear,
            greet=self._greet,
            poke=self._poke,
        )
        self._teller = Teller(self._journal, self.pipeline, command, trace_id, parent_span, self._sender.wake)
        self._first_python: dict[str, Any] = {}
        self._has_python = threading.Event()
        self._manifest = threading.Thread(target=self._tell_manifest, name="pipeline-alerts-manifest", daemon=True)
        self._is_silence_told = False
        self._next_heartbeat = self._started + HEARTBEAT_EVERY_S
        self._asked_to_stop_at: float | None = None
        self._is_killed = False
        self._oom_kills = memory.oom_kills()
        self._peak_below = 0

    def _make_folder(self, trace_id: str) -> None:
        revision = manifest.git_revision(Path.cwd())
        resource = resource_of(self._environ, pipeline=self.pipeline, run_id=self._run_id, revision=revision)
        facts = {
            "pipeline": self.pipeline,
            "run_id": self._run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": time.time_ns(),
            "trace_id": trace_id,
            "resource": resource,
        }
        self._folder = RunFolder.create(self._settings.journal_home, self._run_id, facts)
        self._journal = Journal(str(self._folder.path))
        if not self._journal.open():
            raise OSError("the disk is full")

    def run(self) -> Outcome:
        """Starts the program and returns when it ended and as much was shipped as the budget allows.

        Raises:
            NotStarted: there is no such program; that is told too.
        """
        output = Output()  # forks its copiers, so before any thread
        mask = block_signals()
        try:
            program = Program.start(self._command, self._child_environ(), mask, output.file_actions)
        except NotStarted as error:
            output.started()
            self._sender.start()
            self._teller.start(self._settings.problems)
            self._teller.not_started(str(error), error.exit_code)
            self._ship_and_clear()
            raise
        output.started()
        self._descendants.program_pid = program.pid
        self._descendants.own_pids = output.copier_pids
        self._teller.start(self._settings.problems)
        self._sender.start()
        self._manifest.start()
        become_subreaper()
        self._follow(program)
        return self._conclude(program, output)

    def _child_environ(self) -> dict[str, str]:
        environ = dict(self._environ)
        # No trailing colon: it would put the working directory on the path.
        environ["PYTHONPATH"] = os.pathsep.join([str(CHILD_PATH), *filter(None, [environ.get("PYTHONPATH")])])
        environ[contract.ENV_RUN_FOLDER] = str(self._folder.path.resolve())
        environ[contract.ENV_RUN_ID] = self._run_id
        environ[contract.ENV_PIPELINE] = self.pipeline
        environ[contract.ENV_TRACEPARENT] = f"00-{self._teller.trace_id}-{self._teller.span_id}-01"
        if self._poke_path is not None:
            environ[contract.ENV_POKE] = str(self._poke_path)
        return environ

    def _greet(self, header: dict[str, Any], path: Path) -> None:
        self._descendants.announce(header, path)
        if int(header["p"]) != os.getpid() and not self._has_python.is_set():
            self._first_python = header
            self._has_python.set()

    def _tell_manifest(self) -> None:
        self._has_python.wait(MANIFEST_WAIT_S)
        executable = str(self._first_python.get("x", ""))
        folders = manifest.site_packages_of(executable) if executable else []
        version = str(self._first_python.get("py", ""))
        self._teller.manifest(manifest.collect(self._command, self._environ, Path.cwd(), folders, version))

    # ── while it runs ──

    def _follow(self, program: Program) -> None:
        while not program.has_ended:
            orphans = program.wait(TICK_S)
            if not program.has_ended:
                self._tick(program, time.monotonic())
            self._tell_deaths(orphans)

    def _tick(self, program: Program, now: float) -> None:
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_EVERY_S
            self._teller.heartbeat(now - self._started, self._listener.stage)
        self._peak_below = max(self._peak_below, self._descendants.peak_memory())
        for unreached in self._descendants.unreached(now):
            self._teller.unreached(unreached)
        if self._limits.timeout_s and now - self._started >= self._limits.timeout_s:
            self._stop(program, now)
        if self._limits.silent_after_s:
            self._watch_silence(program, now - self._listener.last_heard)

    def _watch_silence(self, program: Program, silent_for: float) -> None:
        if silent_for < self._limits.silent_after_s:
            self._is_silence_told = False
        elif not self._is_silence_told:
            self._is_silence_told = True
            stacks = dump_stacks([*self._descendants.alive, program.pid])
            self._teller.silence(self._limits.silent_after_s, silent_for, self._listener.stage, stacks)

    def _stop(self, program: Program, now: float) -> None:
        if self._asked_to_stop_at is None:
            self._asked_to_stop_at = now
            number = signal.SIGTERM
        elif not self._is_killed and now - self._asked_to_stop_at >= KILL_AFTER_S:
            self._is_killed = True
            number = signal.SIGKILL
        else:
            return
        for pid in (program.pid, *below(program.pid)):
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def _tell_deaths(self, orphans: Sequence[tuple[int, int, int]] = ()) -> None:
        for death in self._descendants.deaths(orphans):
            self._peak_below = max(self._peak_below, death.peak_memory)
            if self._asked_to_stop_at is None:  # else it was us
                self._teller.death(replace(death, is_out_of_memory=self._oom_struck()), self._listener.stage)

    def _oom_struck(self) -> bool:
        """Whether the kernel killed for memory since we last looked."""
        before, self._oom_kills = self._oom_kills, memory.oom_kills()
        return before is not None and self._oom_kills is not None and self._oom_kills > before

    # ── the end ──

    def _conclude(self, program: Program, output: Output) -> Outcome:
        assert program.status is not None
        duration = time.monotonic() - self._started
        self._tell_deaths()
        ending = Ending.of(
            program.status,
            is_out_of_memory=self._oom_struck(),
            is_timeout=self._asked_to_stop_at is not None,
            is_interrupt=program.was_interrupted,
        )
        self._has_python.set()
        self._manifest.join(_MANIFEST_GRACE_S)
        self._sender.catch_up()
        self._teller.end(
            ending,
            pid=program.pid,
            duration=duration,
            peak_memory=max(program.peak_memory, self._peak_below),
            cpu_seconds=program.cpu_seconds,
            tails=output.tails(),
            uncaught=sorted(set(self._listener.uncaught.values())),
            stage=self._listener.stage,
            log_path=str(self._log.path),
        )
        report = self._ship_and_clear()
        return Outcome(ending, self._listener.errors, report, self._folder.path)

    def _ship_and_clear(self) -> Report:
        self._journal.close()
        report = self._sender.stop(EXIT_BUDGET_S)
        if report.is_complete and not report.refused and not self._descendants.alive:
            self._folder.remove()
        else:
            self._folder.unlock()
            if self._settings.linger_seconds:
                linger.start(self._folder.path, self._settings, self._environ)
        if self._poke is not None and self._poke_path is not None:
            self._poke.close()
            with contextlib.suppress(OSError):
                self._poke_path.unlink()
                self._poke_path.parent.rmdir()
        with contextlib.suppress(OSError):
            keep_within(self._settings.log_home, self._settings.log_cap_bytes)
        return report
