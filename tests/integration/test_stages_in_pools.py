"""Work handed to threads and processes is in the stage that handed it over, in pools that are used again, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

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
def fail(*_):
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
    "a pool of threads": """
from multiprocessing.pool import ThreadPool
with ThreadPool(1) as pool:
    rounds(lambda name: pool.apply(work, (name,), {"also": "x"}))
    rounds(lambda name: (pool.map(work, [name] * 3), list(pool.imap(work, [name]))))
""",
    "joblib's processes": """
import joblib
if __name__ == "__main__":
    rounds(lambda name: joblib.Parallel(2, backend="loky")(joblib.delayed(work)(name) for _ in range(3)))
""",
    "joblib's threads": """
import joblib
rounds(lambda name: joblib.Parallel(2, backend="threading")(joblib.delayed(work)(name) for _ in range(3)))
""",
    "joblib's pool": """
import joblib
if __name__ == "__main__":
    rounds(lambda name: joblib.Parallel(2, backend="multiprocessing")(joblib.delayed(work)(name) for _ in range(3)))
""",
}


# Those whose workers have what the program has, so that it needs no `run`.
WITHOUT_RUN = ("threads", "processes by fork", "a pool by fork", "a pool of threads", "joblib's threads")


def run(receiver: Receiver, folder: Path, source: str, *, ours: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end, until all that it left is at the receiver."""
    (folder / "program.py").write_text(PROGRAM + source)
    environ = environ_towards(receiver, folder / "state")
    command = [*(RUN if ours else ()), sys.executable, "program.py"]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, timeout=TIMEOUT_S)
    wait_until_shipped(environ)
    return done


def places(receiver: Receiver) -> set[tuple[str, str, str]]:
    """What records say, the stages that they are in, and the spans: all in the trace of the run."""
    spans = {(span.trace_id, span.span_id): span.name for span in receiver.spans()}
    (trace,) = {trace for trace, _ in spans}
    return {
        (
            record.body.string_value.removeprefix("in "),
            next((pair.value.string_value for pair in record.attributes if pair.key == "cicd.pipeline.task.name"), ""),
            spans[trace, record.span_id],
        )
        for record in receiver.records()
        if record.body.string_value.startswith("in ")
    }


@pytest.mark.parametrize("way", WAYS)
def test_work_is_in_the_stage_that_handed_it_over(receiver: Receiver, tmp_path: Path, way: str) -> None:
    done = run(receiver, tmp_path, WAYS[way])

    assert done.returncode == 0, done.stderr.decode()
    assert places(receiver) == {("fetch", "fetch", "fetch"), ("train", "train", "train"), ("nothing", "", "RUN p")}


@pytest.mark.parametrize("way", WITHOUT_RUN)
def test_beside_configure_it_is_too(receiver: Receiver, tmp_path: Path, way: str) -> None:
    # What hands work over is loaded within a stage, as in a notebook.
    before = """
import instrumentation
instrumentation.configure("p")
with stage("loading"):
    import concurrent.futures.process, multiprocessing.pool
"""

    done = run(receiver, tmp_path, before + WAYS[way], ours=False)

    assert done.returncode == 0, done.stderr.decode()
    assert places(receiver) == {("fetch", "fetch", "fetch"), ("train", "train", "train"), ("nothing", "", "RUN p")}


def test_a_program_that_loads_logging_within_a_stage_is_outside_of_it_afterwards(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\nfrom instrumentation import stage\nassert 'logging' not in sys.modules\n"
        "with stage('fetch'):\n    import logging\n    logging.error('in fetch')\nlogging.error('in nothing')\n"
    )
    environ = environ_towards(receiver, tmp_path / "state")

    subprocess.run([*RUN, sys.executable, "program.py"], env=environ, cwd=tmp_path, capture_output=True, check=True)

    wait_until_shipped(environ)
    assert places(receiver) == {("fetch", "fetch", "fetch"), ("nothing", "", "RUN p")}


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
    assert places(receiver) == {("early", "early", "early"), ("other", "other", "other")}


@pytest.mark.parametrize("pool", ["futures.ThreadPoolExecutor(1)", "futures.ProcessPoolExecutor(1)"])
def test_a_stage_in_a_task_hangs_below_the_one_that_submitted_it(receiver: Receiver, tmp_path: Path, pool: str) -> None:
    source = f"""
with {pool} as pool:
    for name in ("fetch", "train"):
        with stage(name, model="heron"):
            pool.submit(nest).result()
"""
    assert run(receiver, tmp_path, source).returncode == 0

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
        "with multiprocessing.pool.ThreadPool(1) as pool: pool.apply(fail)",
        "with multiprocessing.pool.ThreadPool(1) as pool: pool.map(fail, [1])",
        "joblib.Parallel(2, backend='threading')(joblib.delayed(fail)() for _ in range(2))",
    ],
)
def test_a_traceback_through_a_pool_is_as_without_us(receiver: Receiver, tmp_path: Path, submit: str) -> None:
    source = (
        "import joblib, multiprocessing.pool\n"
        f"with stage('train'):\n    try:\n        {submit}\n    except ValueError:\n        traceback.print_exc()\n"
    )

    plain = run(receiver, tmp_path, source, ours=False)
    done = run(receiver, tmp_path, source)

    assert b"ValueError: theirs" in plain.stderr
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_pool_of_threads_gives_what_it_gives_without_us_in_the_same_order(receiver: Receiver, tmp_path: Path) -> None:
    source = """
from multiprocessing.pool import ThreadPool
def lazily():
    yield from range(8)
def each(n):
    if n == 5:
        raise ValueError(n)
    return n, threading.current_thread() is not threading.main_thread()
begun = []
pool = ThreadPool(2, initializer=begun.append, initargs=("begun",))
with stage("train"), pool:
    print(pool.map(each, range(4)), list(pool.starmap(max, [(1, 2), (4, 3)])))
    found = []
    many = pool.imap(each, lazily())
    try:
        while True:
            found.append(next(many))
    except ValueError as error:
        print(found, repr(error), error.__cause__)
    print(sorted(pool.imap_unordered(each, range(4), chunksize=3)), pool.apply_async(each, (1,), callback=print).get())
    try:
        pool.map(each, None)
    except TypeError as error:
        print(error, begun)
try:
    pool.apply(each, (1,))
except ValueError as error:
    print(error)
pool.join()
"""

    plain = run(receiver, tmp_path, source, ours=False)
    done = run(receiver, tmp_path, source)

    assert plain.stdout.endswith(b"['begun', 'begun']\nPool not running\n")
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)
