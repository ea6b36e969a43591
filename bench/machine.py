"""Whether the machine was quiet enough for a figure to mean something, and what processes used meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyegress.clock import monotonic

_TICKS = os.sysconf("SC_CLK_TCK")
#: Cores that others may use before figures are not judged.
TOLERATED = 0.25


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used: core-seconds since its start, resident and proportional memory in MB, threads."""

    cpu: float
    rss: float
    pss: float
    threads: int


def usage(pid: int) -> Usage:
    """The usage of a process now. Raises OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in rollup.splitlines()[1:] if "kB" in line}
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, sizes["Rss"], sizes["Pss"], int(fields[17]))


def tree_cpu(pid: int) -> float:
    """Core-seconds of a process, its living descendants, and those of them that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    total = sum(int(value) for value in fields[11:15]) / _TICKS
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                total += tree_cpu(int(child))
            except OSError:
                continue
    return total


def _busy() -> float:
    values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = values
    return (user + nice + system + irq + softirq + steal) / _TICKS


class Quiet:
    """Measures how many cores other processes used between `begin` and `end`."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._busy = _busy()
        self._own = tree_cpu(os.getpid())

    def foreign(self) -> float:
        """Cores that processes outside this bench used since the beginning."""
        elapsed = monotonic() - self._started
        return max(0.0, (_busy() - self._busy) - (tree_cpu(os.getpid()) - self._own)) / elapsed


def verdict(foreign: float) -> str:
    """A line for the end of a bench: whether its figures can be judged."""
    if foreign > TOLERATED:
        return f"the machine was too busy to judge: others used {foreign:.2f} cores (tolerated: {TOLERATED})"
    return f"the machine was quiet enough: others used {foreign:.2f} cores"


def conclude(missed: Sequence[str], foreign: float, *, lenient: bool = False) -> int:
    """Print how a bench ended; its exit code: 0, 1 when goals were missed, 75 when the machine was too busy to judge.

    `lenient`: what was reached on a busy machine is reached.
    """
    print(verdict(foreign))
    busy = foreign > TOLERATED
    if busy and not lenient:
        return 75
    print("\n".join(["goals missed:", *missed]) if missed else "goals reached")
    return 75 if busy and missed else int(bool(missed))
