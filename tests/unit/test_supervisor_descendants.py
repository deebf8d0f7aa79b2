"""How processes that are not ours to wait for died, as far as the kernel says."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from instrumentation.supervisor.descendants import Death, Descendants, why_unreached

DEADLINE_MS = 60_000


def watched(process: subprocess.Popen[bytes]) -> Descendants:
    descendants = Descendants("")
    descendants.announce({"p": process.pid, "pp": 1, "a": ["sleep", "600"]}, Path("/nonexistent/journal.jsonl"))
    return descendants


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
        reason = why_unreached(process.pid, "")
        process.kill()

    assert reason == "it runs as another user, to whom the run's folder is closed"
