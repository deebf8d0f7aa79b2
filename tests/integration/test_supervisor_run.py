"""`pipeline-alerts run` on real programs: nothing changes for them, and their end is told."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run")
TIMEOUT_S = 60
PYTHON = sys.executable


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def environ(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    return environ_towards(receiver, tmp_path / "state")


def run(
    environ: Mapping[str, str], *command: str, options: Sequence[str] = (), cwd: Path = ROOT, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [*RUN, "--pipeline", "p", *options, "--", *command],
        env=environ, cwd=cwd, input=stdin, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    wait_until_shipped(environ)
    return done


def told(receiver: Receiver, event: str) -> list[LogRecord]:
    return [record for record in receiver.records() if record.event_name == event]


def attribute(record: LogRecord, name: str) -> object:
    for pair in record.attributes:
        if pair.key == name:
            return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
    return None


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_the_exit_code_is_the_programs(environ: dict[str, str], code: int) -> None:
    assert run(environ, "sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGSEGV", "SIGABRT", "SIGUSR1"])
def test_a_shell_sees_the_same_signal(environ: dict[str, str], receiver: Receiver, name: str) -> None:
    number = getattr(signal, name)

    done = run(environ, "sh", "-c", f"kill -{name[3:]} $$")

    assert done.returncode == -number
    (died,) = told(receiver, "pipeline.process.died")
    assert died.severity_number == 21
    assert attribute(died, "pipeline.process.signal") == name
    assert attribute(died, "process.exit.code") == 128 + number


def test_a_shells_word_for_a_killed_process_in_it_is_understood(environ: dict[str, str], receiver: Receiver) -> None:
    done = run(environ, "sh", "-c", "sh -c 'kill -KILL $$'; exit $?")

    assert done.returncode == 137
    (died,) = told(receiver, "pipeline.process.died")
    assert attribute(died, "pipeline.process.signal") == "SIGKILL"
    assert died.severity_number == 21


def test_a_command_that_is_not_there_is_told_and_answered_like_a_shell(
    environ: dict[str, str], receiver: Receiver
) -> None:
    done = run(environ, "no-such-command-here")

    assert done.returncode == 127
    assert b"command not found" in done.stderr
    assert len(told(receiver, "pipeline.process.died")) == 1


def test_a_file_that_may_not_run_is_answered_like_a_shell(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo hi\n")

    assert run(environ, str(tmp_path / "plain")).returncode == 126


def test_a_script_without_an_interpreter_line_is_one_for_the_shell(environ: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo from the shell\n")
    script.chmod(0o700)

    assert run(environ, str(script)).stdout == b"from the shell\n"


CONSOLE = r"""
import os, sys
sys.stdout.write("out 1\n"); sys.stdout.flush(); sys.stderr.write("err 1\n")
os.write(1, bytes(range(256))); os.write(2, b"\xff\x00half a line")
print(sys.stdin.read()[::-1], os.isatty(0), os.isatty(1), os.isatty(2)); sys.stdout.flush()
sys.stderr.write("end"); sys.exit(4)
"""


def test_console_bytes_and_stdin_are_the_programs_own(environ: dict[str, str]) -> None:
    plain = subprocess.run([PYTHON, "-c", CONSOLE], input=b"hello", capture_output=True, env=environ, timeout=TIMEOUT_S)

    supervised = run(environ, PYTHON, "-c", CONSOLE, stdin=b"hello")

    assert (supervised.stdout, supervised.stderr) == (plain.stdout, plain.stderr)


def test_both_streams_in_one_pipe_keep_their_order(environ: dict[str, str]) -> None:
    program = "import os\nfor n in range(500): os.write(1, b'out %d\\n' % n); os.write(2, b'err %d\\n' % n)"

    done = subprocess.run(
        [*RUN, "--", PYTHON, "-c", program], env=environ, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
    )  # fmt: skip

    assert done.stdout.splitlines() == [b"%s %d" % (name, n) for n in range(500) for name in (b"out", b"err")]


def test_a_reader_that_goes_away_ends_the_program_as_it_would_have(environ: dict[str, str]) -> None:
    script = f"{' '.join(RUN)} -- yes | head -n 1"

    done = subprocess.run(["bash", "-c", script], env=environ, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S)

    assert done.stdout == b"y\n"


def test_a_large_output_passes_whole(environ: dict[str, str]) -> None:
    done = run(environ, PYTHON, "-c", "print('x' * 5_000_000, end='')")

    assert len(done.stdout) == 5_000_000


def test_the_death_carries_the_last_lines_of_both_streams(environ: dict[str, str], receiver: Receiver) -> None:
    program = "import sys; print('last out'); sys.exit('reason: no such month, password=abc123')"

    run(environ, PYTHON, "-c", program)

    (died,) = told(receiver, "pipeline.process.died")
    assert attribute(died, "pipeline.process.stdout_tail") == "last out"
    assert attribute(died, "pipeline.process.stderr_tail") == "reason: no such month, password=[redacted]"
    assert died.severity_number == 17


def test_lines_in_a_file_are_read_from_there(environ: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    output = tmp_path / "run.log"
    with output.open("wb") as file:
        subprocess.run(
            [*RUN, "--", "sh", "-c", "echo one; echo two >&2; exit 9"], env=environ, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=TIMEOUT_S,
        )  # fmt: skip
    wait_until_shipped(environ)

    (died,) = told(receiver, "pipeline.process.died")
    assert output.read_bytes() == b"one\ntwo\n"
    assert attribute(died, "pipeline.process.stderr_tail") == "one\ntwo"


def on_a_terminal(environ: Mapping[str, str], command: Sequence[str], keys: bytes = b"") -> tuple[int, bytes]:
    """Runs a command on a pseudo terminal; returns its wait status and what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], list(command), dict(environ))
    shown = b""
    ends_at = time.monotonic() + TIMEOUT_S
    is_pressed = not keys
    while time.monotonic() < ends_at:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if not is_pressed and b"ready" in shown:
            is_pressed = True
            os.write(terminal, keys)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    wait_until_shipped(environ)
    return status, shown


def test_a_terminal_stays_a_terminal_and_gets_one_last_line_only_if_something_failed(environ: dict[str, str]) -> None:
    program = "import os; print([os.isatty(n) for n in range(3)], os.get_terminal_size(0).columns >= 0)"

    well, shown = on_a_terminal(environ, [*RUN, "--", PYTHON, "-c", program])
    _, failed = on_a_terminal(environ, [*RUN, "--pipeline", "p", "--", PYTHON, "-c", "print('x'); exit(3)"])

    assert os.waitstatus_to_exitcode(well) == 0
    assert shown == b"[True, True, True] True\r\n"
    first, last, end = failed.split(b"\r\n")
    assert first == b"x"
    assert last.startswith(b"pipeline-alerts: p ended with exit code 3; ")
    assert environ["PIPELINE_ALERTS_ENDPOINT"].encode() in last
    assert end == b""


def test_an_interrupt_from_the_keyboard_reaches_the_program_once(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import signal, time, sys\n"
        "hits = []\n"
        "signal.signal(signal.SIGINT, lambda *_: hits.append(1))\n"
        "print('ready', flush=True)\n"
        "ends = time.time() + 1.0\n"
        "while time.time() < ends: time.sleep(0.05)\n"
        "print('hits', len(hits)); sys.exit(5)\n"
    )

    status, shown = on_a_terminal(environ, [*RUN, "--", PYTHON, "-c", program], keys=b"\x03")

    assert b"hits 1" in shown
    assert os.waitstatus_to_exitcode(status) == 5
    (end,) = told(receiver, "pipeline.run.end")
    assert attribute(end, "cicd.pipeline.result") == "cancellation"


def test_a_signal_to_us_alone_reaches_the_program(environ: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import signal, sys, time, pathlib\n"
        "def stop(*_):\n    print('cleaned up'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(30)\n"
    )
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [*RUN, "--", PYTHON, "-c", program, str(ready)], env=environ, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    ends_at = time.monotonic() + TIMEOUT_S
    while not ready.exists() and time.monotonic() < ends_at:
        time.sleep(0.01)

    process.terminate()
    stdout, _ = process.communicate(timeout=TIMEOUT_S)

    assert stdout == b"cleaned up\n"
    assert process.returncode == 0


def test_a_time_out_stops_everything_below_and_says_so(environ: dict[str, str], receiver: Receiver) -> None:
    started = time.monotonic()

    done = run(environ, "sh", "-c", "sleep 60 & sleep 60", options=["--timeout", "1s"])

    assert done.returncode == 124
    assert time.monotonic() - started < 20
    (died,) = told(receiver, "pipeline.process.died")
    assert "longer than allowed" in died.body.string_value
    (end,) = told(receiver, "pipeline.run.end")
    assert attribute(end, "cicd.pipeline.result") == "timeout"


def run_until_told(
    environ: Mapping[str, str], receiver: Receiver, is_told: Callable[[LogRecord], bool], *command: str
) -> None:
    """Runs a program that goes on until the file `told` is there, which is when the record has come."""
    told = Path(environ["XDG_STATE_HOME"]) / "told"
    told.parent.mkdir(exist_ok=True)
    process = subprocess.Popen([*RUN, *command], env=environ, cwd=told.parent, stderr=subprocess.DEVNULL)
    ends_at = time.monotonic() + TIMEOUT_S
    while not any(is_told(record) for record in receiver.records()) and time.monotonic() < ends_at:
        time.sleep(0.05)
    told.touch()
    assert process.wait(TIMEOUT_S) == 0
    wait_until_shipped(environ)


def test_a_silence_is_told_once_though_a_library_goes_on_talking(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import logging, os, time\n"
        "logging.basicConfig(level=20)\n"
        "logging.getLogger('views').info('fetching')\n"
        "while not os.path.exists('told'):\n"
        "    logging.getLogger('urllib3.connectionpool').warning('retry'); time.sleep(0.1)\n"
        "time.sleep(1)\n"  # in which it could be told again
    )

    run_until_told(
        environ, receiver, lambda record: record.event_name == "pipeline.run.silent",
        "--silent-after", "1s", "--", PYTHON, "-c", program,
    )  # fmt: skip

    (silent,) = told(receiver, "pipeline.run.silent")
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


def test_a_shell_script_with_a_python_of_a_bare_environment_is_covered(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    site = next((tmp_path / "bare" / "lib").glob("python3*/site-packages"))
    (site / "sitecustomize.py").write_text("import sys; sys.stdout.write('own sitecustomize\\n')\n")
    program = tmp_path / "program.py"
    program.write_text("import logging\nlogging.error('bare error')\n1 / 0\n")
    script = tmp_path / "run.sh"
    script.write_text(
        f"#!/bin/sh\n{tmp_path}/bare/bin/python {program}\n{tmp_path}/bare/bin/python -c 'import os; os.abort()'\n"
    )
    script.chmod(0o700)
    bare = {name: value for name, value in environ.items() if name != "PYTHONPATH"}

    plain = subprocess.run([str(script)], env=bare, capture_output=True, timeout=TIMEOUT_S)
    done = run(bare, str(script))

    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
    bodies = [record.body.string_value for record in receiver.records()]
    assert "bare error" in bodies
    uncaught = next(record for record in receiver.records() if attribute(record, "pipeline.uncaught"))
    assert "ZeroDivisionError" in str(attribute(uncaught, "exception.stacktrace"))
    assert {attribute(record, "pipeline.process.signal") for record in told(receiver, "pipeline.process.died")} == {
        "SIGABRT"
    }


def test_a_grandchild_that_is_killed_is_told_with_its_stage_and_model(
    environ: dict[str, str], receiver: Receiver
) -> None:
    model = (
        "from instrumentation import stage; import os, time\n"
        "import logging; logging.basicConfig(level=20)\n"
        "with stage('train', model='heron'):\n    logging.info('epoch 7'); time.sleep(0.5); os.kill(os.getpid(), 9)"
    )
    main = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {model!r}])"

    assert run(environ, PYTHON, "-c", main).returncode == 0

    (died,) = told(receiver, "pipeline.process.died")
    assert attribute(died, "pipeline.model.name") == "heron"
    assert attribute(died, "cicd.pipeline.task.name") == "train"
    assert str(attribute(died, "pipeline.process.last_records")).endswith("epoch 7")
    assert died.severity_number in {17, 21}  # on kernels before 6.15 it is known that, but not how


def test_a_python_that_was_not_reached_is_named_with_the_reason(environ: dict[str, str], receiver: Receiver) -> None:
    program = f'{PYTHON} -c "import os, time\nwhile not os.path.exists(\\"told\\"): time.sleep(0.05)"'

    run_until_told(
        environ, receiver, lambda record: "not followed" in record.body.string_value,
        "--", "sh", "-c", f"env -i {program}",
    )  # fmt: skip

    texts = [record.body.string_value for record in receiver.records() if "not followed" in record.body.string_value]
    assert len(texts) == 1
    assert "cleared environment" in texts[0]


def test_an_attached_environment_is_reached_though_its_variables_are_cleared(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    attach = [sys.executable, "-m", "alert_bridge.cli", "attach", str(tmp_path / "bare")]
    assert subprocess.run(attach, env=environ, cwd=ROOT, capture_output=True).returncode == 0

    run(environ, "sh", "-c", f"env -i {tmp_path}/bare/bin/python -c 'import logging; logging.error(\"reached\")'")
    assert subprocess.run([*attach, "--remove"], env=environ, cwd=ROOT, capture_output=True).returncode == 0

    assert "reached" in [record.body.string_value for record in receiver.records()]
    assert not list((tmp_path / "bare").rglob("pipeline_alerts.pth"))


def test_a_daemon_that_outlives_the_program_does_not_hold_it_and_is_shipped_later(
    environ: dict[str, str], receiver: Receiver
) -> None:
    daemon = "import logging, time; time.sleep(2); logging.error('late word')"
    started = time.monotonic()

    done = subprocess.run(
        [*RUN, "--", "sh", "-c", f'{PYTHON} -c "{daemon}" & exit 0'],
        env={**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "30"}, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S,
    )  # fmt: skip
    took = time.monotonic() - started

    ends_at = time.monotonic() + 20
    while "late word" not in [record.body.string_value for record in receiver.records()]:
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    assert done.returncode == 0
    assert took < 15


def test_no_secret_and_nothing_of_ours_in_otel_variables_reaches_the_program(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    given = {**environ, "PIPELINE_ALERTS_INGEST_TOKEN_FILE": str(token)}

    done = run(given, PYTHON, "-c", "import os, json; print(json.dumps(dict(os.environ)))")

    seen = json.loads(done.stdout)
    assert {name: value for name, value in seen.items() if name.startswith("OTEL_")} == {"OTEL_LOGS_EXPORTER": "none"}
    assert "s3cret" not in done.stdout.decode()
    assert not seen["PYTHONPATH"].endswith(":")


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


@pytest.mark.parametrize(
    "broken", ["Supervision.__init__", "Supervision.run", "Supervision._conclude", "Sender.__init__"]
)
def test_whatever_is_wrong_with_us_the_programs_end_stays_the_programs(environ: dict[str, str], broken: str) -> None:
    name, method = broken.split(".")
    command = (
        "from instrumentation.supervisor import supervision as s, command as c\n"
        "from instrumentation.supervisor.arguments import Arguments\n"
        f"def fail(*_, **__): raise RuntimeError('ours')\nsetattr(s.{name}, {method!r}, fail)\n"
        "c.run(Arguments(['sh', '-c', 'sleep 0.2; echo fine; exit 7'], 'p'))\n"
    )

    given = {**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
    done = subprocess.run([PYTHON, "-c", command], env=given, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"fine\n", b"")


def test_switched_off_means_not_there(environ: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    done = run({**environ, "OTEL_SDK_DISABLED": "true"}, PYTHON, "-c", "import logging; logging.error('x'); exit(3)")

    assert done.returncode == 3
    assert receiver.records() == []
    assert not (tmp_path / "state").exists()


def test_without_a_place_for_its_journal_the_program_runs_all_the_same(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    done = run({**environ, "XDG_STATE_HOME": str(tmp_path / "file")}, "sh", "-c", "echo fine; exit 3")

    assert (done.returncode, done.stdout, done.stderr) == (3, b"fine\n", b"")


def test_nothing_is_left_behind_when_all_was_received(environ: dict[str, str], tmp_path: Path) -> None:
    sockets = tmp_path / "r"
    sockets.mkdir()

    run({**environ, "XDG_RUNTIME_DIR": str(sockets)}, PYTHON, "-c", "import logging; logging.error('x')")

    left = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in left) == [".jsonl", ".worst"]  # the structured log, and how bad it got
    assert list(sockets.iterdir()) == []
