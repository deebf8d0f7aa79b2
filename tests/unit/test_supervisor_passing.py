"""Whose end a shell's own end is, by what was noticed of the processes in it."""

from __future__ import annotations

import signal

import pytest

from instrumentation.supervisor.descendants import Death
from instrumentation.supervisor.passing import PASSED_ON_WITHIN_S, LastEnds


def death(pid: int, status: int | None, *, is_worker: bool = False) -> Death:
    return Death(pid, ("python", "train.py"), status, 0, is_worker, left_abruptly=False)


def last_ends(*deaths: Death, at: float = 100.0) -> LastEnds:
    ends = LastEnds()
    for one in deaths:
        ends.add(one, at)
    return ends


@pytest.mark.parametrize(("status", "exit_code"), [(3 << 8, 3), (signal.SIGABRT, 134), (signal.SIGSEGV | 0x80, 139)])
def test_a_process_that_ended_last_as_the_program_did_was_passed_on(status, exit_code):
    assert last_ends(death(7, status)).passed_on(exit_code, 100.1) == [7]


def test_a_process_that_passes_on_another_ones_end_stands_before_it():
    assert last_ends(death(7, 3 << 8), death(8, 3 << 8)).passed_on(3, 100.1) == [8, 7]


@pytest.mark.parametrize(
    ("ends", "ended"),
    [
        (last_ends(death(7, 4 << 8)), 100.1),
        (last_ends(death(7, 3 << 8), death(8, 0)), 100.1),  # another one ran after it
        (last_ends(death(7, None)), 100.1),
        (last_ends(death(7, 3 << 8, is_worker=True)), 100.1),
        (last_ends(death(7, 3 << 8)), 100.1 + PASSED_ON_WITHIN_S),
    ],
)
def test_an_end_that_may_have_another_cause_was_passed_on_by_nobody(ends, ended):
    assert ends.passed_on(3, ended) == []


def test_workers_that_outlive_the_process_that_was_passed_on_change_nothing():
    assert last_ends(death(7, 3 << 8), death(8, 0, is_worker=True)).passed_on(3, 100.1) == [7]
