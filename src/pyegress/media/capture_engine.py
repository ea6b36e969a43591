"""The media threads of a page: a screen and a sound in, one encoded picture and one encoded sound out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.capture_pictures import CapturePictures
from pyegress.media.capture_sound import CaptureSound
from pyegress.media.capture_sources import Screen, Sound
from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.engine_messages import EngineStats
from pyegress.media.rate_converter import MIX_RATE
from pyegress.media.taps import PictureTap, SoundTap
from pyegress.media.video_encoder import VideoEncoder
from pyegress.plan.encodings import AudioEncoding, VideoEncoding
from pyegress.rtp.frame import EncodedFrame

logger = logging.getLogger(__name__)

#: Seconds that a thread waits at most before it looks whether it is to end.
_POLL = 0.1
#: Seconds between looks at the sound: only somebody who listens live wants every block at once.
_FILE_ROUND, _LIVE_ROUND = 0.1, 0.01
#: Seconds for which sound of before the end is waited for.
_LAST_SOUND = 0.3


class CaptureEngine:
    """Captures one page. It listens from the start; `begin` once, `finish` once.

    `on_packet` gets encoded frames in the order of their time, from threads of the engine: 90 kHz for video, the
    encoding's sample rate for audio. `on_failed` is called once, from such a thread. The sources are closed at the end.
    """

    def __init__(
        self,
        *,
        video: VideoEncoding | None,
        audio: AudioEncoding | None,
        screen: Screen | None,
        sound: Sound | None,
        live: bool,
        longest: float | None = None,
        on_packet: Callable[[Kind, EncodedFrame], None],
        on_failed: Callable[[BaseException], None],
        encoded: Collection[Kind],
        pictures: Sequence[PictureTap] = (),
        on_sound: SoundTap | None = None,
        clock: Callable[[], Monotonic] = monotonic,
    ) -> None:
        """`encoded` are the kinds that somebody wants encoded; `pictures` and `on_sound` get them as they are.

        `longest` is how many seconds are captured at most.
        """
        self.stats = EngineStats()
        self.audio_encoder: AudioEncoder | None = None
        self._video, self._audio = video, audio
        self._screen, self._sound = screen, sound
        self._live = live
        self._round = _LIVE_ROUND if live else _FILE_ROUND
        self._longest = longest
        self._on_packet, self._on_failed = on_packet, on_failed
        self._encoded, self._taps, self._on_sound = encoded, pictures, on_sound
        self._clock = clock
        self._zero: Monotonic | None = None
        self._end: Monotonic | None = None
        self._begun = threading.Event()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._failed = False
        self._pictures: CapturePictures | None = None
        self._done: Future[None] = Future()
        sides = [self._capture_pictures] if screen is not None and video is not None else []
        sides += [self._capture_sound] if sound is not None and audio is not None else []
        self._threads = [
            threading.Thread(target=self._run, args=(side,), name=side.__name__, daemon=True) for side in sides
        ]
        self._left = len(self._threads)
        for thread in self._threads:
            thread.start()

    @property
    def zero(self) -> Monotonic | None:
        """The moment of the output's second 0; None before it has begun."""
        return self._zero

    def begin(self, at: Monotonic) -> None:
        """Second 0 of the output is now."""
        self._zero = at
        self._begun.set()

    def request_keyframe(self) -> None:
        """The next picture that is encoded becomes a key frame. Any thread."""
        if self._pictures is not None:
            self._pictures.request_keyframe()

    def finish(self, end: Monotonic) -> Future[None]:
        """Capture up to `end`, flush the encoders, close the sources. Idempotent."""
        self._end = end
        self._ending.set()
        self._begun.set()
        return self._done

    # -- threads ----------------------------------------------------------------------------------------------------

    def _run(self, side: Callable[[], None]) -> None:
        try:
            side()
        except BaseException as error:
            logger.debug("capturing failed", exc_info=True)
            with self._lock:
                first, self._failed = not self._failed, True
            if first:
                self._on_failed(error)
        with self._lock:
            self._left -= 1
            over = self._left == 0
        if over:
            self._done.set_result(None)

    def _capture_pictures(self) -> None:
        screen, video = self._screen, self._video
        assert screen is not None
        assert video is not None
        encoder = None
        try:
            if Kind.VIDEO in self._encoded:
                encoder = EncoderThread(
                    VideoEncoder(video, low_latency=self._live),
                    on_frame=lambda frame: self._on_packet(Kind.VIDEO, frame),
                )
            pictures = CapturePictures(
                screen, video.framerate, encoder, self._taps, self.stats, now=self._second, rest=self._ending.wait
            )
            self._pictures = pictures
            self._begun.wait()
            if self._zero is None:
                pictures.abort()
                return
            pictures.begin()
            while not self._ending.is_set() and (self._longest is None or pictures.rendered < self._longest):
                pictures.step()
            self._ending.wait()
            pictures.render_to(self._seconds())
            pictures.close()
        except BaseException:
            if encoder is not None:
                encoder.abort()
            raise
        finally:
            screen.close()

    def _capture_sound(self) -> None:
        sound, audio = self._sound, self._audio
        assert sound is not None
        assert audio is not None
        try:
            if Kind.AUDIO in self._encoded:
                self.audio_encoder = AudioEncoder(audio)
            taken = CaptureSound(sound, self.audio_encoder, self._on_sound, self._on_packet)
            while not self._begun.is_set():
                taken.listen(self._begun.wait, self._round)
            if self._zero is None:
                return
            taken.begin(self._zero)
            while not self._ending.is_set():
                taken.listen(self._ending.wait, self._round)
                seconds = self._second()
                taken.give(round((seconds if self._longest is None else min(seconds, self._longest)) * MIX_RATE))
            end = round(self._seconds() * MIX_RATE)
            deadline = self._clock() + _LAST_SOUND
            while taken.placed < end and self._clock() < deadline:
                taken.step(_POLL)
            taken.finish(end)
            taken.close()
        finally:
            sound.close()

    def _seconds(self) -> float:
        """The length of the output, once it is ending."""
        assert self._end is not None
        assert self._zero is not None
        seconds = max(0.0, self._end - self._zero)
        return seconds if self._longest is None else min(seconds, self._longest)

    def _second(self) -> float:
        assert self._zero is not None
        return self._clock() - self._zero
