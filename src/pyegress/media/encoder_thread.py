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
#: Seconds of the output from any key frame to one that is asked for: several who ask at once get the same.
ASKED_APART = 0.5


class EncoderThread:
    """Owns one VideoEncoder. `submit` blocks while the queue is full: that is the backpressure on the media thread.

    `due` may be asked by any thread.
    """

    def __init__(self, encoder: VideoEncoder, *, on_frame: Callable[[EncodedFrame], None]) -> None:
        self._encoder = encoder
        self._on_frame = on_frame
        self._queue: queue.Queue[tuple[av.VideoFrame, int] | None] = queue.Queue(QUEUED)
        self._apart = round(ASKED_APART * encoder.encoding.framerate)
        #: Somebody waits for a key frame. Set by any thread; who asks while one is being made gets that one.
        self._asked = False
        self._last_key: int | None = None
        self._error: BaseException | None = None
        self._aborted = False
        self._thread = threading.Thread(target=self._run, name="video encoder", daemon=True)
        self._thread.start()

    def due(self, tick: int) -> bool:
        """Whether the picture of `tick` becomes a key frame by the encoding's interval: it is not to be left out."""
        return self._encoder.due(tick)

    def submit(self, picture: av.VideoFrame, tick: int) -> None:
        """Encode a picture as that of `tick`. Raises what the encoder raised."""
        self._put((picture, tick))

    def request_keyframe(self) -> None:
        """The next picture to be encoded becomes a key frame, if the last one is `ASKED_APART` ago; else the first one
        then. Any thread; a request is served by whatever key frame comes first."""
        self._asked = True

    def close(self) -> None:
        """Encode what waits, flush the encoder, end the thread. Raises what the encoder raised."""
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """End the thread without waiting for it."""
        self._aborted = True

    def _put(self, entry: tuple[av.VideoFrame, int] | None) -> None:
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
                picture, tick = entry
                for frame in self._encoder.encode(picture, tick, keyframe=self._key_frame(tick)):
                    self._on_frame(frame)
        except BaseException as error:
            self._error = error

    def _key_frame(self, tick: int) -> bool:
        """Whether a picture becomes a key frame: the first one, by the interval, or because somebody asked."""
        asked = self._asked and (self._last_key is None or tick - self._last_key >= self._apart)
        if self._last_key is None or asked or self._encoder.due(tick):
            self._last_key, self._asked = tick, False
            return True
        return False
