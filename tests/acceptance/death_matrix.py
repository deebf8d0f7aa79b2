"""The table of BEHAVIOURS §C: every death in every state of the receiver, on real processes.

    python -m tests.acceptance.death_matrix [DEATH …]

Prints a row per death and a column per state: records that arrived, and what was wrong, if anything was.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.acceptance.deaths import DEATHS, Death
from tests.servers.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
ARRIVAL_DEADLINE_S = 120.0
COMMAND_TIMEOUT_S = 120.0
MAX_EXIT_DELAY_S = 1.5
FULL_DISK_BYTES = 160_000  # a limit per file: what a full disk does to a journal, without a disk
_WITH_LITTLE_ROOM = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({FULL_DISK_BYTES}, {FULL_DISK_BYTES}))
os.execv(sys.argv[1], sys.argv[1:])
"""
DIED = "pipeline.process.died"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case."""

    arrived: int
    duplicates: int
    uncaught: int
    deaths: int
    lost: int
    errors: int
    exit_delay_s: float
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plain:
    """The same program without us."""

    returncode: int
    stdout: bytes
    stderr: bytes
    exit_s: float  # between its last statement and its end


State = Callable[[Receiver], None]
# What the receiver is before the program starts, and after it ended.
STATES: Mapping[str, tuple[State, State]] = {
    "up": (lambda _: None, lambda _: None),
    "refused, back late": (Receiver.go_away, Receiver.come_back),
    "silent, back late": (Receiver.go_silent, Receiver.come_back),
    "503, back late": (Receiver.refuse_service, Receiver.come_back),
    "down in the middle": (lambda _: None, Receiver.come_back),
    "full disk": (lambda _: None, lambda _: None),
}


def run_plain(death: Death, folder: Path) -> Plain:
    """Runs the program by itself."""
    script = _script(death, folder)
    done = subprocess.run(
        [sys.executable, script],
        env={**_clean_environ(), "DEATHS_ENDED_AT": str(folder / "plain-ended")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    exit_s = time.time() - float((folder / "plain-ended").read_text())
    return Plain(done.returncode, done.stdout, done.stderr, exit_s)


def run_case(name: str, state: str) -> Outcome:
    """Runs one death with the receiver in one state, and looks at everything that was promised."""
    death = DEATHS[name]
    before, after = STATES[state]
    with tempfile.TemporaryDirectory() as temporary, Receiver() as receiver:
        folder = Path(temporary)
        plain = run_plain(death, folder)
        before(receiver)
        ended_at = folder / "ended"
        environ = {
            **_clean_environ(),
            "XDG_STATE_HOME": str(folder / "state"),
            "PIPELINE_ALERTS_ENDPOINT": receiver.url,
            "PIPELINE_ALERTS_LINGER_SECONDS": "60",
            "DEATHS_ENDED_AT": str(ended_at),
        }
        is_full = state == "full disk"
        command = [sys.executable, "-c", _WITH_LITTLE_ROOM] if is_full else []
        command += [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "deaths", "--"]
        process = subprocess.Popen(
            [*command, sys.executable, _script(death, folder)],
            env=environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if state == "down in the middle":
            _wait_until(lambda: len(receiver.records()) > 0)
            receiver.go_away()
        stdout, stderr = process.communicate(timeout=COMMAND_TIMEOUT_S)
        delay = time.time() - float(ended_at.read_text()) - plain.exit_s
        after(receiver)
        journals = folder / "state" / "pipeline-alerts" / "journals"
        _wait_until(lambda: not list(journals.iterdir()))
        outcome = _judge(death, receiver, delay, is_full=is_full)
        if process.returncode != plain.returncode:
            outcome.wrong.append(f"exit {process.returncode}, not {plain.returncode}")
        if stdout != plain.stdout or (stderr != plain.stderr and not death.stderr_differs):
            outcome.wrong.append("console differs")
        if list(journals.iterdir()):
            outcome.wrong.append("folder left")
    return outcome


def _judge(death: Death, receiver: Receiver, delay: float, *, is_full: bool) -> Outcome:
    records = receiver.records()
    uncaught = [record for record in records if _flag(record, "pipeline.uncaught")]
    died = [record for record in records if record.event_name == DIED]
    own = [record for record in records if record.body.string_value.startswith(("row ", "it failed"))]
    lost = sum(_number(record, "pipeline.records.lost") for record in records)
    errors = sum(record.severity_number >= 17 for record in own)
    outcome = Outcome(len(own), receiver.uids().total() - len(records), len(uncaught), len(died), lost, errors, delay)
    told = len(own) + (lost + len(uncaught) - death.uncaught if is_full else 0)
    if told != death.records:
        outcome.wrong.append(f"{len(own)} of {death.records} records, {lost} said to be lost")
    if errors != 1:
        outcome.wrong.append(f"{errors} errors")
    if len(uncaught) != death.uncaught and not is_full:
        outcome.wrong.append(f"{len(uncaught)} uncaught, not {death.uncaught}")
    if len(died) != death.is_told_by_supervisor:
        outcome.wrong.append(f"{len(died)} deaths told, not {int(death.is_told_by_supervisor)}")
    if delay > MAX_EXIT_DELAY_S:
        outcome.wrong.append(f"exit delayed by {delay:.2f} s")
    return outcome


def _flag(record: LogRecord, name: str) -> bool:
    return any(a.key == name and a.value.bool_value for a in record.attributes)


def _number(record: LogRecord, name: str) -> int:
    return next((a.value.int_value for a in record.attributes if a.key == name), 0)


def _script(death: Death, folder: Path) -> str:
    path = folder / "program.py"
    path.write_text(death.program, encoding="utf-8")
    return str(path)


def _clean_environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIPELINE_ALERTS_", "OTEL_", "TRACEPARENT", "PYTEST", "COV"))
    }


def _wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + ARRIVAL_DEADLINE_S
    while time.monotonic() < ends_at and not is_so():
        time.sleep(0.02)


def main(names: list[str]) -> int:
    """Prints the table; 1 if anything is wrong in it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and so the programs, ignore it
    wrong = 0
    print(f"{'':26}" + "".join(f"{state:>21}" for state in STATES))
    delays = []
    for name in names or DEATHS:
        row = []
        for state in STATES:
            outcome = run_case(name, state)
            delays.append(outcome.exit_delay_s)
            row.append(
                f"{outcome.arrived}{f'+{outcome.lost} lost' if outcome.lost else ''} {outcome.exit_delay_s:5.2f}s"
                if not outcome.wrong
                else "WRONG: " + "; ".join(outcome.wrong)
            )
            wrong += bool(outcome.wrong)
        print(f"{name:26}" + "".join(f"{cell:>21}" for cell in row), flush=True)
    print(f"\n{len(delays)} cases, {wrong} wrong; longest delay of an exit {max(delays):.2f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
