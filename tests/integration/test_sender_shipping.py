"""The sender on hand-written journals and a real receiver: nothing lost, nothing twice, whatever happens between."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from instrumentation.sender import sender as module
from instrumentation.sender.folder import OFFSETS_FILE
from instrumentation.sender.linger import ship_folder
from instrumentation.sender.logfile import RunLog
from instrumentation.sender.sender import SIGN_OF_LIFE_S, Sender
from instrumentation.settings import Settings
from tests.servers.otlp_sink import LOGS_PATH, Answer, OtlpSink, Request, uid
from tests.servers.receiver import Receiver

DEADLINE_S = 120.0
NO_PROCESS = 1 << 22  # one more than Linux gives out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "run-1"
    run.mkdir(mode=0o700)
    facts = {"pipeline": "p", "run_id": "run-1", "resource": {"service.name": "p"}}
    (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return run


class Writer:
    """Writes a journal as a child does."""

    def __init__(self, folder: Path, token: str, pid: int = NO_PROCESS) -> None:
        self.path = folder / f"{pid}-{token}.jsonl"
        self.token = token
        self._count = 0
        self._append(
            {"k": "proc", "v": 1, "u": token, "p": pid, "pp": 1, "x": "python", "a": [], "py": "3.11.7", "t": 1}
        )

    def log(self, message: str, level: int = 20, **more: object) -> str:
        self._count += 1
        self._append({"k": "log", "u": self._count, "t": time.time_ns(), "n": level, "g": "g", "m": message, **more})
        return f"{self.token}-{self._count}"

    def raw(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def _append(self, line: dict[str, object]) -> None:
        self.raw(json.dumps(line).encode() + b"\n")


def settings(url: str) -> Settings:
    return Settings(endpoint=url, linger_seconds=0.0)


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.01)


def answer_nothing_before(said: str, sink: OtlpSink) -> None:
    """Makes a receiver slow: it answers only when a record has come that says this."""
    has_come, plain = threading.Event(), sink.answer

    def answer(request: Request) -> Answer:
        if said.encode() in request.body:
            has_come.set()
        return replace(plain(request), held_until=has_come)

    sink.answer = answer


def first_two(sink: OtlpSink) -> list[str]:
    """The bodies of what was sent before anything was answered: a batch of each lane."""
    return [one.body.string_value for request in sink.requests(LOGS_PATH)[:2] for one in request.records()]


def bodies(receiver: Receiver) -> list[str]:
    return [record.body.string_value for record in receiver.records()]


def test_records_of_all_processes_arrive_once_and_each_process_keeps_its_order(
    folder: Path, receiver: Receiver
) -> None:
    writers = [Writer(folder, f"t{number}") for number in range(3)]
    expected = [writer.log(f"{writer.token} {number}") for number in range(400) for writer in writers]

    report = ship_folder(folder, settings(receiver.url), DEADLINE_S)

    assert report is not None
    assert report.is_complete
    assert sorted(receiver.uids().elements()) == sorted(expected)
    for writer in writers:
        own = [body for body in bodies(receiver) if body.startswith(writer.token)]
        assert own == [f"{writer.token} {number}" for number in range(400)]


def test_an_error_overtakes_everything_that_waits(folder: Path) -> None:
    writer = Writer(folder, "t0")
    for number in range(3000):
        writer.log(f"row {number}")
    writer.log("boom", 40)

    with OtlpSink() as sink:
        answer_nothing_before("boom", sink)
        ship_folder(folder, settings(sink.url), DEADLINE_S)
        arrived = {record.body.string_value for record in sink.taken[LOGS_PATH]}

    assert "boom" in first_two(sink)
    assert len(arrived) == 3001


def test_an_error_far_behind_what_a_slow_receiver_takes_is_found_all_the_same(folder: Path) -> None:
    writer, rows = Writer(folder, "t0"), 8_000
    for number in range(rows):
        writer.log(f"row {number} {'x' * 1000}")
    writer.log("boom", 40)

    with OtlpSink() as sink:
        answer_nothing_before("boom", sink)
        ship_folder(folder, settings(sink.url), DEADLINE_S)
        arrived = {record.body.string_value for record in sink.taken[LOGS_PATH]}

    assert "boom" in first_two(sink)
    assert len(arrived) == rows + 1


def test_an_outage_of_any_length_costs_nothing_but_time(folder: Path, receiver: Receiver) -> None:
    receiver.go_away()
    writer = Writer(folder, "t0", os.getpid())
    sender = Sender(folder, settings(receiver.url))
    sender.start()
    expected = [writer.log("a" * 1000, 40 if number % 100 == 0 else 20) for number in range(15_000)]
    wait_until(lambda: bool(sender.report().trouble))

    receiver.come_back()

    wait_until(sender.is_idle)
    report = sender.stop(DEADLINE_S)
    assert sorted(receiver.uids()) == sorted(expected)
    assert max(receiver.uids().values()) == 1
    assert report.is_complete


def test_a_sender_that_is_killed_leaves_the_next_one_where_it_was(folder: Path, receiver: Receiver) -> None:
    writer = Writer(folder, "t0", os.getpid())
    first = Sender(folder, settings(receiver.url))
    first.start()
    before = [writer.log(f"before {number}", 40 if number == 50 else 20) for number in range(100)]
    wait_until(lambda: len(receiver.uids()) == 100)
    first.stop(DEADLINE_S)
    after = [writer.log(f"after {number}") for number in range(100)]

    second = Sender(folder, settings(receiver.url))
    second.start()
    wait_until(lambda: len(receiver.uids()) == 200)
    second.stop(DEADLINE_S)

    assert sorted(receiver.uids().elements()) == sorted(before + after)


def test_shipping_without_the_memory_of_the_first_time_sends_the_same_identities(
    folder: Path, receiver: Receiver
) -> None:
    writer = Writer(folder, "t0")
    expected = {writer.log(f"row {number}", 40 if number % 7 == 0 else 20) for number in range(50)}
    copy = {path.name: path.read_bytes() for path in folder.iterdir()}
    ship_folder(folder, settings(receiver.url), DEADLINE_S)
    folder.mkdir()
    for name, content in copy.items():
        (folder / name).write_bytes(content)

    ship_folder(folder, settings(receiver.url), DEADLINE_S)

    assert set(receiver.uids()) == expected
    assert set(receiver.uids().values()) == {2}  # counted once by whoever goes by the identity


def test_a_sender_that_had_no_time_to_look_does_not_say_that_all_is_received(folder: Path, receiver: Receiver) -> None:
    Writer(folder, "t0").log("row")
    sender = Sender(folder, settings(receiver.url))

    assert not sender.is_idle()
    sender.stop(0.0)  # the time was up before its thread began, as on a machine that does too much at once
    sender.start()
    sender._done.wait(DEADLINE_S)

    assert not sender.report().is_complete
    assert receiver.records() == []


def test_a_sender_without_anything_to_do_hardly_ever_writes(folder: Path, receiver: Receiver) -> None:
    sender, offsets = Sender(folder, settings(receiver.url)), folder / OFFSETS_FILE

    def writes(now: float) -> bool:
        before = offsets.stat().st_ino if offsets.exists() else 0
        sender.turn(now)
        return offsets.stat().st_ino != before

    assert [writes(100.0 + second) for second in range(4)] == [True, False, False, False]
    assert writes(100.0 + SIGN_OF_LIFE_S)
    Writer(folder, "t0").log("news")
    assert writes(101.0 + SIGN_OF_LIFE_S)


def test_what_is_received_is_removed(folder: Path, receiver: Receiver) -> None:
    Writer(folder, "t0").log("row")

    ship_folder(folder, settings(receiver.url), DEADLINE_S)

    assert not folder.exists()


def test_one_record_that_is_refused_is_set_aside_and_the_rest_arrives(folder: Path) -> None:
    writer = Writer(folder, "t0")
    for number in range(40):
        writer.log(f"row {number}" if number != 17 else "poison")

    with OtlpSink() as sink:
        plain = sink.answer
        sink.answer = lambda request: (
            Answer(400, body=b"poison") if b"poison" in request.body and request.path == LOGS_PATH else plain(request)
        )
        report = ship_folder(folder, settings(sink.url), DEADLINE_S)
        ship_folder(folder, settings(sink.url), DEADLINE_S)  # as the next run on this machine does
        arrived = [record.body.string_value for record in sink.taken[LOGS_PATH]]

    assert sorted(arrived) == sorted(f"row {number}" for number in range(40) if number != 17)
    assert report is not None
    assert report.refused == 1
    (kept,) = folder.iterdir()
    aside = kept.read_text(encoding="utf-8")
    assert "HTTP 400" in aside
    assert "poison" in aside


def test_a_receiver_of_logs_alone_gets_them_and_nothing_is_left_behind(folder: Path) -> None:
    writer = Writer(folder, "t0")
    writer.log("boom", 40)
    span = {"k": "span", "u": 9, "tr": "0af7651916cd43dd8448eb211c80319c", "sp": "b7ad6b7169203331", "na": "x"}
    writer.raw(json.dumps({**span, "t": 1, "te": 2}).encode() + b"\n")

    with OtlpSink() as sink:
        sink.always("/v1/traces", Answer(404))
        ship_folder(folder, settings(sink.url), DEADLINE_S)
        arrived = [record.body.string_value for record in sink.taken[LOGS_PATH]]

    assert arrived == ["boom"]
    assert not folder.exists()


def test_a_wrong_token_loses_nothing(folder: Path) -> None:
    expected = Writer(folder, "t0").log("boom", 40)
    with OtlpSink() as sink:
        sink.always(LOGS_PATH, Answer(401))
        sender = Sender(folder, settings(sink.url))
        sender.start()
        wait_until(lambda: sender.report().trouble == "HTTP 401")
        sender.stop(DEADLINE_S)
        sink.always(LOGS_PATH, Answer())

        accepted = ship_folder(folder, settings(sink.url), DEADLINE_S)

        assert accepted is not None
        assert [uid(record) for record in sink.taken[LOGS_PATH]] == [expected]


def test_the_token_travels_as_bearer_and_is_in_no_file(folder: Path) -> None:
    Writer(folder, "t0").log("boom", 40)
    with OtlpSink() as sink:
        ship_folder(folder, Settings(endpoint=sink.url, token="s3cret-token"), DEADLINE_S)

        (request,) = sink.requests(LOGS_PATH)

    assert request.headers["authorization"] == "Bearer s3cret-token"
    assert "s3cret-token" not in repr(Settings(token="s3cret-token"))


def test_torn_and_foreign_lines_do_not_stop_the_others(folder: Path, receiver: Receiver) -> None:
    writer = Writer(folder, "t0")
    first = writer.log("first")
    writer.raw(b'{"k":"log","u":99,"t":\n')
    writer.raw(b"\x00\x01 not ours\n[]\nnull\n17\n")
    writer.raw(b'{"k":"log","u":5,"t":1}\n')
    last = writer.log("last", 40)
    writer.raw(b'{"k":"log","u":77,"t":1,"n":20,"m":"torn at the en')

    report = ship_folder(folder, settings(receiver.url), DEADLINE_S)

    assert sorted(receiver.uids().elements()) == sorted([first, last])
    assert report is not None
    assert report.is_complete


def test_a_poke_brings_an_error_at_once(
    folder: Path, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 10 * DEADLINE_S)  # nobody looks by himself
    path = tmp_path / "s"
    poke = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    poke.bind(str(path))
    writer = Writer(folder, "t0", os.getpid())
    sender = Sender(folder, settings(receiver.url), poke=poke)
    sender.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        for number in range(5):
            writer.log(f"boom {number}", 40)
            end.sendto(b"\x01", str(path))
            wait_until(lambda number=number: len(receiver.uids()) == number + 1)  # type: ignore[misc]
    sender.stop(DEADLINE_S)
    poke.close()


def test_the_structured_log_has_all_processes_in_the_order_of_time(
    folder: Path, receiver: Receiver, tmp_path: Path
) -> None:
    one, two = Writer(folder, "t1"), Writer(folder, "t2")
    for number in range(50):
        one.log(f"one {number} token=abc123")
        two.log(f"two {number}")
    log = RunLog(tmp_path / "logs" / "p" / "run-1.jsonl")
    sender = Sender(folder, settings(receiver.url), log=log)
    sender.start()
    wait_until(lambda: len(receiver.uids()) == 100)
    sender.stop(DEADLINE_S)

    lines = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]

    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert len(lines) == 100
    assert "abc123" not in log.path.read_text(encoding="utf-8")
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_a_burst_of_100_000_records_arrives_whole_in_order_and_in_little_memory(
    folder: Path, receiver: Receiver, tmp_path: Path
) -> None:
    writer = Writer(folder, "t0")
    with writer.path.open("ab") as file:
        for number in range(100_000):
            line = {
                "k": "log",
                "u": number + 1,
                "t": number,
                "n": 20,
                "g": "g",
                "m": "row %d of %s",
                "a": [number, "cm"],
            }
            file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    (tmp_path / "empty").mkdir()

    idle = ship_in_a_process(tmp_path / "empty", receiver)
    burst = ship_in_a_process(folder, receiver)

    assert list(receiver.uids().elements()) == [f"t0-{number}" for number in range(1, 100_001)]
    assert burst - idle < 64 << 20


_SHIP = """
import runpy, sys
sys.argv[0] = "pipeline-alerts"
try:
    runpy.run_module("alert_bridge.cli", run_name="__main__")
except SystemExit as end:
    assert not end.code
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def ship_in_a_process(folder: Path, receiver: Receiver) -> int:
    """Ships with the command; returns the most memory that it had, in bytes.

    Not `ru_maxrss`, which begins with what the process that started it had: this one.
    """
    command = [sys.executable, "-c", _SHIP, "ship", str(folder)]
    environ = {**os.environ, "PIPELINE_ALERTS_ENDPOINT": receiver.url}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024
