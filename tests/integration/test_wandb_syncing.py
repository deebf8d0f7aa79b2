"""`wandb sync` as we call it: a folder goes only when W&B has what was in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alert_bridge.exporters.wandb import WandbSettings
from alert_bridge.exporters.wandb.syncing import FIRST_PAUSE_S, Syncing
from tests.servers.wandb import KEY, WandbServer

NS = 1_000_000_000
WITHIN_S = 240.0  # a program that loads W&B, on a busy machine
WRITE = """
import sys, wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
with wandb.init(mode="offline", dir=sys.argv[1], project="p", id=sys.argv[2], settings=settings) as run:
    for step in range(20):
        run.log({"loss": step})
"""


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server


def written(directory: Path, run_id: str) -> Path:
    """A real offline run's folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environ = clean | {"WANDB_ERROR_REPORTING": "false"}
    subprocess.run([sys.executable, "-c", WRITE, str(directory), run_id], env=environ, check=True)
    (folder,) = (directory / "wandb").glob(f"offline-run-*-{run_id}")
    return folder


def settings(directory: Path, server: WandbServer) -> WandbSettings:
    return WandbSettings("offline", directory, base_url=server.url, key=KEY)


def until_ended(syncing: Syncing, waiting: list[str], now: int) -> str:
    """Step until an attempt is over; what is with W&B then."""
    deadline = time.monotonic() + WITHIN_S
    syncing.step(waiting, now)
    while syncing._under is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        if folder := syncing.step(waiting, now):
            return folder
    return ""


def test_a_refused_key_keeps_the_folder_and_a_good_one_brings_it_later(tmp_path, server):
    folder = written(tmp_path, "run-1")
    syncing, now = Syncing(settings(tmp_path, server), os.environ), time.time_ns()
    server.fail(401)

    refused = until_ended(syncing, [folder.name], now)
    too_early = syncing.step([folder.name], now + int((FIRST_PAUSE_S - 1) * NS)), syncing._under
    kept = folder.is_dir()
    server.fail(200)
    brought = until_ended(syncing, [folder.name], now + int((FIRST_PAUSE_S + 1) * NS))

    assert (refused, too_early, kept) == ("", ("", None), True)
    assert brought == folder.name
    assert not folder.exists()
    assert [row["loss"] for row in server.history("run-1")] == list(range(20))


def test_a_damaged_folder_stays_and_does_not_hold_the_others(tmp_path, server):
    damaged, whole = written(tmp_path, "run-1"), written(tmp_path, "run-2")
    (path,) = damaged.glob("*.wandb")
    data = bytearray(path.read_bytes())
    data[500:504] = b"xxxx"
    path.write_bytes(data)
    syncing, now = Syncing(settings(tmp_path, server), os.environ), time.time_ns()
    waiting = [damaged.name, whole.name]

    first = until_ended(syncing, waiting, now)
    second = until_ended(syncing, waiting, now + int((FIRST_PAUSE_S + 1) * NS))

    assert (first, second) == ("", whole.name)
    assert damaged.is_dir()
