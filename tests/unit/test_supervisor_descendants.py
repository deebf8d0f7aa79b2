"""How processes that are not ours to wait for died, as far as the kernel says."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instrumentation.supervisor.descendants import Death, Descendants, why_unreached
from instrumentation.supervisor.processes import argv_of, state_of

DEADLINE_MS = 60_000


def watched(process: subprocess.Popen[bytes]) -> Descendants:
    descendants = Descendants("")
    descendants.announce({"p": process.pid, "pp": 1, "a": ["sleep", "600"]}, Path("/nonexistent/journal.jsonl"))
    return descendants


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_MS / 1000
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def wait_until_over(process: subprocess.Popen[bytes]) -> None:
    """Without collecting it."""
    end = select.poll()
    end.register(os.pidfd_open(process.pid), select.POLLIN)
    assert end.poll(DEADLINE_MS)


def test_how_a_process_died_is_known_before_its_parent_asks() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        descendants = watched(process)
        process.kill()
        wait_until_over(process)

        found = descendants.deaths()

    assert found == [
        Death(process.pid, ("sleep", "600"), signal.SIGKILL, peak_memory=0, is_worker=False, left_abruptly=False)
    ]
    assert found[0].was_killed


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()", "--multiprocessing-fork"],
        ["python", "-u", "/venv/lib/python3.12/site-packages/ray/dashboard/agent.py", "--node-id=1"],
        ["python", "/venv/lib/python3.12/site-packages/ray/_private/workers/default_worker.py"],
    ],
    ids=["multiprocessing", "Ray's own", "Ray's worker"],
)
def test_a_process_that_a_library_started_is_a_worker_which_it_may_end_on_purpose(argv: list[str]) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        descendants = Descendants("")
        descendants.announce({"p": process.pid, "pp": 1, "a": argv}, Path("/nonexistent/journal.jsonl"))
        process.kill()
        wait_until_over(process)

        (death,) = descendants.deaths()

    assert death.is_worker


def test_an_exit_code_is_known_before_its_parent_asks() -> None:
    with subprocess.Popen(["sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE) as process:
        descendants = watched(process)
        assert process.stdin is not None
        process.stdin.close()
        wait_until_over(process)

        (death,) = descendants.deaths()

    assert death.status is not None
    assert os.waitstatus_to_exitcode(death.status) == 7


def test_who_still_runs_is_not_dead() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert watched(process).deaths() == []
        process.kill()


def test_a_process_of_another_user_is_said_to_be_one() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may start a process as another user")

    with subprocess.Popen(["sleep", "600"], user=65_534, group=65_534, extra_groups=()) as process:
        wait_until(lambda: argv_of(process.pid) == ("sleep", "600"))  # the kernel shows it a moment later
        reason = why_unreached(process.pid, "")
        process.kill()

    assert reason == "it runs as another user, to whom the run's folder is closed"


WAITS = [sys.executable, "-I", "-c", "print('ready', flush=True); input()"]


def wait_until_it_waits(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wait_until(lambda: state_of(process.pid).startswith("S"))


def test_a_script_that_becomes_a_python_late_is_given_as_long_as_any_other() -> None:
    script = ["sh", "-c", 'read line; exec "$@"', "sh", *WAITS]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        descendants = Descendants("", process.pid)
        assert process.stdin is not None

        as_a_shell = [descendants.unreached(now) for now in (100.0, 105.0)]
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until_it_waits(process)
        found = [[one.pid for one in descendants.unreached(now)] for now in (106.0, 106.9, 107.1, 110.0)]
        process.kill()

    assert as_a_shell == [[], []]
    assert found == [[], [], [process.pid], []]


def test_a_python_that_the_machine_does_not_let_begin_is_not_said_to_be_unreached() -> None:
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        descendants = Descendants("", process.pid)
        wait_until_it_waits(process)

        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid).startswith("T"))
        held_up = [descendants.unreached(now) for now in (100.0, 110.0)]
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: state_of(process.pid).startswith("S"))
        found = [one.pid for one in descendants.unreached(111.0)]
        process.kill()

    assert held_up == [[], []]
    assert found == [process.pid]
