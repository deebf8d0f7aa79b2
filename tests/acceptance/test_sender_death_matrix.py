"""A fast part of the death matrix; `python -m tests.acceptance.death_matrix` prints all of it."""

from __future__ import annotations

import pytest

from tests.acceptance.death_matrix import run_case

CASES = [
    ("return", "up"),
    ("exception", "refused, back late"),
    ("exception in a thread", "up"),
    ("SIGTERM", "503, back late"),
    ("SIGKILL", "down in the middle"),
    ("SIGKILL", "silent, back late"),
    ("os._exit(5)", "up"),
    ("fork", "refused, back late"),
    ("multiprocessing spawn", "up"),
    ("Pool terminated", "up"),
    ("subprocess of a subprocess", "up"),
    ("return", "full disk"),
    ("SIGSEGV", "full disk"),
]


@pytest.mark.parametrize(("death", "state"), CASES, ids=[f"{death}, {state}" for death, state in CASES])
def test_every_record_arrives_once_and_the_program_notices_nothing(death: str, state: str) -> None:
    outcome = run_case(death, state)

    # How long an exit takes depends on what else the machine does; the table shows it, and has its limit.
    assert [wrong for wrong in outcome.wrong if "exit delayed" not in wrong] == []
    assert outcome.exit_delay_s < 10
