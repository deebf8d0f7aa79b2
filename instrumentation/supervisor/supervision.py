"""One run, from its folder to its end: starts the program, follows it, and sees to it that all of it is told."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from instrumentation import manifest
from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.sender import linger
from instrumentation.sender.folder import unbind_poke
from instrumentation.sender.journals import expect
from instrumentation.sender.logfile import RunLog, keep_within, log_path
from instrumentation.sender.own_redaction import OwnRedaction, load
from instrumentation.sender.sender import Report, Sender, collect_seldom
from instrumentation.supervisor.descendants import Death, Descendants
from instrumentation.supervisor.ending import Ending
from instrumentation.supervisor.launch import CHILD_PATH, Launch
from instrumentation.supervisor.leftovers import Leftover, Leftovers
from instrumentation.supervisor.limits import Limits
from instrumentation.supervisor.listening import Listener, Place
from instrumentation.supervisor.memory import judge
from instrumentation.supervisor.passing import LastEnds
from instrumentation.supervisor.silence import Silence
from instrumentation.supervisor.spawning import Program
from instrumentation.supervisor.stacks import dump_stacks
from instrumentation.supervisor.stopping import TimeLimit
from instrumentation.supervisor.telling import Teller
from instrumentation.supervisor.verdicts import verdicts

__all__ = ["Outcome", "Supervision"]

TICK_S: Final = 0.25
HEARTBEAT_EVERY_S: Final = 60.0
LEFTOVER_GRACE_S: Final = 0.1  # after the program, for what ends with it
EXIT_BUDGET_S: Final = 0.8  # of hearing and shipping after the program ended; the command's promise is 1.5 s
LEAST_SHIPPING_S: Final = 0.3  # of these, however long it took to hear of all
MANIFEST_WAIT_S: Final = 1.0  # for a first Python process, whose packages are the interesting ones
_MANIFEST_GRACE_S: Final = 0.05
_SILENCE_GRACE_S: Final = 0.3  # an answer that is on its way when the program ends


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the program ended, how many of its records were errors, and how far they got."""

    ending: Ending
    errors: int
    report: Report
    folder: Path


class Supervision:
    """A run whose program was started."""

    def __init__(self, launch: Launch, limits: Limits) -> None:
        self._launch = launch
        self._limits = limits
        self._settings = launch.settings
        self._folder = launch.folder
        self._listener = Listener()
        self._descendants = Descendants(str(CHILD_PATH))
        self._log = RunLog(log_path(launch.settings.log_home, launch.pipeline, launch.run_id))
        self._sender = Sender(
            launch.folder.path,
            launch.settings,
            log=self._log,
            observe=self._listener.hear,
            greet=self._greet,
            poke=launch.poke,
            redact=self._load_redaction(),
        )
        self._teller = Teller(launch, self._sender.wake, lambda: self._listener.wandb_run)
        self._first_python: dict[str, Any] = {}
        self._has_python = threading.Event()
        self._manifest = threading.Thread(target=self._tell_manifest, name="pipeline-alerts-manifest", daemon=True)
        self._silence = Silence(limits.silent_after_s, launch.started)
        self._dump: threading.Thread | None = None
        self._next_heartbeat = launch.started + HEARTBEAT_EVERY_S
        self._time_limit = TimeLimit(limits.timeout_s, launch.started)
        self._leftovers = Leftovers(launch.folder.path.resolve())
        self._oom = launch.oom
        self._peak_below = 0
        self._last_ends = LastEnds()

    def _load_redaction(self) -> OwnRedaction | None:
        """The user's own redaction; without it the run is told all the same, and what is wrong with it, too."""
        self._problems = self._settings.problems
        try:
            return load(self._settings.redact) if self._settings.redact else None
        except ValueError as error:
            self._problems += (str(error),)
            return None

    def run(self) -> Outcome:
        """Follows the program and returns when it ended and as much was shipped as the budget allows."""
        collect_seldom()
        program = self._launch.program
        self._teller.start(self._problems)
        if program is None:
            failure = self._launch.failure
            self._sender.start()
            self._teller.not_started(str(failure), failure.exit_code if failure else 1)
            return Outcome(Ending(failure.exit_code if failure else 1), 0, self._ship_and_clear(), self._folder.path)
        self._descendants.program_pid = program.pid
        self._oom.include(program.pid)
        beside = [program.bystander.pid] if program.bystander else []
        self._descendants.own_pids = [*self._launch.output.copier_pids, *beside]
        self._descendants.may_miss_orphans = program.is_over()
        self._sender.start()
        self._manifest.start()
        self._follow(program)
        return self._conclude(program)

    def _greet(self, header: dict[str, Any], path: Path) -> None:
        self._descendants.announce(header, path)
        if int(header["p"]) != os.getpid() and not self._has_python.is_set():
            self._first_python = header
            self._has_python.set()

    def _tell_manifest(self) -> None:
        self._has_python.wait(MANIFEST_WAIT_S)
        with contextlib.suppress(Exception):  # a thread that fails would write to the program's stderr
            executable = str(self._first_python.get("x", ""))
            folders = manifest.site_packages_of(executable) if executable else []
            version = str(self._first_python.get("py", ""))
            launch = self._launch
            self._teller.manifest(manifest.collect(launch.command, launch.environ, Path.cwd(), folders, version))
            linger.adopt(launch.settings, launch.environ)

    # ── while it runs ──

    def _follow(self, program: Program) -> None:
        while not program.has_ended:
            orphans = program.wait(TICK_S)
            with contextlib.suppress(Exception):  # one look at the system that fails must not end the watch
                if not program.has_ended:
                    self._tick(program, time.monotonic())
                self._tell_deaths(orphans)

    def _tick(self, program: Program, now: float) -> None:
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_EVERY_S
            self._teller.heartbeat(now - self._launch.started, self._listener.stage)
        self._peak_below = max(self._peak_below, self._descendants.peak_memory())
        for unreached in self._descendants.unreached(now):
            self._teller.unreached(unreached)
        for leftover in self._leftovers.look(self._descendants.orphans(), now):
            self._teller.leftover(leftover)
        self._time_limit.keep(program, now)
        if silent_for := self._silence.look(self._listener.last_heard, now):
            # Beside the watch: a dump takes seconds, in which the program may end, or somebody may want it to.
            self._dump = threading.Thread(
                target=self._tell_silence, args=(program, silent_for), name="pipeline-alerts-stacks", daemon=True
            )
            self._dump.start()

    def _tell_silence(self, program: Program, silent_for: float) -> None:
        noticed_ns, stage, stacks = time.time_ns(), self._listener.stage, ""
        with contextlib.suppress(Exception):  # then it is told without them
            file = self._folder.path.resolve() / contract.STACKS_FILE
            stacks = dump_stacks(program.pid, self._descendants.adopted(), file)
        self._teller.silence(self._silence.limit_s, silent_for, noticed_ns, stage, stacks)

    def _tell_deaths(self, orphans: Sequence[tuple[int, int, int]] = ()) -> None:
        found = verdicts(lambda: self._descendants.deaths(orphans), self._oom, time.monotonic)
        if found:
            self._sender.catch_up()  # what they said last is in their journals, but perhaps not here yet
        for death, memory in found:
            self._last_ends.add(death, time.monotonic())
            self._peak_below = max(self._peak_below, death.peak_memory)
            if not self._time_limit.is_over:  # else it was us
                last = self._listener.last_records(death.pid)
                is_own_doing = self._listener.was_killed_by_program(death.pid)
                self._teller.death(death, memory, self._place_of(death), last, is_own_doing=is_own_doing)

    def _place_of(self, death: Death) -> Place:
        """Where a process died: in the span of its last record, else in the one that it was started from."""
        place = self._listener.place_of(death.pid)
        if not place.span_id:
            place = replace(place, trace_id=death.trace_id, span_id=death.span_id)
        return replace(place, stage=place.stage or death.stage or self._listener.stage)

    # ── the end ──

    def _conclude(self, program: Program) -> Outcome:
        assert program.status is not None
        ended = time.monotonic()
        duration = ended - self._launch.started
        self._sender.catch_up()  # a process may have begun and died since the last look
        self._tell_deaths()
        peak_memory = max(program.peak_memory, self._peak_below)
        # A shell tells later of a kill in it; the program's own is of this moment.
        in_all = self._oom.all()
        kills = self._oom.recent(time.monotonic()) if os.WIFSIGNALED(program.status) else in_all
        ending = Ending.of(
            program.status,
            memory=judge(kills, 1, peak_memory, self._oom.limit()),
            has_victims=bool(in_all.here),
            is_timeout=self._time_limit.is_over,
            is_interrupt=program.was_interrupted,
        )
        self._has_python.set()
        self._manifest.join(_MANIFEST_GRACE_S)
        if self._dump is not None:
            self._dump.join(_SILENCE_GRACE_S)
        self._sender.catch_up()
        if lost := self._sender.lost():
            self._teller.lost(lost)
        for leftover in self._left_behind():
            self._teller.leftover(leftover)
        if never_run := self._never_run():
            self._teller.never_run(never_run)
        passed_on = self._last_ends.passed_on(ending.exit_code, ended)
        self._teller.end(
            ending,
            pid=program.pid,
            passed_on=passed_on,
            duration=duration,
            peak_memory=peak_memory,
            cpu_seconds=program.cpu_seconds,
            tails=self._launch.output.tails(),
            last_records=next(filter(None, map(self._listener.last_records, (program.pid, *passed_on))), ""),
            uncaught=sorted(self._listener.uncaught),
            stage=self._listener.stage,
            log_path=str(self._log.path),
            records=self._listener.records,
        )
        report = self._ship_and_clear(max(ended + EXIT_BUDGET_S - time.monotonic(), LEAST_SHIPPING_S))
        return Outcome(ending, self._listener.errors, report, self._folder.path)

    def _left_behind(self) -> list[Leftover]:
        """What goes on after the program, and not only for the moment that it takes to notice."""
        ends_at = time.monotonic() + LEFTOVER_GRACE_S
        while self._leftovers.stay(self._descendants.orphans()) and time.monotonic() < ends_at:
            time.sleep(LEFTOVER_GRACE_S / 10)
        return self._leftovers.look(self._descendants.orphans(), time.monotonic(), at_end=True)

    def _never_run(self) -> list[str]:
        """Functions that were named as stages and did not become one."""
        asked = [path.strip() for path in self._launch.environ.get(contract.ENV_STAGES, "").split(",")]
        return [path for path in asked if path and re.split("[.:]", path)[-1] not in self._listener.stages]

    def _ship_and_clear(self, within_s: float = EXIT_BUDGET_S) -> Report:
        launch = self._launch
        launch.journal.close()
        report = self._sender.stop(within_s)
        for pid in self._descendants.expected(self._folder.path.resolve()):
            expect(self._folder.path, pid)
        if report.is_complete and not linger.has_writers(self._folder.path):
            self._folder.remove()
        else:
            self._folder.unlock()
            if self._settings.linger_seconds:
                linger.start(self._folder.path, self._settings, launch.environ)
        if launch.announcement is not None:
            with contextlib.suppress(OSError):
                launch.announcement.unlink()
        unbind_poke(launch.poke_path, launch.poke)
        with contextlib.suppress(OSError):
            keep_within(self._settings.log_home, self._settings.log_cap_bytes)
        return report
