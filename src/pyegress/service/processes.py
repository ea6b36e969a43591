"""What the kernel says of processes and of the machine: CPU time, memory, cores. Linux (/proc, cgroup v1 and v2)."""

from __future__ import annotations

import os
from pathlib import Path

from pyegress.process_tree import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUP = Path("/sys/fs/cgroup")
GIGABYTE = 1e9


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, with that of children that have ended; None when it is gone."""
    stat = _text(Path(f"/proc/{pid}/stat"))
    if stat is None:
        return None
    # The name, in parentheses, may hold spaces.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory, 0 when the process is gone."""
    statm = _text(Path(f"/proc/{pid}/statm"))
    return int(statm.split()[1]) * _PAGE if statm else 0


def family_use(pid: int) -> tuple[float, int] | None:
    """CPU seconds and bytes of a process and all below it (a browser, for instance); None when it is gone.

    What a family shares counts once: memory is what the process has and what its descendants have for themselves.
    """
    used = cpu_seconds(pid)
    if used is None:
        return None
    size = resident_bytes(pid)
    for child in descendants(pid)[1:]:
        used += cpu_seconds(child) or 0.0
        if statm := _text(Path(f"/proc/{child}/statm")):
            _, resident, shared, *_ = map(int, statm.split())
            size += (resident - shared) * _PAGE
    return used, size


def busy_seconds() -> tuple[float, float]:
    """Seconds in which a core of the machine was busy, and all seconds of all cores, since it was started."""
    line = (_text(Path("/proc/stat")) or "").partition("\n")[0].split()[1:]
    # user nice system idle iowait irq softirq steal; the guest figures are in user and nice already.
    numbers = [int(field) / _TICKS for field in line[:8]]
    if len(numbers) < 5:
        return 0.0, 0.0
    total = sum(numbers)
    return total - numbers[3] - numbers[4], total


def cores() -> float:
    """Cores that we may use: our cgroup's quota, else those that we are allowed to run on."""
    allowed = float(len(os.sched_getaffinity(0)))
    quota, period = "max", "100000"
    if v2 := _text(_CGROUP / "cpu.max"):
        quota, _, period = v2.strip().partition(" ")
    elif v1 := _text(_CGROUP / "cpu" / "cpu.cfs_quota_us"):
        quota = "max" if v1.strip() == "-1" else v1.strip()
        period = (_text(_CGROUP / "cpu" / "cpu.cfs_period_us") or "100000").strip()
    return allowed if quota == "max" else min(allowed, int(quota) / int(period))


def cgroup_bytes() -> int | None:
    """Memory that our cgroup holds and cannot give back at once (its working set); None when that cannot be read."""
    for usage, stat, inactive in (
        ("memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        if (used := _text(_CGROUP / usage)) is not None:
            lines = (_text(_CGROUP / stat) or "").splitlines()
            cached = next((int(line.split()[1]) for line in lines if line.startswith(inactive + " ")), 0)
            return max(0, int(used) - cached)
    return None


def available_bytes() -> int | None:
    """Memory that can be had: of the machine, and below the limit of our cgroup; None when the kernel does not tell."""
    free = None
    for line in (_text(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit, held = (_text(_CGROUP / name) or "").strip(), cgroup_bytes()
        if limit.isdecimal() and held is not None and free is not None:
            free = min(free, max(0, int(limit) - held))
    return free


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
