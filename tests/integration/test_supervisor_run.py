"""A run as a whole: what is told of it besides its end, its stages, its settings, and what it leaves behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_until_empty, wait_until_shipped
from tests.servers.supervised import PYTHON, ROOT, RUN, TIMEOUT_S, attribute, run, run_until_told, told


def test_a_silence_is_told_once_though_a_library_goes_on_talking(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import logging, os, time\n"
        "logging.basicConfig(level=20)\n"
        "logging.getLogger('views').info('fetching')\n"
        "while not os.path.exists('told'):\n"
        "    logging.getLogger('urllib3.connectionpool').warning('retry'); time.sleep(0.1)\n"
        "time.sleep(1)\n"  # in which it could be told again
    )

    def silences() -> list[LogRecord]:
        """Those after its last word: on a slow machine it may be silent before it gets there."""
        spoke = [one.time_unix_nano for one in receiver.records() if one.body.string_value == "fetching"]
        return [one for one in told(receiver, "pipeline.run.silent") if spoke and one.time_unix_nano > spoke[0]]

    run_until_told(environ, receiver, lambda _: bool(silences()), "--silent-after", "1s", "--", PYTHON, "-c", program)

    (silent,) = silences()
    assert silent.severity_number == 17
    assert "process " in str(attribute(silent, "pipeline.process.stacks"))


def test_the_run_is_one_trace_with_a_root_span(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import logging, subprocess, sys\nfrom instrumentation import stage\n"
        "with stage('train', model='heron'):\n"
        "    logging.error('inside')\n"
        "    subprocess.run([sys.executable, '-c', 'import logging; logging.error(\"child\")'])\n"
    )

    run(environ, PYTHON, "-c", program)

    spans = {span.name: span for span in receiver.spans()}
    root, train = spans["RUN p"], spans["train"]
    assert train.parent_span_id == root.span_id
    records = {record.body.string_value: record for record in receiver.records()}
    for body in ("inside", "child"):
        assert records[body].trace_id == root.trace_id
        assert records[body].span_id == train.span_id
        assert attribute(records[body], "cicd.pipeline.task.name") == "train"
    assert attribute(records["inside"], "pipeline.model.name") == "heron"


def test_functions_named_on_the_command_line_become_stages(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "steps.py").write_text(
        "class Model:\n    def train(self, x):\n        return x + 1\ndef fetch():\n    return 3\n"
    )
    program = "from steps import Model, fetch; print(Model().train(fetch()))"
    given = {**environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    options = ["--stage", "steps:fetch", "--stage", "steps:Model.train", "--stage", "nowhere:nothing"]

    done = run(given, PYTHON, "-c", program, options=options)

    assert done.stdout == b"4\n"
    assert {span.name for span in receiver.spans()} == {"fetch", "train", "RUN p"}
    warnings = [record.body.string_value for record in receiver.records() if record.severity_number == 13]
    assert [text.rpartition(": ")[2] for text in warnings] == ["nowhere:nothing"]


# Defined and called in the file that is the program; nothing imports it. `flow` stands for an object like Prefect's.
MAIN = """
import sys
class Flow:
    def __init__(self, function): self.function = function
    def __call__(self): return self.function()
class Model:
    def train(self): return 4
def fetch(): return 3
flow = Flow(fetch)
def main(): print(fetch() + Model().train() + flow(), sys.gettrace(), type(flow).__name__)
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("command", [["monthly.py"], ["-m", "monthly"]], ids=["a script", "a module"])
@pytest.mark.parametrize("module", ["__main__", "monthly"])
def test_functions_of_the_programs_own_file_become_stages_and_its_objects_stay(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path, module: str, command: list[str]
) -> None:
    (tmp_path / "monthly.py").write_text(MAIN)
    named = ("main", "fetch", "Model.train", "flow", "nothing_of_that_name")
    options = [word for name in named for word in ("--stage", f"{module}:{name}")]

    done = run(environ, PYTHON, *command, options=options, cwd=tmp_path)

    assert done.stdout == b"10 None Flow\n"
    assert sorted(span.name for span in receiver.spans()) == ["RUN p", "fetch", "fetch", "main", "train"]


def test_programs_that_share_a_runs_id_do_not_disturb_each_other(environ: dict[str, str], receiver: Receiver) -> None:
    given = {**environ, "PIPELINE_ALERTS_RUN_ID": "array-1"}
    program = (
        "import logging, sys, time; logging.error(sys.argv[1]); time.sleep(0.5); logging.error(sys.argv[1] + ' end')"
    )
    started = [
        subprocess.Popen([*RUN, "--", PYTHON, "-c", program, name], env=given, cwd=ROOT, stderr=subprocess.DEVNULL)
        for name in ("one", "two")
    ]

    codes = [process.wait(TIMEOUT_S) for process in started]

    wait_until_shipped(given)
    bodies = [record.body.string_value for record in receiver.records()]
    assert codes == [0, 0]
    assert sorted(body for body in bodies if body.startswith(("one", "two"))) == ["one", "one end", "two", "two end"]
    assert not list((Path(given["XDG_STATE_HOME"]) / "pipeline-alerts" / "journals").iterdir())


def test_switched_off_means_not_there(environ: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    done = run({**environ, "OTEL_SDK_DISABLED": "true"}, PYTHON, "-c", "import logging; logging.error('x'); exit(3)")

    assert done.returncode == 3
    assert receiver.records() == []
    assert not (tmp_path / "state").exists()


def test_without_a_place_for_its_journal_another_is_used_and_said(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    given = {**environ, "XDG_STATE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}

    done = run(given, "sh", "-c", "echo fine; exit 3")
    wait_until_empty(next(tmp_path.glob("pipeline-alerts-*/journals")))

    assert (done.returncode, done.stdout, done.stderr) == (3, b"fine\n", b"")
    assert len(told(receiver, "pipeline.process.died")) == 1
    (warning,) = [record.body.string_value for record in receiver.records() if record.severity_number == 13]
    assert "file/pipeline-alerts/journals cannot be written (Not a directory): using " in warning


def test_without_any_place_for_its_journal_the_program_runs_all_the_same(
    environ: dict[str, str], receiver: Receiver
) -> None:
    command = (
        "from instrumentation.supervisor import launch, command\n"
        "from instrumentation.supervisor.arguments import Arguments\n"
        "def full(*_, **__): raise OSError(28, 'No space left on device')\n"
        "launch.RunFolder.create = full\n"
        "command.run(Arguments(['sh', '-c', 'echo fine; grep SigBlk /proc/self/status; exit 7'], 'p'))\n"
    )

    done = subprocess.run([PYTHON, "-c", command], env=environ, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"fine\nSigBlk:\t0000000000000000\n", b"")
    assert receiver.records() == []


def test_a_run_in_a_folder_that_was_removed_is_told_too(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    script = f'cd {tmp_path / "gone"}; rmdir ../gone; {" ".join(RUN)} --pipeline p -- sh -c "exit 3"'

    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, timeout=TIMEOUT_S)
    wait_until_shipped(environ)

    assert done.returncode == 3
    assert len(told(receiver, "pipeline.process.died")) == 1


def test_a_run_within_a_run_is_the_programs_own_business(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "script"  # without a first line that names its interpreter
    script.write_text("echo inner; exit 7\n")
    script.chmod(0o700)

    done = run(environ, *RUN, "--", str(script))

    assert (done.returncode, done.stdout, done.stderr) == (7, b"inner\n", b"")
    assert len(told(receiver, "pipeline.run.end")) == 1


def test_a_time_limit_within_a_run_is_kept_and_told_once(environ: dict[str, str], receiver: Receiver) -> None:
    inner = f"{' '.join(RUN)} --pipeline inner --timeout 1s -- sleep 60; echo $?; exit 3"

    done = run(environ, "sh", "-c", inner)

    assert (done.returncode, done.stdout, done.stderr) == (3, b"124\n", b"")
    died = {record.body.string_value: record for record in told(receiver, "pipeline.process.died")}
    assert sorted(died) == ["inner was stopped because it ran longer than allowed", "p ended with exit code 3"]
    (end,) = told(receiver, "pipeline.run.end")
    stopped = died["inner was stopped because it ran longer than allowed"]
    assert (stopped.trace_id, stopped.severity_number) == (end.trace_id, 21)
    assert attribute(stopped, "cicd.pipeline.result") == "timeout"


@pytest.mark.parametrize("folder", ["", "/nonexistent/20261126-021641-a1b2c3"])
def test_what_an_earlier_run_left_in_the_environment_does_not_hide_this_one(
    environ: dict[str, str], receiver: Receiver, folder: str
) -> None:
    given = {
        **environ,
        "PIPELINE_ALERTS_JOURNAL_DIR_RUN": folder,
        "PIPELINE_ALERTS_RUN_ID": "20261126-021641-a1b2c3",
        "PIPELINE_ALERTS_STAGE": "of the other",
        "TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01",
    }

    run(given, PYTHON, "-c", "import logging; logging.error('mine')")

    (end,) = told(receiver, "pipeline.run.end")
    (mine,) = [record for record in receiver.records() if record.body.string_value == "mine"]
    assert mine.trace_id == end.trace_id != bytes.fromhex("a" * 32)
    assert attribute(mine, "cicd.pipeline.task.name") is None
    assert "20261126-021641-a1b2c3" not in str(attribute(end, "pipeline.log.path"))


def test_nothing_is_left_behind_when_all_was_received(environ: dict[str, str], tmp_path: Path) -> None:
    sockets = tmp_path / "r"
    sockets.mkdir()

    run({**environ, "XDG_RUNTIME_DIR": str(sockets)}, PYTHON, "-c", "import logging; logging.error('x')")

    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in left) == [".jsonl", ".worst"]  # the structured log, and how bad it got
    assert list(sockets.iterdir()) == []


def test_the_end_of_a_run_says_how_many_records_there_are_of_it(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import logging, subprocess, sys\nlogging.basicConfig(level=20)\n"
        "for number in range(30): logging.info('row %d', number)\n"
        "subprocess.run([sys.executable, '-c', 'import logging; logging.error(\"child\")'])\n"
    )

    run(environ, PYTHON, "-c", program)

    (end,) = told(receiver, "pipeline.run.end")
    own_start = 1
    written = attribute(end, "pipeline.run.records")
    assert isinstance(written, int)
    assert own_start + 30 + 1 <= written < len(receiver.records())  # those about the end itself come after the count
