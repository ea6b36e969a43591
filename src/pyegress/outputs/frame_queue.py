"""What waits for a thread that writes: bounded in bytes, and never a wait for whoever puts something in.

Beyond the bound frames are dropped and counted: a video stream from there to its next key frame (nothing in between
could be decoded), audio packet by packet; or, for outputs whose streams must not part, everything to that key frame.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyegress.codecs import Kind
from pyegress.rtp.frame import EncodedFrame

#: Frames that may wait, bytes.
MAX_QUEUED = 64 << 20
#: What an entry costs beside its payload.
_ENTRY_BYTES = 250
#: Waiting bytes that wake the thread at once.
_WAKE_BYTES = 1 << 20

Job = TypeVar("Job")


@dataclass(frozen=True, slots=True)
class Queued:
    """A frame of a stream. `resumed`: frames before it were dropped."""

    stream: int
    frame: EncodedFrame
    pts: int
    resumed: bool = False


class FrameQueue(Generic[Job]):
    """Frames and jobs between, in order. `put` and `put_job` from any thread, the rest from the one that writes."""

    def __init__(self, kinds: Sequence[Kind], *, limit: int = MAX_QUEUED, together: bool = False) -> None:
        """`together` drops all streams at once."""
        self._limit = limit
        self._together = together
        self._entries: deque[Queued | Job] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._kinds: list[Kind] = []
        self._begun: list[bool] = []
        self._skipping: list[bool] = []
        self.dropped: list[int] = []
        self.extend(kinds)

    def extend(self, kinds: Sequence[Kind]) -> None:
        """Further streams behind those that there are."""
        for kind in kinds:
            self._kinds.append(kind)
            self._begun.append(False)
            self._skipping.append(False)
            self.dropped.append(0)
        self._lead = self._kinds.index(Kind.VIDEO) if Kind.VIDEO in self._kinds else 0

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._entries)

    @property
    def bytes(self) -> int:
        """What waits."""
        return self._bytes

    def put(self, stream: int, frame: EncodedFrame, pts: int) -> bool:
        """Append a frame; False if it was dropped."""
        cost = len(frame.payload) + _ENTRY_BYTES
        resumed = False
        if self._skipping[stream]:
            # Room for a while, not for one frame: else the same key frame would be dropped and waited for again.
            leads = stream == self._lead or not self._together
            if not (leads and frame.keyframe) or self._bytes > self._limit // 2:
                self.dropped[stream] += 1
                return False
            resumed = True
            for index in range(len(self._skipping)) if self._together else (stream,):
                self._skipping[index] = False
        elif self._bytes + cost > self._limit:
            for index in range(len(self._skipping)) if self._together else (stream,):
                self._skipping[index] = self._together or self._kinds[index] is Kind.VIDEO
            self.dropped[stream] += 1
            return False
        with self._lock:
            self._entries.append(Queued(stream, frame, pts, resumed))
            self._bytes += cost
        if not self._begun[stream] or self._bytes > _WAKE_BYTES:
            self._begun[stream] = True
            self._wake.set()
        return True

    def put_job(self, job: Job) -> None:
        """Append something else to do, which is looked at soon."""
        with self._lock:
            self._entries.append(job)
        self._wake.set()

    def wake(self) -> None:
        """End `wait`."""
        self._wake.set()

    def wait(self, seconds: float) -> None:
        """Until there is a reason to look, at most so long: frames alone wake nobody."""
        self._wake.wait(seconds)
        self._wake.clear()

    def __iter__(self) -> Iterator[Queued | Job]:
        """What waits, until nothing does. An entry counts until the next one is asked for."""
        while self._entries:
            entry = self._entries[0]
            yield entry
            with self._lock:
                if self._entries and self._entries[0] is entry:
                    self._entries.popleft()
                    if isinstance(entry, Queued):
                        self._bytes -= len(entry.frame.payload) + _ENTRY_BYTES

    def clear(self) -> None:
        """Forget what waits."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0
