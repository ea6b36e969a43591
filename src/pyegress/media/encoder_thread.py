"""The thread of the video encoder: a bounded queue in front, encoded frames out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyegress.media.video_encoder import VideoEncoder
from pyegress.rtp.frame import EncodedFrame

if TYPE_CHECKING:
    import av

#: Pictures that may wait for the encoder.
QUEUED = 8
_POLL = 0.5


class EncoderThread:
    """Owns one VideoEncoder. `submit` blocks while the queue is full: that is the backpressure on the media thread."""

    def __init__(self, encoder: VideoEncoder, *, on_frame: Callable[[EncodedFrame], None]) -> None:
        self._encoder = encoder
        self._on_frame = on_frame
        self._queue: queue.Queue[tuple[av.VideoFrame, int, bool] | None] = queue.Queue(QUEUED)
        self._error: BaseException | None = None
        self._aborted = False
        self._thread = threading.Thread(target=self._run, name="video encoder", daemon=True)
        self._thread.start()

    def submit(self, picture: av.VideoFrame, tick: int, *, keyframe: bool = False) -> None:
        """Encode a picture as that of `tick`. Raises what the encoder raised."""
        self._put((picture, tick, keyframe))

    def close(self) -> None:
        """Encode what waits, flush the encoder, end the thread. Raises what the encoder raised."""
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """End the thread without waiting for it."""
        self._aborted = True

    def _put(self, entry: tuple[av.VideoFrame, int, bool] | None) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(entry, timeout=_POLL)
                return
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            while not self._aborted:
                try:
                    entry = self._queue.get(timeout=_POLL)
                except queue.Empty:
                    continue
                if entry is None:
                    for frame in self._encoder.flush():
                        self._on_frame(frame)
                    return
                picture, tick, keyframe = entry
                for frame in self._encoder.encode(picture, tick, keyframe=keyframe):
                    self._on_frame(frame)
        except BaseException as error:
            self._error = error
