"""`configure()` in real processes without a parent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.otlp_sink import uid
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_for_record, wait_until_empty, wait_until_shipped
from tests.servers.supervised import run_until_told

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 120
# The clock, less what this thread waited for a processor that others had: what is left is ours.
OWN_TIME = """
import time
def own_time():
    try:
        with open("/proc/thread-self/schedstat") as file:
            return time.monotonic() - int(file.read().split()[1]) / 1e9
    except OSError:
        return time.monotonic()
"""


@pytest.fixture
def environ(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    return environ_towards(receiver, tmp_path / "state", linger_s=0)


def run(environ: dict[str, str], program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def lingering(environ: dict[str, str]) -> dict[str, str]:
    """What a busy machine does not ship in the program's last moments comes soon after."""
    return {**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "60"}


def run_and_ship(environ: dict[str, str], program: str) -> subprocess.CompletedProcess[str]:
    done = run(lingering(environ), program)
    wait_until_shipped(environ)
    return done


def bodies(receiver: Receiver) -> list[str]:
    return [record.body.string_value for record in receiver.records()]


def test_a_script_of_two_lines_is_followed_to_its_end(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    program = (
        "import logging, instrumentation, os, threading, time\ninstrumentation.configure('notebook')\n"
        "logging.error('boom %d', 3)\n"
        "[one.join() for one in threading.enumerate() if one.name == 'pipeline-alerts-manifest']\n"
        "while not os.path.exists('told'): time.sleep(0.01)"  # what an end cuts short is sent again
    )

    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=lingering(environ), cwd=tmp_path, stdout=subprocess.PIPE) as process:
        try:
            wait_for_record(receiver, lambda record: record.body.string_value == "boom 3")
        finally:
            (tmp_path / "told").touch()
        out, _ = process.communicate(timeout=TIMEOUT_S)
    wait_until_shipped(environ)

    assert (process.returncode, out) == (0, b"")
    (boom,) = [record for record in receiver.records() if record.body.string_value == "boom 3"]
    assert receiver.uids()[uid(boom)] == 1
    events = [record.event_name for record in receiver.records() if record.event_name]
    assert sorted(set(events)) == ["pipeline.run.end", "pipeline.run.manifest", "pipeline.run.start"]


def test_calling_it_again_changes_nothing(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import logging, instrumentation\nfor _ in range(3): instrumentation.configure('n')\nlogging.error('once')"
    )

    run_and_ship(environ, program)

    assert bodies(receiver).count("once") == 1


def test_spans_of_opentelemetry_hang_below_the_stage(environ: dict[str, str], receiver: Receiver) -> None:
    program = (
        "import instrumentation\nfrom opentelemetry import trace\ninstrumentation.configure('n')\n"
        "with instrumentation.stage('train'), trace.get_tracer('t').start_as_current_span('inner'): pass\n"
    )

    run_and_ship(environ, program)

    spans = {span.name: span for span in receiver.spans()}
    assert spans["inner"].parent_span_id == spans["train"].span_id
    assert spans["train"].parent_span_id == spans["RUN n"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1


def test_spans_of_opentelemetry_outside_of_any_stage_hang_below_the_run(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = (
        "import instrumentation\nfrom opentelemetry import trace\ninstrumentation.configure('n')\n"
        "with trace.get_tracer('t').start_as_current_span('outer'): pass\n"
    )

    run_and_ship(environ, program)

    spans = {span.name: span for span in receiver.spans()}
    outer, whole = spans["outer"], spans["RUN n"]
    assert (outer.trace_id, outer.parent_span_id) == (whole.trace_id, whole.span_id)


def test_without_a_place_for_its_journal_another_is_used_and_said(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    program = "import logging, instrumentation\ninstrumentation.configure('n')\nlogging.error('boom')"
    home, unwritable = tmp_path / "tmp", str(tmp_path / "file")
    home.mkdir()

    done = run({**lingering(environ), "XDG_STATE_HOME": unwritable, "TMPDIR": str(home)}, program)
    wait_until_empty(next(home.glob("*/journals")))

    assert (done.returncode, done.stderr) == (0, "ERROR:root:boom\n")
    assert "boom" in bodies(receiver)
    (warning,) = [body for body in bodies(receiver) if "cannot be written" in body]
    assert "file/pipeline-alerts/journals cannot be written (Not a directory): using " in warning
    assert len(list(home.glob("*/logs/n/*.jsonl"))) == 1


@pytest.mark.parametrize("goes", ["os.chdir('/')", "shutil.rmtree(os.getcwd())"])
def test_a_relative_folder_for_journals_stays_where_it_is_when_the_program_goes_elsewhere(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path, goes: str
) -> None:
    program = (
        "import logging, os, shutil, instrumentation\nos.chdir('start')\ninstrumentation.configure('n')\n"
        f"{goes}\nlogging.error('boom')"
    )
    (tmp_path / "start").mkdir()

    done = subprocess.run(
        [sys.executable, "-c", program], env={**lingering(environ), "PIPELINE_ALERTS_JOURNAL_DIR": "../here"},
        cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    wait_until_empty(tmp_path / "here")

    assert (done.returncode, done.stderr) == (0, "ERROR:root:boom\n")
    assert "boom" in bodies(receiver)


def test_a_program_whose_folder_was_removed_is_followed_too(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    program = (
        f"import logging, os, instrumentation\nos.chdir({str(tmp_path / 'gone')!r}); os.rmdir('../gone')\n"
        "instrumentation.configure('n')\nlogging.error('boom')"
    )

    run_and_ship({**environ, "PIPELINE_ALERTS_REDACT": "builtins:str"}, program)

    assert "boom" in bodies(receiver)


SET_BACK = "import time; now = time.time_ns; time.time_ns = lambda: now() - 3600 * 10**9"
OWN_RUN = f"import instrumentation\ninstrumentation.configure('n')\n{SET_BACK}\n"
UNDER_RUN = f"""
from instrumentation.supervisor import command, supervision
from instrumentation.supervisor.arguments import Arguments
follow = supervision.Supervision.run
def set_back(*args):
    exec({SET_BACK!r}, globals())
    return follow(*args)
supervision.Supervision.run = set_back
command.run(Arguments(['true'], 'n'))
"""


@pytest.mark.parametrize("program", [OWN_RUN, UNDER_RUN], ids=["configure", "run"])
def test_a_clock_that_is_set_back_makes_no_run_end_before_it_began(
    environ: dict[str, str], receiver: Receiver, program: str
) -> None:
    run_and_ship(environ, program)

    (span,) = receiver.spans()
    assert span.end_time_unix_nano >= span.start_time_unix_nano


def test_under_run_it_does_nothing_a_second_time(environ: dict[str, str], receiver: Receiver) -> None:
    program = "import logging, instrumentation\ninstrumentation.configure('n')\nlogging.error('once')"
    command = [sys.executable, "-m", "alert_bridge.cli", "run", "--", sys.executable, "-c", program]

    given = {**environ, "PIPELINE_ALERTS_LINGER_SECONDS": "60"}
    subprocess.run(command, env=given, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S)

    wait_until_shipped(environ)
    assert bodies(receiver).count("once") == 1
    assert len([record for record in receiver.records() if record.event_name == "pipeline.run.start"]) == 1


def test_switched_off_it_does_nothing_at_all(environ: dict[str, str], receiver: Receiver, tmp_path: Path) -> None:
    program = "import logging, instrumentation\ninstrumentation.configure('n')\nlogging.error('once')"

    run({**environ, "OTEL_SDK_DISABLED": "true"}, program)

    assert receiver.records() == []
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("state", ["gone", "silent", "503"])
def test_with_everything_down_the_end_waits_no_longer_than_promised(
    environ: dict[str, str], receiver: Receiver, state: str
) -> None:
    {"gone": receiver.go_away, "silent": receiver.go_silent, "503": receiver.refuse_service}[state]()
    program = (
        f"{OWN_TIME}import logging, instrumentation, atexit\n"
        "atexit.register(lambda: print(own_time() - ended))\n"  # registered first, so called last
        "instrumentation.configure('n')\n"
        "logging.error('boom'); instrumentation.log_metrics({'loss': 1.0})\n"
        "with instrumentation.stage('s'): pass\n"
        "ended = own_time()"
    )

    done = run(environ, program)

    assert float(done.stdout) < 1.5
    assert done.stderr.count("\n") <= 1  # Python's own last resort prints the error, as without us


def test_what_a_kill_leaves_is_shipped_by_the_next_command(
    environ: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.go_away()
    program = (
        "import logging, instrumentation, os\ninstrumentation.configure('n')\n"
        "logging.error('last words'); os.kill(os.getpid(), 9)"
    )
    run(environ, program)
    receiver.come_back()

    ship = [sys.executable, "-m", "alert_bridge.cli", "ship", str(tmp_path / "state" / "pipeline-alerts" / "journals")]
    done = subprocess.run(ship, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)

    assert done.returncode == 0, done.stdout
    assert "last words" in bodies(receiver)
    assert not list((tmp_path / "state" / "pipeline-alerts" / "journals").iterdir())


def test_the_next_run_sees_to_what_an_earlier_one_left(environ: dict[str, str], receiver: Receiver) -> None:
    receiver.go_away()
    program = (
        "import logging, instrumentation, os\ninstrumentation.configure('n')\n"
        "logging.error('last words'); os.kill(os.getpid(), 9)"
    )
    run(environ, program)
    receiver.come_back()

    run_until_told(
        lingering(environ), receiver, lambda record: record.body.string_value == "last words",
        "--", "sh", "-c", "while test ! -e told; do sleep 0.05; done",
    )  # fmt: skip


def test_a_guardian_ships_what_a_killed_notebook_leaves(environ: dict[str, str], receiver: Receiver) -> None:
    receiver.go_away()
    program = (
        "import logging, instrumentation, os\ninstrumentation.configure('n')\n"
        "logging.error('last words'); os.kill(os.getpid(), 9)"
    )
    run(lingering(environ), program)

    receiver.come_back()

    wait_for_record(receiver, lambda record: record.body.string_value == "last words")


def test_a_program_that_waits_for_all_of_its_children_waits_for_none_of_ours(
    environ: dict[str, str], tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    slow = tmp_path / "slow" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("git")} "$@"\n')
    slow.chmod(0o755)
    program = """
import os, time, instrumentation
from instrumentation import own_run
instrumentation.configure("n")
if os.fork() == 0:
    time.sleep(2 * own_run.GUARDIAN_AFTER_S)
    os._exit(7)
ended = []
try:
    while True:
        ended.append(os.waitstatus_to_exitcode(os.wait()[1]))
except ChildProcessError:
    print(ended)
"""

    given = {**lingering(environ), "PATH": f"{slow.parent}:{environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=given, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S
    )

    assert (done.stdout, done.stderr) == ("[7]\n", "")


def test_a_handler_for_children_that_knows_not_ours_disturbs_nothing(
    environ: dict[str, str], receiver: Receiver
) -> None:
    program = """
import logging, os, signal, instrumentation
def ended(*_):
    raise KeyError(os.waitpid(-1, 0))
signal.signal(signal.SIGCHLD, ended)
instrumentation.configure("n")
logging.error("boom")
"""

    done = run_and_ship(environ, program)

    assert (done.returncode, done.stderr) == (0, "ERROR:root:boom\n")
    assert "boom" in bodies(receiver)
