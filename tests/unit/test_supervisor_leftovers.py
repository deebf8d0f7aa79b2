"""Which of the processes that lost their parent are told, and when."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from instrumentation.supervisor.leftovers import MAX_TOLD, Leftovers

RUN = Path("/run-of-ours")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        ["sleep", "600"], env={"PIPELINE_ALERTS_JOURNAL_DIR_RUN": str(RUN), "PATH": "/usr/bin:/bin"}
    ) as it:
        yield it
        it.kill()


def test_a_process_that_stays_is_told_once(sleeper: subprocess.Popen[bytes]) -> None:
    leftovers = Leftovers(RUN)

    told = [leftovers.look([sleeper.pid], now) for now in (100.0, 104.9, 105.0, 110.0)]

    assert [[one.argv for one in now] for now in told] == [[], [], [("sleep", "600")], []]


def test_at_the_end_nothing_of_the_program_is_waited_for(sleeper: subprocess.Popen[bytes]) -> None:
    assert [one.pid for one in Leftovers(RUN).look([sleeper.pid], 100.0, at_end=True)] == [sleeper.pid]


def test_a_process_of_no_run_or_another_is_not_told(sleeper: subprocess.Popen[bytes]) -> None:
    assert Leftovers(Path("/another")).look([sleeper.pid], 100.0, at_end=True) == []


def test_one_that_just_ended_is_not_told(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()

    assert Leftovers(RUN).look([sleeper.pid], 100.0, at_end=True) == []


def test_of_equal_ones_one_is_told_and_never_more_than_a_few(sleeper: subprocess.Popen[bytes]) -> None:
    leftovers = Leftovers(RUN, is_of_run=lambda _pid, _folder: True)
    equal = leftovers.look([sleeper.pid, sleeper.pid], 100.0, at_end=True)
    others = [subprocess.Popen(["sleep", str(600 + number)]) for number in range(2 * MAX_TOLD)]

    found = leftovers.look([one.pid for one in others], 100.0, at_end=True)

    for one in others:
        one.kill()
        one.wait()
    assert (len(equal), len(found)) == (1, MAX_TOLD - 1)
