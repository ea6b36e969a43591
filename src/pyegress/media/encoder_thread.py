"""The thread of the video encoder: a bounded queue in front, encoded frames out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError
from pyegress.media.video_encoder import VideoEncoder
from pyegress.rtp.frame import EncodedFrame

if TYPE_CHECKING:
    import av

#: Pictures that may wait for the encoder.
QUEUED = 8
_POLL = 0.5
#: Seconds for one picture after which an encoder is given up. None takes as long, however busy the machine is.
STANDS_STILL = 60.0
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
        #: When the encoder was given what it has not answered yet.
        self._given_at: Monotonic | None = None
        self._aborted = False
        self._thread = threading.Thread(target=self._run, name="video encoder", daemon=True)
        self._thread.start()

    def due(self, tick: int) -> bool:
        """Whether the picture of `tick` becomes a key frame by the encoding's interval: it is not to be left out."""
        return self._encoder.due(tick)

    def submit(self, picture: av.VideoFrame, tick: int) -> None:
        """Encode a picture as that of `tick`. Raises what the encoder raised, or that it stands still."""
        self._put((picture, tick))

    def request_keyframe(self) -> None:
        """The next picture to be encoded becomes a key frame, if the last one is `ASKED_APART` ago; else the first one
        then. Any thread; a request is served by whatever key frame comes first."""
        self._asked = True

    def close(self) -> None:
        """Encode what waits, flush the encoder, end the thread. Raises as `submit` does."""
        self._put(None)
        while self._thread.is_alive():
            self._thread.join(_POLL)
            self._check()
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
                self._check()

    def _check(self) -> None:
        """Raise that the encoder stands still: nothing can end its thread then, and nobody is to wait for it."""
        given_at = self._given_at
        if given_at is None or monotonic() - given_at < STANDS_STILL:
            return
        self._aborted = True
        raise EgressError(
            f"The {self._encoder.codec.label} encoder stands still: no answer to a picture for {STANDS_STILL:.0f} s",
            remedy="What came before is kept; if it happens again, choose another video codec",
        )

    def _run(self) -> None:
        try:
            while not self._aborted:
                try:
                    entry = self._queue.get(timeout=_POLL)
                except queue.Empty:
                    continue
                if entry is None:
                    self._pass_on(self._encoder.flush)
                    return
                picture, tick = entry
                self._pass_on(partial(self._encoder.encode, picture, tick, keyframe=self._key_frame(tick)))
        except BaseException as error:
            self._error = error

    def _pass_on(self, answer: Callable[[], list[EncodedFrame]]) -> None:
        self._given_at = monotonic()
        frames = answer()
        self._given_at = None
        for frame in frames:
            self._on_frame(frame)

    def _key_frame(self, tick: int) -> bool:
        """Whether a picture becomes a key frame: the first one, by the interval, or because somebody asked."""
        asked = self._asked and (self._last_key is None or tick - self._last_key >= self._apart)
        if self._last_key is None or asked or self._encoder.due(tick):
            self._last_key, self._asked = tick, False
            return True
        return False
