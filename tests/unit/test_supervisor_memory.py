"""What the kernel's counters say of out-of-memory kills, in each of their layouts, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from instrumentation.supervisor.descendants import Death
from instrumentation.supervisor.memory import Memory, OomKills, OomWatch, judge
from instrumentation.supervisor.verdicts import verdicts

GIB = 1 << 30
SIGKILL = 9

# /proc/self/cgroup, the folder of the group below the mount, the counter's file, the limit's file.
LAYOUTS = {
    "v2": ("0::/user.slice/run.scope", "user.slice/run.scope", "memory.events", "memory.max"),
    "v2 in a container": ("0::/", "", "memory.events", "memory.max"),
    "v2 in a container that sees the host's path": ("0::/../docker/abc", "", "memory.events", "memory.max"),
    "v2 beside v1": ("1:name=systemd:/\n0::/a", "unified/a", "memory.events", "memory.max"),
    "v1": (
        "5:cpu,cpuacct:/b\n4:memory:/job_7/step_0\n0::/",
        "memory/job_7/step_0",
        "memory.oom_control",
        "memory.limit_in_bytes",
    ),
    "v1 in a container": ("4:memory:/docker/abc", "memory", "memory.oom_control", "memory.limit_in_bytes"),
}
CONTENT = {
    "memory.events": "low 0\nhigh 12\nmax 40\noom 3\noom_kill {}\noom_group_kill 0\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
}


@dataclass(frozen=True)
class Kernel:
    """Its files, as an ordinary process sees them."""

    proc: Path
    cgroups: Path
    counter: Path
    limit: Path

    def kill(self, here: int, machine: int) -> None:
        """So many kills by now."""
        self.counter.write_text(CONTENT[self.counter.name].format(here))
        (self.proc / "vmstat").write_text(f"nr_free_pages 1\noom_kill {machine}\npgfault 3\n")


@pytest.fixture(params=LAYOUTS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    said, folder, counter, limit = LAYOUTS[request.param]
    group = tmp_path / "cgroups" / folder
    group.mkdir(parents=True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(f"{said}\n")
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal:       {16 * GIB // 1024} kB\nMemFree: 1 kB\n")
    found = Kernel(tmp_path / "proc", tmp_path / "cgroups", group / counter, group / limit)
    found.kill(here=2, machine=5)
    return found


def test_a_kill_explains_a_death_that_is_noticed_soon_after_it_and_once(kernel: Kernel) -> None:
    watch = OomWatch(kernel.proc, kernel.cgroups)

    before = watch.recent(now=100.0)
    kernel.kill(here=3, machine=7)
    at_once = watch.recent(now=100.2)  # somebody else's death was noticed first
    soon = watch.recent(now=100.4)
    watch.explain(1, now=100.4)
    explained = watch.recent(now=100.6)

    assert before == OomKills(0, 0)
    assert at_once == soon == OomKills(1, 2)
    assert explained == OomKills(0, 1)
    assert watch.all() == OomKills(1, 2)


def test_a_kill_of_long_ago_explains_nothing(kernel: Kernel) -> None:
    watch = OomWatch(kernel.proc, kernel.cgroups)
    kernel.kill(here=3, machine=7)

    looks = [watch.recent(now=100.0 + 0.25 * tick) for tick in range(20)]

    assert looks[0] == OomKills(1, 2)
    assert looks[-1] == OomKills(0, 0)
    assert watch.all() == OomKills(1, 2)


@pytest.mark.parametrize(
    ("said", "limit"), [("max", 16 * GIB), (str(4 * GIB), 4 * GIB), (str((1 << 63) - 4096), 16 * GIB)]
)
def test_the_limit_is_the_groups_or_the_machines(kernel: Kernel, said: str, limit: int) -> None:
    kernel.limit.write_text(f"{said}\n")

    assert OomWatch(kernel.proc, kernel.cgroups).limit() == limit


def test_the_group_of_a_program_that_has_one_of_its_own_counts_too(tmp_path: Path) -> None:
    for pid, group in (("self", "shell"), ("77", "job")):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "cgroup").write_text(f"0::/{group}\n")
        (tmp_path / "cgroups" / group).mkdir(parents=True)
        (tmp_path / "cgroups" / group / "memory.events").write_text("oom_kill 4\n")
    watch = OomWatch(tmp_path / "proc", tmp_path / "cgroups")

    watch.include(77)
    (tmp_path / "cgroups" / "job" / "memory.events").write_text("oom_kill 5\n")

    assert watch.all() == OomKills(here=1)


def test_a_kernel_that_says_nothing_is_no_kernel_that_killed_nobody(tmp_path: Path) -> None:
    watch = OomWatch(tmp_path, tmp_path)

    assert (watch.all(), watch.recent(1.0), watch.limit()) == (OomKills(None, None), OomKills(None, None), 0)


@pytest.mark.parametrize(
    ("kills", "killed", "peak", "verdict"),
    [
        (OomKills(1, 1), 1, 0, Memory.PROVEN),
        (OomKills(1, 1), 0, 0, Memory.PROVEN),  # a shell told of it
        (OomKills(1, 1), 2, 0, Memory.PROBABLE),  # which of the two is not said
        (OomKills(2, 2), 2, 0, Memory.PROVEN),
        (OomKills(0, 1), 1, 0, Memory.PROBABLE),  # perhaps another container's
        (OomKills(None, 1), 1, 0, Memory.PROBABLE),
        (OomKills(0, 0), 1, 15 * GIB, Memory.PROBABLE),  # by somebody who came before the kernel
        (OomKills(0, 0), 1, 2 * GIB, Memory.EXCLUDED),
        (OomKills(None, 0), 1, 2 * GIB, Memory.EXCLUDED),
        (OomKills(None, None), 1, 2 * GIB, Memory.UNKNOWN),
        (OomKills(None, None), 1, 15 * GIB, Memory.PROBABLE),
    ],
)
def test_a_verdict_goes_as_far_as_its_evidence(kills: OomKills, killed: int, peak: int, verdict: Memory) -> None:
    assert judge(kills, killed, peak, limit=16 * GIB) is verdict


def dead(pid: int, status: int | None = SIGKILL) -> Death:
    return Death(pid, ("python",), status, peak_memory=GIB, is_worker=True, left_abruptly=True)


def test_a_process_that_is_killed_for_memory_while_we_look_was_killed_for_memory(kernel: Kernel) -> None:
    watch = OomWatch(kernel.proc, kernel.cgroups)

    def died() -> list[Death]:
        kernel.kill(here=3, machine=6)  # as the kernel does it: counted first, dead afterwards
        return [dead(77)]

    assert verdicts(died, watch, lambda: 100.0) == [(dead(77), Memory.PROVEN)]


def test_a_kill_for_memory_explains_one_death_and_no_later_one(kernel: Kernel) -> None:
    watch = OomWatch(kernel.proc, kernel.cgroups)
    kernel.kill(here=3, machine=6)

    first = verdicts(lambda: [dead(77), dead(78, status=0)], watch, lambda: 100.0)
    second = verdicts(lambda: [dead(79)], watch, lambda: 100.25)

    assert [memory for _, memory in first] == [Memory.PROVEN, Memory.PROVEN]  # of an exit code nobody asks what it was
    assert [memory for _, memory in second] == [Memory.EXCLUDED]


def test_one_kill_for_memory_among_two_that_nobody_saw_is_proven_of_neither(kernel: Kernel) -> None:
    watch = OomWatch(kernel.proc, kernel.cgroups)
    kernel.kill(here=3, machine=6)

    found = verdicts(lambda: [dead(77), dead(78, status=None)], watch, lambda: 100.0)

    assert [memory for _, memory in found] == [Memory.PROBABLE, Memory.PROBABLE]
