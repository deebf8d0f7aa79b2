"""Programs that the kernel kills for memory, in a real memory control group; and one that somebody else kills."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_for_record

# One after the other: a kill for memory is seen on the whole machine.
pytestmark = pytest.mark.xdist_group("out of memory")

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
CGROUPS = Path("/sys/fs/cgroup")
# A supervisor that loads until the program is dead, as on a busy machine.
LATE = """
import os
from instrumentation.supervisor.launch import Launch
of = Launch.of
def late(*args, **options):
    launch = of(*args, **options)
    os.waitid(os.P_PID, launch.program.pid, os.WEXITED | os.WNOWAIT)
    return launch
Launch.of = late
from alert_bridge.cli import main
main()
"""
LATE_RUN = (sys.executable, "-c", LATE, *RUN[3:])
PYTHON = Path(sys.executable).name
TIMEOUT_S = 120
LIMIT_BYTES = 160 << 20
EATS = "held = []\nwhile True: held.append(bytearray(1 << 20))"
# Below the program. How one died that was not seen before is not known; and the program goes on until it is told, for
# at its end there is less than a second to hear of others.
BELOW = f"""
import logging, os, time
logging.warning("seen?")
while not os.path.exists("seen"): time.sleep(0.05)
{EATS}
"""
UNTIL_TOLD = "while not os.path.exists('told'): time.sleep(0.05)"
PARENT = f"""
import os, subprocess, sys, time
code = subprocess.run([sys.executable, "-c", {BELOW!r}]).returncode
{UNTIL_TOLD}
sys.exit(1 if code else 0)
"""
POOL = f"""
import concurrent.futures, os, sys, time
def eat(_):
    exec({BELOW!r}, {{}})
if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        try:
            pool.submit(eat, 1).result()
        except concurrent.futures.process.BrokenProcessPool:
            {UNTIL_TOLD}
            sys.exit(4)
"""


def own_group() -> tuple[Path, str]:
    """The folder of this process's memory control group, and the name of the file with its limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        if not controllers and (CGROUPS / path.lstrip("/") / "memory.events").exists():
            return CGROUPS / path.lstrip("/"), "memory.max"
    return CGROUPS / "none", ""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group within our own with little memory; removed when its processes are gone."""
    parent, limit = own_group()
    made = parent / f"pipeline-alerts-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        try:
            (made / limit).write_text(str(LIMIT_BYTES))
        except OSError as error:
            pytest.skip(f"no limit can be set on a control group here: {error.strerror}")
        yield made
    finally:
        ends_at = time.monotonic() + TIMEOUT_S
        while True:
            try:
                made.rmdir()
                break
            except OSError:
                if time.monotonic() > ends_at:
                    raise
                time.sleep(0.05)


# As a container sees it: its own control group is the root of all.
OWN_VIEW = {
    "memory.limit_in_bytes": "umount {0}/memory && mount -t cgroup -o memory none {0}/memory",
    "memory.max": "umount {0} && mount -t cgroup2 none {0}",
}
NO_VIEW_EXIT_CODE = 77


def run(
    receiver: Receiver,
    folder: Path,
    source: str,
    group: Path | None = None,
    view: str = "",
    command: Sequence[str] = RUN,
    below: int = 0,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program, in a control group and with a view of its own; until so many deaths below it are told."""
    (folder / "program.py").write_text(source)
    environ = environ_towards(receiver, folder / "state")
    into = f"echo $$ > {group}/cgroup.procs && " if group else ""
    if view:
        contained = f'{view.format(CGROUPS)} || exit {NO_VIEW_EXIT_CODE}; exec "$@"'
        into += f"exec unshare --cgroup --mount sh -c '{contained}' sh "
    words = ["sh", "-c", f'{into}"$@"' if view else f'{into}exec "$@"', "sh", *command, sys.executable, "program.py"]
    with subprocess.Popen(
        words, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:  # fmt: skip
        if below:
            wait_for_record(receiver, lambda record: record.body.string_value == "seen?")
            (folder / "seen").touch()
            deaths(receiver, below)
            (folder / "told").touch()
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def deaths(receiver: Receiver, count: int) -> dict[str, LogRecord]:
    """By what they say, as soon as all are there."""
    ends_at = time.monotonic() + TIMEOUT_S
    while True:
        found = {
            record.body.string_value: record
            for record in receiver.records()
            if record.event_name == "pipeline.process.died"
        }
        if len(found) >= count or time.monotonic() > ends_at:
            return found
        time.sleep(0.05)


def said(record: LogRecord, name: str) -> object:
    for pair in record.attributes:
        if pair.key == name:
            return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
    return None


def test_a_program_that_the_kernel_kills_for_memory_is_said_to_be(
    group: Path, receiver: Receiver, tmp_path: Path
) -> None:
    done = run(receiver, tmp_path, EATS, group)

    assert done.returncode == -9
    ((body, died),) = deaths(receiver, 1).items()
    assert body == "p was killed for memory (SIGKILL)"
    assert said(died, "pipeline.process.oom_killed") is True
    assert said(died, "pipeline.process.oom_verdict") == "proven"
    assert LIMIT_BYTES / 2 < int(str(said(died, "pipeline.process.peak_memory"))) < LIMIT_BYTES


def test_a_program_that_is_killed_for_memory_before_we_have_loaded_is_said_to_be(
    group: Path, receiver: Receiver, tmp_path: Path
) -> None:
    run(receiver, tmp_path, EATS, group, command=LATE_RUN)

    ((body, died),) = deaths(receiver, 1).items()
    assert body == "p was killed for memory (SIGKILL)"
    assert said(died, "pipeline.process.oom_verdict") == "proven"


def test_a_kill_within_a_container_is_seen_though_its_group_has_another_name_there(
    group: Path, receiver: Receiver, tmp_path: Path
) -> None:
    done = run(receiver, tmp_path, EATS, group, OWN_VIEW[own_group()[1]])

    if done.returncode in {NO_VIEW_EXIT_CODE, 1}:
        pytest.skip(f"no view of its own can be made here: {done.stderr.decode().strip()}")
    ((body, died),) = deaths(receiver, 1).items()
    assert body == "p was killed for memory (SIGKILL)"
    assert said(died, "pipeline.process.oom_verdict") == "proven"


def test_a_process_below_is_told_too_and_named_as_what_the_program_failed_of(
    group: Path, receiver: Receiver, tmp_path: Path
) -> None:
    done = run(receiver, tmp_path, PARENT, group, below=1)

    assert done.returncode == 1
    found = deaths(receiver, 2)
    assert sorted(found) == [
        "p ended with exit code 1, after a process in it was killed for memory",
        f"{PYTHON} was killed for memory (SIGKILL)",
    ]
    assert said(found[f"{PYTHON} was killed for memory (SIGKILL)"], "pipeline.process.oom_killed") is True


def test_a_worker_of_a_pool_is_told_of_if_it_was_killed_for_memory(
    group: Path, receiver: Receiver, tmp_path: Path
) -> None:
    done = run(receiver, tmp_path, POOL, group, below=1)

    assert done.returncode == 4
    assert sorted(deaths(receiver, 2)) == [
        "p ended with exit code 4, after a process in it was killed for memory",
        "program was killed for memory (SIGKILL)",
    ]


def test_a_kill_that_was_not_for_memory_is_not_blamed_on_it(receiver: Receiver, tmp_path: Path) -> None:
    done = run(receiver, tmp_path, "import os; os.kill(os.getpid(), 9)")

    assert done.returncode == -9
    ((body, died),) = deaths(receiver, 1).items()
    assert body == "p was ended by SIGKILL, not by the kernel for memory"
    assert said(died, "pipeline.process.oom_killed") is None
    assert said(died, "pipeline.process.oom_verdict") == "excluded"


def test_a_program_that_runs_into_a_limit_of_its_own_fails_and_is_not_killed(
    receiver: Receiver, tmp_path: Path
) -> None:
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({LIMIT_BYTES}, {LIMIT_BYTES}))\n{EATS}"

    done = run(receiver, tmp_path, limited)

    assert done.returncode == 1
    ((body, died),) = deaths(receiver, 1).items()
    assert body == "p ended with exit code 1"
    assert "MemoryError" in str(said(died, "pipeline.process.stderr_tail"))
