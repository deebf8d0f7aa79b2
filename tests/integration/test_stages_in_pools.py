"""Work handed to threads and processes is in the stage that handed it over, in pools that are used again, too."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
TIMEOUT_S = 120

# Each `submit` runs one task and waits; the last one is outside of any stage.
PROGRAM = """
import asyncio, concurrent.futures as futures, logging, multiprocessing, os, subprocess, sys, threading, traceback
from instrumentation import stage
logging.getLogger().addHandler(logging.NullHandler())
def work(stage, also=""):
    logging.warning("in %s", stage)
    return os.environ.get("PIPELINE_ALERTS_STAGE")
def nest():
    with stage("inner"):
        logging.warning("in inner")
def fail():
    raise ValueError("theirs")
def rounds(submit):
    for name in ("fetch", "train"):
        with stage(name, model="heron"):
            submit(name)
    submit("nothing")
"""
WAYS = {
    "threads": """
with futures.ThreadPoolExecutor(1) as pool:
    rounds(lambda name: pool.submit(work, name).result())
""",
    "processes by fork": """
with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    rounds(lambda name: pool.submit(work, name, also="x").result())
""",
    "processes by spawn": """
if __name__ == "__main__":
    with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        rounds(lambda name: list(pool.map(work, [name])))
""",
    "a pool by fork": """
with multiprocessing.get_context("fork").Pool(1) as pool:
    rounds(lambda name: pool.apply(work, (name,), {"also": "x"}))
    pool.close(); pool.join()
""",
    "a pool by forkserver": """
if __name__ == "__main__":
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        rounds(lambda name: pool.map(work, [name]))
        pool.close(); pool.join()
""",
    "asyncio": """
async def one(name):
    with stage(name):
        await asyncio.to_thread(work, name)
async def main():
    await asyncio.gather(one("fetch"), one("train"))
    await asyncio.to_thread(work, "nothing")
asyncio.run(main())
""",
    "joblib": """
import joblib
if __name__ == "__main__":
    rounds(lambda name: joblib.Parallel(2, backend="loky")(joblib.delayed(work)(name) for _ in range(2)))
""",
}


def run(receiver: Receiver, folder: Path, source: str, *, ours: bool = True) -> subprocess.CompletedProcess[bytes]:
    (folder / "program.py").write_text(PROGRAM + source)
    environ = environ_towards(receiver, folder / "state")
    command = [*(RUN if ours else ()), sys.executable, "program.py"]
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, timeout=TIMEOUT_S)


def stages(receiver: Receiver, count: int) -> set[tuple[str, str]]:
    """What records say and the stages that they are in, as soon as so many are there."""
    ends_at = time.monotonic() + TIMEOUT_S
    while len(_said(receiver)) < count and time.monotonic() < ends_at:
        time.sleep(0.05)
    return set(_said(receiver))


def _said(receiver: Receiver) -> list[tuple[str, str]]:
    return [
        (
            record.body.string_value.removeprefix("in "),
            next((pair.value.string_value for pair in record.attributes if pair.key == "cicd.pipeline.task.name"), ""),
        )
        for record in receiver.records()
        if record.body.string_value.startswith("in ")
    ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.mark.parametrize("way", WAYS)
def test_work_is_in_the_stage_that_handed_it_over(receiver: Receiver, tmp_path: Path, way: str) -> None:
    if way == "joblib":
        pytest.importorskip("joblib", reason="joblib is no dependency of ours, and not installed here")

    done = run(receiver, tmp_path, WAYS[way])

    assert done.returncode == 0, done.stderr.decode()
    assert stages(receiver, 3) == {("fetch", "fetch"), ("train", "train"), ("nothing", "")}


def test_a_task_that_comes_to_run_later_is_in_the_stage_that_submitted_it(receiver: Receiver, tmp_path: Path) -> None:
    done = run(
        receiver,
        tmp_path,
        """
gate = threading.Event()
with futures.ThreadPoolExecutor(1) as pool:
    pool.submit(gate.wait)
    with stage("early"):
        pool.submit(work, "early")
    with stage("other"):
        gate.set()
        pool.submit(work, "other").result()
""",
    )

    assert done.returncode == 0
    assert stages(receiver, 2) == {("early", "early"), ("other", "other")}


@pytest.mark.parametrize("pool", ["futures.ThreadPoolExecutor(1)", "futures.ProcessPoolExecutor(1)"])
def test_a_stage_in_a_task_hangs_below_the_one_that_submitted_it(receiver: Receiver, tmp_path: Path, pool: str) -> None:
    source = f"""
with {pool} as pool:
    for name in ("fetch", "train"):
        with stage(name, model="heron"):
            pool.submit(nest).result()
"""
    assert run(receiver, tmp_path, source).returncode == 0

    ends_at = time.monotonic() + TIMEOUT_S
    while len(receiver.spans()) < 5 and time.monotonic() < ends_at:
        time.sleep(0.05)
    spans = receiver.spans()
    outer = {span.span_id: span.name for span in spans if span.name in {"fetch", "train"}}
    inner = [span for span in spans if span.name == "inner"]
    assert sorted(outer[span.parent_span_id] for span in inner) == ["fetch", "train"]
    models = {
        pair.value.string_value for span in inner for pair in span.attributes if pair.key == "pipeline.model.name"
    }
    assert models == {"heron"}


def test_what_a_worker_starts_is_in_the_stage_of_its_task(receiver: Receiver, tmp_path: Path) -> None:
    source = """
with futures.ProcessPoolExecutor(1) as pool:
    rounds(lambda name: print(name, pool.submit(work, name).result(), flush=True))
"""

    done = run(receiver, tmp_path, source)

    assert done.stdout == b"fetch fetch\ntrain train\nnothing None\n"


@pytest.mark.parametrize(
    "submit",
    [
        "with futures.ThreadPoolExecutor(1) as pool: pool.submit(fail).result()",
        "with futures.ProcessPoolExecutor(1) as pool: pool.submit(fail).result()",
        "with multiprocessing.get_context('fork').Pool(1) as pool: pool.apply(fail)",
    ],
)
def test_a_traceback_through_a_pool_is_as_without_us(receiver: Receiver, tmp_path: Path, submit: str) -> None:
    source = (
        f"with stage('train'):\n    try:\n        {submit}\n    except ValueError:\n        traceback.print_exc()\n"
    )

    plain = run(receiver, tmp_path, source, ours=False)
    done = run(receiver, tmp_path, source)

    assert b"ValueError: theirs" in plain.stderr
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)
