"""The demo as a newcomer meets it: in a pipe it ends by itself with a verdict, on a terminal it serves until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from collector.process import free_port
from tests.servers.bridge import wait_for
from tests.servers.collector import collector_binary

pytestmark = [pytest.mark.collector, pytest.mark.slow, pytest.mark.timeout(900)]

DEMO = Path(__file__).parents[2] / "examples" / "monthly_run" / "demo.py"
WITHIN_S = 400.0  # half a minute on an idle machine
ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_in_a_pipe_it_says_who_was_told_and_ends(tmp_path):
    collector_binary()

    done = subprocess.run(
        [sys.executable, str(DEMO), "--fail", "fetch_error", "--port", str(free_port())],
        cwd=tmp_path, capture_output=True, text=True, timeout=WITHIN_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(r"^delivered (\w+) (\w+) (\w+)  \(previewed, see /inbox\)$", done.stdout, re.MULTILINE)
    assert {("slack", "infrastructure"), ("email", "infrastructure")} <= {line[:2] for line in told}
    assert len(told) == len(set(told))
    counted = re.search(r"The Collector counted (\d+) log records in, and (\d+) out", done.stdout)
    assert counted is not None, done.stdout
    assert int(counted[1]) > 4
    assert int(counted[2]) > 4
    assert re.search(r"http://127\.0\.0\.1:\d+/incidents/" + told[0][2], done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == [".demo"], "it leaves nothing else behind"


@contextlib.contextmanager
def terminal(command: list[str], cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[str], int]]:
    """A program with a terminal of its own: the process, what it printed so far, and where to type."""
    ours, theirs = pty.openpty()
    printed: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *command], cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)

    def read() -> None:
        with contextlib.suppress(OSError):  # a terminal whose last program has ended
            while chunk := os.read(ours, 65_536):
                printed.append(chunk.decode(errors="replace"))

    reader = Thread(target=read)
    reader.start()
    try:
        yield process, printed, ours
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(ours)


def test_on_a_terminal_the_pages_stay_open_until_ctrl_c(tmp_path):
    collector_binary()

    command = [sys.executable, str(DEMO), "--fail", "upload_denied", "--port", str(free_port())]
    with terminal(command, tmp_path) as (process, printed, keyboard):
        wait_for(lambda: "Ctrl-C ends" in "".join(printed) or process.poll() is not None, WITHIN_S)
        text = "".join(printed)
        address = re.search(r"Pages: (http://\S+)/ ", text)
        assert address is not None, text
        inbox = httpx.get(f"{address[1]}/inbox")
        assert process.poll() is None
        os.write(keyboard, b"\x03")
        assert process.wait(WITHIN_S) == 0, "".join(printed)

    assert inbox.status_code == 200
    assert "forecasts are ready but have not reached the partner" in inbox.text
    assert "Traceback" not in "".join(printed)[len(text) :]
    with pytest.raises(httpx.ConnectError):
        httpx.get(address[1])
