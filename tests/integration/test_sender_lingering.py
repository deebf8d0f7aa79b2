"""What goes on shipping when a program has ended: how many processes, for which runs, and what each can find."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from instrumentation.sender import linger
from instrumentation.sender.folder import OFFSETS_FILE, RunFolder
from instrumentation.settings import Settings
from tests.servers.otlp_sink import LOGS_PATH, OtlpSink

NO_PROCESS = 4_000_000  # a pid that is never given out on a small machine
DEADLINE_S = 60.0


def left_behind(home: Path, run_id: str, endpoint: str, host: str = "") -> RunFolder:
    """The folder of a run whose processes are gone, with one record that nobody has."""
    folder = home / run_id
    folder.mkdir(mode=0o700)
    facts = {"pipeline": "p", "run_id": run_id, "endpoint": endpoint, "host": host or socket.gethostname()}
    (folder / "run.json").write_text(json.dumps(facts))
    lines = [
        {"k": "proc", "v": 1, "u": run_id, "p": NO_PROCESS, "pp": 1, "x": "python", "a": [], "py": "3.11.7", "t": 1},
        {"k": "log", "u": 1, "t": time.time_ns(), "n": 40, "g": "g", "m": f"of {run_id}"},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{NO_PROCESS}-{run_id}.jsonl").write_text(text)
    return RunFolder(folder)


def start(run: RunFolder, sink: OtlpSink, environ: Mapping[str, str] = MappingProxyType({})) -> int:
    return linger.start(run.path, Settings(endpoint=sink.url), environ)


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.01)


def bodies(sink: OtlpSink) -> list[str]:
    return sorted(record.body.string_value for record in sink.taken[LOGS_PATH])


def test_in_a_long_outage_not_every_run_leaves_a_process_and_one_that_goes_on_takes_what_the_others_leave(
    tmp_path: Path,
) -> None:
    with OtlpSink() as sink:
        names = [f"run-{number:02}" for number in range(linger.MAX_LINGERING + 1)]
        first, *others = [left_behind(tmp_path, name, sink.url) for name in names]
        for other in others:
            other.lock()

        os.waitpid(start(first, sink), 0)
        assert (first.path.exists(), bodies(sink)) == (True, [])

        for other in others:
            other.unlock()
        os.waitpid(start(first, sink), 0)

        assert bodies(sink) == [f"of {name}" for name in names]
        assert list(tmp_path.iterdir()) == []


def test_in_a_home_that_machines_share_what_others_ship_is_theirs_and_hinders_nobody(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        for number in range(linger.MAX_LINGERING + 1):
            theirs = left_behind(tmp_path, f"theirs-{number}", sink.url, host="node-17")
            (theirs.path / OFFSETS_FILE).write_text("{}")  # they are at it

        os.waitpid(start(left_behind(tmp_path, "ours", sink.url), sink), 0)

        assert bodies(sink) == ["of ours"]
        assert len(list(tmp_path.iterdir())) == linger.MAX_LINGERING + 1


def test_what_was_for_another_receiver_is_left_to_its_own(tmp_path: Path) -> None:
    with OtlpSink() as sink:
        left_behind(tmp_path, "theirs", "http://collector.example.org:4318")

        os.waitpid(start(left_behind(tmp_path, "ours", sink.url), sink), 0)

        assert bodies(sink) == ["of ours"]
        assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_what_goes_on_shipping_finds_what_the_program_could_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("s3cret-token")
    monkeypatch.chdir(tmp_path)
    environ = {"PIPELINE_ALERTS_INGEST_TOKEN_FILE": "token", "LD_LIBRARY_PATH": "/opt/python/lib"}
    with OtlpSink() as sink:
        run = left_behind(tmp_path, "run", sink.url)
        run.lock()
        pid = start(run, sink, environ)
        wait_until(lambda: b"LD_LIBRARY_PATH=/opt/python/lib" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        run.unlock()
        os.waitpid(pid, 0)

        (request,) = sink.requests(LOGS_PATH)

    assert request.headers["authorization"] == "Bearer s3cret-token"
    assert not run.path.exists()


def test_who_stands_by_waits_for_its_turn_longer_than_it_may_go_on_then(tmp_path: Path) -> None:
    linger_s = 0.5
    with OtlpSink() as sink:
        run = left_behind(tmp_path, "run", sink.url)
        run.lock()
        pid = start(run, sink, {"PIPELINE_ALERTS_LINGER_SECONDS": str(linger_s)})
        time.sleep(4 * linger_s)

        assert os.waitpid(pid, os.WNOHANG) == (0, 0)

        run.unlock()
        os.waitpid(pid, 0)
