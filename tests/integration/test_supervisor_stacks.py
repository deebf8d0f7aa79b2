"""A program that hangs: the alert says where, for every process of it, and the program notices nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from instrumentation.child._pipeline_alerts_child.names import STACKS_SIGNAL
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--silent-after", "1s", "--")
WAIT_S = 120
SYSTEM_PATH = "/usr/bin:/bin"  # without a py-spy of somebody's environment

HANGS = """
import logging, multiprocessing, os, signal, subprocess, sys, threading
logging.getLogger().addHandler(logging.NullHandler())
def stuck(*_):
    logging.error("hangs")
    threading.Event().wait()
"""
NESTED = """
if sys.argv[1:] == ["inner", "password=hunter2"]:
    stuck()
subprocess.run(["sh", "-c", '"$0" "$1" inner password=hunter2; exit 0', sys.executable, __file__])
"""
POOL = """
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(stuck, range(3), 1)
"""


@pytest.fixture
def environ(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    return environ_towards(receiver, tmp_path / "state", linger_s=0, PATH=SYSTEM_PATH)


def stacks_of(
    receiver: Receiver, environ: Mapping[str, str], *command: str, hanging: int = 1
) -> tuple[str, int, bytes]:
    """Starts a program, waits for the alert after so many processes said that they hang, and ends it.

    Returns:
        The stacks, its exit code, and its output.
    """
    process = subprocess.Popen(
        [*RUN, *command], env=environ, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    ends_at = time.monotonic() + WAIT_S
    while not (found := silences(receiver, hanging)) and process.poll() is None and time.monotonic() < ends_at:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)  # the inner processes too
    output, _ = process.communicate(timeout=WAIT_S)
    assert len(found) == 1
    said = next(pair.value.string_value for pair in found[0].attributes if pair.key == "pipeline.process.stacks")
    return said, process.returncode, output


def silences(receiver: Receiver, hanging: int) -> list[LogRecord]:
    """Those noticed after all hang: on a slow machine a program may be silent before it gets there."""
    said = [one.time_unix_nano for one in receiver.records() if one.body.string_value == "hangs"]
    silent = [one for one in receiver.records() if one.event_name == "pipeline.run.silent"]
    return [one for one in silent if len(said) == hanging and one.time_unix_nano > max(said)]


def script(folder: Path, source: str) -> str:
    path = folder / "program.py"
    path.write_text(HANGS + source)
    return str(path)


def test_the_line_that_hangs_stands_first_and_those_that_wait_for_it_below(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    program = script(tmp_path, NESTED)

    stacks, code, output = stacks_of(receiver, environ, sys.executable, program)

    inner, shell, outer = stacks.split("\n\n")
    assert 'program.py", line 6 in stuck' in inner
    assert "inner" in inner.splitlines()[0]
    assert " (sh -c " in shell.splitlines()[0]
    assert 'program.py", line 10 in <module>' in outer
    assert "hunter2" not in stacks
    assert (code, output) == (-15, b"")


def test_workers_of_a_pool_that_hang_in_the_same_place_are_one_stack(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    program = script(tmp_path, POOL)

    stacks, _, _ = stacks_of(receiver, environ, sys.executable, program, hanging=3)

    assert stacks.count(" in stuck") == 1
    assert stacks.count("multiprocessing-fork") == 1
    (folded,) = [line for line in stacks.splitlines() if line.startswith("(the same in process ")]
    assert folded.count(",") == 1
    assert "resource_tracker" not in stacks


def test_py_spy_is_asked_where_it_is_installed(environ: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    spy = tmp_path / "bin" / "py-spy"
    spy.parent.mkdir()
    spy.write_text(
        "#!/bin/sh\n[ \"$1 $2 $3\" = 'dump --nonblocking --pid' ] || exit 2\n"
        'printf \'Process %s: python --token=secret\\nPython v3\\n\\nThread %s (idle): "MainThread"\\n    seen (by_spy.py:7)\\n\' "$4" "$4"\n'  # noqa: E501 - a script
    )
    spy.chmod(0o700)
    given = {**environ, "PATH": f"{spy.parent}:{SYSTEM_PATH}"}

    stacks, _, _ = stacks_of(receiver, given, sys.executable, script(tmp_path, "stuck()\n"))

    assert stacks.splitlines()[1:] == [stacks.splitlines()[1], "    seen (by_spy.py:7)"]
    assert stacks.splitlines()[1].endswith(' (idle): "MainThread"')
    assert "secret" not in stacks


def test_a_py_spy_that_may_not_look_leaves_it_to_the_program(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    spy = tmp_path / "bin" / "py-spy"
    spy.parent.mkdir()
    spy.write_text("#!/bin/sh\necho 'Permission Denied: Try running again with elevated permissions' >&2; exit 1\n")
    spy.chmod(0o700)
    given = {**environ, "PATH": f"{spy.parent}:{SYSTEM_PATH}"}

    stacks, _, output = stacks_of(receiver, given, sys.executable, script(tmp_path, "stuck()\n"))

    assert " in stuck" in stacks
    assert output == b""


# Of each a child says that it hangs, when it cannot answer any more. The dump would go into a file of the second.
CANNOT_ANSWER = {
    "another program by now": (
        "if os.fork(): os.execvp('sleep', ['sleep', '600'])\n"
        "while open(f'/proc/{os.getppid()}/comm').read() != 'sleep\\n': pass\n"
        "logging.error('hangs')"
    ),
    "all descriptors reused": (
        "if os.fork():\n"
        "    os.closerange(3, 4096); opened = [open('own.csv', 'a') for _ in range(300)]; threading.Event().wait()\n"
        "while len(os.listdir(f'/proc/{os.getppid()}/fd')) < 300: pass\n"
        "logging.error('hangs')"
    ),
}


@pytest.mark.parametrize("case", CANNOT_ANSWER)
def test_a_process_that_cannot_answer_is_not_asked(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path, case: str
) -> None:
    source = CANNOT_ANSWER[case].replace("own.csv", str(tmp_path / "own.csv"))

    stacks, code, output = stacks_of(receiver, environ, sys.executable, script(tmp_path, source))

    assert ": S (sleeping)" in stacks
    assert "File " not in stacks
    assert (code, output) == (-15, b"")
    assert not (tmp_path / "own.csv").exists() or (tmp_path / "own.csv").read_bytes() == b""


def test_a_signal_that_was_ignored_on_purpose_stays_ignored(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    program = script(tmp_path, "print(signal.getsignal(signal.SIGURG) == signal.SIG_IGN, flush=True)\nstuck()")
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGURG, signal.SIG_IGN)\n"
        "os.execv(sys.executable, ['python', sys.argv[1]])"
    )

    stacks, _, output = stacks_of(receiver, environ, sys.executable, "-c", ignoring, program)

    assert output == b"True\n"
    assert "install py-spy" in stacks


# All that a program may take for itself, taken after our start. SIGTERM is how these tests end it.
TAKES_ALL = """
def got(number, _): print("got", number, flush=True)
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGCHLD, signal.SIGURG}:
    signal.signal(number, got)
stuck()
"""


def test_no_signal_that_a_program_may_take_for_itself_is_used_to_ask_it(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    stacks, _, output = stacks_of(receiver, environ, sys.executable, script(tmp_path, TAKES_ALL))

    assert " in stuck" in stacks
    assert output == b""


def test_the_signal_that_asks_ends_nobody_who_does_not_expect_it() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        process.send_signal(STACKS_SIGNAL)
        process.terminate()

    assert signal.SIGURG == STACKS_SIGNAL
    assert process.returncode == -signal.SIGTERM


def test_without_silent_after_no_signal_is_taken(environ: dict[str, str], tmp_path: Path) -> None:
    program = f"import signal; print(signal.getsignal({STACKS_SIGNAL}) == signal.SIG_DFL)"
    command = [*RUN[:-3], "--", sys.executable, "-c", program]

    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, timeout=WAIT_S)

    assert done.stdout == b"True\n"
