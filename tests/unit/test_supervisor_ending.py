"""What a wait status means, in words and levels; names of pipelines; the last lines of an output."""

from __future__ import annotations

import signal

import pytest

from instrumentation.naming import name_of
from instrumentation.supervisor.ending import CRITICAL, ERROR, INFO, WARNING, Ending, describe_seconds
from instrumentation.supervisor.memory import Memory
from instrumentation.supervisor.output import last_lines


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    ("ending", "result", "level", "exit_code"),
    [
        (Ending.of(exited(0)), "success", INFO, 0),
        (Ending.of(exited(3)), "failure", ERROR, 3),
        (Ending.of(exited(137)), "error", CRITICAL, 137),
        (Ending.of(exited(130)), "failure", ERROR, 130),
        (Ending.of(signal.SIGKILL), "error", CRITICAL, 137),
        (Ending.of(signal.SIGSEGV | 0x80), "error", CRITICAL, 139),  # with a core dump
        (Ending.of(signal.SIGINT, is_interrupt=True), "cancellation", WARNING, 130),
        (Ending.of(signal.SIGINT), "error", CRITICAL, 130),
        (Ending.of(exited(1), is_interrupt=True), "cancellation", WARNING, 1),
        (Ending.of(exited(0), is_interrupt=True), "success", INFO, 0),
        (Ending.of(signal.SIGTERM, is_timeout=True), "timeout", CRITICAL, 143),
        (Ending.of(exited(1), memory=Memory.PROVEN), "failure", ERROR, 1),
        (Ending.of(exited(1), has_victims=True), "failure", CRITICAL, 1),
        (Ending.of(exited(0), has_victims=True), "success", INFO, 0),
    ],
)
def test_an_ending_has_the_result_and_level_that_it_deserves(
    ending: Ending, result: str, level: int, exit_code: int
) -> None:
    assert (ending.result, ending.level, ending.exit_code) == (result, level, exit_code)


def test_words_tell_what_a_tired_person_needs() -> None:
    assert Ending.of(exited(3)).words == "ended with exit code 3"
    assert Ending.of(signal.SIGKILL).words.startswith("was ended by SIGKILL (often the system's answer to")
    assert Ending.of(exited(137)).words.startswith("ended with exit code 137: a process in it was ended by SIGKILL")


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (Memory.PROVEN, "was killed for memory (SIGKILL)"),
        (Memory.PROBABLE, "was ended by SIGKILL, probably for memory"),
        (Memory.EXCLUDED, "was ended by SIGKILL, not by the kernel for memory"),
        (Memory.UNKNOWN, "was ended by SIGKILL (often the system's answer to too little memory)"),
    ],
)
def test_a_kill_is_said_to_be_for_memory_only_as_far_as_that_is_known(memory: Memory, words: str) -> None:
    assert Ending.of(signal.SIGKILL, memory=memory).words == words
    assert Ending.of(exited(137), memory=memory).words == f"ended with exit code 137: a process in it {words}"
    assert Ending.of(signal.SIGSEGV, memory=memory).words == "was ended by SIGSEGV (a crash in compiled code)"
    assert Ending.of(exited(1), memory=memory).words == "ended with exit code 1"


def test_a_failure_after_the_kill_of_a_process_below_names_it() -> None:
    assert Ending.of(exited(1), has_victims=True).words == (
        "ended with exit code 1, after a process in it was killed for memory"
    )


@pytest.mark.parametrize("number", [40, 64])
def test_a_real_time_signal_has_a_name_too(number: int) -> None:
    assert str(number) in Ending.of(number).words or "SIGRT" in Ending.of(number).words


def test_somebodys_wish_is_no_crash() -> None:
    assert not Ending.of(signal.SIGTERM).is_crash
    assert not Ending.of(exited(137)).is_crash
    assert Ending.of(signal.SIGKILL).is_crash


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "pipelines/monthly.py", "--month", "3"], "monthly"),
        (["/usr/bin/python3.11", "-u", "models/heron/main.py"], "heron"),
        (["python", "-m", "views.train"], "views.train"),
        (["python", "-c", "print(1)"], "python"),
        (["./run.sh", "-m"], "run_folder"),
        (["bash", "monthly_run.sh"], "monthly_run"),
        (["papermill", "a.ipynb"], "papermill"),
        (["bash", "01_monthly"], "01_monthly"),
        (["python", "/data/month=561/fit"], "fit"),
        (["nice", "-n", "5", "python3", "train.py"], "train"),
        (["env", "MONTH=561", "python", "-W", "ignore", "train.py"], "train"),
        (["timeout", "5m", "python", "-X", "dev", "-m", "views.train"], "views.train"),
        (["uv", "run", "train.py"], "train"),
        (["conda", "run", "-n", "forecasts", "python", "train.py", "--by", "kim.py"], "train"),
        (["mpirun", "-np", "4", "./simulate", "561"], "simulate"),
        (["nice", "python", "-c", "open('data.py')"], "python"),
        (["bash", "-c", "exit 3"], "bash"),
        (["bash", "-lc", "cd /srv/monthly && python main.py --month 561"], "monthly"),
        (["sh", "-ec", "python -m views.train 561 > log"], "views.train"),
        (["environment_check", "a.py"], "environment_check"),
        ([""], "command"),
    ],
)
def test_a_run_without_a_name_is_called_after_its_script(
    command: list[str], name: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("x") / "run_folder"
    folder.mkdir()
    monkeypatch.chdir(folder)

    assert name_of(command) == name


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12, "12 s"), (192, "3 min 12 s"), (7500, "2 h 5 min")]
)
def test_a_duration_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert describe_seconds(seconds) == words


def test_the_last_lines_leave_out_what_a_progress_bar_wrote_over() -> None:
    assert last_lines(b"start\n 10%\r 20%\r 100%\n\nend\xff\r\n") == "start\n 100%\nend�"


def test_the_last_lines_are_few() -> None:
    shown = last_lines("\n".join(f"line {number}" for number in range(1000)).encode())

    assert shown.splitlines() == [f"line {number}" for number in range(970, 1000)]
