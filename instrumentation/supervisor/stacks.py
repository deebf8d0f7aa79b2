"""Where a silent program hangs: the Python stacks of its processes, the innermost first.

Outer processes mostly wait for inner ones, so the answer is at the top; but a pool hangs as often in its parent as in a
worker, so all are asked. By py-spy where it is installed, which also sees Pythons that are not followed; else by the
`faulthandler` that the child side offers; else by what the kernel tells.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from instrumentation.child._pipeline_alerts_child.names import STACKS_SIGNAL
from instrumentation.redaction import scrub_arguments
from instrumentation.supervisor.processes import (
    argv_of,
    catches,
    children_of,
    executable_of,
    is_python,
    is_tracker,
    state_of,
)

__all__ = ["dump_stacks"]

MAX_PROCESSES: Final = 16
MAX_CHARACTERS: Final = 16_000
BUDGET_S: Final = 15.0  # for all of them
PY_SPY_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 5.0
_ANSWER_LOOK_S: Final = 0.02
_ANSWER_QUIET_S: Final = 0.3  # a dump has no last line: it is over when nothing comes any more
_DIFFERS: Final = re.compile(r"0x[0-9a-f]+|(?<=Thread )\d+")  # between two processes that hang in the same place
_HINT: Final = "(install py-spy to see the Python stacks of all processes)"


def dump_stacks(root: int, others: Sequence[int] = (), file: Path | None = None) -> str:
    """The stacks of a program and of all processes below it as text; takes at most some seconds.

    Args:
        root: the program.
        others: processes of it whose own parent is gone.
        file: what the child side writes to when asked.
    """
    ends_at = time.monotonic() + BUDGET_S
    spy = shutil.which("py-spy")
    told: dict[str, list[int]] = {}  # dump without what always differs → who hangs there
    parts: list[tuple[str, str]] = []
    is_whole = True
    pids = [pid for pid in innermost_first(root, others) if not is_tracker(pid)]
    for pid in pids[:MAX_PROCESSES]:
        heading = _heading(pid)
        if not heading:
            continue
        dump = ""
        if is_python(executable_of(pid)) and time.monotonic() < ends_at:
            dump = (_by_py_spy(spy, pid) if spy else "") or (_by_faulthandler(pid, file) if file else "")
            is_whole &= bool(dump)
        same = _DIFFERS.sub("", dump) or heading
        told.setdefault(same, []).append(pid)
        if told[same] == [pid]:
            parts.append((same, f"{heading}\n{dump}".strip()))
    texts = [part + _also(told[same][1:]) for same, part in parts]
    if len(pids) > MAX_PROCESSES:
        texts.append(f"({len(pids) - MAX_PROCESSES} more processes)")
    text = "\n\n".join(texts)[:MAX_CHARACTERS]
    return text if is_whole else f"{text}\n{_HINT}"


def innermost_first(root: int, others: Sequence[int] = ()) -> list[int]:
    """A process and all below it, those that are furthest from it first; then ``others``."""
    found: list[int] = []
    layer = [root]
    while layer:
        found = [*layer, *found]
        layer = [child for pid in layer for child in children_of(pid) if child not in found]
    return list(dict.fromkeys([*found, *others]))


def _heading(pid: int) -> str:
    state = state_of(pid)
    command = " ".join(scrub_arguments(argv_of(pid)))
    return f"process {pid} ({command[:200]}): {state}" if state else ""


def _also(pids: Sequence[int]) -> str:
    return f"\n(the same in process {', '.join(map(str, pids))})" if pids else ""


def _by_py_spy(spy: str, pid: int) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command on our own child
            [spy, "dump", "--nonblocking", "--pid", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PY_SPY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    # Without its heading, which has the command line as it is.
    _, _, threads = done.stdout.decode("utf-8", "replace").partition("\nThread ")
    return f"Thread {threads.strip()}" if threads else ""


def _by_faulthandler(pid: int, file: Path) -> str:
    """Asks the child side; empty where it does not answer."""
    if not _offers(pid, file):
        return ""
    try:
        start = file.stat().st_size
        os.kill(pid, STACKS_SIGNAL)
        size, changed_at = start, time.monotonic()
        ends_at = changed_at + ANSWER_TIMEOUT_S
        while (now := time.monotonic()) < ends_at and (size == start or now - changed_at < _ANSWER_QUIET_S):
            time.sleep(_ANSWER_LOOK_S)
            if (grown := file.stat().st_size) != size:
                size, changed_at = grown, time.monotonic()
        with file.open("rb") as dumped:
            dumped.seek(start)
            return dumped.read(MAX_CHARACTERS).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _offers(pid: int, file: Path) -> bool:
    """Whether a process has our handler and our file: not another program by now, and nothing closed."""
    if not catches(pid, STACKS_SIGNAL):
        return False
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            if str(descriptor.readlink()) == str(file):
                return True
        except OSError:
            continue
    return False
