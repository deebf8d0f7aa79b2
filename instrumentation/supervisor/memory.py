"""Out-of-memory kills and memory peaks, as far as the kernel tells an ordinary user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["oom_kills", "peak_of"]

_CGROUPS: Final = Path("/proc/self/cgroup")
_V2_ROOTS: Final = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_V1_ROOT: Final = Path("/sys/fs/cgroup/memory")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_PEAK: Final = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def oom_kills() -> int | None:
    """How often the kernel's out-of-memory killer struck in our control group; None where it does not say."""
    try:
        lines = _CGROUPS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            files = [root / place / "memory.events" for root in _V2_ROOTS for place in (inside, "")]
        elif "memory" in controllers.split(","):
            files = [_V1_ROOT / place / "memory.oom_control" for place in (inside, "")]
        else:
            continue
        for file in files:
            try:
                found = _COUNT.search(file.read_text(encoding="ascii"))
            except OSError:
                continue
            if found:
                return int(found[1])
    return None


def peak_of(pid: int) -> int:
    """The most memory that a running process had at once, in bytes; 0 if it is gone."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
