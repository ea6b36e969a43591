"""SVT-AV1 as a guest: it speaks on stderr, and makes itself and whoever calls it real-time programs where it may.

As root its threads, the thread that opens it, and every process which that thread starts later run before everything
else on the machine (SCHED_FIFO, the highest priority). A recorder must not stop what it records.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Open an SVT-AV1 encoder within; afterwards no thread of this process is a real-time one, and it says errors only.

    May be used for other encoders too, which do neither.
    """
    os.environ.setdefault("SVT_LOG", "1")
    try:
        yield
    finally:
        for thread in map(int, os.listdir("/proc/self/task")):
            with suppress(OSError):  # it has ended
                if os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK in _REAL_TIME:
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
