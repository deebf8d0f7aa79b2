"""What wakes the sender."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

import pytest

from instrumentation.sender.bell import Bell

MOST_OF_SELECT = 1024


@pytest.fixture
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2 * MOST_OF_SELECT:
        pytest.skip(f"no process may open more than {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * MOST_OF_SELECT, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < MOST_OF_SELECT:
        opened.append(os.dup(opened[0]))
    yield
    for fd in opened:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
def test_a_program_with_more_files_than_select_can_watch_is_heard() -> None:
    bell = Bell(None)

    bell.ring()

    started = time.monotonic()
    assert bell.wait(60.0) is False
    assert time.monotonic() - started < 30


def test_a_bell_whose_wire_the_program_closed_still_waits_its_time_and_spins_not() -> None:
    bell = Bell(None)
    os.close(bell._read)
    bell._read = -1

    started = time.monotonic()
    bell.wait(0.05)

    assert time.monotonic() - started >= 0.05
    bell.ring()
