"""Which processes descend from one, as the kernel says. Linux."""

from __future__ import annotations

import os
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """A process and everything below it, as far as it can be read; a child comes after its parent."""
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
