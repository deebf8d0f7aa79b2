"""Functions named on the command line become stages, of whatever kind they are; and nothing is told twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120

STEPS = """
import asyncio, contextlib, functools, logging
def traced(function):
    @functools.wraps(function)
    def around(*args):
        return function(*args)
    return around
@traced
def decorated(): logging.warning("in decorated")
def rows():
    try:
        logging.warning("in rows")
        got = yield 1
        logging.warning("in rows")
        yield got
    finally:
        logging.warning("in rows")
    return "never reached"
async def fetch():
    await asyncio.sleep(0)
    logging.warning("in fetch")
    return 7
async def pages():
    yield 1
    logging.warning("in pages")
    yield 2
class Base:
    def inherited(self): logging.warning("in inherited"); return type(self).__name__
class Model(Base):
    def train(self): logging.warning("in train"); return self.inherited()
    @staticmethod
    def load(path): logging.warning("in load"); return path
    @classmethod
    def build(cls): logging.warning("in build"); return cls()
    @property
    def size(self): logging.warning("in size"); return 5
    class Part:
        class Inner:
            def fit(self): logging.warning("in fit"); return 6
    number = 3
@functools.lru_cache
def cached(): logging.warning("in nothing"); return 3
"""
PROGRAM = """
import asyncio, logging
logging.getLogger().addHandler(logging.NullHandler())
from steps import Model, cached, decorated, fetch, pages, rows
decorated()
got = rows()
next(got); logging.warning("in nothing"); print(got.send(5)); got.close()
async def main():
    print(await fetch())
    async for page in pages():
        logging.warning("in nothing")
asyncio.run(main())
print(Model.build().train(), Model.load("x"), cached(), cached.cache_info().misses, asyncio.iscoroutinefunction(fetch))
print(Model.build().size, Model.Part.Inner().fit(), Model.number)
"""
RUN = (
    "decorated", "rows", "fetch", "pages", "Model.train", "Model.inherited", "Model.load", "Model.build", "Model.size",
    "Model.Part.Inner.fit",
)  # fmt: skip
NOT_RUN = ("cached", "Model.number", "Model.missing", "Model.Missing.gone", "Model.train.more", "missing")


def run(receiver: Receiver, folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end, until all that it left is at the receiver."""
    environ = environ_towards(receiver, folder / "state", **more)
    done = subprocess.run(
        [sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", *command],
        env=environ, cwd=folder, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    wait_until_shipped(environ)
    return done


def stages(receiver: Receiver) -> set[tuple[str, str]]:
    """What records say, and the stages that they are in."""
    return {
        (
            record.body.string_value.removeprefix("in "),
            next((pair.value.string_value for pair in record.attributes if pair.key == "cicd.pipeline.task.name"), ""),
        )
        for record in receiver.records()
        if record.body.string_value.startswith("in ")
    }


def test_functions_of_every_kind_become_stages_and_behave_as_before(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "program.py").write_text(PROGRAM)
    named = [word for name in (*NOT_RUN, *RUN) for word in ("--stage", f"steps:{name}")]

    done = run(receiver, tmp_path, *named, "--", sys.executable, "program.py")

    assert (done.returncode, done.stdout) == (0, b"5\n7\nModel x 3 1 True\n5 6 3\n"), done.stderr.decode()
    plain = Counter(name.rpartition(".")[2] for name in RUN)
    assert Counter(span.name for span in receiver.spans()) == plain + Counter(["build", "RUN p"])  # it is run twice
    assert {(said, stage) for said, stage in stages(receiver) if said != stage} == {("nothing", "")}
    (warning,) = [one.body.string_value for one in receiver.records() if "never run" in one.body.string_value]
    assert warning.rpartition(": ")[2] == ", ".join(f"steps:{name}" for name in NOT_RUN)


@pytest.mark.parametrize("name", ["Model.trian", "Model.Part.fit", "late", "nowhere", "Model"])
def test_a_name_that_the_programs_file_has_not_slows_nothing_down(
    receiver: Receiver, tmp_path: Path, name: str
) -> None:
    # A trace function that waits for what never comes would be called for every call of the program.
    (tmp_path / "other.py").write_text("def late(): pass\n")
    (tmp_path / "program.py").write_text(
        "import other, sys\nclass Model:\n    def train(self): return sys.gettrace()\n"
        "other.late()\nprint(Model().train())\n"
    )

    done = run(receiver, tmp_path, "--stage", f"__main__:{name}", "--", sys.executable, "program.py")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"None\n", b"")


def test_beside_opentelemetry_instrument_nothing_is_told_twice(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import logging\nfrom opentelemetry import trace\n"
        "def train():\n"
        "    with trace.get_tracer('mine').start_as_current_span('epoch'):\n        logging.error('in train')\n"
        "train()\n"
    )
    tool = Path(sys.executable).with_name("opentelemetry-instrument")
    options = ["--traces_exporter", "otlp", "--metrics_exporter", "none", "--exporter_otlp_protocol", "http/protobuf"]
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}

    done = run(
        receiver, tmp_path, "--stage", "__main__:train", "--", str(tool), *options, sys.executable, "program.py", **otel
    )

    assert done.returncode == 0, done.stderr.decode()
    assert Counter(span.name for span in receiver.spans()) == Counter({"epoch": 1, "train": 1, "RUN p": 1})
    by_name = {span.name: span for span in receiver.spans()}
    assert by_name["epoch"].parent_span_id == by_name["train"].span_id
    (record,) = [one for one in receiver.records() if one.body.string_value == "in train"]
    assert record.span_id == by_name["epoch"].span_id
