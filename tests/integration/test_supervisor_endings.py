"""How a program ends under `run`: exit code and signals stay its own, and the end is told."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_for_record, wait_until_shipped
from tests.servers.supervised import PYTHON, ROOT, RUN, TIMEOUT_S, attribute, on_a_terminal, run, told

SEES_EXIT_CODES_BELOW = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)  # PIDFD_INFO_EXIT


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_the_exit_code_is_the_programs(environ: dict[str, str], code: int) -> None:
    assert run(environ, "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV", "SIGABRT", "SIGUSR1"])
def test_a_shell_sees_the_same_signal(environ: dict[str, str], receiver: Receiver, name: str) -> None:
    number = getattr(signal, name)

    done = run(environ, "sh", "-c", f"kill -{name[3:]} $$")

    assert done.returncode == -number
    (died,) = told(receiver, "pipeline.process.died")
    assert died.severity_number == 21
    assert attribute(died, "pipeline.process.signal") == name
    assert attribute(died, "process.exit.code") == 128 + number


def test_a_shells_word_for_a_killed_process_in_it_is_understood(environ: dict[str, str], receiver: Receiver) -> None:
    done = run(environ, "sh", "-c", "sh -c 'kill -KILL $$'; exit $?")

    assert done.returncode == 137
    (died,) = told(receiver, "pipeline.process.died")
    assert attribute(died, "pipeline.process.signal") == "SIGKILL"
    assert died.severity_number == 21


def test_a_shells_end_names_the_process_whose_exit_code_it_passed_on_and_what_that_logged_last(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    program = (
        "import logging, os, sys, time\n"
        "logging.error('no kelp for %d', os.getpid())\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.02)\n"
        "sys.exit(3)"
    )
    was_seen = tmp_path / "seen"
    script = ["sh", "-c", '"$1" -c "$2" "$3"; exit $?', "sh", PYTHON, program, str(was_seen)]

    with subprocess.Popen([*RUN, "--pipeline", "p", "--", *script], env=environ, stderr=subprocess.DEVNULL) as process:
        wait_for_record(receiver, lambda record: record.body.string_value.startswith("no kelp for "))
        was_seen.touch()
    wait_until_shipped(environ)

    (died,) = told(receiver, "pipeline.process.died")
    last = attribute(died, "pipeline.process.last_records") or ""
    assert process.returncode == 3
    assert [f"no kelp for {pid}" for pid in pids_passed_on(died)] == ([last] if SEES_EXIT_CODES_BELOW else [])


def pids_passed_on(died: LogRecord) -> list[int]:
    """The pids of the processes whose end the program's is."""
    values = [pair.value for pair in died.attributes if pair.key == "pipeline.process.passed_on"]
    return [one.int_value for value in values for one in value.array_value.values]


@pytest.mark.parametrize("name", ["no-such-command-here", "", "/dev/null/no-folder"])
def test_a_command_that_is_not_there_is_told_and_answered_like_a_shell(
    environ: dict[str, str], receiver: Receiver, name: str
) -> None:
    done = run(environ, name)

    assert done.returncode == 127
    assert b"command not found" in done.stderr
    assert len(told(receiver, "pipeline.process.died")) == 1


def test_a_script_whose_interpreter_is_not_there_says_so(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)

    done = run(environ, str(script))

    assert done.returncode == 127
    assert (
        "the interpreter in its first line is not there" in told(receiver, "pipeline.process.died")[0].body.string_value
    )


def test_a_file_that_may_not_run_is_answered_like_a_shell(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo hi\n")

    assert run(environ, str(tmp_path / "plain")).returncode == 126


def test_a_script_without_an_interpreter_line_is_one_for_the_shell(environ: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo from the shell\n")
    script.chmod(0o700)

    assert run(environ, str(script)).stdout == b"from the shell\n"


def test_an_interrupt_from_the_keyboard_reaches_the_program_once(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import signal, time, sys\n"
        "hits = []\n"
        "signal.signal(signal.SIGINT, lambda *_: hits.append(1))\n"
        "print('ready', flush=True)\n"
        "while not hits: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"  # in which a second one would come
        "print('hits', len(hits)); sys.exit(5)\n"
    )

    status, shown = on_a_terminal(environ, [*RUN, "--", PYTHON, "-c", program], keys=b"\x03")

    assert b"hits 1" in shown
    assert os.waitstatus_to_exitcode(status) == 5
    (end,) = told(receiver, "pipeline.run.end")
    assert attribute(end, "cicd.pipeline.result") == "cancellation"


def test_an_interrupt_that_nobody_catches_ends_the_program_by_the_signal(environ: dict[str, str]) -> None:
    assert run(environ, PYTHON, "-c", "raise KeyboardInterrupt").returncode == -signal.SIGINT


# Says which signals it got: waits for some, and a while for more.
COUNTS = """
import pathlib, signal, sys, time
wanted, got = set(map(int, sys.argv[1].split(","))), []
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, lambda number, _: got.append(int(number)))
pathlib.Path(sys.argv[2]).touch()
while not wanted <= set(got): time.sleep(0.01)
time.sleep(0.5)
print(got)
"""
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN + 3]


def counting(
    environ: dict[str, str], wanted: Collection[int], folder: Path, before: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """The program that counts, when it is ready; in a process group of its own."""
    ready = folder / "ready"
    numbers = ",".join(str(int(number)) for number in wanted)
    process = subprocess.Popen(
        [*before, *RUN, "--", PYTHON, "-c", COUNTS, numbers, str(ready)], env=environ, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    ends_at = time.monotonic() + TIMEOUT_S
    while not ready.exists():
        assert time.monotonic() < ends_at
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_us_alone_reaches_the_program_once(environ: dict[str, str], tmp_path: Path, number: int) -> None:
    process = counting(environ, [number], tmp_path)

    process.send_signal(number)
    stdout, _ = process.communicate(timeout=TIMEOUT_S)

    assert (stdout, process.returncode) == (b"[%d]\n" % number, 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_the_whole_group_reaches_the_program_once_and_costs_no_output(
    environ: dict[str, str], tmp_path: Path, number: int
) -> None:
    process = counting(environ, [number], tmp_path)

    os.killpg(process.pid, number)
    stdout, _ = process.communicate(timeout=TIMEOUT_S)

    assert (stdout, process.returncode) == (b"[%d]\n" % number, 0)


def test_a_time_limit_in_front_of_us_stops_the_program_once(environ: dict[str, str], tmp_path: Path) -> None:
    limit = ("timeout", "1h")  # which sends SIGTERM to us and to all, then SIGCONT
    process = counting(environ, [signal.SIGTERM, signal.SIGCONT], tmp_path, before=limit)

    process.send_signal(signal.SIGALRM)  # its hour is over
    stdout, _ = process.communicate(timeout=TIMEOUT_S)

    assert (stdout, process.returncode) == (b"[%d, %d]\n" % (signal.SIGTERM, signal.SIGCONT), 124)


# Sends a signal to one process, and to its group when others let it: as `timeout` on a busy machine.
SLOW_SENDER = """
import os, sys, time
pid, number = map(int, sys.argv[1:])
os.kill(pid, number)
ends_at = time.monotonic() + 0.1
while time.monotonic() < ends_at: pass
os.killpg(pid, number)
"""


def test_a_signal_that_comes_to_us_and_a_moment_later_to_all_reaches_the_program_once(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    process = counting(environ, [signal.SIGTERM], tmp_path)
    wait_for_record(receiver, lambda record: record.event_name == "pipeline.run.start")  # we have loaded, too

    subprocess.run([PYTHON, "-c", SLOW_SENDER, str(process.pid), str(int(signal.SIGTERM))], check=True)
    stdout, _ = process.communicate(timeout=TIMEOUT_S)

    assert (stdout, process.returncode) == (b"[%d]\n" % signal.SIGTERM, 0)


def test_a_terminal_that_hangs_up_is_heard_by_the_program(environ: dict[str, str], tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    program = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGHUP, lambda *_: pathlib.Path({str(heard)!r}).touch())\n"
        "print('ready', flush=True)\n"
        f"while not pathlib.Path({str(heard)!r}).exists(): time.sleep(0.01)\n"
    )

    status, _ = on_a_terminal(environ, [*RUN, "--", PYTHON, "-c", program], hangs_up=True)

    assert heard.exists()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_time_out_stops_everything_below_and_says_so(environ: dict[str, str], receiver: Receiver) -> None:
    done = run(environ, "sh", "-c", "sleep 600 & sleep 600", options=["--timeout", "1s"])

    assert done.returncode == 124
    (died,) = told(receiver, "pipeline.process.died")
    assert "longer than allowed" in died.body.string_value
    (end,) = told(receiver, "pipeline.run.end")
    assert attribute(end, "cicd.pipeline.result") == "timeout"


@pytest.mark.parametrize("broken", ["launch.Bystander", "launch.become_subreaper", "launch.Output.started"])
def test_what_fails_once_the_program_runs_does_not_start_it_again(environ: dict[str, str], broken: str) -> None:
    command = (
        "from instrumentation.supervisor import launch, command as c\n"
        "from instrumentation.supervisor.arguments import Arguments\n"
        f"def fail(*_, **__): raise RuntimeError('ours')\n{broken} = fail\n"
        "c.run(Arguments(['sh', '-c', 'echo fine; exit 7'], 'p'))\n"
    )

    given = {**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
    done = subprocess.run(
        [PYTHON, "-c", command], env=given, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=TIMEOUT_S,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (7, b"fine\n")


@pytest.mark.parametrize(
    "broken", ["Supervision.__init__", "Supervision.run", "Supervision._conclude", "Sender.__init__"]
)
def test_whatever_is_wrong_with_us_the_programs_end_stays_the_programs(environ: dict[str, str], broken: str) -> None:
    name, method = broken.split(".")
    command = (
        "from instrumentation.supervisor import supervision as s, command as c\n"
        "from instrumentation.supervisor.arguments import Arguments\n"
        f"def fail(*_, **__): raise RuntimeError('ours')\nsetattr(s.{name}, {method!r}, fail)\n"
        "c.run(Arguments(['sh', '-c', 'sleep 0.2; echo fine; exit 7'], 'p'))\n"
    )

    given = {**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
    done = subprocess.run([PYTHON, "-c", command], env=given, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"fine\n", b"")
