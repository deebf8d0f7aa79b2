"""Out-of-memory kills and memory peaks, as far as the kernel tells an ordinary user; and what follows from them.

The kernel counts each kill before it sends the signal: for the control group of the victim (`memory.events`, in version
1 `memory.oom_control`), and for the whole machine (`/proc/vmstat`, whose count also covers other containers).
"""

from __future__ import annotations

import enum
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Memory", "OomKills", "OomWatch", "judge", "peak_of"]

NEAR_THE_LIMIT: Final = 0.9  # of the memory that there is: a kill at such a peak was probably for memory
RECENT_S: Final = 2.0  # between a kill and the notice of the death, at most
_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_LIMIT: Final = re.compile(r"^(\d+)$", re.MULTILINE)  # in version 2 also `max`


class Memory(enum.Enum):
    """Whether a process was killed for memory."""

    PROVEN = "proven"  # the kernel counted it, in the control group that the process was in
    PROBABLE = "probable"
    EXCLUDED = "excluded"  # the kernel killed nobody for memory
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OomKills:
    """How often the kernel killed for memory: in the run's control groups, on the machine. None: it does not say."""

    here: int | None = None
    machine: int | None = None


def judge(kills: OomKills, killed: int, peak: int, limit: int) -> Memory:
    """What an end by SIGKILL was for.

    Args:
        kills: what the kernel counted meanwhile.
        killed: how many of our processes were ended by SIGKILL in that time: the kernel does not name its victims.
        peak: the most memory that the process had, in bytes.
        limit: what there is for it, in bytes; 0 if unknown.
    """
    if kills.here is not None and kills.here >= max(killed, 1):
        return Memory.PROVEN
    if kills.here or kills.machine or (limit and peak >= NEAR_THE_LIMIT * limit):
        return Memory.PROBABLE
    return Memory.UNKNOWN if kills.here is None and kills.machine is None else Memory.EXCLUDED


@dataclass(slots=True)
class OomWatch:
    """Counts from its making on. ``proc`` and ``cgroups`` are where the kernel shows itself."""

    proc: Path = _PROC
    cgroups: Path = _CGROUPS
    _groups: dict[Path, tuple[Path, int]] = field(default_factory=dict)  # counter → its limit's file, count at first
    _machine: int | None = None
    _looks: deque[tuple[float, int, int]] = field(default_factory=lambda: deque([(0.0, 0, 0)]))  # when, counts
    _explained: deque[tuple[float, int]] = field(default_factory=deque)  # when, and of how many deaths

    def __post_init__(self) -> None:
        self._machine = _number_in(self.proc / "vmstat", _COUNT)
        self.include("self")

    def include(self, pid: int | str) -> None:
        """Also watches the control group of a process, which may be another than ours."""
        try:
            lines = (self.proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        for line in lines:
            _, controllers, path = line.split(":", 2)
            inside = path.lstrip("/")
            # Within a container the path may be the host's, and the mount the container's own.
            if not controllers:
                roots = (self.cgroups, self.cgroups / "unified")
                files = [(root / place, "memory.events", "memory.max") for root in roots for place in (inside, "")]
            elif "memory" in controllers.split(","):
                root = self.cgroups / "memory"
                files = [(root / place, "memory.oom_control", "memory.limit_in_bytes") for place in (inside, "")]
            else:
                continue
            for folder, counter, limit in files:
                count = _number_in(folder / counter, _COUNT)
                if count is not None:
                    self._groups.setdefault(folder / counter, (folder / limit, count))
                    break

    def all(self) -> OomKills:
        """The kills since the beginning."""
        counts = {file: _number_in(file, _COUNT) for file in self._groups}
        here = [count - self._groups[file][1] for file, count in counts.items() if count is not None]
        machine = _number_in(self.proc / "vmstat", _COUNT)
        return OomKills(
            sum(here) if here else None,
            machine - self._machine if machine is not None and self._machine is not None else None,
        )

    def recent(self, now: float) -> OomKills:
        """The kills of the last seconds, less those that explain a death already. To be asked often; ``now`` monotonic.

        A death is noticed a moment after the kill, and after the deaths of others. Long after it, a kill explains none.
        """
        kills = self.all()
        while len(self._looks) > 1 and self._looks[1][0] < now - RECENT_S:
            self._looks.popleft()
        while self._explained and self._explained[0][0] < now - RECENT_S:
            self._explained.popleft()
        _, here, machine = self._looks[0]
        self._looks.append((now, kills.here or 0, kills.machine or 0))
        explained = sum(count for _, count in self._explained)
        return OomKills(
            None if kills.here is None else max(kills.here - here - explained, 0),
            None if kills.machine is None else max(kills.machine - machine - explained, 0),
        )

    def explain(self, deaths: int, now: float) -> None:
        """So many of the recent kills were those of deaths that are told."""
        if deaths:
            self._explained.append((now, deaths))

    def limit(self) -> int:
        """The bytes that there are for the run: its control groups' smallest limit, or the machine's; 0 if unknown."""
        limits = [(_number_in(self.proc / "meminfo", _TOTAL) or 0) * 1024]
        for file, _ in self._groups.values():
            limits.append(_number_in(file, _LIMIT) or 0)
        return min((limit for limit in limits if limit), default=0)


def peak_of(pid: int) -> int:
    """The most memory that a running process had at once, in bytes; 0 if it is gone."""
    return (_number_in(_PROC / str(pid) / "status", _PEAK) or 0) * 1024


def _number_in(file: Path, pattern: re.Pattern[str]) -> int | None:
    try:
        found = pattern.search(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return int(found[1]) if found else None
