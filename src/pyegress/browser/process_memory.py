"""How much memory a process and its descendants have for themselves. Linux."""

from __future__ import annotations

import os
from pathlib import Path

from pyegress.process_tree import descendants

_PAGE = os.sysconf("SC_PAGE_SIZE")


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
