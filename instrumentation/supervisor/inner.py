"""A `run` inside of another, with a time limit of its own. All else is followed by the outer one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Final

from instrumentation import attributes as names
from instrumentation import events
from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.child._pipeline_alerts_child.context import parse_traceparent
from instrumentation.child._pipeline_alerts_child.journal import Journal
from instrumentation.redaction import scrub_arguments
from instrumentation.supervisor.bystander import Bystander
from instrumentation.supervisor.ending import TIMEOUT_EXIT_CODE, Ending
from instrumentation.supervisor.spawning import Program, block_signals
from instrumentation.supervisor.stopping import TimeLimit

__all__ = ["run_within"]

TICK_S: Final = 0.25


def run_within(command: Sequence[str], name: str, timeout_s: float, environ: Mapping[str, str]) -> Ending:
    """Runs a program for as long as it may; says to the outer run if it was too long.

    Raises:
        NotStarted: it is not there, or not executable.
    """
    mask = block_signals()
    limit = TimeLimit(timeout_s, time.monotonic())
    program = Program.start(command, environ, mask)
    with contextlib.suppress(OSError):  # then a signal for everybody may come twice
        program.bystander = Bystander()
    while program.status is None:
        program.wait(TICK_S)
        if not program.has_ended:
            limit.keep(program, time.monotonic())
    ending = Ending.of(program.status, is_timeout=limit.is_over)
    if limit.is_over:
        with contextlib.suppress(Exception):  # the outer run hears of the exit code all the same
            _tell(ending, command, name, program, time.monotonic() - limit.started, environ)
    return ending


def _tell(
    ending: Ending, command: Sequence[str], name: str, program: Program, duration: float, environ: Mapping[str, str]
) -> None:
    journal = Journal(environ[contract.ENV_RUN_FOLDER], environ.get(contract.ENV_POKE))
    if not journal.open():
        return
    trace_id, span_id = parse_traceparent(environ.get(contract.ENV_TRACEPARENT, ""))
    facts: dict[str, object] = {
        names.RUN_RESULT: ending.result,
        names.EXIT_CODE: TIMEOUT_EXIT_CODE,
        names.PROCESS_PID: program.pid,
        names.PEAK_MEMORY: program.peak_memory,
        names.DURATION: round(duration, 3),
        names.COMMAND: " ".join(scrub_arguments(command)),
    }
    line = events.log_line(
        journal.next_number(),
        time.time_ns(),
        level=ending.level,
        template=f"%s {ending.words}",
        arguments=[name],
        event=names.EVENT_PROCESS_DIED,
        attributes=facts,
        trace_id=trace_id,
        span_id=span_id,
        stage=environ.get(contract.ENV_STAGE, ""),
    )
    journal.append(line, ending.level)
    journal.close()
