"""A full disk: every ERROR is kept, the others are counted exactly, and the program notices nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import children

LIMIT = """
import logging, os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
logging.basicConfig(level=20, stream=open(os.devnull, "w"))
log = logging.getLogger("app")
"""


def lost_in(kept: children.Kept) -> int:
    said = sum(line["d"]["pipeline.records.lost"] for line in kept.logs if "pipeline.records.lost" in line.get("d", {}))
    return said + sum(line["c"] for line in kept.reserve if line["k"] == "lost")


def errors_in(kept: children.Kept) -> list[str]:
    return [children.message(line) for line in kept.logs + kept.reserve if line.get("n") == 40]


def test_errors_go_to_the_reserve_and_the_rest_is_counted(tmp_path: Path) -> None:
    program = LIMIT + "for i in range(5000): log.info('step %d', i); i % 100 or log.error('bad %d', i)"

    ended = children.run(program, tmp_path / "run", cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    infos = [line for line in kept.logs if line["n"] == 20]
    assert ended == children.Ended(0, b"", b"")
    assert errors_in(kept) == [f"bad {i}" for i in range(0, 5000, 100)]
    assert 0 < len(infos) < 5000
    assert len(infos) + lost_in(kept) == 5000
    assert kept.torn <= 1


def test_the_count_is_on_disk_even_if_the_process_is_killed(tmp_path: Path) -> None:
    program = LIMIT + "for i in range(5000): log.info('step %d', i)\nos.kill(os.getpid(), 9)"

    children.run(program, tmp_path / "run", cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    assert len(kept.logs) + lost_in(kept) == 5000


def test_once_there_is_room_again_the_journal_says_what_is_missing(tmp_path: Path) -> None:
    program = (
        LIMIT + "for i in range(3000): log.info('step %d', i)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2); log.info('room')"
    )

    children.run(program, tmp_path / "run", cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    *steps, missing, room = kept.logs
    assert children.message(room) == "room"
    assert missing["l"] == "WARNING"
    assert children.message(missing) == f"{3000 - len(steps)} records could not be kept: no room for the journal"
    assert kept.reserve == []  # nothing was left in it


def test_threads_lose_no_count(tmp_path: Path) -> None:
    program = (
        LIMIT + "import threading\ndef work():\n    for i in range(2000): log.info('step %d', i)\n"
        "ts = [threading.Thread(target=work) for _ in range(4)]\n[t.start() for t in ts]; [t.join() for t in ts]"
    )

    children.run(program, tmp_path / "run", cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    assert len(kept.logs) + lost_in(kept) == 8000


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs more rights: " + mounted.stderr.decode().strip())
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_keeps_every_error(tiny_disk: Path, tmp_path: Path) -> None:
    folder = tiny_disk / "run"
    program = (
        "import logging, os, sys; logging.basicConfig(level=20, stream=open(os.devnull, 'w'))\n"
        "log = logging.getLogger('app')\n"
        "for i in range(9000): log.info('step %d', i); i % 100 or log.error('bad %d', i)\n"
    )

    ended = children.run(program, folder, cwd=tmp_path)

    kept = children.kept(folder)
    infos = [line for line in kept.logs if line["n"] == 20]
    assert ended == children.Ended(0, b"", b"")
    assert errors_in(kept) == [f"bad {i}" for i in range(0, 9000, 100)]
    assert 0 < len(infos) < 9000
    assert len(infos) + lost_in(kept) == 9000


def test_a_disk_that_is_full_from_the_start_disturbs_nobody(tiny_disk: Path, tmp_path: Path) -> None:
    (tiny_disk / "run").mkdir()
    with pytest.raises(OSError, match="No space"):
        (tiny_disk / "fill").write_bytes(b"x" * 600_000)
    program = "import logging; logging.error('a'); raise SystemExit(3)"

    alone = children.run(program, cwd=tmp_path)

    assert children.run(program, tiny_disk / "run", cwd=tmp_path) == alone


def test_a_folder_that_vanishes_disturbs_nobody(tmp_path: Path) -> None:
    program = (
        "import logging, os, shutil; logging.error('a'); shutil.rmtree(os.environ['PIPELINE_ALERTS_JOURNAL_DIR_RUN'])\n"
        "logging.error('b'); os.closerange(3, 512); logging.error('c')"
    )

    ended = children.run(program, tmp_path / "run", cwd=tmp_path)

    assert ended == children.Ended(0, b"", b"ERROR:root:a\nERROR:root:b\nERROR:root:c\n")
