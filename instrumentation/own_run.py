"""The run that a process is by itself, without a parent: its journal, its sender, its beginning and its end.

Begun by `configure()`, or by the handler at its first record. Fewer guarantees than `run`: nobody sees the exit code,
and a death is told by a guardian process or not at all.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from instrumentation import attributes as names
from instrumentation import capture, events, hooks, running
from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.values import describe
from instrumentation.journal import Journal, current
from instrumentation.misuse import say_once, text_of
from instrumentation.moments import now_ns_after
from instrumentation.sender.own_redaction import OwnRedaction
from instrumentation.settings import DEFAULT_PIPELINE, Settings, resource_of

if TYPE_CHECKING:
    from instrumentation.git import WorkTree

__all__ = ["ensure_started", "shutdown"]

EXIT_BUDGET_S: Final = 0.8
GUARDIAN_AFTER_S: Final = 1.0  # scripts that end sooner do not pay for it
INFO: Final = 20
WARNING: Final = 30
_SERVER_SPAN: Final = 2
_locks: Final = [threading.Lock()]  # one; a fork gets another, because its parent's can be held by a thread it has not
_starting: Final = threading.local()
_run: list[_Run] = []  # at most one
_given_up: list[None] = []  # not empty: nothing can be kept, or the program has ended


def ensure_started(
    pipeline: object = None, redact: Callable[[str], str] | None = None, *, again: bool = True
) -> Journal | None:
    """The journal of this process, opened if need be; None if nothing can or shall be kept. Never raises.

    Args:
        pipeline: its name; that of a run that is under way stays.
        redact: the program's own redaction, from now on.
        again: try also where nothing could be kept before, which costs too much to try for each record.
    """
    if redact is not None and not callable(redact):
        say_once(f"configure() takes a function as redact, not {describe(redact)}")
        redact = None
    pipeline = text_of(pipeline, "the pipeline of configure()") if pipeline else ""
    under_run = current()
    if under_run is not None:
        _rewrite(under_run, redact)
        return under_run
    if getattr(_starting, "is_so", False):  # what starting makes somebody log must not start again
        return None
    with _locks[0]:
        if _run:
            _rewrite(_run[0].journal, redact)
            if pipeline and pipeline != _run[0].pipeline:
                say_once(f"configure() was called before: the pipeline stays {_run[0].pipeline}, not {pipeline}")
            return _run[0].journal
        if _given_up and not again:
            return None
        _starting.is_so = True
        try:
            settings = Settings.from_environ(os.environ, pipeline)
            if settings.disabled:
                _given_up[:] = [None]
                return None
            _run.append(_Run(settings, redact))
        except Exception:  # noqa: BLE001 - the same
            _given_up[:] = [None]
            return None
        finally:
            _starting.is_so = False
        return _run[0].journal


def _rewrite(journal: Journal, redact: Callable[[str], str] | None) -> None:
    if redact is not None:
        journal.rewrite = OwnRedaction(redact).rewrite


os.register_at_fork(after_in_child=lambda: _locks.__setitem__(0, threading.Lock()))


def shutdown(within_s: float = EXIT_BUDGET_S) -> None:
    """Ends the run now, as the program's end would: ships for so many seconds, and leaves the rest on disk."""
    with _locks[0]:
        run = _run.pop() if _run else None
    if run is not None:
        run.end(within_s)


class _Run:
    """The run that this process is."""

    def __init__(self, settings: Settings, redact: Callable[[str], str] | None = None) -> None:
        from instrumentation import git
        from instrumentation.naming import working_folder
        from instrumentation.revision import find_repository, git_revision
        from instrumentation.sender import linger
        from instrumentation.sender.folder import bind_poke, new_run_id
        from instrumentation.sender.logfile import RunLog, log_path
        from instrumentation.sender.opening import open_run
        from instrumentation.sender.own_redaction import load
        from instrumentation.sender.sender import Sender

        self.pid = os.getpid()
        self.pipeline = settings.pipeline or _script_name()
        self.run_id = settings.run_id or new_run_id(time.time())
        self.started, self.started_ns = time.monotonic(), time.time_ns()
        trace_id, self.parent_id = parse_traceparent(os.environ.get(contract.ENV_TRACEPARENT, ""))
        self.trace_id, self.span_id = trace_id or secrets.token_hex(16), secrets.token_hex(8)
        here = working_folder()
        revision = git_revision(here) if here else ""
        facts = {
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "host": socket.gethostname(),
            "pid": self.pid,
            "started": self.started_ns,
            "trace_id": self.trace_id,
            "resource": resource_of(os.environ, pipeline=self.pipeline, run_id=self.run_id, revision=revision),
        }
        self.folder, self.journal, self.settings = open_run(settings, facts)
        settings, problems = self.settings, self.settings.problems
        self.poke_path, self.poke = bind_poke(os.environ)
        self.journal.poke_path = str(self.poke_path) if self.poke_path else None
        _rewrite(self.journal, redact)
        own = None
        try:
            own = load(settings.redact) if settings.redact else None
        except ValueError as error:
            problems += (str(error),)
        log = RunLog(log_path(settings.log_home, self.pipeline, self.run_id))
        self.sender = Sender(self.folder.path, settings, log=log, poke=self.poke, redact=own)
        # Stages and records of this process belong to the run's trace, and so do its subprocesses.
        self._traceparent_before = os.environ.get(contract.ENV_TRACEPARENT)
        os.environ[contract.ENV_TRACEPARENT] = f"00-{self.trace_id}-{self.span_id}-01"
        capture.begin(self.journal)
        running.begin(self.journal)
        self._tell("%s started", [self.pipeline], names.EVENT_RUN_START, {})
        for problem in problems:
            self._tell("A setting of pipeline-alerts is wrong: %s", [problem], "", {}, WARNING)
        self.sender.start()
        repository = find_repository(here) if here else None
        asked = git.ask(repository.work_tree) if repository else None  # now: the program does not wait for children yet
        threading.Thread(
            target=self._tell_manifest, args=(here, asked), name="pipeline-alerts-manifest", daemon=True
        ).start()
        if self.settings.linger_seconds:
            with contextlib.suppress(Exception):  # then nobody ships what a kill leaves, until the next run
                linger.stand_by(self.folder.path, self.settings, os.environ, GUARDIAN_AFTER_S)
        atexit.register(self._at_exit)
        with contextlib.suppress(RuntimeError):  # the main thread has ended, and others go on
            hooks.install()  # after the line above, so that the last exception is written before it is shipped

    def _tell(
        self, template: str, arguments: list[str], event: str, attributes: dict[str, object], level: int = INFO
    ) -> None:
        line = events.log_line(
            self.journal.next_number(),
            time.time_ns(),
            level=level,
            template=template,
            arguments=arguments,
            event=event,
            attributes=attributes,
            trace_id=self.trace_id,
            span_id=self.span_id,
        )
        self.journal.append(line, level)

    def _tell_manifest(self, here: Path | None, asked: Callable[[], WorkTree] | None) -> None:
        from instrumentation import manifest

        with contextlib.suppress(Exception):  # a thread that fails would write to the program's stderr
            folders = manifest.own_package_folders()
            made_of = manifest.collect(sys.orig_argv, os.environ, here or Path.cwd(), folders, asked=asked)
            self._tell("%s is made of this", [self.pipeline], names.EVENT_RUN_MANIFEST, made_of)

    def _at_exit(self) -> None:
        if os.getpid() == self.pid:  # not in a forked child, whose parent goes on
            shutdown()
            _given_up[:] = [None]  # what is said later must not begin another run

    def end(self, within_s: float) -> None:
        """Tells the end, ships, and clears up."""
        from instrumentation.sender import linger
        from instrumentation.sender.folder import unbind_poke

        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        is_failure = error is not None and not hasattr(sys, "ps1")
        result = names.RESULT_FAILURE if is_failure else names.RESULT_SUCCESS
        end_ns = now_ns_after(self.started_ns, time.monotonic() - self.started)
        facts: dict[str, object] = {
            names.RUN_RESULT: result,
            names.DURATION: round((end_ns - self.started_ns) / 1e9, 3),
            names.LOG_PATH: str(self.sender.report().log_path),
        }
        self._tell("%s ended: %s", [self.pipeline, result], names.EVENT_RUN_END, facts)
        line = events.span_line(
            self.journal.next_number(),
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_id=self.parent_id,
            name=f"RUN {self.pipeline}",
            kind=_SERVER_SPAN,
            start_ns=self.started_ns,
            end_ns=end_ns,
            is_error=is_failure,
            attributes=facts,
        )
        self.journal.append(line)
        running.end()
        self.journal.close()
        if self._traceparent_before is None:
            os.environ.pop(contract.ENV_TRACEPARENT, None)
        else:
            os.environ[contract.ENV_TRACEPARENT] = self._traceparent_before
        report = self.sender.stop(within_s)
        if report.is_complete and not linger.has_writers(self.folder.path):
            self.folder.remove()
        else:
            self.folder.unlock()  # for the guardian
        unbind_poke(self.poke_path, self.poke)


def _script_name() -> str:
    from instrumentation.naming import name_of

    script = sys.argv[0] if sys.argv and sys.argv[0] not in {"", "-c", "-m"} else ""
    return name_of(["python", script]) if script else DEFAULT_PIPELINE
