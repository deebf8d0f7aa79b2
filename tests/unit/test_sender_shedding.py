"""What goes at the disk cap: mildest and oldest first, counted; errors never."""

from __future__ import annotations

import json
import os
import resource
from collections import Counter
from pathlib import Path

import pytest

from instrumentation.sender.journals import Journal, find_journals
from instrumentation.sender.shedding import shed


def journal_of(folder: Path, token: str, levels: list[int]) -> Journal:
    path = folder / f"4194000-{token}.jsonl"
    lines = [{"k": "proc", "v": 1, "u": token, "p": 4194000, "t": 1}]
    lines += [{"k": "log", "u": n, "t": n, "n": level, "m": "x" * 100} for n, level in enumerate(levels, 1)]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), encoding="utf-8")
    return Journal(path, {})


def left(folder: Path, journals: list[Journal]) -> list[tuple[str, int]]:
    """Token and level of every record that is still to be sent."""
    known = {journal.path: journal for journal in journals}
    found = []
    for path in find_journals(folder):
        journal = known.get(path) or Journal(path, {})
        lines, _ = journal.lines(journal.loaded, 10_000_000)
        header, _ = journal.lines(0, 10_000_000)
        token = json.loads(header[0].data)["u"] if header and not header[0].data.startswith(b"\0") else path.stem
        found += [(token, record["n"]) for line in lines if (record := json.loads(line.data))["k"] == "log"]
    return found


def test_below_the_cap_nothing_goes(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [20, 30, 40])

    assert shed(tmp_path, [journal], 1_000_000) == {}
    assert journal.loaded == 0


def test_what_is_below_a_warning_goes_first_and_is_counted(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [10, 20, 30, 40, 50] * 20)
    size = journal.size()

    dropped = shed(tmp_path, [journal], int(size * 0.9))

    assert dropped == {10: 20, 20: 20}
    assert sorted(left(tmp_path, [journal])) == sorted([("a", 30), ("a", 40), ("a", 50)] * 20)


def test_an_error_stays_whatever_the_cap(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [20, 40] * 50)

    dropped = shed(tmp_path, [journal], 1)

    assert dropped == {20: 50}
    assert left(tmp_path, [journal]) == [("a", 40)] * 50


def test_an_error_stays_also_where_the_disk_has_no_room_for_it_elsewhere(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [20, 40] * 2_000)
    room = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, room[1]))
    try:
        dropped = shed(tmp_path, [journal], 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)

    still = Counter(level for _, level in left(tmp_path, [journal]))
    assert still[40] == 2_000
    assert still[20] + dropped[20] == 2_000


def test_what_is_kept_is_of_its_process_though_the_beginning_of_its_journal_is_gone(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [20] * 500)
    shed(tmp_path, [journal], 1)
    next(tmp_path.glob("0-kept-*")).unlink()  # received, and removed
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"k":"log","u":501,"t":1,"n":40,"m":"later"}\n{"k":"log","u":502,"t":1,"n":20,"m":"mild"}\n')

    shed(tmp_path, [journal], 1)

    assert left(tmp_path, [journal]) == [("a", 40)]


def test_the_oldest_process_goes_first(tmp_path: Path) -> None:
    old, new = journal_of(tmp_path, "a", [20] * 100), journal_of(tmp_path, "b", [20] * 100)
    os.utime(old.path, (1, 1))

    dropped = shed(tmp_path, [new, old], int(old.size() * 1.5))

    assert dropped == {20: 100}
    assert left(tmp_path, [old, new]) == [("b", 20)] * 100


def test_the_disk_gets_its_blocks_back_and_the_writer_can_go_on(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, "a", [20] * 5000)
    before = journal.path.stat().st_blocks

    shed(tmp_path, [journal], 1)
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"k":"log","u":9999,"t":1,"n":40,"m":"later"}\n')

    if journal.path.stat().st_blocks >= before:
        pytest.skip("this file system cannot make holes")
    lines, _ = journal.lines(journal.loaded)
    assert [json.loads(line.data)["m"] for line in lines] == ["later"]
