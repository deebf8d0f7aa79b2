"""A run's folder, and the socket that wakes its sender."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from pathlib import Path

import pytest

from instrumentation.sender.folder import OFFSETS_FILE, RUN_FILE, SILENT_ELSEWHERE_S, RunFolder, bind_poke


def test_a_place_where_no_socket_can_be_bound_is_left_as_it_was(tmp_path: Path) -> None:
    too_long, other = tmp_path / ("é" * 60), tmp_path.parent
    too_long.mkdir()

    path, poke = bind_poke({"XDG_RUNTIME_DIR": str(too_long), "TMPDIR": str(other)})

    assert path is not None
    assert poke is not None
    assert list(too_long.iterdir()) == []
    poke.close()
    path.unlink()
    path.parent.rmdir()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / RUN_FILE).write_text(json.dumps({"host": "node-17", "pid": 4711}))
    (tmp_path / OFFSETS_FILE).write_text("{}")
    return tmp_path


def test_a_folder_that_its_own_machine_ships_is_left_to_it_whatever_the_lock_says(folder: Path) -> None:
    assert not RunFolder(folder).lock()


def test_a_folder_that_no_machine_ships_any_more_is_anybodys(folder: Path) -> None:
    before = time.time() - 2 * SILENT_ELSEWHERE_S
    os.utime(folder / OFFSETS_FILE, (before, before))

    assert RunFolder(folder).lock()


def test_a_folder_of_this_machine_is_free_as_soon_as_its_lock_is(folder: Path) -> None:
    (folder / RUN_FILE).write_text(json.dumps({"host": socket.gethostname(), "pid": 4711}))
    first = RunFolder(folder)

    assert first.lock()
    assert not RunFolder(folder).lock()
    first.unlock()
    assert RunFolder(folder).lock()


def test_where_the_file_system_has_no_locks_one_goes_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert RunFolder(tmp_path).lock()
