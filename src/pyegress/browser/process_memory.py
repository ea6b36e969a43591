"""How much memory a process and its descendants have for themselves. Linux."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """A process and everything below it, as far as it can be read."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        try:
            threads = os.listdir(f"/proc/{current}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                waiting += map(int, Path(f"/proc/{current}/task/{thread}/children").read_text().split())
            except OSError:
                continue
    return found


def tree_bytes(pid: int) -> int:
    """Resident memory that is not shared, of a process and its descendants."""
    total = 0
    for one in descendants(pid):
        try:
            _, resident, shared, *_ = Path(f"/proc/{one}/statm").read_text().split()
        except OSError:
            continue
        total += (int(resident) - int(shared)) * _PAGE
    return total
