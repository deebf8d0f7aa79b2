"""What a program reads and prints under `run`: every byte in its order, on pipes, files and terminals."""

from __future__ import annotations

import fcntl
import os
import subprocess
import termios
import time
from array import array
from pathlib import Path

import pytest

from tests.servers.receiver import Receiver
from tests.servers.shipping import wait_until_shipped
from tests.servers.supervised import PYTHON, ROOT, RUN, TIMEOUT_S, attribute, on_a_terminal, run, told

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


def wait_until_full(pipe: int) -> None:
    ends_at = time.monotonic() + TIMEOUT_S
    unread = array("i", [0])
    while unread[0] < fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ):
        assert time.monotonic() < ends_at, f"only {unread[0]} bytes"
        time.sleep(0.01)
        fcntl.ioctl(pipe, termios.FIONREAD, unread)


def test_a_full_pipe_that_does_not_block_costs_no_output_and_no_program(environ: dict[str, str]) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    program = "import os\nfor _ in range(100): os.write(1, b'x' * 4096)\nos.write(2, b'all')"

    with subprocess.Popen(
        [*RUN, "--pipeline", "p", "--", PYTHON, "-c", program],
        env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(write)
        wait_until_full(read)
        with os.fdopen(read, "rb") as reader:
            received = len(reader.read())
        _, said = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, received, said) == (0, 409_600, b"all")
    wait_until_shipped(environ)


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


def test_the_last_line_has_no_password_of_the_receiver(environ: dict[str, str]) -> None:
    given = {**environ, "PIPELINE_ALERTS_ENDPOINT": environ["PIPELINE_ALERTS_ENDPOINT"].replace("//", "//kim:s3cret@")}

    _, shown = on_a_terminal(given, [*RUN, "--", "false"])

    assert b" http://kim:[redacted]@127.0.0.1:" in shown


DESCRIPTORS = """
import os, sys
streams = [(fd, f'/proc/self/fd/{fd}') for fd in range(3)]
found = [(fd, os.readlink(path).partition(':')[0]) for fd, path in streams if os.path.exists(path)]
print(found, file=open(sys.argv[1], 'w'))
sys.exit(3)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stay_closed_and_the_exit_code_the_programs(
    environ: dict[str, str], tmp_path: Path, closed: str
) -> None:
    program = ["-I", "-S", "-c", DESCRIPTORS]

    def started(name: str, *before: str) -> tuple[int, str]:
        file = tmp_path / name
        words = [*before, PYTHON, *program, str(file)]
        done = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", *words], env=environ, cwd=ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S,
        )  # fmt: skip
        return done.returncode, file.read_text()

    assert started("supervised", *RUN, "--") == started("plain")
    wait_until_shipped(environ)


def test_a_program_that_only_looks_sees_that_its_reader_went_away(environ: dict[str, str], tmp_path: Path) -> None:
    looks = (
        "import os, select, sys\n"
        "os.write(1, b'line\\n'); watch = select.poll(); watch.register(1, 0)\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(str(watch.poll({TIMEOUT_S * 1000}) == [(1, select.POLLERR)]))\n"
    )
    (tmp_path / "looks.py").write_text(looks)

    script = f"{' '.join(RUN)} -- {PYTHON} {tmp_path / 'looks.py'} | head -n 1"
    done = subprocess.run(["bash", "-c", script], env=environ, cwd=ROOT, capture_output=True, timeout=2 * TIMEOUT_S)
    wait_until_shipped(environ)

    assert done.stdout == b"line\n"
    assert (tmp_path / "seen").read_text() == "True"
