"""Does memory stay flat? A program that logs at a steady rate under `run`, its memory and the supervisor's over time.

    python -m tests.acceptance.soak [--minutes 60] [--per-second 200]

Not part of `make test`: it takes as long as it is told to. The receiver is away for a fifth of the time, so that
a backlog is built up and worked off. Ends with 1 if either process is larger at the end than it was after the warm-up
by more than the tolerance, or if a record is missing or doubled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
LOOKS = 20
WARM_UP = 0.2  # of the time; caches fill, arenas settle
TOLERANCE_MIB = 8.0
END_TIMEOUT_S = 300.0
AWAY = (0.4, 0.6)  # of the time

_PROGRAM = """
import logging, sys, time
logging.basicConfig(level=20, stream=open("/dev/null", "w"))
log = logging.getLogger("soak")
seconds, rate = float(sys.argv[1]), float(sys.argv[2])
start, sent = time.monotonic(), 0
while (passed := time.monotonic() - start) < seconds:
    while sent < passed * rate:
        sent += 1
        if sent % 1000:
            log.info("row %d of %s: loss %.4f", sent, "country_month", 1 / sent)
        else:
            log.error("row %d failed", sent)
    time.sleep(0.02)
print(sent)
"""


@dataclass(frozen=True, slots=True)
class Look:
    """Resident memory in MiB, `after` seconds."""

    after: float
    supervisor: float
    child: float


def resident_mib(pid: int) -> float:
    """What a process has in memory now."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def child_of(pid: int) -> int:
    """The program: the child of the supervisor that runs our script. Copiers of its output are forks of ourselves."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if len(command) > 1 and command[1].endswith(b"soak.py"):  # one that is ending has none
                return int(child)
    return 0


def soak(seconds: float, per_second: float) -> tuple[list[Look], int, int, int]:
    """Looks over time; records written, received, and received twice."""
    looks: list[Look] = []
    with tempfile.TemporaryDirectory() as temporary, Receiver() as receiver:
        script = Path(temporary) / "soak.py"
        script.write_text(_PROGRAM, encoding="utf-8")
        environ = {
            **os.environ,
            "XDG_STATE_HOME": temporary,
            "PIPELINE_ALERTS_ENDPOINT": receiver.url,
            "PIPELINE_ALERTS_LINGER_SECONDS": str(END_TIMEOUT_S),
        }
        command = [sys.executable, "-m", "alert_bridge.cli", "run", "--", sys.executable]
        process = subprocess.Popen(
            [*command, str(script), str(seconds), str(per_second)], env=environ, cwd=ROOT, stdout=subprocess.PIPE
        )
        started = time.monotonic()
        is_away = False
        while process.poll() is None:
            time.sleep(seconds / LOOKS / 4)
            passed = time.monotonic() - started
            if is_away != (AWAY[0] < passed / seconds < AWAY[1]):
                is_away = not is_away
                (receiver.go_away if is_away else receiver.come_back)()
            if passed >= seconds / LOOKS * (len(looks) + 1):
                look = Look(passed, resident_mib(process.pid), resident_mib(child_of(process.pid)))
                if look.child:
                    looks.append(look)
                    away = "   receiver away" if is_away else ""
                    print(f"{look.after:7.0f} s   supervisor {look.supervisor:6.1f} MiB   program {look.child:6.1f} MiB{away}", flush=True)  # fmt: skip  # noqa: E501 - a row of the table
        assert process.stdout is not None
        written = int(process.stdout.read())
        ends_at = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < ends_at and len(_rows(receiver)) < written:
            time.sleep(0.5)
        taken = receiver.uids()
        received = len(_rows(receiver))
    return looks, written, received, taken.total() - len(taken)


def _rows(receiver: Receiver) -> list[str]:
    return [text for one in receiver.records() if (text := one.body.string_value).startswith("row ")]


def main() -> int:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--per-second", type=float, default=200.0)
    given = parser.parse_args()
    looks, written, received, doubled = soak(given.minutes * 60, given.per_second)
    warm = looks[int(len(looks) * WARM_UP)]
    grown = {"supervisor": looks[-1].supervisor - warm.supervisor, "program": looks[-1].child - warm.child}
    print(f"{written} records written, {received} received, {doubled} twice")
    print("grown since the warm-up: " + ", ".join(f"{name} {mib:+.1f} MiB" for name, mib in grown.items()))
    is_flat = max(grown.values()) <= TOLERANCE_MIB and (received, doubled) == (written, 0)
    print("flat" if is_flat else "NOT FLAT", f"(at most {TOLERANCE_MIB:.0f} MiB more)")
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
