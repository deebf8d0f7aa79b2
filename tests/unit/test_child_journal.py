"""The journal file itself: whole lines, private, in the right place, whatever the program does to descriptors."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from instrumentation.child._pipeline_alerts_child import journal as module
from instrumentation.journal import JOURNAL_SUFFIX, RESERVE_SUFFIX, Journal, current
from tests.servers.children import kept, kept_in, run

ERROR = 40


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal(str(tmp_path))
    assert opened.open()
    opened.allocate_reserve()
    return opened


def line(number: int, **more: Any) -> str:
    return json.dumps({"k": "log", "u": number, **more})


def test_the_file_is_private_and_named_after_its_process(journal: Journal, tmp_path: Path) -> None:
    path = Path(journal.path)

    assert path.name == f"{os.getpid()}-{journal.token}{JOURNAL_SUFFIX}"
    assert {found.suffix for found in tmp_path.iterdir()} == {JOURNAL_SUFFIX, RESERVE_SUFFIX}
    assert {found.stat().st_mode & 0o777 for found in tmp_path.iterdir()} == {0o600}


def test_the_first_line_says_who_writes(journal: Journal) -> None:
    (start,) = kept_in(Path(journal.path))

    assert (start["k"], start["v"], start["u"], start["p"], start["pp"]) == (
        "proc",
        1,
        journal.token,
        os.getpid(),
        os.getppid(),
    )


def test_the_descriptor_is_high_append_only_and_closed_in_other_programs(journal: Journal) -> None:
    assert journal._fd >= module.MIN_FD
    assert fcntl.fcntl(journal._fd, fcntl.F_GETFL) & os.O_APPEND
    assert fcntl.fcntl(journal._fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_a_descriptor_that_the_program_closed_is_opened_again(journal: Journal) -> None:
    journal.append(line(1))
    os.close(journal._fd)
    journal.append(line(2))

    assert [found["u"] for found in kept_in(Path(journal.path))[1:]] == [1, 2]


def test_an_error_does_not_go_into_a_file_that_the_program_opened_on_our_descriptor(
    journal: Journal, tmp_path: Path
) -> None:
    with (tmp_path / "its.csv").open("w") as its:
        os.dup2(its.fileno(), journal._fd)
        taken = journal._fd

        journal.append(line(1), ERROR)
        os.close(taken)

    assert kept_in(Path(journal.path))[-1]["u"] == 1
    assert (tmp_path / "its.csv").read_text() == ""


def test_a_journal_that_was_removed_starts_again_with_its_first_line(journal: Journal) -> None:
    os.close(journal._fd)
    Path(journal.path).unlink()
    journal.append(line(2))

    start, second = kept_in(Path(journal.path))
    assert (start["u"], second["u"]) == (journal.token, 2)


def test_a_torn_line_is_ended_before_the_next_one(journal: Journal) -> None:
    os.write(journal._fd, b'{"k":"log","u":1,"m":"to')
    journal._torn = True
    journal.append(line(2))

    found = kept(Path(journal.folder))
    assert found.torn == 1
    assert [one["u"] for one in found.logs] == [2]


def test_text_that_is_no_unicode_is_written_all_the_same(journal: Journal) -> None:
    assert journal.append('{"k":"log","u":1,"m":"\udce9é"}')

    assert kept_in(Path(journal.path))[1]["m"] == "?é"


def test_numbers_are_unique_in_threads(journal: Journal) -> None:
    def work() -> None:
        for _ in range(500):
            journal.append(line(journal.next_number()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    numbers = [found["u"] for found in kept_in(Path(journal.path))[1:]]
    assert sorted(numbers) == list(range(1, 2001))


def test_a_forked_child_gets_a_file_of_its_own_at_its_first_line(journal: Journal, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        kept_it = journal.append(line(journal.next_number()))
        os._exit(0 if kept_it else 1)

    assert os.waitpid(child, 0)[1] == 0
    starts = {start["p"]: start["u"] for start in kept(tmp_path).starts}
    assert set(starts) == {os.getpid(), child}
    assert len(set(starts.values())) == 2
    assert len(kept_in(Path(journal.path))) == 1


def test_a_forked_child_that_has_no_free_descriptor_takes_those_of_its_parents_files(tmp_path: Path) -> None:
    program = """
    import logging, os, resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    logging.warning("before")
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        pass
    child = os.fork()
    logging.warning("after")
    os._exit(0) if not child else os.waitpid(child, 0)
    """

    run(program, tmp_path / "run", cwd=tmp_path)

    assert kept(tmp_path / "run").said.count("WARNING after") == 2


def test_a_fork_that_leaves_at_once_writes_nothing(journal: Journal, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    assert len(kept(tmp_path).starts) == 1


def test_the_reserve_has_its_blocks_and_goes_if_unused(journal: Journal, tmp_path: Path) -> None:
    (reserve,) = tmp_path.glob(f"*{RESERVE_SUFFIX}")
    assert reserve.stat().st_blocks * 512 >= module.RESERVE_BYTES

    journal.close()

    assert list(tmp_path.glob(f"*{RESERVE_SUFFIX}")) == []
    assert journal.append(line(1))


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    assert not Journal(str(tmp_path / "missing")).open()


def test_this_process_is_not_under_run() -> None:
    assert current() is None
