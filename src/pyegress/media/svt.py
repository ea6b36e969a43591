"""SVT-AV1 as a guest: it makes programs real-time ones, speaks on stderr, and may stand still for ever.

As root its threads, the thread that opens it, and every process which that thread starts later run before everything
else on the machine (SCHED_FIFO, the highest priority). A recorder must not stop what it records.

Its picture manager still reads a picture's list of references after it has handed the picture on (4.1; 4.2 by its
source). If that thread is held up there, and the next picture comes, a reference is never given back: some pictures
later no buffer is left, and encoding stops for good. Where no picture is given before all its threads rest, that cannot
happen.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress
from typing import Protocol

import av

from pyegress.clock import monotonic

_TASKS = "/proc/self/task"
_REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)
#: Seconds between two looks at the threads, and of the longest wait for one picture.
_LOOK, _LONGEST = 0.0002, 0.25
#: Pictures in a row for which a thread did not rest: it is somebody else's, born while the encoder was opened.
_RESTLESS = 4


class Encoder(Protocol):
    """PyAV's codec context, or a stream of a container that is written."""

    def encode(self, frame: av.VideoFrame | None = None) -> list[av.Packet[av.VideoStream]]:
        """Give the packets that are ready; None flushes."""


class SvtThreads:
    """The threads of one SVT-AV1 encoder; does nothing for other encoders."""

    def __init__(self) -> None:
        self._threads: set[int] = set()
        self._restless: Counter[int] = Counter()

    def open(self, context: av.VideoCodecContext) -> None:
        """Open an encoder; afterwards no thread of this process is a real-time one, and SVT-AV1 says errors only.

        Raises what the encoder raises.
        """
        if context.name != "libsvtav1":
            context.open()
            return
        os.environ.setdefault("SVT_LOG", "1")
        before = _threads()
        try:
            context.open()
        finally:
            after = _threads()
            for thread in after:
                with suppress(OSError):  # it has ended
                    if os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK in _REAL_TIME:
                        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
        self._threads = after - before - {thread.native_id or 0 for thread in threading.enumerate()}

    def encode(self, encoder: Encoder, frame: av.VideoFrame | None) -> list[av.Packet[av.VideoStream]]:
        """`encoder.encode`, when the threads rest."""
        self.rest()
        return encoder.encode(frame)

    def rest(self) -> None:
        """Wait until all of them wait for work; a quarter of a second at most."""
        if not self._threads:
            return
        pause = threading.Event()
        until = monotonic() + _LONGEST
        while busy := self._busy():
            if monotonic() > until:
                break
            pause.wait(_LOOK)
        for thread in self._restless.keys() - busy:
            del self._restless[thread]
        for thread in busy:
            self._restless[thread] += 1
            if self._restless[thread] == _RESTLESS:
                self._threads.discard(thread)

    def _busy(self) -> set[int]:
        """Those that do not sleep, or ran while we looked: a later one may have woken them meanwhile."""
        before = {thread: _read(thread, "schedstat") for thread in self._threads}
        states = {thread: _read(thread, "stat") for thread in before}
        for thread, state in states.items():
            if not state:  # it has ended
                self._threads.discard(thread)
        return {
            thread
            for thread, state in states.items()
            if state and (state[state.rindex(b")") + 2 :][:1] != b"S" or _read(thread, "schedstat") != before[thread])
        }


def _read(thread: int, name: str) -> bytes:
    """A file of a thread, see proc(5). Without schedstat, of kernels that do not count it, only states are known."""
    try:
        with open(f"{_TASKS}/{thread}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _threads() -> set[int]:
    return set(map(int, os.listdir(_TASKS)))
