"""Where a silent program hangs: by py-spy where it is installed, else by what the kernel tells."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["dump_stacks"]

DUMP_TIMEOUT_S: Final = 5.0
MAX_PROCESSES: Final = 5
MAX_CHARACTERS: Final = 16_000


def dump_stacks(pids: Sequence[int]) -> str:
    """The stacks of a few processes as text; says what each waits for where no stack can be had."""
    spy = shutil.which("py-spy")
    dumps = []
    for pid in list(dict.fromkeys(pids))[:MAX_PROCESSES]:
        dumped = _py_spy(spy, pid) if spy else ""
        dumps.append(dumped or _kernel_view(pid))
    text = "\n\n".join(dump for dump in dumps if dump)
    return text[:MAX_CHARACTERS] if spy else f"{text[:MAX_CHARACTERS]}\n(install py-spy to see the Python stacks here)"


def _py_spy(spy: str, pid: int) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command on our own child
            [spy, "dump", "--nonblocking", "--pid", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=DUMP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()


def _kernel_view(pid: int) -> str:
    def read(name: str) -> str:
        try:
            return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            return ""

    command = read("cmdline")
    if not command:
        return ""
    state = next(
        (line.partition(":")[2].strip() for line in read("status").splitlines() if line.startswith("State")), "?"
    )
    waits_in = read("wchan")
    return f"process {pid} ({command[:200]}): {state}" + (f", in {waits_in}" if waits_in not in {"", "0"} else "")
