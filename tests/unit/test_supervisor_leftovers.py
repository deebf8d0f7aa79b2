"""Which of the processes that lost their parent are told, and when."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instrumentation.child._pipeline_alerts_child.names import ENV_RUN_FOLDER
from instrumentation.supervisor.leftovers import MAX_TOLD, Leftovers
from instrumentation.supervisor.processes import argv_of

RUN = Path("/run-of-ours")
DEADLINE_S = 60.0


def sleeping(*words: str) -> subprocess.Popen[bytes]:
    """Started, with its command line and environment: `Popen` returns a moment before the kernel shows them."""
    process = subprocess.Popen(["sleep", *words], env={ENV_RUN_FOLDER: str(RUN), "PATH": "/usr/bin:/bin"})
    wait_until_it_runs(process, "sleep", *words)
    return process


def wait_until_it_runs(process: subprocess.Popen[bytes], *argv: str) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while argv_of(process.pid) != argv or not Path(f"/proc/{process.pid}/environ").read_bytes():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with sleeping("600") as started:
        yield started
        started.kill()


def test_a_process_that_stays_is_told_once(sleeper: subprocess.Popen[bytes]) -> None:
    leftovers = Leftovers(RUN)

    told = [leftovers.look([sleeper.pid], now) for now in (100.0, 104.9, 105.0, 110.0)]

    assert [[one.argv for one in now] for now in told] == [[], [], [("sleep", "600")], []]


def test_at_the_end_nothing_of_the_program_is_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    assert [one.pid for one in Leftovers(RUN).look([sleeper.pid], 100.0, at_end=True)] == [sleeper.pid]


def test_a_process_of_no_run_or_another_is_not_told(sleeper: subprocess.Popen[bytes]) -> None:
    assert Leftovers(Path("/another")).look([sleeper.pid], 100.0, at_end=True) == []


def test_what_only_tidies_up_after_multiprocessing_is_not_told() -> None:
    words = ["-c", "read line", "from multiprocessing.resource_tracker import main;main(15)"]
    with subprocess.Popen(["sh", *words], env={ENV_RUN_FOLDER: str(RUN)}, stdin=subprocess.PIPE) as process:
        wait_until_it_runs(process, "sh", *words)

        assert Leftovers(RUN).look([process.pid], 100.0, at_end=True) == []


def test_one_that_just_ended_is_not_told(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()

    assert Leftovers(RUN).look([sleeper.pid], 100.0, at_end=True) == []


def test_of_equal_ones_one_is_told_and_never_more_than_a_few(sleeper: subprocess.Popen[bytes]) -> None:
    leftovers = Leftovers(RUN, is_of_run=lambda _pid, _folder: True)
    equal = leftovers.look([sleeper.pid, sleeper.pid], 100.0, at_end=True)
    others = [sleeping(str(601 + number)) for number in range(2 * MAX_TOLD)]

    found = leftovers.look([one.pid for one in others], 100.0, at_end=True)

    for one in others:
        one.kill()
        one.wait()
    assert (len(equal), len(found)) == (1, MAX_TOLD - 1)
