"""A run's folder, when several runs have one name."""

from __future__ import annotations

import threading
from pathlib import Path

from instrumentation.sender.folder import RUN_FILE, RunFolder

TURNS = 300


def test_a_run_may_begin_while_another_of_its_name_is_cleared_up(tmp_path: Path) -> None:
    begun: list[bool] = []

    def begin_and_end() -> None:
        for turn in range(TURNS):
            folder = RunFolder.create(tmp_path, "array-1", {"turn": turn})
            begun.append((folder.path / RUN_FILE).exists())
            folder.remove()

    threads = [threading.Thread(target=begin_and_end) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert begun == [True] * 3 * TURNS
    assert list(tmp_path.iterdir()) == []
