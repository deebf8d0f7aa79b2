"""How long `serve` needs from its start until `/readyz` says so, with compiled modules and without.

    python -m tests.benchmarks.serve_start [ROUNDS]

The peer in the same run is what nobody could do without: an interpreter that only loads the libraries that the bridge
stands on. Modules are not compiled where PYTHONDONTWRITEBYTECODE is set and no installer compiled them: a checkout in
such a shell pays for that at every start. Processor time is of all processes of the bridge until it is ready.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.bridge import BridgeProcess

ROUNDS = 7
LIBRARIES = "import asyncio, google.protobuf, jinja2, pydantic, sqlite3, starlette.applications, uvicorn, yaml"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Start:
    """One start: seconds until ready, and of processor time."""

    wall: float
    used: float


def main(rounds: int = ROUNDS) -> None:
    """Prints a row with compiled modules and one without."""
    print(f"{'modules':<14}{'median':>9}{'slowest':>9}{'CPU':>9}{'libraries alone':>17}{'over them':>11}")
    with tempfile.TemporaryDirectory() as folder:
        compiled = {"PYTHONPYCACHEPREFIX": f"{folder}/compiled", "PYTHONDONTWRITEBYTECODE": ""}
        for name, environ in (("compiled", compiled), ("not compiled", {"PYTHONDONTWRITEBYTECODE": "1"})):
            starts, peers = [], []
            for number in range(rounds + 1):
                start = _start(Path(folder) / f"{name}-{number}", environ)
                peer = _libraries(environ)
                if number:  # the first one fills the caches
                    starts.append(start)
                    peers.append(peer)
            wall, alone = (statistics.median(found) for found in ([start.wall for start in starts], peers))
            used = statistics.median(start.used for start in starts)
            slowest = max(start.wall for start in starts)
            print(f"{name:<14}{wall:7.2f} s{slowest:7.2f} s{used:7.2f} s{alone:15.2f} s{wall / alone:5.1f} times")


def _start(folder: Path, environ: Mapping[str, str]) -> _Start:
    bridge = BridgeProcess(folder, environ=environ)
    began = time.monotonic()
    with bridge:
        bridge.wait_until_ready()
        taken = time.monotonic() - began
        assert bridge.process is not None
        return _Start(taken, sum(map(_used_s, (bridge.process.pid, *bridge.children().values()))))


def _used_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _libraries(environ: Mapping[str, str]) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", LIBRARIES], env={**os.environ, **environ}, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
