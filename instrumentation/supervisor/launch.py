"""From a command line to a started program, with as little as possible loaded: the program should not wait for us.

Everything that follows a run is imported when the program already runs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.journal import Journal
from instrumentation.naming import name_of, working_folder
from instrumentation.revision import git_revision
from instrumentation.sender.folder import RunFolder, bind_poke, new_run_id
from instrumentation.sender.opening import open_run
from instrumentation.settings import Settings, resource_of
from instrumentation.supervisor.attachment import announce_run
from instrumentation.supervisor.bystander import Bystander
from instrumentation.supervisor.memory import OomWatch
from instrumentation.supervisor.output import Output
from instrumentation.supervisor.spawning import NotStarted, Program, become_subreaper, block_signals

__all__ = ["CHILD_PATH", "Launch"]

OTEL_LOGS_EXPORTER: Final = "OTEL_LOGS_EXPORTER"
_OTEL_LOGS_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
CHILD_PATH: Final = Path(__file__).resolve().parent.parent / "child"


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that has begun. ``program`` is None where it could not be started, and ``failure`` says why."""

    command: Sequence[str]
    environ: Mapping[str, str]
    settings: Settings
    pipeline: str
    run_id: str
    trace_id: str
    span_id: str
    parent_span: str
    started: float  # monotonic seconds
    started_ns: int
    folder: RunFolder
    journal: Journal
    poke: socket.socket | None
    poke_path: Path | None
    output: Output
    program: Program | None
    failure: NotStarted | None
    announcement: Path | None  # for children with a cleared environment, to be removed at the end
    oom: OomWatch  # counts from before the program's start, which may be killed while we still load

    @classmethod
    def of(
        cls, command: Sequence[str], settings: Settings, environ: Mapping[str, str], *, wants_stacks: bool = False
    ) -> Launch:
        """Makes the run's folder and starts the program, which shall be able to show its stacks if that is wanted.

        Raises:
            OSError: there is no place for the folder. Nothing was started, as after any other exception.
        """
        started, started_ns = time.monotonic(), time.time_ns()
        pipeline = settings.pipeline or name_of(command)
        run_id = settings.run_id or new_run_id(started_ns / 1e9)
        trace_id, parent_span = parse_traceparent(environ.get(contract.ENV_TRACEPARENT, ""))
        trace_id, span_id = trace_id or os.urandom(16).hex(), os.urandom(8).hex()
        here = working_folder()
        revision = git_revision(here) if here else ""
        facts = {
            "pipeline": pipeline,
            "run_id": run_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": started_ns,
            "trace_id": trace_id,
            "resource": resource_of(environ, pipeline=pipeline, run_id=run_id, revision=revision),
        }
        folder, journal, settings = open_run(settings, facts)
        poke_path, poke = bind_poke(environ)
        output = Output()  # forks its copiers, so before any thread
        mask = block_signals()
        program, failure = None, None
        given = _environ_for(environ, folder.path, run_id, pipeline, f"00-{trace_id}-{span_id}-01", poke_path)
        if would_tell_twice(_chosen(environ), settings.endpoint):
            given[OTEL_LOGS_EXPORTER] = "none"
        if wants_stacks:
            given[contract.ENV_STACKS] = str(folder.path.resolve() / contract.STACKS_FILE)
        announcement = announce_run(environ, given)
        oom = OomWatch()
        try:
            program = Program.start(command, given, mask, output.file_actions)
        except NotStarted as error:
            failure = error
        with contextlib.suppress(Exception):  # it runs by now, and whoever catches this would start it again
            output.started()
            if program is not None:
                program.bystander = Bystander()
                become_subreaper()
        return cls(
            command, environ, settings, pipeline, run_id, trace_id, span_id, parent_span, started, started_ns,
            folder, journal, poke, poke_path, output, program, failure,
            announcement, oom,
        )  # fmt: skip


def _chosen(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment without the exporter that `opentelemetry-instrument` in front of us made its default."""
    try:
        given = Path("/proc/self/environ").read_bytes()
    except OSError:
        return environ
    if f"{OTEL_LOGS_EXPORTER}=".encode() in given:
        return environ
    return {name: value for name, value in environ.items() if name != OTEL_LOGS_EXPORTER}


def would_tell_twice(environ: Mapping[str, str], endpoint: str) -> bool:
    """Whether `opentelemetry-instrument`, should the program use it, would send its records where we send them."""
    if OTEL_LOGS_EXPORTER in environ:
        return False
    named = (environ.get(name, "").strip().rstrip("/") for name in _OTEL_LOGS_ENDPOINTS)
    own = next(filter(None, named), endpoint)
    return own.removesuffix("/v1/logs") == endpoint


def _environ_for(
    environ: Mapping[str, str], folder: Path, run_id: str, pipeline: str, traceparent: str, poke_path: Path | None
) -> dict[str, str]:
    """The program's environment: its own, and what the child side needs. No secret, and nothing in `OTEL_*`."""
    given = dict(environ)
    # No trailing colon: it would put the working directory on the path.
    given["PYTHONPATH"] = os.pathsep.join([str(CHILD_PATH), *filter(None, [environ.get("PYTHONPATH")])])
    given[contract.ENV_RUN_FOLDER] = str(folder.resolve())
    given[contract.ENV_RUN_ID] = run_id
    given[contract.ENV_PIPELINE] = pipeline
    given[contract.ENV_TRACEPARENT] = traceparent
    if poke_path is not None:
        given[contract.ENV_POKE] = str(poke_path)
    return given
