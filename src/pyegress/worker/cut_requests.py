"""When a publisher is asked for the key frame that the next segment of a copy begins with: pure."""

from __future__ import annotations

from pyegress.outputs.hls.segmenter import EARLY
from pyegress.rtp.frame import EncodedFrame

#: A key frame that comes so early is taken by the segments too: places may be slewed against each other, seconds.
_EARLY = EARLY - 0.1
#: Beyond this the timestamps of a stream have jumped, seconds.
_JUMP = 60.0


class CutRequests:
    """Told of every frame of a stream as it arrives, so that its key frames come when segments are due."""

    def __init__(self, duration: float) -> None:
        """`duration` of segments, seconds."""
        self._duration = duration
        self._begun: int | None = None

    def due(self, frame: EncodedFrame) -> bool:
        """Whether a key frame is wanted now."""
        rate = frame.codec.clock_rate
        elapsed = (frame.timestamp - self._begun) / rate if self._begun is not None else 0.0
        if self._begun is None or not 0.0 <= elapsed < max(_JUMP, 2 * self._duration):
            self._begun = frame.timestamp if frame.keyframe else None
            return False
        if frame.keyframe and elapsed >= self._duration - _EARLY:
            self._begun = frame.timestamp
            return False
        return elapsed >= self._duration
