"""Pictures for the encoder, used again when nobody holds them any more."""

from __future__ import annotations

import sys

import av
from av.video.frame import PictureType

from pyegress.media.planes import tag

#: References to a frame that only the pool has: its list's, and the argument of `getrefcount`.
_FREE = 2


class FramePool:
    """Frames of one size, yuv420p, tagged BT.709 limited range.

    A frame that somebody still refers to, be it in a queue or in another thread, is never given out again; when all
    are taken a new one is made, which the pool does not keep.
    """

    def __init__(self, width: int, height: int, capacity: int) -> None:
        self._width, self._height = width, height
        self._capacity = capacity
        self._frames: list[av.VideoFrame] = []

    def take(self) -> av.VideoFrame:
        """A frame to write into; its pixels are arbitrary."""
        for index in range(len(self._frames)):
            if sys.getrefcount(self._frames[index]) <= _FREE:
                return self._reuse(index)
        frame = av.VideoFrame(self._width, self._height, "yuv420p")
        tag(frame)
        if len(self._frames) < self._capacity:
            self._frames.append(frame)
        return frame

    def _reuse(self, index: int) -> av.VideoFrame:
        frame = self._frames[index]
        frame.make_writable()  # an encoder may hold the pixels without the frame
        frame.pts, frame.pict_type = None, PictureType.NONE
        return frame
