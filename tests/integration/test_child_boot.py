"""The child side starts in any Python, changes nothing of the environment, and hands over to what was there before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from instrumentation.child._pipeline_alerts_child import rendezvous
from tests.servers import children

LOGS = "import logging; logging.getLogger('app').error('a %s', 1)\n"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


def python_of(version: str) -> str:
    """An interpreter of this version on the PATH or beside ours."""
    beside = Path(sys.base_prefix).parent.glob(f"{version}*/bin/python")
    for found in [*beside, *(Path(folder) / f"python{version}" for folder in os.environ["PATH"].split(os.pathsep))]:
        try:
            said = subprocess.run(
                [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True
            )
        except OSError:
            continue
        if said.stdout.decode().strip() == version:
            return str(found)
    pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(scope="module")
def environment_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare virtual environment: nothing of ours is in it."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=False, symlinks=True)
    return place


def packages_of(place: Path) -> Path:
    return next(place.glob("lib/python*/site-packages"))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_python_keeps_records_and_the_uncaught_exception(version: str, tmp_path: Path) -> None:
    python = python_of(version)
    program = (
        LOGS + "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T'); t.start(); t.join()\n1 / 0"
    )

    alone = children.run(program, python=python, cwd=tmp_path)
    beside_us = children.run(program, tmp_path / "run", python=python, cwd=tmp_path)

    kept = children.kept(tmp_path / "run")
    assert beside_us == alone
    assert kept.said == [
        "ERROR a 1",
        "ERROR uncaught in thread T: ZeroDivisionError: division by zero",
        "CRITICAL uncaught ZeroDivisionError: division by zero",
    ]
    assert kept.starts[0]["py"].startswith(version)


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8"])
def test_an_older_python_runs_as_if_we_were_not_there(version: str, tmp_path: Path) -> None:
    python = python_of(version)
    program = "import sys; print(sys.version_info[0]); import logging; logging.error('a')"

    alone = children.run(program, python=python, cwd=tmp_path)

    assert children.run(program, tmp_path / "run", python=python, cwd=tmp_path) == alone
    assert children.kept(tmp_path / "run").lines == []


@pytest.mark.parametrize("options", [["-s"], ["-P"], ["-B"], ["-O"], ["-X", "dev"], ["-u"], ["-W", "error"]])
def test_options_of_python_make_no_difference(options: list[str], tmp_path: Path) -> None:
    command = [sys.executable, *options, "-c", LOGS]

    alone = children.run(command, cwd=tmp_path)

    assert children.run(command, tmp_path / "run", cwd=tmp_path) == alone
    assert children.kept(tmp_path / "run").said == ["ERROR a 1"]


def test_a_process_that_never_logs_imports_no_logging_and_says_that_it_was_reached(tmp_path: Path) -> None:
    program = "import sys; print([name for name in ('logging', 'threading', 'json', 're') if name in sys.modules])"

    ended = children.run([sys.executable, "-c", program], tmp_path / "run", cwd=tmp_path)

    assert ended.out == b"[]\n"
    (start,) = children.kept(tmp_path / "run").lines
    assert start["a"][-1] == program
    assert list((tmp_path / "run").glob("*.reserve")) == []


def test_without_a_runs_folder_nothing_happens(tmp_path: Path) -> None:
    program = "import sys; print(type(sys.meta_path[0])); " + LOGS

    alone = children.run(program, cwd=tmp_path)

    assert children.run(program, cwd=tmp_path, PYTHONPATH=str(children.CHILD_FOLDER)) == alone
    gone = {"PIPELINE_ALERTS_JOURNAL_DIR_RUN": str(tmp_path / "gone"), "PYTHONPATH": str(children.CHILD_FOLDER)}
    assert children.run(program, cwd=tmp_path, **gone) == alone


THEIRS = {
    "one that prints": "print('theirs', __name__)",
    "one that logs": "import logging; logging.basicConfig(); logging.error('early')",
    "one that changes the path": "import sys; sys.path.append('/added')",
    "one that raises": "raise RuntimeError('theirs')",
    "one that misses a module": "import missing_module",
    "one that exits": "raise SystemExit(7)",
    "none": None,
}


@pytest.mark.parametrize("theirs", THEIRS)
def test_the_environments_own_sitecustomize_still_runs(
    theirs: str, environment_of_its_own: Path, tmp_path: Path
) -> None:
    own = packages_of(environment_of_its_own) / "sitecustomize.py"
    text = THEIRS[theirs]
    if text is not None:
        own.write_text(text)
    python = str(environment_of_its_own / "bin" / "python")
    program = (
        "import sys; m = sys.modules.get('sitecustomize'); print(m and 'site-packages' in str(m.__file__))\n"
        "print(sys.path[-1])\n"
        "import logging; logging.error('a')"
    )

    try:
        alone = children.run(program, python=python, cwd=tmp_path)
        beside_us = children.run(program, tmp_path / "run", python=python, cwd=tmp_path)
    finally:
        own.unlink(missing_ok=True)

    shown = beside_us.out if text else beside_us.out.replace(b"False", b"None")  # without theirs, ours is to be seen
    assert (beside_us.code, shown) == (alone.code, alone.out)
    assert without_frames(beside_us.err) == without_frames(alone.err)
    expected = {"one that exits": [], "one that logs": ["ERROR early", "ERROR a"]}.get(theirs, ["ERROR a"])
    assert children.kept(tmp_path / "run").said == expected


def without_frames(printed: bytes) -> list[bytes]:
    return [line for line in printed.splitlines() if not line.startswith(b"  ")]


def test_our_folder_stays_on_the_path_for_children_started_with_it(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys; os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)\n"
        f"subprocess.run([sys.executable, '-c', {LOGS!r}])"
    )

    children.run(program, tmp_path / "run", cwd=tmp_path)

    assert children.kept(tmp_path / "run").said == ["ERROR a 1"]


def test_opentelemetry_instrument_behind_us_starts_us(tmp_path: Path) -> None:
    instrument = str(Path(sys.executable).parent / "opentelemetry-instrument")
    quiet = {"OTEL_LOGS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}

    ended = children.run([instrument, sys.executable, "-c", LOGS], tmp_path / "run", cwd=tmp_path, **quiet)

    assert ended.code == 0
    assert children.kept(tmp_path / "run").said == ["ERROR a 1"]


def test_pip_lists_what_it_lists_without_us(tmp_path: Path) -> None:
    freeze = [sys.executable, "-m", "pip", "--disable-pip-version-check", "freeze", "--all"]

    plain = children.run(freeze, cwd=tmp_path)
    followed = children.run(freeze, tmp_path / "run", cwd=tmp_path)

    assert b"pip==" in plain.out
    assert (followed.code, followed.out, followed.err) == (plain.code, plain.out, plain.err)


def test_opentelemetry_instrument_in_front_of_us_still_works(tmp_path: Path) -> None:
    import opentelemetry.instrumentation.auto_instrumentation as auto

    theirs = Path(auto.__file__).parent
    quiet = {"OTEL_LOGS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    program = LOGS + "from opentelemetry import trace; print(type(trace.get_tracer_provider()).__module__)"
    path = os.pathsep.join([str(children.CHILD_FOLDER), str(theirs)])

    ended = children.run([sys.executable, "-c", program], tmp_path / "run", cwd=tmp_path, PYTHONPATH=path, **quiet)

    assert ended.out == b"opentelemetry.sdk.trace\n"
    assert children.kept(tmp_path / "run").said == ["ERROR a 1"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a rendezvous needs /proc")
@pytest.mark.parametrize("options", [[], ["-E"], ["-I"], ["-s"]])
def test_an_attached_environment_finds_its_run_although_everything_was_cleared(
    options: list[str], environment_of_its_own: Path, tmp_path: Path
) -> None:
    folder, meeting = tmp_path / "run", tmp_path / "meeting"
    pth = packages_of(environment_of_its_own) / "pipeline_alerts.pth"
    pth.write_text(rendezvous.pth_line(str(children.CHILD_FOLDER), str(meeting)))
    ours = rendezvous.announce(str(meeting), children.environment(folder))
    command = ["env", "-i", str(environment_of_its_own / "bin" / "python"), *options, "-c", LOGS]

    try:
        ended = children.run(command, cwd=tmp_path)
        Path(ours).unlink()
        alone = children.run(command, cwd=tmp_path)
    finally:
        pth.unlink()

    assert ended == alone
    assert children.kept(folder).said == ["ERROR a 1"]
    assert Path(ours).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a rendezvous needs /proc")
def test_a_number_used_again_after_a_supervisor_died_is_not_believed(tmp_path: Path) -> None:
    path = Path(rendezvous.announce(str(tmp_path), children.environment(tmp_path), os.getppid()))
    assert rendezvous.rendezvous(str(tmp_path))["PIPELINE_ALERTS_JOURNAL_DIR_RUN"] == str(tmp_path)

    path.write_text(path.read_text().replace("started=", "started=1"))

    assert rendezvous.rendezvous(str(tmp_path)) == {}


def test_an_attached_environment_whose_meeting_place_is_gone_is_silent(
    environment_of_its_own: Path, tmp_path: Path
) -> None:
    pth = packages_of(environment_of_its_own) / "pipeline_alerts.pth"
    pth.write_text(rendezvous.pth_line("/gone/child's", '/gone/"meeting"'))

    try:
        ended = children.run([str(environment_of_its_own / "bin" / "python"), "-c", "print(1)"], cwd=tmp_path)
    finally:
        pth.unlink()

    assert (ended.out, ended.err) == (b"1\n", b"")


def test_an_error_wakes_the_parent_and_an_info_does_not(tmp_path: Path) -> None:
    path = tmp_path / "poke"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(10)
        program = (
            "import logging; logging.basicConfig(level=20)\n"
            "for i in range(3): logging.info('i')\nlogging.error('e'); logging.critical('c')"
        )

        children.run(program, tmp_path / "run", cwd=tmp_path, PIPELINE_ALERTS_POKE=str(path))

        assert [listener.recv(10), listener.recv(10)] == [b"\x01", b"\x01"]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(10)


def test_a_parent_that_does_not_read_or_is_gone_delays_nobody(tmp_path: Path) -> None:
    path = tmp_path / "poke"
    program = (
        "import logging; logging.getLogger().handlers = [logging.NullHandler()]\n"
        "for i in range(2000): logging.error('e')"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))

        full = children.run(program, tmp_path / "run", cwd=tmp_path, PIPELINE_ALERTS_POKE=str(path))
    gone = children.run(program, tmp_path / "run", cwd=tmp_path, PIPELINE_ALERTS_POKE=str(path))

    assert (full, gone) == (children.Ended(0, b"", b""), children.Ended(0, b"", b""))
    assert len(children.kept(tmp_path / "run").logs) == 4000


TALKS = """
import logging, sys, types
sys.modules["wandb"] = types.ModuleType("wandb")
library, part, ours = (logging.getLogger(name) for name in ("wandb", "wandb.sdk.mailbox", "wandbench"))
library.setLevel(10); library.propagate = False
library.addHandler(logging.FileHandler("debug.log"))
for logger in (library, part, ours):
    logger.info("of %s", logger.name); logger.warning("of %s", logger.name)
"""


def test_what_wandb_says_to_its_own_file_is_kept_only_when_asked_for(tmp_path: Path) -> None:
    loud = ["WARNING of wandb", "WARNING of wandb.sdk.mailbox", "WARNING of wandbench"]

    children.run(TALKS, tmp_path / "run", cwd=tmp_path)
    children.run(TALKS, tmp_path / "asked", cwd=tmp_path, PIPELINE_ALERTS_LEVEL="INFO")

    assert children.kept(tmp_path / "run").said == loud
    assert children.kept(tmp_path / "asked").said == ["INFO of wandb", loud[0], "INFO of wandb.sdk.mailbox", *loud[1:]]
    assert (tmp_path / "debug.log").read_text().count("of wandb\n") == 4


def test_a_level_floor_keeps_what_is_at_or_above_it(tmp_path: Path) -> None:
    program = "import logging; logging.basicConfig(level=0)\nfor n in (5, 10, 20, 40): logging.log(n, 'x')"

    children.run(program, tmp_path / "run", cwd=tmp_path, PIPELINE_ALERTS_LEVEL="info")

    assert children.kept(tmp_path / "run").said == ["INFO x", "ERROR x"]
