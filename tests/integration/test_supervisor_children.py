"""Processes below a program under `run`: whatever environment they have, they are followed or named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_for_record, wait_until_shipped
from tests.servers.supervised import PYTHON, ROOT, RUN, TIMEOUT_S, attribute, run, run_until_told, told


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
        "from instrumentation import stage; import os\n"
        "import logging; logging.basicConfig(level=20)\n"
        "with stage('train', model='heron'):\n    logging.info('epoch 7'); os.kill(os.getpid(), 9)"
    )
    main = (
        f"import os, subprocess, sys, time; subprocess.run([sys.executable, '-c', {model!r}])\n"
        "while not os.path.exists('told'): time.sleep(0.05)"
    )

    run_until_told(
        environ, receiver, lambda record: record.event_name == "pipeline.process.died", "--", PYTHON, "-c", main
    )

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
    written = subprocess.run(attach, env=environ, cwd=ROOT, capture_output=True, check=True).stdout

    run(environ, "sh", "-c", f"env -i {tmp_path}/bare/bin/python -c 'import logging; logging.error(\"reached\")'")
    assert subprocess.run([*attach, "--remove"], env=environ, cwd=ROOT, capture_output=True).returncode == 0

    assert written.count(b"wrote ") == 1
    assert "reached" in [record.body.string_value for record in receiver.records()]
    assert not list((tmp_path / "bare").rglob("pipeline_alerts.pth"))


# Leaves two processes to whoever started it, as soon as that takes them.
LEAVES = """
import os, pathlib, subprocess, sys, time
def left(*command):
    while True:
        shell = [*command, "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]
        pid = int(subprocess.run(shell, stdout=subprocess.PIPE).stdout)
        is_ours = f"PPid:\\t{os.getppid()}\\n" in pathlib.Path(f"/proc/{pid}/status").read_text()
        while pathlib.Path(f"/proc/{pid}/comm").read_text() != "sleep\\n": time.sleep(0.01)  # as the shell makes it
        if is_ours: return pid
        os.kill(pid, 9)
print(left(), left("setsid"))
sys.exit(3)
"""


def test_what_goes_on_after_its_program_is_named_and_a_daemon_is_not(
    environ: dict[str, str], receiver: Receiver
) -> None:
    done = subprocess.run(
        [*RUN, "--", PYTHON, "-c", LEAVES], env=environ, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S,
    )  # fmt: skip
    wait_until_shipped(environ)
    simple, daemon = map(int, done.stdout.split())
    for pid in (simple, daemon):
        os.kill(pid, signal.SIGKILL)

    (left,) = [record for record in receiver.records() if record.severity_number == 13]
    assert left.body.string_value == "sleep goes on though what started it is gone"
    assert attribute(left, "process.pid") == simple
    assert done.returncode == 3


@pytest.mark.parametrize("start", ["true", "sleep 1"])
def test_a_daemon_that_outlives_the_program_does_not_hold_it_and_is_shipped_later(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path, start: str
) -> None:
    over = tmp_path / "over"
    daemon = (
        f"import logging, os, time\nwhile not os.path.exists('{over}'): time.sleep(0.05)\nlogging.error('late word')"
    )

    done = subprocess.run(
        [*RUN, "--", "sh", "-c", f'({start}; exec {PYTHON} -c "{daemon}") & exit 0'], env=environ, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S,
    )  # fmt: skip
    over.touch()
    wait_for_record(receiver, lambda record: record.body.string_value == "late word")
    wait_until_shipped(environ)

    assert done.returncode == 0


def test_what_goes_on_shipping_holds_no_lock_and_no_pipe_of_whoever_started_the_run(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.go_away()
    run_it = f"{' '.join(RUN)} -- true"
    # As crontabs have it; and a shell that reads another descriptor than stdout.
    script = f"( flock -n 9 && {run_it} ) 9>lock; flock -n lock echo free; seen=$({run_it} 3>&1 >/dev/null); echo read"

    done = subprocess.run(
        ["bash", "-c", script], env={**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "600"}, cwd=tmp_path,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    receiver.come_back()
    wait_until_shipped(environ)

    assert done.stdout == b"free\nread\n"


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
