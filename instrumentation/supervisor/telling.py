"""What the supervisor tells of a run: its start, its signs of life, its deaths, its end. Records in its own journal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from instrumentation import attributes as names
from instrumentation import events
from instrumentation.moments import now_ns_after
from instrumentation.naming import name_of
from instrumentation.redaction import scrub_arguments
from instrumentation.supervisor.descendants import Death, Unreached
from instrumentation.supervisor.ending import CRITICAL, ERROR, INFO, WARNING, Ending, describe_seconds
from instrumentation.supervisor.launch import Launch
from instrumentation.supervisor.leftovers import Leftover
from instrumentation.supervisor.listening import Place
from instrumentation.supervisor.memory import Memory
from instrumentation.supervisor.output import Tails

__all__ = ["Teller"]

_SERVER_SPAN: Final = 2


class Teller:
    """Writes the run's own records.

    Args:
        launch: the run.
        wake: called after a record that must not wait.
        wandb_run: the address of the program's latest W&B run, for people who hear of a failure; empty if it has none.
    """

    def __init__(self, launch: Launch, wake: Callable[[], None], wandb_run: Callable[[], str] = str) -> None:
        self._launch = launch
        self._journal = launch.journal
        self._pipeline = launch.pipeline
        self._command = " ".join(scrub_arguments(launch.command))
        self._wake = wake
        self._wandb_run = wandb_run

    def start(self, problems: Sequence[str]) -> None:
        """The run has begun; what is wrong with its settings is said once."""
        facts = {names.COMMAND: self._command}
        started_ns = self._launch.started_ns
        self._tell(INFO, "%s started", [self._pipeline], names.EVENT_RUN_START, facts, time_ns=started_ns)
        for problem in problems:
            self._tell(WARNING, "A setting of pipeline-alerts is wrong: %s", [problem])

    def manifest(self, attributes: Mapping[str, object]) -> None:
        """What it is made of."""
        self._tell(INFO, "%s is made of this", [self._pipeline], names.EVENT_RUN_MANIFEST, attributes)

    def heartbeat(self, running_for: float, stage: str) -> None:
        """It still runs, for so many seconds."""
        facts = {names.DURATION: round(running_for, 1)}
        self._tell(INFO, "%s is running", [self._pipeline], names.EVENT_RUN_HEARTBEAT, facts, stage)

    def silence(self, limit: float, silent_for: float, noticed_ns: int, stage: str, stacks: str) -> None:
        """No sign of life for longer than the limit, in seconds; where it hung then, as far as could be seen."""
        self._tell(
            ERROR,
            "%s has been silent for more than %s and may hang",
            [self._pipeline, describe_seconds(limit)],
            names.EVENT_RUN_SILENT,
            {names.SILENT_FOR: round(silent_for, 1), names.STACK_DUMP: stacks},
            stage,
            time_ns=noticed_ns,
        )

    def unreached(self, process: Unreached) -> None:
        """A Python program whose records reach nobody."""
        self._tell(
            WARNING,
            "A Python program is not followed, so its records reach nobody: %s. `pipeline-alerts attach` can help",
            [process.reason],
            attributes={names.COMMAND: " ".join(scrub_arguments(process.argv)), names.PROCESS_PID: process.pid},
        )

    def leftover(self, process: Leftover) -> None:
        """It goes on though what started it is gone."""
        self._tell(
            WARNING,
            "%s goes on though what started it is gone",
            [name_of(process.argv)],
            attributes={names.COMMAND: " ".join(scrub_arguments(process.argv)), names.PROCESS_PID: process.pid},
        )

    def never_run(self, functions: Sequence[str]) -> None:
        """Functions that should be stages and were not called: misspelt, perhaps."""
        template = "Named as a stage and never run, or run where `instrumentation` cannot be imported: %s"
        self._tell(WARNING, template, [", ".join(functions)])

    def lost(self, count: int) -> None:
        """Records that a full disk cost."""
        facts = {names.LOST_RECORDS: count}
        self._tell(WARNING, "%d records could not be kept: no room for the journal", [count], attributes=facts)

    def death(
        self, death: Death, memory: Memory, place: Place, last_records: str = "", *, is_own_doing: bool = False
    ) -> bool:
        """A process below the program is gone, if that is worth telling; says whether it was.

        An exit code is told by the process's own records and by whoever waits for it; a pool ends its workers by
        SIGKILL, if it is not the kernel for memory, and somebody who sends SIGTERM wants it. What is left nobody else
        can tell; that the program itself killed it (``is_own_doing``) is no alarm.
        """
        if is_own_doing and death.may_have_been_killed and memory is not Memory.PROVEN:
            template = "%s was ended by SIGKILL, which the program itself sent"
            facts = {names.COMMAND: " ".join(scrub_arguments(death.argv)), names.PROCESS_PID: death.pid}
            self._tell(WARNING, template, [_who(death)], attributes=facts, stage=place.stage)
            return True
        if death.status is None:
            if death.left_abruptly and (not death.is_worker or memory is Memory.PROVEN):
                words = "ended without its exit handlers: killed, or crashed"
                words += ", probably for memory" if memory in {Memory.PROVEN, Memory.PROBABLE} else ""
                self._death(death, words, None, place, last_records)
                return True
            return False
        ending = Ending.of(death.status, memory=memory)
        if not ending.is_crash or (death.is_worker and death.was_killed and memory is not Memory.PROVEN):
            return False
        self._death(death, ending.words, ending, place, last_records)
        return True

    def _death(self, death: Death, words: str, ending: Ending | None, place: Place, last_records: str) -> None:
        facts = {
            names.COMMAND: " ".join(scrub_arguments(death.argv)),
            names.PROCESS_PID: death.pid,
            names.EXIT_CODE: ending.exit_code if ending else None,
            names.EXIT_SIGNAL: ending.signal_name if ending else "",
            names.OOM_KILLED: (ending is not None and ending.is_out_of_memory) or None,
            names.OOM_VERDICT: ending.memory.value if ending and death.was_killed else "",
            names.PEAK_MEMORY: death.peak_memory or None,
            names.MODEL_NAME: place.model,
            names.WANDB_RUN_URL: place.wandb_run,
            names.LAST_RECORDS: last_records,
        }
        level = ending.level if ending else ERROR
        # In the span that it died in: what its parents say of its exit code then shows as an echo of this.
        trace = (place.trace_id, place.span_id) if place.span_id else None
        self._tell(level, f"%s {words}", [_who(death)], names.EVENT_PROCESS_DIED, facts, place.stage, trace=trace)

    def not_started(self, reason: str, exit_code: int) -> None:
        """There is no such program."""
        facts = {names.EXIT_CODE: exit_code, names.COMMAND: self._command}
        self._tell(CRITICAL, "%s could not be started: %s", [self._pipeline, reason], names.EVENT_PROCESS_DIED, facts)
        self._end({**facts, names.RUN_RESULT: names.RESULT_ERROR}, "could not be started")

    def end(
        self,
        ending: Ending,
        *,
        pid: int,
        passed_on: Sequence[int],
        duration: float,
        peak_memory: int,
        cpu_seconds: float,
        tails: Tails,
        last_records: str,
        uncaught: Sequence[str],
        stage: str,
        log_path: str,
        records: int,
    ) -> None:
        """The program is over: its death if it failed, then the end of the run with a span and its figures.

        ``records``: how many there are of the run so far, by which its reader knows whether all of them are there.
        """
        facts: dict[str, object] = {
            names.RUN_RESULT: ending.result,
            names.EXIT_CODE: ending.exit_code,
            names.EXIT_SIGNAL: ending.signal_name,
            names.OOM_KILLED: ending.is_out_of_memory or None,
            names.OOM_VERDICT: ending.memory.value if ending.signal_number == signal.SIGKILL else "",
            names.PEAK_MEMORY: peak_memory,
            names.DURATION: round(duration, 3),
            names.COMMAND: self._command,
            names.LOG_PATH: log_path,
        }
        if not ending.is_success:
            more = {
                names.PROCESS_PID: pid,
                names.PASSED_ON: list(passed_on) or None,
                names.STDOUT_TAIL: tails.stdout,
                names.STDERR_TAIL: tails.stderr,
                names.OUTPUT_NOTE: tails.note,
                names.LAST_RECORDS: last_records,
                names.UNCAUGHT_TYPES: list(uncaught) or None,
            }
            self._tell(
                ending.level,
                f"%s {ending.words}",
                [self._pipeline],
                names.EVENT_PROCESS_DIED,
                {**facts, **more},
                stage,
            )
        points = ((names.PROCESS_PEAK_MEMORY, "By", peak_memory), (names.PROCESS_CPU_TIME, "s", cpu_seconds))
        for name, unit, value in ((names.RUN_DURATION, "s", duration), *points):
            line = events.metric_line(self._journal.next_number(), time.time_ns(), name=name, unit=unit, value=value)
            self._journal.append(line)
        self._end({**facts, names.RUN_RECORDS: records}, "" if ending.is_success else ending.words)

    def _end(self, facts: Mapping[str, object], trouble: str) -> None:
        launch = self._launch
        end_ns = now_ns_after(launch.started_ns, time.monotonic() - launch.started)
        duration = (end_ns - launch.started_ns) / 1e9
        self._tell(
            INFO,
            "%s ended: %s after %s",
            [self._pipeline, str(facts[names.RUN_RESULT]), describe_seconds(duration)],
            names.EVENT_RUN_END,
            facts,
        )
        line = events.span_line(
            self._journal.next_number(),
            trace_id=launch.trace_id,
            span_id=launch.span_id,
            parent_id=launch.parent_span,
            name=f"RUN {self._pipeline}",
            kind=_SERVER_SPAN,
            start_ns=launch.started_ns,
            end_ns=end_ns,
            is_error=bool(trouble),
            status_message=trouble,
            attributes={name: value for name, value in facts.items() if value not in (None, "")},
        )
        self._journal.append(line)

    def _tell(
        self,
        level: int,
        template: str,
        arguments: Sequence[str | float] = (),
        event: str = "",
        attributes: Mapping[str, object] | None = None,
        stage: str = "",
        time_ns: int = 0,
        trace: tuple[str, str] | None = None,
    ) -> None:
        if level >= ERROR:
            attributes = {names.WANDB_RUN_URL: self._wandb_run(), **(attributes or {})}
        trace_id, span_id = trace or (self._launch.trace_id, self._launch.span_id)
        line = events.log_line(
            self._journal.next_number(),
            time_ns or time.time_ns(),
            level=level,
            template=template,
            arguments=arguments,
            event=event,
            attributes=attributes,
            trace_id=trace_id,
            span_id=span_id,
            stage=stage,
        )
        self._journal.append(line, level)
        if level >= ERROR:
            self._wake()


def _who(death: Death) -> str:
    return name_of(death.argv) if death.argv else f"process {death.pid}"
